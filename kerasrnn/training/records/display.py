"""What a run shows: a live line in a terminal, plain lines elsewhere."""

import math
import textwrap
import time
from typing import Any

import rich.console
import rich.progress
import rich.text

from kerasrnn.foundation.closed_outputs import EnduringFile
from kerasrnn.training.evaluation.loss_units import bits
from kerasrnn.training.records.live_lines import LiveLines
from kerasrnn.training.records.observers import Observer
from kerasrnn.training.records.observers import Progress
from kerasrnn.training.records.observers import Validation

_SECONDS_BETWEEN_LINES = 5.0
# Of validations that the user did not ask for.
_SECONDS_BETWEEN_VALIDATIONS = 60.0


class Display(Observer):
    """Shows a run; use it in a `with` statement.

    If the output can no longer be written, it stays silent.

    Args:
        console: Where to show it; standard output by default.
    """

    def __init__(self, console: rich.console.Console | None = None):
        self.console = console or rich.console.Console(highlight=False)
        file: Any = EnduringFile(self.console.file)
        self.console.file = file
        self._live: LiveLines | None = None
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=None),
            rich.progress.TextColumn("{task.fields[after]}"),
            expand=True,
        )
        self._task = self._bar.add_task("", after="", total=None)
        self._last_line = 0.0
        self._last_validation = -math.inf
        self._begun = ""  # The activity that a plain line has announced.

    def __enter__(self) -> "Display":
        if self.console.is_terminal:
            self._live = LiveLines(self.console)
            self._live.start()
        return self

    def __exit__(self, *_) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def note(self, text: str) -> None:
        """Shows a text that stays on the screen.

        In a terminal it is wrapped at words, except for indented lines,
        which are commands to copy.
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
        """Shows work between the steps, of which `share` is done."""
        if self._live is not None:
            self._show(name, share, 1.0, f"{share:4.0%}", "")
        elif share >= 1 and self._begun == name:
            # A log's last word is not that it is half done.
            self._begun = ""
            self.note(f"{name}: 100%")
        elif share < 1 and self._is_time():
            self._begun = name
            self.note(f"{name}: {share:.0%}")

    def progressed(self, progress: Progress) -> None:
        """Shows how far the run has come, if it is time to."""
        left = f"{duration(progress.seconds_left)} left"
        if self._live is not None:
            self._show(
                f"step {progress.step:,} of {progress.total_steps:,}",
                progress.step,
                progress.total_steps,
                left,
                f"{_numbers(progress)}, epoch {progress.epoch:.2f}",
            )
        elif self._is_time():
            self.note(
                f"step {progress.step:,} of {progress.total_steps:,}, "
                f"epoch {progress.epoch:.2f}: {_numbers(progress)}, {left}"
            )

    def validated(self, validation: Validation) -> None:
        """Shows a validation's result.

        Of those that nobody asked for, at most one a minute.
        """
        now = time.monotonic()
        seconds = now - self._last_validation
        if not validation.is_asked_for and (
            seconds < _SECONDS_BETWEEN_VALIDATIONS
        ):
            return
        self._last_validation = now
        result, sample = validation.result, ""
        if result.sampled_from:
            sample = (
                f" ({result.characters:,} of {result.sampled_from:,} "
                "characters)"
            )
        self.note(
            f"step {validation.step:,}: validation loss {result.loss:.4f} "
            f"nats ({result.bits:.3f} bits) per character, {validation.split} "
            f"split{sample}"
            + (", the best so far" if validation.is_best else "")
            + (f". {validation.remark}" if validation.remark else "")
        )

    def sampled(self, step: int, text: str) -> None:
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
        if self._live is not None:
            self._live.show(self._bar, rich.text.Text(below))

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


def _numbers(progress):
    return (
        f"loss {progress.loss:.4f} nats ({bits(progress.loss):.3f} bits) per "
        f"character, {progress.characters_per_second:,.0f} characters/s"
    )
