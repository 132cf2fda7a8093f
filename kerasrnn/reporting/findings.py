"""Which units follow which probe, and how often that would be chance.

The score of a unit is the correlation of what it does with what the probe
says. The control is the same probe on shuffled text, of two kinds:

* the network reads the same characters in random order, where there is
  nothing to follow but the characters themselves;
* the text's end is put before its beginning, at four places in turn, for the
  probe but not for the network: as long runs as before, of the wrong text.

Of these five, the control of a probe is the one where it scores highest, by
the 99th percentile of all units.

Glossary of shapes: T characters, P probes, N units of all layers.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from kerasrnn.reporting.probes import probe_values

# What Karpathy's post says of the cells that he looked at, in per cent.
BLOG_SHARE = "about 5\u00a0%"

# A unit with a correlation from here on follows a probe closely.
CLOSE = 0.5

# The share of the control's units that a score must be above.
QUANTILE = 0.99

# Places where the text is cut to put its end before its beginning.
_MOVES = 4

# A probe that fewer characters tell from the others has no score.
_RARE = 20


@dataclasses.dataclass(frozen=True, eq=False)
class Findings:
    """How well each unit follows each probe.

    Attributes:
        values: float32 [P, T], what the probes say of the text.
        scores: float32 [P, N], correlations in [-1, 1].
        control: float32 [P, N], the same on shuffled text: for each probe
            the shuffling where it scores highest.
        present: bool [P], whether the text has enough of what is probed;
            where it has not, the scores are 0.
        thresholds: float32 [P], 99th percentile of the control's magnitudes.
    """

    values: np.ndarray = dataclasses.field(repr=False)
    scores: np.ndarray = dataclasses.field(repr=False)
    control: np.ndarray = dataclasses.field(repr=False)
    present: np.ndarray
    thresholds: np.ndarray

    @property
    def follows(self) -> np.ndarray:
        """Whether a unit's score is above the control's, bool [P, N]."""
        return self._above(self.scores)

    @property
    def share(self) -> float:
        """Share of the units that follow at least one probe."""
        return float(self.follows.any(axis=0).mean())

    @property
    def control_share(self) -> float:
        """The same share among the units that read shuffled text."""
        return float(self._above(self.control).any(axis=0).mean())

    @property
    def close_share(self) -> float:
        """Share of the units that follow a probe closely."""
        close = self.follows & (np.abs(self.scores) >= CLOSE)
        return float(close.any(axis=0).mean())

    def first_unit(self) -> int:
        """Returns the unit to look at first: that with the best score."""
        scores = np.where(self.follows, np.abs(self.scores), 0)
        return int(np.argmax(scores.max(axis=0)))

    def best_units(self, probe: int, count: int) -> list[int]:
        """Returns the units that follow a probe best, the best first.

        Args:
            probe: Its index in `PROBES`.
            count: How many at most; there may be none.
        """
        order = np.argsort(-np.abs(self.scores[probe]), kind="stable")
        return [int(u) for u in order[:count] if self.follows[probe, u]]

    def best_probe(self, unit: int) -> int | None:
        """Returns the probe that a unit follows best, None if none."""
        above = np.where(
            self.follows[:, unit], np.abs(self.scores[:, unit]), -1
        )
        best = int(np.argmax(above))
        return best if above[best] >= 0 else None

    def _above(self, scores):
        return (np.abs(scores) > self.thresholds[:, None]) & self.present[
            :, None
        ]


def shuffled(characters: Sequence[str], seed: int = 0) -> list[str]:
    """Returns the characters of a text in random order."""
    order = np.random.default_rng(seed).permutation(len(characters))
    return [characters[index] for index in order]


def find(
    text: str,
    activations: np.ndarray,
    shuffled_text: str,
    shuffled_activations: np.ndarray,
    syntax: str,
) -> Findings:
    """Compares the units with the probes, on a text and on shuffled text.

    Args:
        text: T characters.
        activations: float [T, N], after each of them.
        shuffled_text: The same characters in another order.
        shuffled_activations: float [T, N], of reading that.
        syntax: What the text is; one of `kerasrnn.reporting.probes.SYNTAXES`.
    """
    values = probe_values(text, syntax)
    present = np.array([_is_present(row) for row in values], bool)
    scores = correlations(values, activations)
    controls = [
        correlations(probe_values(shuffled_text, syntax), shuffled_activations)
    ]
    for part in range(1, _MOVES + 1):
        moved = np.roll(values, len(text) * part // (_MOVES + 1), axis=1)
        controls.append(correlations(moved, activations))
    controls = np.stack(controls)  # [1 + moves, P, N]
    percentiles = np.quantile(np.abs(controls), QUANTILE, axis=2)
    highest = np.argmax(percentiles, axis=0)  # [P]
    control = controls[highest, np.arange(len(values))]
    thresholds = percentiles.max(axis=0)
    return Findings(
        values=values,
        scores=np.where(present[:, None], scores, 0),
        control=np.where(present[:, None], control, 0),
        present=present,
        thresholds=thresholds.astype(np.float32),
    )


def share_sentences(findings: Findings) -> tuple[str, ...]:
    """Returns what there is to say of how many units follow something."""
    share, control, close = map(
        _percent,
        (findings.share, findings.control_share, findings.close_share),
    )
    units = findings.scores.shape[1]
    return (
        f"{share} of the {units:,} units follow one of these better than "
        f"{_percent(QUANTILE)} of the units do on shuffled text, where "
        f"{control} of them do.",
        f"{close} follow one closely (a correlation of {CLOSE} or more). "
        f"Karpathy, in 2015 and by eye: {BLOG_SHARE}.",
    )


def _percent(share):
    return f"{100 * share:.0f}\u00a0%"


def correlations(values: np.ndarray, activations: np.ndarray) -> np.ndarray:
    """Returns Pearson's correlations, float32 [P, N]; 0 with a constant.

    Args:
        values: float [P, T].
        activations: float [T, N].
    """
    return (_standardized(values.T).T @ _standardized(activations)).astype(
        np.float32
    )


def _standardized(columns):
    """Returns columns [T, ...] with mean 0 and norm 1, or 0 if constant."""
    columns = np.asarray(columns, np.float32)
    columns = columns - columns.mean(axis=0) if len(columns) else columns
    norms = np.linalg.norm(columns, axis=0)
    constant = norms < 1e-5 * len(columns) ** 0.5
    return np.where(constant, 0, columns / np.where(constant, 1, norms))


def _is_present(values):
    _, counts = np.unique(values, return_counts=True)
    return len(values) - counts.max(initial=0) >= _RARE
