r"""Validation loss against minutes of training, beside other programs.

    python -m benchmarks.training.learning_benchmark --data=shakespeare.txt
    python -m benchmarks.training.learning_benchmark --data=shakespeare.txt \
        --minutes=1,3,10 --rounds=3 --picture=learning.svg

Each side trains for the same minutes on the first 90 % of the text, in a
process of its own and alone on the machine; sides take turns. Then all
characters of the last 10 % are scored, each once:

    kerasrnn     kerasrnn-train with no flag but --minutes (and the split)
    keras        the same LSTM of keras.layers, model.fit, Adam; the best epoch
    char_rnn     the same LSTM in PyTorch, with char-rnn's recipe; the best
                 of its checkpoints, one every 1,000 steps
    transformer  a PyTorch transformer of nanoGPT's size for CPUs: 4 layers, 4
                 heads, 128 wide, context 64, batch 12, its schedule

The minutes include compiling and validations, and neither the start of a
framework nor the scoring. Recurrent networks carry their state through the
text that they score; the transformer sees 48 to 64 characters before each that
it scores. Its rate falls to the end, so its last weights are scored.
"""

import json
import pathlib
import sys

from absl import app
from absl import flags

from benchmarks.shared.alternation import define_worker
from benchmarks.shared.alternation import is_installed
from benchmarks.shared.alternation import this_program
from benchmarks.training.learning_picture import picture
from benchmarks.training.train_and_score import last_line
from benchmarks.training.train_and_score import train_and_score

_PEERS = ("keras", "char_rnn", "transformer")


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    flags.DEFINE_string(
        "data", None, "The text, UTF-8.", required=True, flag_values=flag_values
    )
    flags.DEFINE_list(
        "minutes", ["1", "3"], "Minutes to train.", flag_values=flag_values
    )
    flags.DEFINE_integer("rounds", 1, "Runs a side.", flag_values=flag_values)
    flags.DEFINE_list(
        "sides", ["kerasrnn", *_PEERS], "Which.", flag_values=flag_values
    )
    flags.DEFINE_list(
        "flags",
        [],
        "Flags for kerasrnn-train, without the dashes, as units=256.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "picture",
        "",
        "Where to draw the losses against the minutes, as SVG.",
        flag_values=flag_values,
    )
    define_worker(flag_values)


def main(argv):
    """Trains the sides in turns, or is one of them."""
    del argv
    options = flags.FLAGS
    if options.worker:
        from benchmarks.training.learning_peers import train_peer

        minutes = float(options.minutes[0])
        text = pathlib.Path(options.data).read_text(encoding="utf-8")
        seed = options.rounds
        print(json.dumps(train_peer(options.worker, text, minutes, seed)))
        return
    has_torch, results = is_installed("torch"), []
    if options.picture:
        # A path that cannot be written is found before minutes are spent.
        pathlib.Path(options.picture).touch()
    print("minutes  round  side          nats/character  parameters  steps")
    for minutes in options.minutes:
        for number in range(options.rounds):
            for side in options.sides:
                if side not in ("kerasrnn", "keras") and not has_torch:
                    continue
                run = _kerasrnn if side == "kerasrnn" else _peer
                result = run(options, side, minutes, number)
                print(
                    f"{minutes:>7}  {number:>5}  {side:12}  "
                    f"{result['loss']:>14.4f}  {result['parameters']:>10,}  "
                    f"{result['steps']:>5,}",
                    flush=True,
                )
                results.append((side, float(minutes), result["loss"]))
                if options.picture:
                    pathlib.Path(options.picture).write_text(
                        picture(results), encoding="utf-8"
                    )


def _peer(options, side, minutes, number):
    return last_line(
        [
            sys.executable,
            *this_program(),
            f"--data={options.data}",
            f"--minutes={minutes}",
            f"--worker={side}",
            f"--rounds={number}",
        ]
    )


def _kerasrnn(options, side, minutes, number):
    del side
    return train_and_score(
        f"--data={options.data}",
        f"--minutes={minutes}",
        f"--seed={number}",
        *(f"--{flag}" for flag in options.flags),
    )


if __name__ == "__main__":
    define_flags()
    app.run(main)
