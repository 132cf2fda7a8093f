"""The signatures of small samplers, called as a server calls them.

Requests to call them with are here too: good ones, odd ones and bad ones.
"""

import contextlib
import functools
import math
import os
import string
from pathlib import Path

import tensorflow as tf
from absl.testing import absltest
from kerasrnn_export.graph import archive
from kerasrnn_export.graph import state_token
from kerasrnn_export.graph.sampler import Sampler
from kerasrnn_export.release import verify

from helpers.models import small_models
from kerasrnn.contract import signatures
from kerasrnn.sampling.generate import HISTORY
from kerasrnn.text.vocabulary import Vocabulary

# Every cell and both kinds of vocabulary, with and without an embedding, and
# one that keeps the lines of its text apart.
MODELS = {
    "lstm": ("characters", {"cell": "lstm"}),
    "gru_bytes": ("bytes", {"cell": "gru"}),
    "simple_rnn_embedded": (
        "characters",
        {"cell": "simple_rnn", "embedding_size": 5},
    ),
    "documents": (
        "characters",
        {
            "cell": "lstm",
            "separator_id": small_models.make_vocabulary("characters").start_id,
        },
    ),
}
# The sizes that full counts are of, over 65 characters.
SIZES = {
    "2x128": {"units": 128, "num_layers": 2},
    "3x512": {"units": 512, "num_layers": 3},
    # Wide enough that its products are cut where there are few rows.
    "1x512": {"units": 512, "num_layers": 1},
}
CHARACTERS = small_models.ALPHABET + string.ascii_letters[8:] + ",;!?'"
STOPS = ("", "", "a", "e", " b", "é", "🙂", "ab", "\n", "cd.", "Ж€", "zz")


class Served:
    """A sampler whose signatures are called in this process.

    Attributes:
        vocabulary: Its vocabulary.
        config: Its `ModelConfig`.
        weights: Its weights, arrays.
        sampler: The `Sampler`.
    """

    def __init__(self, name):
        if name in SIZES:
            self.vocabulary = Vocabulary.from_text(CHARACTERS)
            options = SIZES[name]
        else:
            kind, options = MODELS[name]
            self.vocabulary = small_models.make_vocabulary(kind)
        self.config = small_models.make_config(self.vocabulary, **options)
        self.weights = small_models.random_weights(
            self.config, scale=4 / math.sqrt(self.config.units)
        )
        self.sampler = Sampler(self.config, self.weights, self.vocabulary)
        self.functions = {
            signature.name: archive.signature_function(
                getattr(self.sampler, signature.name), signature
            )
            for signature in archive.EXPORTED
        }

    @classmethod
    @functools.cache
    def of(cls, name):
        """Returns the one of a model of `MODELS` or of `SIZES`."""
        return cls(name)

    def __call__(self, name, rows, **defaults):
        """Calls a signature with one dict of inputs a row."""
        signature = signatures.SIGNATURES[name]
        arrays = self._run(signature, self.batch(name, rows, **defaults))
        return [
            {name: array[row] for name, array in arrays.items()}
            for row in range(len(rows))
        ]

    def batch(self, name, rows, **defaults):
        """Returns a signature's inputs, lists by name, for such rows."""
        return {
            entry.name: [
                {entry.name: entry.default, **defaults, **row}[entry.name]
                for row in rows
            ]
            for entry in signatures.SIGNATURES[name].inputs
        }

    def _run(self, signature, inputs):
        inputs = {
            entry.name: tf.constant(inputs[entry.name], entry.dtype)
            for entry in signature.inputs
        }
        outputs = self.functions[signature.name](**inputs)
        return {name: value.numpy() for name, value in outputs.items()}

    def generate(self, prompt="", **inputs):
        """Returns the one row that `generate` gives for one."""
        (row,) = self("generate", [{"prompt": prompt, **inputs}])
        return row

    def score(self, text, state_bytes=""):
        """Returns the one row that `score` gives for one."""
        (row,) = self("score", [{"text": text, "state_bytes": state_bytes}])
        return row

    def inspect(self, text, state_bytes=""):
        """Returns the one row that `inspect` gives for one."""
        (row,) = self("inspect", [{"text": text, "state_bytes": state_bytes}])
        return row


class Exported(Served):
    """The same, from a SavedModel by the loader that servers use.

    Attributes:
        directory: Of the SavedModel.
    """

    def __init__(self, name):
        super().__init__(name)
        # All processes that pytest runs tests in share what one has written.
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid()}")
        versions = Path(absltest.TEST_TMPDIR.value) / run / name
        self.directory = versions / "1"
        if not self.directory.exists():
            written = versions.with_name(f"{name}-{os.getpid()}")
            archive.write(self.sampler, written / "1")
            with contextlib.suppress(OSError):
                written.rename(versions)
        self._session = verify.Session(self.directory)

    def _run(self, signature, inputs):
        return self._session(signature.name, **inputs)


def random_text(chance, longest, alphabet=small_models.ALPHABET + "zø"):
    """Returns up to `longest` characters, some outside the vocabulary."""
    return "".join(chance.choices(alphabet, k=chance.randint(0, longest)))


def random_request(chance):
    """Returns a good request, odd but good ones among them."""
    odd = [b"\xff\xfe", b"a\0b", "zzø".encode(), b"\xe2\x82", b""]
    return {
        "prompt": chance.choice(
            [random_text(chance, 12).encode(), *odd[: chance.randint(0, 5)]]
        ),
        "state_bytes": b"",
        "length": chance.randint(0, 20),
        "temperature": chance.choice([0.0, 0.5, 1.0, 1.0, 2.0, 1e-38, 1e30]),
        "top_k": chance.choice([0, 0, 3, 1, 10**6, 2**31 - 1]),
        "top_p": chance.choice([1.0, 1.0, 0.8, 1e-6]),
        "seed": chance.choice([0, 1, -1, 2**63 - 1, -(2**63)]),
        "stop": chance.choice(STOPS).encode(),
    }


def parameter_defects(chance):
    """Returns changes to a request's parameters that make it a bad one."""
    return {
        "temperature_negative": {"temperature": -1.0},
        "temperature_nan": {"temperature": math.nan},
        "temperature_infinite": {"temperature": math.inf},
        "temperature_minus_infinite": {"temperature": -math.inf},
        "top_k_negative": {"top_k": chance.choice([-1, -(2**31)])},
        "top_p_zero": {"top_p": 0.0},
        "top_p_negative": {"top_p": -0.5},
        "top_p_large": {"top_p": chance.choice([1.001, math.inf])},
        "top_p_nan": {"top_p": math.nan},
        "length_negative": {"length": chance.choice([-1, -(2**31)])},
        "length_large": {"length": chance.choice([513, 2**31 - 1])},
        "stop_long": {"stop": "a" * chance.choice([33, 5000])},
    }


def text_defects(chance, name):
    """Returns changes to a request's text, its input called `name`."""
    return {
        "text_long": {name: "a" * chance.choice([4097, 50_000])},
        "text_long_invalid": {name: b"\xff" * 4097},
    }


def state_defects(chance, served, foreign):
    """Returns changes to a request's token; `foreign` is another model."""
    token = served.generate(length=chance.randint(0, 3))["state_bytes"]
    flipped = bytearray(token)
    flipped[chance.randrange(len(token))] ^= 1 << chance.randrange(8)
    tokens = {
        "state_flipped": bytes(flipped),
        "state_short": token[: chance.randrange(1, len(token))],
        "state_long": token + token[: chance.randrange(1, len(token))],
        "state_noise": chance.randbytes(chance.randint(1, 2 * len(token))),
        "state_foreign": foreign.generate(length=1)["state_bytes"],
        "state_nan": token_with(served, math.nan),
        "state_infinite": token_with(served, -math.inf),
        "state_huge": token_with(served, 3e38),
    }
    return {name: {"state_bytes": token} for name, token in tokens.items()}


@functools.cache
def token_with(served, value):
    """Returns a token whose checksum is right and whose last state `value`."""
    codec = served.sampler._token
    carried, _ = codec.decode(tf.constant([""]), tf.constant([""]))
    carried.states[-1] = tf.fill(carried.states[-1].shape, value)
    return codec.encode(carried).numpy()[0]


def forged_token(chance, served):
    """Returns a token whose checksum is right and whose contents are not."""
    integers = [-(2**31), -5, 0, 1, 3, 10**6, 2**31 - 1]
    draws = [-(2**63), -1, 2**62 + 3, 2**63 - 1]
    start, _ = served.sampler._token.decode(
        tf.constant([""]), tf.constant([""])
    )
    carried = state_token.Carried(
        tf.constant([chance.choice(draws)], tf.int64),
        tf.constant([chance.choices(integers, k=HISTORY)], tf.int32),
        tf.constant([chance.choice(integers)], tf.int32),
        [
            tf.fill(state.shape, chance.choice([-1.0, 1e-40, 1.0]))
            for state in start.states
        ],
    )
    return served.sampler._token.encode(carried).numpy()[0]
