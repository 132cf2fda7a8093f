"""The page about one run: loss curves, and its samples as they grew.

After "Visualizing the predictions and the neuron firings in the RNN" and "The
evolution of samples while training" of Karpathy, "The Unreasonable
Effectiveness of Recurrent Neural Networks" (2015).
"""

import dataclasses
import math
from collections.abc import Mapping
from collections.abc import Sequence

from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted
from kerasrnn.reporting import asset
from kerasrnn.reporting import charts
from kerasrnn.reporting.advice import advice
from kerasrnn.reporting.advice import gap
from kerasrnn.reporting.curves import column
from kerasrnn.reporting.curves import spread
from kerasrnn.reporting.curves import step_losses
from kerasrnn.reporting.page import element
from kerasrnn.reporting.page import page
from kerasrnn.reporting.training_charts import Validations
from kerasrnn.reporting.training_charts import loss_charts
from kerasrnn.reporting.training_charts import step_charts

# As many samples as the post shows, and a few.
_SAMPLES = 8


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """The records of a run, as the page shows them.

    Attributes:
        name: What to call it.
        records: Lines of its history.jsonl, in the order of their steps.
        samples: `(step, text)`, in the order of their steps.
        settings: Values of its configuration, by section and name.
        seconds: Seconds of training; 0 is unknown.
    """

    name: str
    records: Sequence[dict]
    samples: Sequence[tuple[int, str]] = ()
    settings: Mapping[str, Mapping[str, object]] = dataclasses.field(
        default_factory=dict
    )
    seconds: float = 0.0


def training_report(training: TrainingRecord) -> str:
    """Returns the page about a run, as HTML.

    Raises:
        UserError: It has no record of a step yet.
    """
    records = training.records
    if not step_losses(records)[0]:
        raise UserError(
            f"{training.name} has no record of a step yet; a line is written "
            "every ten steps. Wait for it, or check --workdir."
        )
    validations = Validations(
        *column(records, "validation_loss"),
        next((r["split"] for r in records if "split" in r), ""),
    )
    data: dict[str, list] = {}
    body = "\n".join(
        [
            element("p", text="Training", attributes={"class": "overline"}),
            element("h1", text=training.name),
            _figures(training, validations),
            _advice(training, validations),
            element("h2", text="Loss"),
            loss_charts(records, validations, data),
            _samples(training, validations),
            element("h2", text="Steps"),
            step_charts(records),
            _settings(training.settings),
        ]
    )
    return page(
        f"Training {training.name}",
        body,
        style=charts.STYLE + asset("training_report.css"),
        script=asset("training_report.js"),
        data=data,
    )


def _figures(training, validations):
    last = training.records[-1]
    figures = []
    if validations.best is not None:
        loss = validations.losses[validations.best]
        step = validations.steps[validations.best]
        figures.append(
            (
                "Best validation loss",
                f"{loss:.4f} nats",
                f"{loss / math.log(2):.4f} bits per character, at step "
                f"{step:,}, {validations.split} split",
            )
        )
    steps, losses = step_losses(training.records)
    recent = losses[-100:]
    loss = sum(recent) / len(recent)
    figures.append(
        (
            "Training loss",
            f"{loss:.4f} nats",
            f"{loss / math.log(2):.4f} bits per character, mean of the last "
            f"{counted(len(recent), 'step')}"
            + (", dropout on" if _drops(training.settings) else ""),
        )
    )
    epochs = ""
    if "epoch" in last:
        epochs = f"{last['epoch']:.2f} passes over the text"
    figures.append(("Steps", f"{last['step']:,}", epochs))
    _, speeds = column(training.records, "characters_per_second")
    if speeds:
        middle = sorted(speeds)[len(speeds) // 2]
        time = _duration(training.seconds) if training.seconds else ""
        figures.append(
            (
                "Characters a second",
                f"{middle:,.0f}",
                f"median; {time} of training in total" if time else "median",
            )
        )
    return element(
        "dl",
        *(
            element(
                "div",
                element("dt", text=name),
                element("dd", text=value),
                element("dd", text=more) if more else "",
                attributes={"class": "figure"},
            )
            for name, value, more in figures
        ),
        attributes={"class": "figures"},
    )


def _advice(training, validations):
    """Returns the gap between the losses, and what to try next."""
    between = gap(validations, *step_losses(training.records))
    if between is None:
        return ""
    where = "above" if between >= 0 else "below"
    how = ", which is measured with dropout" * _drops(training.settings)
    text = (
        f"The best validation loss is {abs(between):.4f} nats {where} the "
        f"training loss at that time{how}. "
        + advice(validations, between, training.settings)
    )
    return element("p", text=text.strip(), attributes={"class": "advice"})


def _drops(settings):
    """Whether the training loss is measured with dropout."""
    model = settings.get("model", {})
    return any(map(model.get, ("dropout", "recurrent_kernel_dropout")))


def _samples(training, validations):
    texts = dict(training.samples)
    if not texts:
        return ""
    shown = spread(sorted(texts), _SAMPLES)
    losses = dict(zip(validations.steps, validations.losses, strict=True))
    best = None
    if validations.best is not None:
        best = validations.steps[validations.best]
        if best in texts:
            shown = sorted({*shown, best})
    parts = [
        element("h2", text="How its text developed"),
        element(
            "p",
            text="What the model wrote after some of the steps, each time "
            "with the same seed and temperature 1.",
            attributes={"class": "muted"},
        ),
        *(_sample(step, texts[step], losses, best) for step in shown),
    ]
    others = [step for step in sorted(texts) if step not in shown]
    if others:
        parts.append(
            element(
                "details",
                element("summary", text=counted(len(others), "more sample")),
                *(_sample(step, texts[step], losses, best) for step in others),
            )
        )
    return "\n".join(parts)


def _sample(step, text, losses, best):
    notes = []
    if step in losses:
        notes.append(f"validation loss {losses[step]:.4f} nats")
    if step == best:
        notes.append("the best")
    return element(
        "section",
        element(
            "h3",
            element("span", text=f" {', '.join(notes)}") if notes else "",
            text=f"Step {step:,}",
        ),
        element("pre", text=text),
        attributes={
            "class": "sample best" if step == best else "sample",
            "id": f"sample-{step}",
        },
    )


def _settings(settings):
    rows = [
        element(
            "tr",
            element("td", element("code", text=f"--{name}")),
            element("td", text=_shown(value)),
        )
        for section in settings.values()
        for name, value in section.items()
    ]
    if not rows:
        return ""
    return element(
        "details",
        element("summary", text="All settings"),
        element("table", element("tbody", *rows)),
    )


def _shown(value):
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "the standard library"
    # Quotes where nothing would be seen.
    return value if str(value).strip() else repr(value)


def _duration(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
