r"""How much of a run's time does it take to make the batches?

    python -m benchmarks.training.input_share
    python -m benchmarks.training.input_share --shapes=2x512 --steps=100

For each shape (layers x units) `kerasrnn-train` makes some steps on a random
text, and the program prints how the time of the later half of its calls is
divided: the batches that are cut out of the text and handed to the replicas,
and the steps themselves.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import app
from absl import flags

_CHARACTERS = 1_000_000
_LETTERS = "".join(map(chr, range(48, 113)))  # 65, as tinyshakespeare has


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    flags.DEFINE_list(
        "shapes", ["1x64", "2x128"], "Which to train.", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "steps", 2000, "Steps of each run.", 2, flag_values=flag_values
    )


def main(argv):
    """Prints a line for each shape."""
    del argv
    options = flags.FLAGS
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory, "text.txt")
        letters = random.Random(0).choices(_LETTERS, k=_CHARACTERS)
        data.write_text("".join(letters))
        for shape in options.shapes:
            layers, units = shape.split("x")
            program = f"import {__spec__.name} as me; me.train_timed()"
            subprocess.run(
                [
                    *(sys.executable, "-c", program),
                    f"--num_layers={layers}",
                    f"--units={units}",
                    f"--max_steps={options.steps}",
                    f"--data={data}",
                    f"--workdir={directory}/{shape}",
                ],
                check=True,
            )


def train_timed():
    """Runs `kerasrnn-train` in this process, and prints where time went."""
    from kerasrnn import train
    from kerasrnn.text.batches.dataset import TextDataset
    from kerasrnn.training import loop
    from kerasrnn.training.step.trainer import Trainer

    cutting = _timed(TextDataset, "batches")
    handing = _timed(loop, "distribute")
    steps = _timed(Trainer, "run")
    try:
        train.run()
    finally:
        parts = [
            sum(times[len(times) // 2 :]) for times in (cutting, handing, steps)
        ]
        shares = [f"{part / sum(parts):.3%}" for part in parts]
        print(
            f"batches cut {shares[0]}, handed to the replicas {shares[1]}, "
            f"steps {shares[2]}",
            flush=True,
        )


def _timed(owner, name):
    """Has each call of a function append its seconds to the list returned."""
    function, times = getattr(owner, name), []

    def wrapper(*arguments, **options):
        start = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            times.append(time.perf_counter() - start)

    setattr(owner, name, wrapper)
    return times


if __name__ == "__main__":
    define_flags()
    app.run(main)
