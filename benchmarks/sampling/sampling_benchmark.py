r"""Times generating and scoring against keras.layers and PyTorch.

    python -m benchmarks.sampling.sampling_benchmark
    python -m benchmarks.sampling.sampling_benchmark --shapes=2x128x1 --rounds=9
    python -m benchmarks.sampling.sampling_benchmark --cell=gru \
        --sides=exported,torch

A shape is layers x units x rows. All sides run the same model, with 65
characters and temperature 1, by their default threads, and none is compiled
with XLA:

    exported   signature generate of an export, in a session as servers run it
    inprocess  `TextGenerator`, which kerasrnn-sample uses (one row)
    score      signature score of that export, on texts as long
    evaluate   the evaluation loop of kerasrnn-evaluate, 32 rows
    state      signature generate with a length of 0, with state_bytes; only if
               asked for
    token      only reading state_bytes and writing it again, 16 times in one
               call of a graph; likewise
    keras      keras.layers, one call a character in a tf.function, as
               TensorFlow's tutorial on text generation does it (one row)
    torch      torch.nn, one call a character, without gradients
               (`pip install '.[bench]'`)

Each side lives in a process of its own and they take turns of as many steps.
Medians over the rounds are printed, and ratios with the quartiles of their
spread. The steps of `state` and `token` are so short that they are measured by
themselves:

    python -m benchmarks.sampling.sampling_benchmark --sides=state,token
"""

import sys

import numpy as np
from absl import app
from absl import flags

from benchmarks.sampling import sides
from benchmarks.shared import alternation

# (faster, slower): how many times as fast the first is as the second.
_RATIOS = (
    ("exported", "keras"),
    ("exported", "torch"),
    ("inprocess", "keras"),
    ("inprocess", "torch"),
    ("score", "exported"),
    ("score", "evaluate"),
)

# Beside the others a turn would be a few steps, with cold caches.
_SHORT = ("state", "token")


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    flags.DEFINE_list(
        "shapes",
        ["2x128x1", "3x512x1", "3x512x32"],
        "Layers x units x rows, one after the other.",
        flag_values=flag_values,
    )
    flags.DEFINE_enum(
        "cell",
        "lstm",
        sorted(sides.CELLS),
        "Kind of cell.",
        flag_values=flag_values,
    )
    flags.DEFINE_list(
        "sides",
        [side for side in sides.SIDES if side not in _SHORT],
        "Which sides take part.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "rounds", 5, "Turns of each side.", flag_values=flag_values
    )
    flags.DEFINE_float(
        "seconds", 0.25, "Length of a turn.", flag_values=flag_values
    )
    flags.DEFINE_string("worker", "", "Internal.", flag_values=flag_values)
    flags.DEFINE_string("shape", "", "Internal.", flag_values=flag_values)


def main(argv):
    """Runs the sides of each shape in turns, or is one of them."""
    del argv
    options = flags.FLAGS
    if options.worker:
        side = sides.SIDES[options.worker]
        alternation.serve_turns(side(options.cell, *_shape(options.shape)))
        return
    wanted = list(options.sides)
    if "torch" in wanted and not alternation.is_installed("torch"):
        wanted.remove("torch")
    for shape in options.shapes:
        _, _, rows = _shape(shape)
        chosen = [side for side in wanted if _takes_part(side, rows)]
        workers = {
            side: alternation.Worker(
                [
                    *alternation.this_program(),
                    *sys.argv[1:],
                    f"--shape={shape}",
                    f"--worker={side}",
                ]
            )
            for side in chosen
        }
        seconds = alternation.alternate(
            workers, options.rounds, seconds=options.seconds
        )
        _report(shape, rows, seconds)


def _shape(text):
    return [int(number) for number in text.split("x")]


def _takes_part(side, rows):
    if side in ("inprocess", "keras"):
        return rows == 1
    return side != "evaluate" or rows == 32


def _report(shape, rows, seconds):
    print(f"{shape} {flags.FLAGS.cell}, {flags.FLAGS.rounds} rounds")
    state = seconds.pop("state", None)
    token = seconds.pop("token", None)
    # Of one character, of all rows.
    seconds = {
        side: values / sides.characters_of_a_step(side)
        for side, values in seconds.items()
    }
    for side, values in seconds.items():
        rate = rows / np.median(values)
        print(f"  {side:9s} {rate:10,.0f} characters/s (median)")
    for fast, slow in _RATIOS:
        if fast in seconds and slow in seconds:
            ratio = alternation.ratio(seconds[slow], seconds[fast])
            print(f"  {fast} / {slow}: {ratio}")
    if state is not None and token is not None:
        milliseconds = 1000 * np.median(token) / rows / sides.ROUND_TRIPS
        whole = 1000 * np.median(state) / rows
        print(
            f"  what state_bytes costs: {milliseconds:.2f} ms a row, of "
            f"{whole:.2f} ms of a call that generates nothing"
        )


if __name__ == "__main__":
    define_flags()
    app.run(main)
