"""Line charts as SVG: axes with units, on a linear or a logarithmic x axis.

Shapes: N points of a series.
"""

import dataclasses
import math
from collections.abc import Sequence

from kerasrnn.reporting.page import element

# Margins of the drawing, in its own units; the page scales it.
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 64, 14, 48
# On the right of a drawing that has no axis there.
_NO_AXIS = 16
# Room that a number on an axis needs.
_TICK_WIDTH, _TICK_HEIGHT = 100, 45

STYLE = """\
svg.chart { display: block; width: 100%; height: auto; }
.chart text { fill: var(--muted); font-size: 13px;
  font-variant-numeric: tabular-nums; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.chart .axis { stroke: var(--muted); stroke-width: 1; }
.chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.chart .band { opacity: 0.18; stroke: none; }
.chart .cursor { stroke: var(--muted); stroke-dasharray: 3 3;
  visibility: hidden; }
.chart .mark { stroke: var(--third); stroke-dasharray: 6 4; }
.chart .mark-dot { fill: var(--third); stroke: var(--background);
  stroke-width: 2; }
.chart text.mark-text { fill: var(--third); font-weight: 600; stroke: none; }
.first { stroke: var(--first); fill: var(--first); }
.second { stroke: var(--second); fill: var(--second); }
.third { stroke: var(--third); fill: var(--third); }
"""


@dataclasses.dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: For those who point at it.
        colour: "first", "second" or "third", as in the page's style.
        xs: Rising positions, [N].
        ys: Values, [N]; those that are not finite interrupt the line.
        low: Least value that a point stands for, [N]; None: no band.
        high: Greatest such value, [N].
        dots: Whether each point is a dot too.
    """

    name: str
    colour: str
    xs: Sequence[float]
    ys: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    dots: bool = False


@dataclasses.dataclass(frozen=True)
class Mark:
    """A point to point out.

    Attributes:
        x: Where.
        y: Where.
        text: What to say of it.
    """

    x: float
    y: float
    text: str


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
        return self.size[1] - _BOTTOM

    @property
    def right(self) -> float:
        """Where the x axis ends."""
        return self.size[0] - (_RIGHT if self.right_axis else _NO_AXIS)

    def y_ticks(self, factor: float = 1.0) -> list[float]:
        """Returns round numbers on the y axis, or on one times `factor`."""
        count = round((self.bottom - _TOP) / _TICK_HEIGHT)
        return linear_ticks(*(factor * y for y in self.y_range), count)

    def x_ticks(self) -> list[float]:
        """Returns round numbers on the x axis."""
        if self.log_x:
            return log_ticks(*self.x_range)
        count = round((self.right - _LEFT) / _TICK_WIDTH)
        return linear_ticks(*self.x_range, count)

    def x(self, value: float) -> float:
        """Returns the place of a value on the x axis."""
        low, high = self.x_range
        if self.log_x:
            low, high, value = map(math.log, (low, high, max(value, low)))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(_LEFT + share * (self.right - _LEFT), 2)

    def y(self, value: float) -> float:
        """Returns the place of a value on the y axis."""
        low, high = self.y_range
        share = (value - low) / (high - low)
        return round(self.bottom - share * (self.bottom - _TOP), 2)


def line_chart(
    series: Sequence[Series],
    *,
    label: str,
    x_title: str,
    y_title: str,
    size: tuple[int, int] = (960, 380),
    log_x: bool = False,
    from_zero: bool = False,
    right_title: str = "",
    right_factor: float = 1.0,
    mark: Mark | None = None,
    attributes: dict | None = None,
) -> tuple[str, Axes]:
    """Draws lines over one another.

    Args:
        series: The lines; those without a finite value are left out.
        label: What the chart shows, for those who hear it.
        x_title: Name and unit of the x axis.
        y_title: Name and unit of the y axis; empty where the page says it.
        size: Width and height of the drawing.
        log_x: Whether the x axis is logarithmic.
        from_zero: Whether the y axis begins at 0.
        right_title: Name and unit of a second y axis; none where empty.
        right_factor: Its values are those of the first times this.
        mark: A point to point out.
        attributes: More attributes of the SVG element.

    Returns:
        `(SVG, axes)`; the SVG has a hidden line of the class "cursor".
    """
    axes = Axes(
        _x_range(series, log_x),
        _y_range(series, from_zero),
        size,
        log_x,
        bool(right_title),
    )
    parts = _grid(axes, x_title, y_title)
    if right_title:
        parts += _right_axis(axes, right_title, right_factor)
    for line in series:
        parts += _band(line, axes)
    for line in series:
        parts += _line(line, axes)
    parts.append(_segment("cursor", 0, _TOP, 0, axes.bottom))
    if mark is not None:
        parts += _mark(mark, axes)
    svg = element(
        "svg",
        element("title", text=label),
        *parts,
        attributes={
            "class": "chart",
            "viewBox": f"0 0 {size[0]} {size[1]}",
            "role": "img",
            **(attributes or {}),
        },
    )
    return svg, axes


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


def _x_range(series, log_x):
    values = [x for line in series for x in line.xs]
    low, high = min(values), max(values)
    if log_x:
        low = max(low, 1)
        return (low, max(high, 2 * low))
    # Steps are counted from 0, where the first weights are.
    return (0, max(high, 1))


def _y_range(series, from_zero):
    values = [
        value
        for line in series
        for values in (line.ys, line.low or (), line.high or ())
        for value in values
        if math.isfinite(value)
    ]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if from_zero:
        low = min(low, 0.0)
    if not high > low:
        low, high = low - 0.5 * abs(low or 1), high + 0.5 * abs(high or 1)
    margin = 0.04 * (high - low)
    return (low - (0 if from_zero else margin), high + margin)


def _grid(axes, x_title, y_title):
    parts = []
    for value in axes.y_ticks():
        y = axes.y(value)
        parts.append(_segment("grid", _LEFT, y, axes.right, y))
        parts.append(_text(_LEFT - 8, y + 4, number(value), "end"))
    for value in axes.x_ticks():
        x = axes.x(value)
        parts.append(_segment("grid", x, _TOP, x, axes.bottom))
        parts.append(_text(x, axes.bottom + 18, number(value), "middle"))
    parts.append(_segment("axis", _LEFT, axes.bottom, axes.right, axes.bottom))
    middle = (_LEFT + axes.right) / 2
    parts.append(_text(middle, axes.size[1] - 8, x_title, "middle"))
    if y_title:
        parts.append(_sideways(16, axes, y_title))
    return parts


def _right_axis(axes, title, factor):
    parts = [
        _text(axes.right + 8, axes.y(value / factor) + 4, number(value))
        for value in axes.y_ticks(factor)
    ]
    return [*parts, _sideways(axes.size[0] - 10, axes, title)]


def _line(line, axes):
    drawn = _path(line.xs, line.ys, axes)
    parts = [_shape("line", line.colour, drawn)] if drawn else []
    if line.dots:
        for x, y in zip(line.xs, line.ys, strict=True):
            if math.isfinite(y):
                parts.append(_circle(axes.x(x), axes.y(y), 3, line.colour))
    return parts


def _band(line, axes):
    if line.low is None or line.high is None:
        return []
    edge = [
        (axes.x(x), axes.y(low), axes.y(high))
        for x, low, high in zip(line.xs, line.low, line.high, strict=True)
        if math.isfinite(low) and math.isfinite(high)
    ]
    if len(edge) < 2:
        return []
    there = " ".join(f"{x} {y}" for x, y, _ in edge)
    back = " ".join(f"{x} {y}" for x, _, y in reversed(edge))
    return [_shape("band", line.colour, f"M{there} L{back} Z")]


def _path(xs, ys, axes):
    pieces, pen = [], "M"
    for x, y in zip(xs, ys, strict=True):
        if math.isfinite(y):
            pieces.append(f"{pen}{axes.x(x)} {axes.y(y)}")
            pen = "L"
        else:
            pen = "M"
    return " ".join(pieces)


def _mark(mark, axes):
    x, y = axes.x(mark.x), axes.y(mark.y)
    # Where there is more room, and above the curve, which falls to it.
    side = ("end", -10) if x > axes.size[0] / 2 else ("start", 10)
    return [
        _segment("mark", x, _TOP, x, axes.bottom),
        _circle(x, y, 6, "mark-dot"),
        _text(x + side[1], _TOP + 14, mark.text, side[0], "mark-text"),
    ]


def _segment(name, x1, y1, x2, y2):
    places = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return element("line", attributes={"class": name, **places})


def _circle(x, y, radius, name):
    places = {"cx": x, "cy": y, "r": radius}
    return element("circle", attributes={"class": name, **places})


def _shape(kind, colour, path):
    return element("path", attributes={"class": f"{kind} {colour}", "d": path})


def _text(x, y, text, anchor=None, name=None):
    places = {"x": x, "y": y, "text-anchor": anchor, "class": name}
    return element("text", text=text, attributes=places)


def _sideways(x, axes, text):
    y = (_TOP + axes.bottom) / 2
    places = {"text-anchor": "middle"}
    places["transform"] = f"translate({x} {y}) rotate(-90)"
    return element("text", text=text, attributes=places)
