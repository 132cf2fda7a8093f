"""Asks a served model for text and prints it as it is generated.

    kerasrnn-query --prompt="ROMEO:" --length=1000
    kerasrnn-query --server=another_host:8500 --prompt="ROMEO:"
    kerasrnn-query --score=chapter.txt
    kerasrnn-query --interactive

The flags that control the text are those of kerasrnn-sample.
"""

import json
import sys

from absl import flags

from kerasrnn.command_line import program
from kerasrnn.command_line import sampling_flags
from kerasrnn.command_line.activity import Activity
from kerasrnn.command_line.flag_types import define_path
from kerasrnn.command_line.output import write
from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted
from kerasrnn_serving.programs import connection_flags


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    sampling_flags.define_sampling_flags(flag_values)
    connection_flags.define_connection_flags(flag_values, "localhost:8500")
    define_path(
        "score",
        None,
        "Do not generate; print how likely this file's text is, in bits and "
        "nats per character. - is standard input.",
        flag_values,
    )
    flags.DEFINE_bool(
        "interactive",
        False,
        "Write a text in turns: a line of yours, then the model's "
        "continuation. :help lists the commands, such as :temperature 0.7.",
        flag_values=flag_values,
    )


def main(argv: list[str]) -> int:
    """Generates or scores; text goes to standard output, notes to error."""
    del argv
    values = flags.FLAGS
    if values.interactive:
        return _converse(values)
    if values.score is not None:
        for name in ("prompt", "prompt_file"):
            if getattr(values, name) is not None:
                raise UserError(
                    f"Both --score and --{name} are given, and a text is "
                    "scored as it is; give one of them."
                )
        with connection_flags.client_of(values) as client:
            return _score(client, values)
    options = sampling_flags.sampling_options(values)
    with connection_flags.client_of(values) as client:
        return _generate(client, options)


def _converse(values):
    if values.json or values.score is not None or values.num_samples != 1:
        raise UserError(
            "--interactive writes one text for a person to read; leave out "
            "--json, --score and --num_samples."
        )
    if values.prompt_file == "-":
        raise UserError(
            "--interactive reads its lines from standard input; give the "
            "prompt with --prompt or in a file."
        )
    options = sampling_flags.sampling_options(values, read_pipe=False)
    # It imports the client, which --help need not wait for.
    from kerasrnn_serving.programs.chat import converse

    with connection_flags.client_of(values) as client:
        return converse(client, options)


def _generate(client, options):
    for index, seed in enumerate(options.seeds()):
        activity = Activity("Reading the prompt")
        chunks = client.stream(
            options.prompt,
            length=options.length,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            seed=seed,
            stop=options.stop,
            between_reads=activity.share,
        )
        chunks = _after_first(chunks, f"seed {seed}", activity)
        if options.json:
            chunks = list(chunks)
            _print_record(options, chunks)
            last = chunks[-1]
        else:
            last, unknown = _print_text(options, chunks)
            if unknown and not index:
                _warn_unknown(unknown)
        if last.restarted:
            print(
                f"note: version {last.version} was published meanwhile. It "
                "read the text so far and continued, so the seed alone does "
                "not reproduce the text.",
                file=sys.stderr,
            )
    return 0


def _after_first(chunks, note, activity):
    """Prints the note once there is something that it is a note of."""
    with activity:
        for count, chunk in enumerate(chunks):
            if not count:
                activity.end()
                print(note, file=sys.stderr, flush=True)
            yield chunk


def _print_text(options, chunks):
    """Prints the text; returns its last chunk and the unknown characters."""
    unknown = 0
    for count, chunk in enumerate(chunks):
        # The prompt comes with the first chunk: none is shown that the
        # server refuses.
        prompt = options.prompt if options.echo and not count else b""
        write(prompt + chunk.text.encode())
        unknown += chunk.unknown
    write("\n")
    return chunk, unknown


def _print_record(options, chunks):
    record = sampling_flags.SampleRecord(
        prompt=options.prompt.decode("utf-8", "replace"),
        text="".join(chunk.text for chunk in chunks),
        length=sum(chunk.length for chunk in chunks),
        log_prob=sum(chunk.log_prob for chunk in chunks),
        unknown=sum(chunk.unknown for chunk in chunks),
        finish=chunks[-1].finish,
        seed=chunks[-1].seed,
    )
    write(record.to_json() + "\n")


def _score(client, values):
    if values.score == "-":
        text = sys.stdin.buffer.read()
    else:
        text = sampling_flags.read_file(values.score, "--score")
    with Activity(f"Scoring {values.score}") as activity:
        (score,) = client.score([text], between_calls=activity.share)
    if not score.length:
        raise UserError(
            f"Nothing to score in {values.score}: it holds no character of "
            f"the model's vocabulary ({counted(score.unknown, 'unknown one')})."
        )
    if values.json:
        record = {
            "bits_per_character": score.bits_per_character,
            "nats_per_character": score.nats_per_character,
            "log_prob": score.log_prob,
            "length": score.length,
            "unknown": score.unknown,
            "version": score.version,
        }
        write(json.dumps(record) + "\n")
        return 0
    write(
        f"bits per character: {score.bits_per_character:.6f}\n"
        f"nats per character: {score.nats_per_character:.6f}\n"
        f"characters scored: {score.length}\n"
    )
    if score.unknown:
        _warn_unknown(score.unknown)
    return 0


def _warn_unknown(count):
    print(
        f"warning: not in the model's vocabulary, and read as unknown: "
        f"{counted(count, 'character')} of the text given.",
        file=sys.stderr,
    )


def run() -> None:
    """Entry point."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
