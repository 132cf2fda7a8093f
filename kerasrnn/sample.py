"""Generates text with a trained model, in this process.

Takes the flags of kerasrnn-query, which asks a server, and gives the same
text for the same seed.

    kerasrnn-sample --workdir=my_model --prompt='def '
    kerasrnn-sample --workdir=my_names --novel --length=2000
"""

import json
import sys

from absl import flags

from kerasrnn.command_line import program
from kerasrnn.command_line.activity import Activity
from kerasrnn.command_line.flag_types import define_path
from kerasrnn.command_line.sampling_flags import SampleRecord
from kerasrnn.command_line.sampling_flags import define_sampling_flags
from kerasrnn.command_line.sampling_flags import sampling_options
from kerasrnn.extras import require_tensorflow
from kerasrnn.foundation.phrases import counted


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_path(
        "workdir",
        "workdir",
        "Directory that kerasrnn-train wrote.",
        flag_values,
    )
    flags.DEFINE_enum(
        "checkpoint",
        "best",
        ("best", "latest"),
        "Which weights: those with the best validation loss, or the newest.",
        flag_values=flag_values,
    )
    define_sampling_flags(flag_values)
    flags.DEFINE_bool(
        "novel",
        False,
        "Print only the lines generated that are not in the text that the "
        "model was trained on, each once, and the share that is new.",
        flag_values=flag_values,
    )


def main(argv: list[str]) -> int:
    """Runs the program."""
    del argv
    require_tensorflow("kerasrnn-sample")
    return execute(flags.FLAGS)


def execute(values: flags.FlagValues) -> int:
    """Does what the flags say and returns the exit status."""
    options = sampling_options(values)
    from kerasrnn.training.checkpoints import checkpoint

    # What is amiss is told before TensorFlow is imported.
    saved = checkpoint.load(checkpoint.find(values.workdir, values.checkpoint))
    find_novel = _novelty(values.workdir, saved) if values.novel else None
    with Activity("Starting TensorFlow"):
        from kerasrnn.model.text_generator import TextGenerator

        model = checkpoint.model_of(saved)
        generator = TextGenerator(saved.config.model, saved.vocabulary)
    weights = [variable.value for variable in model.weights]
    unknown = generator.unknown(options.prompt)
    if unknown:
        found = counted(unknown, "character")
        _say(f"Unknown to the model: {found} of the prompt.")
    if find_novel is not None:
        records = []
        for seed in options.seeds():
            _say(f"seed {seed}")
            records.append(
                _generate(generator, weights, options, seed, unknown, False)
            )
        return _print_novel(records, find_novel, options.json)
    for seed in options.seeds():
        if not options.json:
            _say(f"seed {seed}")
            if options.echo:
                _write(options.prompt.decode(errors="replace"))
        record = _generate(
            generator, weights, options, seed, unknown, not options.json
        )
        _write((record.to_json() if options.json else "") + "\n")
    return 0


def _novelty(workdir, saved):
    """Returns a function of lines; says early if there is no such text."""
    from kerasrnn.text import novelty
    from kerasrnn.training.checkpoints.workdir import open_corpus

    corpus = open_corpus(workdir, saved.info.get("corpus_sha256"))
    ranges = corpus.split_ranges("train", saved.config.training.sequence_length)
    novelty.newline_id(saved.vocabulary)  # There must be one.

    def find_novel(lines):
        with Activity("Looking for the lines in the training text"):
            return novelty.find_novel(
                lines, corpus.ids, ranges, saved.vocabulary
            )

    return find_novel


def _print_novel(records, find_novel, as_json):
    from kerasrnn.text.novelty import complete_lines

    lines = []
    for record in records:
        # The first line begins where the prompt's last one does.
        begun = record.prompt.rpartition("\n")[2]
        lines += complete_lines(begun + record.text, record.finish == "stop")
    found = find_novel(lines)
    if as_json:
        result = {
            "novel": found.novel,
            "lines": len(found.lines),
            "share": found.share,
            "seeds": [record.seed for record in records],
        }
        _write(json.dumps(result, ensure_ascii=False) + "\n")
        return 0
    _write("".join(f"{line}\n" for line in found.novel))
    _say(
        f"Not in the training text: {found.share:.1%} of "
        f"{counted(len(found.lines), 'generated line')}, "
        f"{counted(len(found.novel), 'different one')}."
    )
    return 0


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
                _write(chunk.text)
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


def _write(text):
    # The terminal's own encoding may not have the model's characters.
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def _say(text):
    print(text, file=sys.stderr, flush=True)


def run() -> None:
    """Entry point of `kerasrnn-sample`."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
