"""What a new run tells the user about its text and its directory."""

import difflib
import itertools
import os
import pathlib

from kerasrnn.foundation.phrases import command
from kerasrnn.foundation.phrases import counted
from kerasrnn.foundation.phrases import path_flag
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.frequencies import Baselines
from kerasrnn.text.sources import standard_library_root
from kerasrnn.training.checkpoints.workdir import Workdir

# With so many kinds of characters there are better ways to read a text.
_MANY_KINDS = 1000

# Validations without a better one that are worth a remark.
_STALE = 3
# From so many steps on, a loss of at least this share of that of guessing by
# frequency is worth one, where pairs show that a lower one is possible.
_SOME_STEPS, _HARDLY = 200, 0.97

# How many names of directories are shown.
_MOST_NAMES = 3


def of_standard_library(path: os.PathLike | str) -> str:
    """Returns what to tell a user who trains a new model without `--data`.

    The working directory may be mistyped, so directories with similar names
    that hold a run are listed.

    Args:
        path: The working directory, which need not exist yet.
    """
    lines = [
        f"There is no run in {path} and no --data is given: a new model is "
        "trained on the source code of Python's standard library, from "
        f"{standard_library_root()}."
    ]
    similar = similar_directories(path)
    if similar:
        lines.append(
            "Runs in directories with similar names; resume them with:"
        )
        lines += [
            f"    {command('kerasrnn-train', path_flag('workdir', found))}"
            for found in similar
        ]
    return "\n".join(lines)


def of_text(corpus: Corpus, embedding_size: int = 0) -> list[str]:
    """Returns what to tell about the text that a new model is trained on.

    Args:
        corpus: The encoded text.
        embedding_size: The model's.
    """
    sentences = corpus.marks.sentences()
    if corpus.num_unknown:
        share = 100 * corpus.num_unknown / len(corpus)
        sentences.append(
            "Unknown to the model, because rarer than "
            f"--min_count={corpus.config.min_count}: {corpus.num_unknown:,} of "
            f"{counted(len(corpus), 'character')} ({share:.3g}%). Unknown "
            "characters are read, but neither predicted nor scored."
        )
    kinds = len(corpus.vocabulary) - 1
    if kinds >= _MANY_KINDS and not embedding_size:
        sentences.append(
            f"The text has {kinds:,} kinds of characters, each with weights "
            "of its own. A smaller and faster model: --embedding_size=128 "
            "(not as many inputs as kinds), --min_count=10 (no rare ones), "
            "or --vocabulary=bytes (256 kinds)."
        )
    return sentences


def of_baselines(baselines: Baselines) -> str:
    """Returns what to compare the losses of a run with."""
    return (
        "To compare with: guessing the held-out text by the frequency of "
        f"characters costs {baselines.by_character:.4f} nats per character, by "
        f"that of pairs {baselines.by_pair:.4f}."
    )


def remark_on(
    loss: float,
    step: int,
    best: float | None,
    stale: int,
    baselines: Baselines | None,
) -> str:
    """Returns what to say about a validation loss, or "".

    Args:
        loss: The loss, in nats per character.
        step: Steps made.
        best: The lowest loss so far, if it is known.
        stale: Validations since then.
        baselines: What to compare with, if there is something.
    """
    if stale >= _STALE and best is not None:
        return (
            f"The last {stale} validations did not improve on the best loss, "
            f"{best:.4f}"
        )
    if baselines is None or step < _SOME_STEPS:
        return ""
    hardly_better = _HARDLY * baselines.by_character
    if loss >= hardly_better > baselines.by_pair:
        return (
            "This is hardly better than guessing each character by its "
            f"frequency, {baselines.by_character:.4f}: the model has not begun "
            "to learn what follows what"
        )
    return ""


def similar_directories(path: os.PathLike | str) -> list[pathlib.Path]:
    """Returns directories with a run whose path is similar.

    One part of the path may differ: the first that does not exist, or else
    the last.
    """
    path = pathlib.Path(path)
    parts = [path, *path.parents]
    missing = [part for part in parts if not part.exists()]
    differing = missing[-1] if missing else path
    try:
        entries = list(os.scandir(differing.parent))
    except OSError:
        return []
    names = [e.name for e in entries if e.name != differing.name]
    close = difflib.get_close_matches(differing.name, names, n=len(names) + 1)
    below = path.relative_to(differing)
    candidates = (differing.parent / name / below for name in close)
    return list(
        itertools.islice(filter(_has_training, candidates), _MOST_NAMES)
    )


def _has_training(path):
    try:
        return Workdir(path).has_checkpoints()
    except OSError:
        return False
