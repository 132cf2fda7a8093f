"""Lines at the bottom of a terminal that a run overwrites as it proceeds."""

import os
from collections.abc import Mapping

import rich.console
import rich.control
import rich.live
import rich.segment

_UP = rich.segment.ControlType.CURSOR_UP
_ERASE = rich.segment.ControlType.ERASE_IN_LINE
_WHOLE_LINE = 2
# They cut their lines off where most terminals wrap them anew.
_CUTTING = ("linux", "rxvt", "screen", "st-")


class LiveLines(rich.live.Live):
    """Lines that leave no trace, in a terminal made narrower either.

    rich goes up as many rows as it wrote lines. A terminal made narrower has
    wrapped those lines to more rows by then, of which the upper ones would
    stay; they are erased first.

    Args:
        console: Where to show the lines.
    """

    def __init__(self, console: rich.console.Console):
        super().__init__(console=console, transient=True, refresh_per_second=4)
        self._widths: list[int] = []  # Of the lines on the screen, in cells.
        self._reflows = reflows(os.environ)

    def show(self, *lines: rich.console.RenderableType) -> None:
        """Replaces the lines by these."""
        self.update(_Measured(rich.console.Group(*lines), self._widths))

    def process_renderables(
        self, renderables: list[rich.console.ConsoleRenderable]
    ) -> list[rich.console.ConsoleRenderable]:
        """Puts the erasing of what the terminal has wrapped first."""
        wrapped = 0
        if self._reflows:
            wrapped = rows(self._widths, self.console.width)
            wrapped -= len(self._widths)
        # One row at a time, upwards: rich erases those that are left.
        erasing = rich.control.Control(
            *[(_ERASE, _WHOLE_LINE), (_UP, 1)] * wrapped
        )
        return [erasing, *super().process_renderables(renderables)]


class _Measured:
    """A renderable that notes how wide its lines were when last rendered."""

    def __init__(self, renderable, widths):
        self._renderable, self._widths = renderable, widths

    def __rich_console__(self, console, options):
        lines = console.render_lines(self._renderable, options, pad=False)
        self._widths[:] = map(rich.segment.Segment.get_line_length, lines)
        yield rich.segment.Segments(
            [
                segment
                for line in lines
                for segment in (*line, rich.segment.Segment.line())
            ]
        )


def rows(widths: list[int], columns: int) -> int:
    """Returns how many rows lines of these widths take in a terminal."""
    return sum(max(1, -(-width // max(1, columns))) for width in widths)


def reflows(environment: Mapping[str, str]) -> bool:
    """Returns whether the terminal wraps lines anew when it gets narrower.

    For those known not to, erasing what they wrapped would erase what stands
    above the lines.
    """
    if "TMUX" in environment:
        return True
    terminal = environment.get("TERM", "")
    return "XTERM_VERSION" not in environment and not terminal.startswith(
        _CUTTING
    )
