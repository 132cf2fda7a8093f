"""The charts of a run: losses, learning rate, gradient norm, speed."""

import dataclasses
import math
from collections.abc import Sequence

from kerasrnn.reporting import charts
from kerasrnn.reporting.charts import Mark
from kerasrnn.reporting.charts import Series
from kerasrnn.reporting.curves import Curve
from kerasrnn.reporting.curves import column
from kerasrnn.reporting.curves import step_losses
from kerasrnn.reporting.curves import thinned
from kerasrnn.reporting.page import element

# More points than these cannot be told apart on paper or screen.
_POINTS = 400


@dataclasses.dataclass(frozen=True)
class Validations:
    """The validations of a run.

    Attributes:
        steps: After which steps, rising.
        losses: Their results, nats per character.
        split: Name of the split, or "".
    """

    steps: list[int]
    losses: list[float]
    split: str

    @property
    def best(self) -> int | None:
        """Index of the first of the lowest, which training keeps."""
        return self.losses.index(min(self.losses)) if self.losses else None


def loss_charts(
    records: Sequence[dict], validations: Validations, data: dict
) -> str:
    """Draws the losses over linear and over logarithmic steps.

    Args:
        records: Lines of a history.
        validations: Those in it.
        data: Where to put what the page's script reads, by name.

    Returns:
        HTML, styled by training_report.css.
    """
    steps, losses = step_losses(records)
    drawn = []
    for name, log_x in (("linear-chart", False), ("log-chart", True)):
        # A model that another one's weights began is validated at step 0,
        # and a logarithmic axis begins at 1.
        places = [max(step, int(log_x)) for step in validations.steps]
        mark = None
        if validations.best is not None:
            step = validations.steps[validations.best]
            loss = validations.losses[validations.best]
            mark = Mark(
                places[validations.best],
                loss,
                f"best: {loss:.4f} at step {step:,}",
            )
        curve = thinned(steps, losses, _POINTS, log_x)
        lines = [
            Series(
                "training",
                "first",
                curve.steps,
                curve.values,
                curve.low,
                curve.high,
            )
        ]
        if validations.steps:
            lines.append(
                Series(
                    "validation",
                    "second",
                    places,
                    validations.losses,
                    dots=len(validations.steps) <= 60,
                )
            )
        svg, axes = charts.line_chart(
            lines,
            label="Training and validation loss over steps",
            x_title="step (logarithmic)" if log_x else "step",
            y_title="nats per character",
            right_title="bits per character",
            right_factor=1 / math.log(2),
            log_x=log_x,
            mark=mark,
            attributes={"id": name, "tabindex": 0},
        )
        data[f"{name}-points"] = _points(curve, validations, axes)
        drawn.append(element("div", svg, attributes={"class": name}))
    legend = [_key("first", "training: mean, and range of the steps")]
    if validations.steps:
        legend.append(_key("second", f"validation ({validations.split} split)"))
    toggle = element(
        "label",
        element("span", text="logarithmic steps", attributes={"class": "box"}),
        attributes={"for": "log-steps"},
    )
    return element(
        "div",
        '<input type="checkbox" id="log-steps">',
        element("div", *legend, toggle, attributes={"class": "bar"}),
        *drawn,
        element(
            "p",
            text="Point at the chart, or choose it and use the arrow keys, to "
            "read its values.",
            attributes={"class": "readout", "aria-live": "polite"},
        ),
        attributes={"class": "chart-box"},
    )


def _points(curve: Curve, validations, axes):
    """Returns `[x, text]` of every point of the curve, for the script."""
    points, newest = [], -1
    for step, value in zip(curve.steps, curve.values, strict=True):
        while (
            newest + 1 < len(validations.steps)
            and validations.steps[newest + 1] <= step
        ):
            newest += 1
        text = f"step {step:,}: training {value:.4f}"
        if newest >= 0:
            text += f", validation {validations.losses[newest]:.4f}"
            if validations.steps[newest] != step:
                text += f" (at step {validations.steps[newest]:,})"
        points.append([axes.x(step), f"{text} nats per character"])
    return points


def step_charts(records: Sequence[dict]) -> str:
    """Draws what else a history has; returns HTML."""
    drawn = []
    for name, title, from_zero in (
        ("learning_rate", "Learning rate", True),
        ("gradient_norm", "Gradient norm, before clipping", True),
        ("characters_per_second", "Characters a second", True),
    ):
        steps, values = column(records, name)
        if not steps:
            continue
        curve = thinned(steps, values, _POINTS)
        svg, _ = charts.line_chart(
            [
                Series(
                    title,
                    "first",
                    curve.steps,
                    curve.values,
                    curve.low,
                    curve.high,
                )
            ],
            label=f"{title} over steps",
            x_title="step",
            y_title="",
            size=(400, 240),
            from_zero=from_zero,
        )
        drawn.append(element("div", element("h3", text=title), svg))
    return element("div", *drawn, attributes={"class": "row"})


def _key(colour, text):
    return element("span", text=text, attributes={"class": f"key {colour}-key"})
