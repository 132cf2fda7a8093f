"""Measures how well a trained model predicts text.

Prints the cross-entropy in nats and in bits per character, over how many
characters, and the perplexity. Losses on different splits are not comparable,
so the split is printed as well.

    kerasrnn-evaluate --workdir=my_model
    kerasrnn-evaluate --workdir=my_model --file=other.txt
"""

import json
import os
from typing import TYPE_CHECKING
from typing import NamedTuple

from absl import flags

from kerasrnn.command_line import program
from kerasrnn.command_line.activity import Activity
from kerasrnn.command_line.flag_types import define_integer
from kerasrnn.command_line.flag_types import define_path
from kerasrnn.command_line.flag_types import define_trained_model
from kerasrnn.errors import UserError
from kerasrnn.extras import require_tensorflow
from kerasrnn.foundation.constraints import COUNT
from kerasrnn.foundation.phrases import counted
from kerasrnn.foundation.processor import prefer_onednn
from kerasrnn.text.splits import characters_in

if TYPE_CHECKING:  # They need NumPy, which --help does without.
    import numpy as np

    from kerasrnn.training.checkpoints.checkpoint import Checkpoint
    from kerasrnn.training.evaluation.loss_units import Evaluation


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_trained_model(flag_values)
    flags.DEFINE_enum(
        "split",
        "validation",
        ("train", "validation", "test"),
        "Which part of the text that the model was trained on.",
        flag_values=flag_values,
    )
    define_path(
        "file", None, "Measure this file instead, as one text.", flag_values
    )
    flags.DEFINE_enum(
        "start_state",
        None,
        ("context", "zero", "start_character"),
        "What each stream starts from: the state after its context, as many "
        "characters of the text before it as in training's validations; the "
        "zero state (its first character is read but not scored); or the "
        "state after the start character (all are scored, as by a served "
        "model). The default is how the model was validated: context or zero.",
        flag_values=flag_values,
    )
    define_integer(
        "streams",
        0,
        "Pieces that the text is divided into, which are read side by side, "
        "each from the start state. 0 uses as many as in training, and 1 for "
        "a file; a served model uses 1.",
        flag_values,
        COUNT,
    )
    flags.DEFINE_bool(
        "json",
        False,
        "Print one JSON object instead.",
        flag_values=flag_values,
    )


def main(argv: list[str]) -> int:
    """Runs the program."""
    del argv
    require_tensorflow("kerasrnn-evaluate")
    prefer_onednn(os.environ)
    return execute(flags.FLAGS)


def execute(values: flags.FlagValues) -> int:
    """Does what the flags say and returns the exit status."""
    from kerasrnn.training.checkpoints.finding import find

    # Mistakes are reported before TensorFlow is imported.
    path, saved = find(values.workdir, values.checkpoint)
    text = _text(values, saved)
    start = _start(values, saved)
    streams = values.streams or _default_streams(values, saved, text, start)
    unknown = _count_unknown(text, streams, start)
    contexts = _contexts(text, streams, start)
    if start.name == "context" and not contexts.any():
        start = _Start("zero")
    with Activity("Starting TensorFlow") as activity:
        result = _evaluate(saved, text, streams, start, activity)
    if values.json:
        print(
            json.dumps(
                {
                    "text": text.name,
                    "loss": result.loss,
                    "bits": result.bits,
                    "perplexity": result.perplexity,
                    "nats": result.nats,
                    "characters": result.characters,
                    "unknown": unknown,
                    "streams": streams,
                    "start_state": start.name,
                    "context": int(contexts.max()),
                    "step": saved.step,
                }
            )
        )
        return 0
    print(
        f"{text.name}: {result.loss:.6f} nats ({result.bits:.6f} bits) per "
        f"character over {counted(result.characters, 'character')}, "
        f"perplexity {result.perplexity:.4f}\n"
        f"{path.parent.name} checkpoint, step {saved.step:,}; "
        f"{counted(streams, 'stream')} "
        f"{_description(start, contexts)}"
    )
    if unknown:
        print(
            f"Unknown to the model and not scored: {unknown:,} of "
            f"{counted(text.length, 'character')} read "
            f"({100 * unknown / text.length:.3g}%)."
        )
    return 0


class _Text(NamedTuple):
    """A text to measure.

    Attributes:
        ids: Integers [length].
        ranges: (start, stop) of the parts to read.
        name: What it is called in the result.
    """

    ids: "np.ndarray"
    ranges: list[tuple[int, int]]
    name: str

    @property
    def length(self) -> int:
        """Characters to read."""
        return characters_in(self.ranges)


def _text(values: flags.FlagValues, saved: "Checkpoint") -> _Text:
    """Returns the text that the flags name."""
    from kerasrnn.text.encoding import encode_file
    from kerasrnn.training.checkpoints.workdir import open_corpus

    if values.file is not None:
        ids = encode_file(
            values.file,
            saved.vocabulary,
            saved.config.data.normalize_newlines,
        )
        return _Text(ids, [(0, len(ids))], values.file)
    corpus = open_corpus(values.workdir, saved.info.get("corpus_sha256"))
    ranges = corpus.split_ranges(
        values.split, saved.config.training.sequence_length
    )
    if not ranges:
        fraction = f"{values.split}_fraction"
        raise UserError(
            f"The {values.split} split is empty: the model was trained with "
            f"--{fraction}={getattr(corpus.config, fraction, 0):g}. Give "
            "another --split, or --file."
        )
    name = f"{values.split} split ({corpus.config.split})"
    return _Text(corpus.ids, ranges, name)


class _Start(NamedTuple):
    """What each stream starts from.

    Attributes:
        name: "context", "zero" or "start_character".
        start_id: The start character, if it is that.
        context: Characters to read before each stream, as far as the text
            has them.
    """

    name: str
    start_id: int | None = None
    context: int = 0


def _start(values: flags.FlagValues, saved: "Checkpoint") -> _Start:
    """Returns what the flags say that each stream starts from."""
    context = saved.config.training.validation_context
    name = values.start_state or ("context" if context else "zero")
    if name == "context":
        if not context:
            raise UserError(
                "--start_state=context reads as much before each stream as "
                "the model's validations did, but they started from the zero "
                "state (--validation_context=0). Give --start_state=zero."
            )
        return _Start(name, context=context)
    if name == "start_character":
        return _Start(name, saved.vocabulary.start_id)
    return _Start(name)


def _default_streams(
    values: flags.FlagValues, saved: "Checkpoint", text: _Text, start: _Start
) -> int:
    """Returns into how many streams the text is cut if no flag says it."""
    from kerasrnn.text.batches.streams import number_of_streams

    if values.file is not None:
        return 1
    training = saved.config.training
    return number_of_streams(
        text.ranges,
        training.batch_size,
        training.sequence_length,
        start.context,
    )


def _count_unknown(text: _Text, streams: int, start: _Start) -> int:
    """Returns how many characters are unknown.

    Raises:
        UserError: No character would be scored.
    """
    from kerasrnn.text.batches.streams import Streams
    from kerasrnn.text.batches.streams import nothing_to_score
    from kerasrnn.text.encoding import count_unknown

    unknown = count_unknown(text.ids, text.ranges)
    longest = Streams(
        text.ids, text.ranges, streams, start.start_id, documents=False
    ).length
    if unknown == text.length or longest < 1:
        raise nothing_to_score()
    return unknown


def _contexts(text: _Text, streams: int, start: _Start) -> "np.ndarray":
    """Returns how many characters are read before each stream, [S]."""
    from kerasrnn.text.batches.streams import Streams

    return Streams(
        text.ids,
        text.ranges,
        streams,
        start.start_id,
        documents=False,
        context=start.context,
    ).contexts


def _description(start: _Start, contexts: "np.ndarray") -> str:
    """Returns what a reader is told of the streams' starts."""
    if start.name != "context":
        return f"from the {start.name.replace('_', ' ')} state"
    some = contexts[contexts > 0]
    up_to = "up to " * bool(some.min() < some.max())
    first = ", the first from the zero state" * (len(some) < len(contexts))
    return (
        f"after {up_to}{counted(int(some.max()), 'character')} of "
        f"context{first}"
    )


def _evaluate(
    saved: "Checkpoint",
    text: _Text,
    streams: int,
    start: _Start,
    activity: Activity,
) -> "Evaluation":
    """Returns the loss of the text."""
    from kerasrnn.training.evaluation.evaluator import Evaluator
    from kerasrnn.training.step.flat_weights import layout

    activity.now("Reading the text")
    model = saved.config.model
    weights = layout(model)
    evaluator = Evaluator(model, weights, saved.config.training.sequence_length)
    return evaluator(
        weights.pack(saved.weights),
        text.ids,
        text.ranges,
        streams,
        start.start_id,
        context=start.context,
        between_calls=activity.share,
    )


def run() -> None:
    """Entry point of `kerasrnn-evaluate`."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
