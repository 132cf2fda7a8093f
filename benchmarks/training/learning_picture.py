"""The losses of learning_benchmark as a picture."""

from collections.abc import Sequence

from kerasrnn.reporting.charts import STYLE
from kerasrnn.reporting.charts import Series
from kerasrnn.reporting.charts import line_chart
from kerasrnn.reporting.page import element

_COLOURS = ("first", "second", "third", "fourth")
# On white, and legible on a dark page by the background.
_VARIABLES = """\
svg { --first: #0b62c4; --second: #b3420a; --third: #3a7d1c; --fourth: #6b3fa0;
  --muted: #555; --line: #ddd; --background: #fff;
  font-family: system-ui, sans-serif; background: #fff; }
.fourth { stroke: var(--fourth); fill: var(--fourth); }
.chart text.name { fill: inherit; stroke: none; font-weight: 600; }
"""
_SIZE = (800, 380)


def picture(results: Sequence[tuple[str, float, float]]) -> str:
    """Draws a line a side, its mean over the rounds, as an SVG document.

    Args:
        results: `(side, minutes, loss)` of each run, four sides at most.
    """
    losses: dict[str, dict[float, list[float]]] = {}
    for side, minutes, loss in results:
        losses.setdefault(side, {}).setdefault(minutes, []).append(loss)
    series = [
        _series(side, colour, by_minutes)
        for colour, (side, by_minutes) in zip(
            _COLOURS[: len(losses)], losses.items(), strict=True
        )
    ]
    chart, _ = line_chart(
        series,
        label="Validation loss against minutes of training",
        x_title="minutes of training",
        y_title="loss of the held-out text, nats per character",
        size=_SIZE,
    )
    names = [
        element("g", _name(line.name, index), attributes={"class": line.colour})
        for index, line in enumerate(series)
    ]
    return element(
        "svg",
        element("style", text=STYLE + _VARIABLES),
        chart,
        element("g", *names, attributes={"class": "chart"}),
        attributes={
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_SIZE[0]} {_SIZE[1]}",
        },
    )


def _name(text, index):
    places = {"x": _SIZE[0] - 150, "y": 34 + 20 * index}
    return element("text", text=text, attributes={"class": "name", **places})


def _series(side, colour, by_minutes):
    minutes = sorted(by_minutes)
    runs = [by_minutes[value] for value in minutes]
    return Series(
        side,
        colour,
        minutes,
        [sum(values) / len(values) for values in runs],
        low=[min(values) for values in runs],
        high=[max(values) for values in runs],
        dots=True,
    )
