r"""Are the settings that a run chooses good ones, whatever the text?

    python -m benchmarks.training.defaults_benchmark --data=a.txt,b.txt
    python -m benchmarks.training.defaults_benchmark --data=a.txt,b.txt \
        --sizes=128,256 --minutes=2 --settings=6

For each text and size, `kerasrnn-train` trains for the same minutes with the
settings that it chooses, and then with random ones around them, all of them
from the same seed. Which settings these are follows from the text's name and
the size alone. Each line is one text and size: the loss with the chosen
settings, the best of the random ones and which they were, and how far the
first lies above the best of all. Losses are nats per character of the last
tenth of the text. A run a line takes minutes, so all of it takes hours.
"""

import pathlib
import random

from absl import app
from absl import flags

from benchmarks.training.train_and_score import train_and_score
from kerasrnn.config import ModelConfig
from kerasrnn.training.defaults import choices

# Factors of the learning rate, and values of the others.
_RATES = (0.4, 2.5)
_DROPOUTS = (0.0, 0.4)
_RECURRENT_KERNEL_DROPOUTS = (0.0, 0.4)
_BATCH_SIZES = (20, 30, 50, 80, 120)
_SEQUENCE_LENGTHS = (30, 50, 80, 120)
_WEIGHT_DECAYS = (0.0, 0.01, 0.1)
_DROPOUT_WARMUP_STEPS = (0, 500, 2_000, 8_000)


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    flags.DEFINE_list(
        "data", None, "Texts, UTF-8.", required=True, flag_values=flag_values
    )
    flags.DEFINE_list(
        "sizes", ["128", "256"], "Units of each layer.", flag_values=flag_values
    )
    flags.DEFINE_float(
        "minutes", 2.0, "Minutes a run.", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "settings", 6, "Random settings.", flag_values=flag_values
    )


def main(argv):
    """Trains all and prints a line for each text and size."""
    del argv
    options = flags.FLAGS
    print("text, units: chosen, best of the random settings, difference")
    for data in options.data:
        for units in options.sizes:
            common = (
                f"--data={data}",
                f"--units={units}",
                f"--minutes={options.minutes}",
            )
            chosen = _loss(*common)
            draws = random.Random(f"{pathlib.Path(data).name}, {units}")
            others = []
            for _ in range(options.settings):
                drawn = settings(draws, int(units))
                others.append((_loss(*common, *drawn), " ".join(drawn)))
            best = min(others, default=(chosen, ""))
            print(
                f"{data}, {units}: {chosen:.4f}, {best[0]:.4f} ({best[1]}), "
                f"{chosen / min(chosen, best[0]) - 1:.2%}",
                flush=True,
            )


def _loss(*flags):
    """Trains once, and prints the steps, which tell a moment of other work."""
    result = train_and_score(*flags)
    loss, steps = result["loss"], result["steps"]
    print(f"    {loss:.4f}  {steps:,} steps  {' '.join(flags)}", flush=True)
    return loss


def settings(draws: random.Random, units: int) -> list[str]:
    """Returns flags of random settings around what the rule chooses."""
    model = ModelConfig(vocabulary_size=2, units=units)
    of_long_run = choices(model, {}, 10**9)
    chosen = {choice.name: choice.value for choice in of_long_run}
    rate = chosen["learning_rate"]  # The vocabulary does not matter.
    low, high = _RATES
    return [
        f"--learning_rate={rate * low * (high / low) ** draws.random():.2g}",
        f"--dropout={draws.uniform(*_DROPOUTS):.2f}",
        "--recurrent_kernel_dropout="
        f"{draws.uniform(*_RECURRENT_KERNEL_DROPOUTS):.2f}",
        f"--batch_size={draws.choice(_BATCH_SIZES)}",
        f"--sequence_length={draws.choice(_SEQUENCE_LENGTHS)}",
        f"--weight_decay={draws.choice(_WEIGHT_DECAYS)}",
        f"--dropout_warmup_steps={draws.choice(_DROPOUT_WARMUP_STEPS)}",
    ]


if __name__ == "__main__":
    define_flags()
    app.run(main)
