"""What a model of many units read, with one unit that follows a probe."""

import numpy as np

from kerasrnn.reporting import findings
from kerasrnn.reporting.probes import probe_values
from kerasrnn.reporting.reading import Reading
from kerasrnn.reporting.reading import surprise

HOSTILE = (
    'x = "</script><script>alert(1)</script>"\n'
    "<img src=x onerror=alert(2)> <!-- <script>\t&lt;é🙂\x1b[31m\n"
)
LAYERS, UNITS = 2, 16
# Follows quotes; of layer 2.
PLANTED = UNITS + 4


def make_reading(text, layers=LAYERS, units=UNITS, seed=0):
    """Returns a reading of random numbers; one unit follows quotes."""
    random = np.random.default_rng(seed)
    length = len(text)
    activations = random.normal(scale=0.2, size=(length, layers * units))
    activations = np.clip(activations, -1, 1).astype(np.float32)
    quotes = probe_values(text, "hash")[0]
    activations[:, PLANTED] = 0.1 * activations[:, PLANTED] + quotes - 0.4
    log_probs = np.sort(random.uniform(-9, 0, size=(length, 5)))[:, ::-1]
    alphabet = list("\n \tab<&é🙂")
    return Reading(
        characters=tuple(text),
        activations=activations,
        top_characters=tuple(
            tuple(random.permutation(alphabet)[:5]) for _ in range(length)
        ),
        top_log_probs=log_probs.astype(np.float32),
        bits=surprise(-random.exponential(size=length), 0),
        num_layers=layers,
    )


def make_findings(reading):
    shuffled = make_reading("".join(findings.shuffled(reading.text)), seed=1)
    random = np.random.default_rng(2).normal(
        size=(len(shuffled.characters), reading.num_units)
    )
    return findings.find(
        reading.text, reading.activations, shuffled.text, random, "hash"
    )
