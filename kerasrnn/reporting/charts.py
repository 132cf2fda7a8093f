"""Line charts as SVG: axes with units, on a linear or a logarithmic x axis.

Shapes: N points of a series.
"""

import dataclasses
import math
from collections.abc import Sequence

from kerasrnn.reporting.axes import LEFT
from kerasrnn.reporting.axes import TOP
from kerasrnn.reporting.axes import Axes
from kerasrnn.reporting.axes import number
from kerasrnn.reporting.page import element

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
        colour: A class of the page's style: "first", "second", "third", or one
            that the page adds.
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
    parts.append(_segment("cursor", 0, TOP, 0, axes.bottom))
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
        parts.append(_segment("grid", LEFT, y, axes.right, y))
        parts.append(_text(LEFT - 8, y + 4, number(value), "end"))
    for value in axes.x_ticks():
        x = axes.x(value)
        parts.append(_segment("grid", x, TOP, x, axes.bottom))
        parts.append(_text(x, axes.bottom + 18, number(value), "middle"))
    parts.append(_segment("axis", LEFT, axes.bottom, axes.right, axes.bottom))
    middle = (LEFT + axes.right) / 2
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
        _segment("mark", x, TOP, x, axes.bottom),
        _circle(x, y, 6, "mark-dot"),
        _text(x + side[1], TOP + 14, mark.text, side[0], "mark-text"),
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
    y = (TOP + axes.bottom) / 2
    places = {"text-anchor": "middle"}
    places["transform"] = f"translate({x} {y}) rotate(-90)"
    return element("text", text=text, attributes=places)
