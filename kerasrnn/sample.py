"""Generates text with a trained model, in this process.

It has the flags of kerasrnn-query, which asks a server, and gives the same text
for the same seed.

    kerasrnn-sample --workdir=my_model --prompt='def '
    kerasrnn-sample --workdir=my_names --novel --length=2000
"""

import json
from typing import TYPE_CHECKING

from absl import flags

from kerasrnn.command_line import program
from kerasrnn.command_line.activity import Activity
from kerasrnn.command_line.flag_types import define_trained_model
from kerasrnn.command_line.output import remark
from kerasrnn.command_line.output import write
from kerasrnn.command_line.sampling_flags import SampleRecord
from kerasrnn.command_line.sampling_flags import define_sampling_flags
from kerasrnn.command_line.sampling_flags import sampling_options
from kerasrnn.extras import require_tensorflow
from kerasrnn.foundation.phrases import counted

if TYPE_CHECKING:  # It needs NumPy, which --help does without.
    from kerasrnn.training.checkpoints.checkpoint import Checkpoint


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_trained_model(flag_values)
    define_sampling_flags(flag_values)
    flags.DEFINE_bool(
        "novel",
        False,
        "Print only the generated lines that are not in the training text, "
        "each of them once, and the share that is new.",
        flag_values=flag_values,
    )


def main(argv: list[str]) -> int:
    """Runs the program."""
    del argv
    require_tensorflow("kerasrnn-sample")
    return execute(flags.FLAGS)


def execute(values: flags.FlagValues) -> int:
    """Does what the flags say and returns the exit status."""
    from kerasrnn.training.checkpoints.finding import find

    options = sampling_options(values)
    # Mistakes are reported before TensorFlow is imported.
    saved = find(values.workdir, values.checkpoint).checkpoint
    novelty = _Novelty(values.workdir, saved) if values.novel else None
    with Activity("Starting TensorFlow"):
        from kerasrnn.model.text_generator import TextGenerator
        from kerasrnn.training.checkpoints.load_model import model_of

        weights = [variable.value for variable in model_of(saved).weights]
        generator = TextGenerator(saved.config.model, saved.vocabulary)
    unknown = generator.unknown(options.prompt)
    if unknown:
        found = counted(unknown, "character")
        remark(f"Unknown to the model: {found} of the prompt.")
    records = []
    for seed in options.seeds():
        shows_text = not options.json and novelty is None
        if not options.json or novelty is not None:
            remark(f"seed {seed}")
        if shows_text and options.echo:
            write(options.prompt.decode(errors="replace"))
        record = _generate(
            generator, weights, options, seed, unknown, shows_text
        )
        records.append(record)
        if novelty is None:
            write((record.to_json() if options.json else "") + "\n")
    if novelty is not None:
        novelty.print(records, options.json)
    return 0


class _Novelty:
    """Tells which generated lines are not in the training text.

    Args:
        workdir: The working directory, which holds the text.
        saved: Its checkpoint.

    Raises:
        UserError: The text is not there, or has no lines.
    """

    def __init__(self, workdir: str, saved: "Checkpoint"):
        from kerasrnn.text import novelty
        from kerasrnn.training.checkpoints.workdir import open_corpus

        self._vocabulary = saved.vocabulary
        self._corpus = open_corpus(workdir, saved.info.get("corpus_sha256"))
        self._ranges = self._corpus.split_ranges(
            "train", saved.config.training.sequence_length
        )
        novelty.newline_id(saved.vocabulary)  # There must be one.

    def print(self, records: list[SampleRecord], as_json: bool) -> None:
        """Prints the lines that are new, each once, and their share."""
        from kerasrnn.text import novelty

        lines = []
        for record in records:
            # The first line begins where the prompt's last one does.
            begun = record.prompt.rpartition("\n")[2]
            lines += novelty.complete_lines(
                begun + record.text, record.finish == "stop"
            )
        with Activity("Looking for the lines in the training text"):
            found = novelty.find_novel(
                lines, self._corpus.ids, self._ranges, self._vocabulary
            )
        if as_json:
            result = {
                "novel": found.novel,
                "lines": len(found.lines),
                "share": found.share,
                "seeds": [record.seed for record in records],
            }
            write(json.dumps(result, ensure_ascii=False) + "\n")
            return
        write("".join(f"{line}\n" for line in found.novel))
        remark(
            f"Not in the training text: {found.share:.1%} of "
            f"{counted(len(found.lines), 'generated line')}, "
            f"{counted(len(found.novel), 'different one')}."
        )


def _generate(generator, weights, options, seed, unknown, show):
    """Generates one text; prints it as it comes if it is to be shown."""
    text, length, log_prob, finish = "", 0, 0.0, ""
    with Activity("Reading the prompt") as activity:
        for chunk in generator.stream(
            weights,
            prompt=options.prompt,
            length=options.length,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            seed=seed,
            stop=options.stop,
            between_reads=activity.share,
        ):
            if show:
                # The text itself shows how far it is.
                activity.end()
                write(chunk.text)
            text += chunk.text
            length += chunk.length
            log_prob += chunk.log_prob
            finish = chunk.finish
            activity.now("Generating")
            activity.share(length / max(options.length, 1))
    return SampleRecord(
        prompt=options.prompt.decode(errors="replace"),
        text=text,
        length=length,
        log_prob=log_prob,
        unknown=unknown,
        finish=finish,
        seed=seed,
    )


def run() -> None:
    """Entry point of `kerasrnn-sample`."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
