"""Axes of charts: from values to places, and the numbers to write."""

import dataclasses
import math

# Margins of the drawing, in its own units; the page scales it.
LEFT, RIGHT, TOP, BOTTOM = 64, 64, 14, 48
# On the right of a drawing that has no axis there.
_NO_AXIS = 16
# Room that a number on an axis needs.
_TICK_WIDTH, _TICK_HEIGHT = 100, 45


@dataclasses.dataclass(frozen=True)
class Axes:
    """Turns values into places in the drawing.

    Attributes:
        x_range: Least and greatest x; of a logarithmic axis above 0.
        y_range: Least and greatest y.
        size: Width and height of the drawing.
        log_x: Whether the x axis is logarithmic.
        right_axis: Whether there is a second y axis.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    size: tuple[int, int]
    log_x: bool = False
    right_axis: bool = False

    @property
    def bottom(self) -> float:
        """Where the x axis is."""
        return self.size[1] - BOTTOM

    @property
    def right(self) -> float:
        """Where the x axis ends."""
        return self.size[0] - (RIGHT if self.right_axis else _NO_AXIS)

    def y_ticks(self, factor: float = 1.0) -> list[float]:
        """Returns round numbers on the y axis, or on one times `factor`."""
        count = round((self.bottom - TOP) / _TICK_HEIGHT)
        low, high = self.y_range
        return linear_ticks(factor * low, factor * high, count)

    def x_ticks(self) -> list[float]:
        """Returns round numbers on the x axis."""
        if self.log_x:
            return log_ticks(*self.x_range)
        count = round((self.right - LEFT) / _TICK_WIDTH)
        return linear_ticks(*self.x_range, count)

    def x(self, value: float) -> float:
        """Returns the place of a value on the x axis."""
        low, high = self.x_range
        if self.log_x:
            low, high, value = map(math.log, (low, high, max(value, low)))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(LEFT + share * (self.right - LEFT), 2)

    def y(self, value: float) -> float:
        """Returns the place of a value on the y axis."""
        low, high = self.y_range
        share = (value - low) / (high - low)
        return round(self.bottom - share * (self.bottom - TOP), 2)


def linear_ticks(low: float, high: float, count: int) -> list[float]:
    """Returns about `count` round numbers from `low` to `high`."""
    rough = (high - low) / max(count, 1)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m for m in (1, 2, 5, 10) if m * magnitude >= 0.99 * rough)
    step *= magnitude
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Returns powers of ten, or with their halves and fifths where few."""
    decades = math.log10(high / low)
    leading = (1, 2, 5) if decades < 4 else (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(decades) + 20)
    values = [m * 10.0**e for e in exponents for m in leading]
    return [v for v in values if low * 0.999 <= v <= high * 1.001]


def number(value: float) -> str:
    """Returns a number as people read it on an axis."""
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, _, exponent = f"{value:.3g}".partition("e")
        if exponent:
            return f"{mantissa}e{int(exponent)}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.6g}"
