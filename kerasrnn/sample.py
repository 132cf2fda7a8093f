"""Generates text with a trained model, in this process.

Takes the flags of kerasrnn-query, which asks a server, and gives the same
text for the same seed.

    kerasrnn-sample --workdir=my_model --prompt='def '
"""

import sys

from absl import flags

from kerasrnn import program
from kerasrnn.extras import require_tensorflow
from kerasrnn.sampling_flags import SampleRecord
from kerasrnn.sampling_flags import define_sampling_flags
from kerasrnn.sampling_flags import sampling_options


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    flags.DEFINE_string(
        "workdir",
        "workdir",
        "Directory that kerasrnn-train wrote.",
        flag_values=flag_values,
    )
    flags.DEFINE_enum(
        "checkpoint",
        "best",
        ("best", "latest"),
        "Which weights: those with the best validation loss, or the newest.",
        flag_values=flag_values,
    )
    define_sampling_flags(flag_values)


def main(argv: list[str]) -> int:
    """Runs the program."""
    del argv
    require_tensorflow("kerasrnn-sample")
    return execute(flags.FLAGS)


def execute(values: flags.FlagValues) -> int:
    """Does what the flags say and returns the exit status."""
    options = sampling_options(values)
    from kerasrnn.training import checkpoint

    # Says that there is no model before TensorFlow is imported.
    checkpoint.find(values.workdir, values.checkpoint)
    from kerasrnn.generator import TextGenerator

    model, vocabulary, config, _ = checkpoint.load_model(
        values.workdir, values.checkpoint
    )
    generator = TextGenerator(config.model, vocabulary)
    weights = [variable.value for variable in model.weights]
    unknown = generator.unknown(options.prompt)
    if unknown:
        _say(f"{unknown} characters of the prompt are unknown to the model.")
    for seed in options.seeds():
        if not options.json:
            _say(f"seed {seed}")
            if options.echo:
                _write(options.prompt.decode(errors="replace"))
        record = _generate(generator, weights, options, seed, unknown)
        _write((record.to_json() if options.json else "") + "\n")
    return 0


def _generate(generator, weights, options, seed, unknown):
    """Generates one text, printing it as it comes unless as JSON."""
    text, length, log_prob, finish = "", 0, 0.0, ""
    for chunk in generator.stream(
        weights,
        prompt=options.prompt,
        length=options.length,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        seed=seed,
        stop=options.stop,
    ):
        if not options.json:
            _write(chunk.text)
        text += chunk.text
        length += chunk.length
        log_prob += chunk.log_prob
        finish = chunk.finish
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
