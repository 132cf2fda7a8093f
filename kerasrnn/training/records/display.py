"""What a training shows: a live line in a terminal, plain lines elsewhere."""

import dataclasses
import textwrap
import time

import rich.console
import rich.live
import rich.progress
import rich.text

from kerasrnn.foundation.closed_outputs import EnduringFile
from kerasrnn.training.evaluation.loss_units import Evaluation
from kerasrnn.training.evaluation.loss_units import bits

_SECONDS_BETWEEN_LINES = 5.0


@dataclasses.dataclass(frozen=True)
class Status:
    """Where a training stands.

    Attributes:
        step: Steps made.
        total_steps: Steps to make, as far as is known.
        epoch: Passes over the training text, with a fraction.
        loss: Of the newest steps, nats a character.
        characters_per_second: Read in training.
        seconds_left: Until the last step.
    """

    step: int
    total_steps: int
    epoch: float
    loss: float
    characters_per_second: float
    seconds_left: float


class Display:
    """Shows a training; to be used in a `with` statement.

    It goes on without a word where it can no longer be shown.

    Args:
        console: Where to; standard output by default.
    """

    def __init__(self, console: rich.console.Console | None = None):
        self.console = console or rich.console.Console(highlight=False)
        self.console.file = EnduringFile(self.console.file)
        self._live = None
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=None),
            rich.progress.TextColumn("{task.fields[after]}"),
            expand=True,
        )
        self._task = self._bar.add_task("", after="", total=None)
        self._last_line = 0.0
        self._begun = ""  # The activity that a plain line has told of.

    def __enter__(self):
        if self.console.is_terminal:
            self._live = rich.live.Live(
                console=self.console, transient=True, refresh_per_second=4
            )
            self._live.start()
        return self

    def __exit__(self, *_):
        if self._live is not None:
            self._live.stop()
            self._live = None

    def note(self, text: str) -> None:
        """Says something that stays on the screen.

        In a terminal it is wrapped at words, but for indented lines, which
        are commands to copy.
        """
        if self.console.is_terminal:
            text = "\n".join(map(self._wrapped, text.split("\n")))
        self._verbatim(text)

    def _wrapped(self, line):
        if line.startswith(" "):
            return line
        # rich would break long names, too.
        return textwrap.fill(
            line,
            self.console.width,
            break_long_words=False,
            break_on_hyphens=False,
        )

    def _verbatim(self, text):
        self.console.print(rich.text.Text(text), soft_wrap=True)

    def activity(self, name: str, share: float) -> None:
        """Shows what is done between the steps, `share` of it finished."""
        if self._live is not None:
            self._show(name, share, 1.0, f"{share:4.0%}", "")
        elif share >= 1 and self._begun == name:
            # A log's last word is not that it is half done.
            self._begun = ""
            self.note(f"{name}: 100%")
        elif share < 1 and self._is_time():
            self._begun = name
            self.note(f"{name}: {share:.0%}")

    def status(self, status: Status) -> None:
        """Shows where the training stands, if it is time to."""
        left = f"{duration(status.seconds_left)} left"
        if self._live is not None:
            self._show(
                f"step {status.step:,} of {status.total_steps:,}",
                status.step,
                status.total_steps,
                left,
                f"{_numbers(status)}, epoch {status.epoch:.2f}",
            )
        elif self._is_time():
            self.note(
                f"step {status.step:,} of {status.total_steps:,}, "
                f"epoch {status.epoch:.2f}: {_numbers(status)}, {left}"
            )

    def validation(self, step: int, split: str, result: Evaluation, best: bool):
        """Shows a validation's result."""
        sample = ""
        if result.sampled_from:
            sample = (
                f" ({result.characters:,} of {result.sampled_from:,} "
                "characters)"
            )
        self.note(
            f"step {step:,}: validation loss {result.loss:.4f} nats "
            f"({result.bits:.3f} bits) a character, {split} split{sample}"
            + (", the best so far" if best else "")
        )

    def sample(self, step: int, text: str) -> None:
        """Shows a generated text."""
        self._verbatim(f"--- sample after step {step:,} ---\n{text}\n---")

    def _show(self, before, completed, total, after, below):
        self._bar.update(
            self._task,
            description=before,
            completed=completed,
            total=total,
            after=after,
        )
        self._live.update(rich.console.Group(self._bar, rich.text.Text(below)))

    def _is_time(self):
        now = time.monotonic()
        if now - self._last_line < _SECONDS_BETWEEN_LINES:
            return False
        self._last_line = now
        return True


def duration(seconds: float) -> str:
    """Returns seconds as people read them."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _numbers(status):
    return (
        f"loss {status.loss:.4f} nats ({bits(status.loss):.3f} bits) a "
        f"character, {status.characters_per_second:,.0f} characters/s"
    )
