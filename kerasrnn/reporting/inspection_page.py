"""The page that shows the inside of a network while it reads a text.

Its style and its script are `inspection.css` and `inspection.js`, beside this
module. What a unit does is stored as 8-bit integers, relative to the largest
that it does, so that 5,000 characters and 1,024 units stay below 8 MB.

Glossary of shapes: T characters, P probes, N units of all layers.
"""

import base64

import numpy as np

from kerasrnn.foundation.phrases import counted
from kerasrnn.reporting import asset
from kerasrnn.reporting import colors
from kerasrnn.reporting.findings import Findings
from kerasrnn.reporting.findings import share_sentences
from kerasrnn.reporting.page import element
from kerasrnn.reporting.page import page
from kerasrnn.reporting.probes import PROBES
from kerasrnn.reporting.reading import Reading

# The page names so many units for each probe.
_BEST = 3

_KEYS = (
    ("←", "previous unit"),
    ("→", "next unit"),
    ("l", "next layer"),
    ("L", "previous layer"),
    ("n", "next named unit"),
    ("p", "previous one"),
    ("g", "guesses on, off"),
    ("m", "marks on, off"),
    ("s", "other scale"),
)


def inspection_page(
    reading: Reading, findings: Findings, *, unit: int, model: str, name: str
) -> str:
    """Returns the page as a whole HTML document.

    Args:
        reading: The text, and what the network did.
        findings: Which units follow what.
        unit: The unit to show first.
        model: What the model is called.
        name: What the text is called.
    """
    body = element(
        "div",
        _head(reading, model, name),
        _tools(),
        element(
            "div",
            _aside(findings),
            element("main", attributes={"class": "text"}),
            attributes={"class": "columns"},
        ),
    )
    return page(
        f"Inside {model}",
        body,
        style=asset("inspection.css"),
        script=asset("inspection.js"),
        data=_data(reading, findings, unit),
    )


def _head(reading, model, name):
    layers = (
        "" if reading.num_layers == 1 else f"{reading.num_layers} layers of "
    )
    facts = (
        f"{layers}{counted(reading.units_per_layer, 'unit')}",
        f"{counted(len(reading.characters), 'character')} of {name}",
        f"{reading.mean_bits:.2f} bits of surprise per character",
    )
    return element(
        "header",
        element("h1", text=f"Inside {model}"),
        element("p", text=" · ".join(facts), attributes={"class": "muted"}),
        attributes={"class": "head"},
    )


def _tools():
    def button(name, label, symbol):
        attributes = {"id": name, "aria-label": label, "title": label}
        return element("button", text=symbol, attributes=attributes)

    def switch(name, label, title):
        box = '<input type="checkbox" ' + f'id="{name}">'
        text = element("span", text=label)
        return element("label", box, text, attributes={"title": title})

    gradient = ", ".join(
        f"rgb{color}"
        for color in (colors.NEGATIVE, (255,) * 3, colors.POSITIVE)
    )
    ramp = {"style": f"background: linear-gradient(90deg, {gradient})"}
    low, high = (
        element("span", attributes={"class": end}) for end in ("low", "high")
    )
    return element(
        "div",
        element(
            "label",
            element("select", attributes={"id": "layer"}),
            attributes={"class": "layer"},
        ),
        element(
            "label",
            button("previous", "previous unit", "←"),
            element("select", attributes={"id": "unit", "aria-label": "unit"}),
            button("next", "next unit", "→"),
            attributes={"class": "unit"},
        ),
        element(
            "span",
            low,
            element("i", attributes=ramp),
            high,
            attributes={"class": "scale", "title": "activation, h"},
        ),
        switch("plain", "guesses", "the five most likely next characters (g)"),
        switch("marks", "marks", "underline what the unit follows (m)"),
        switch("own", "own scale", "colours by the unit's own range (s)"),
        element("p", attributes={"class": "finding", "aria-live": "polite"}),
        attributes={"class": "tools"},
    )


def _aside(findings):
    keys = [
        element("li", element("kbd", text=key), f" {meaning}")
        for key, meaning in _KEYS
    ]
    sentences = [
        element("p", text=sentence, attributes={"class": "small"})
        for sentence in share_sentences(findings)
    ]
    explanation = [
        element("p", text=text, attributes={"class": "small muted"})
        for text in _EXPLANATION
    ]
    scrolled = element(
        "div",
        element("h2", text="What units follow"),
        *sentences,
        element("div", attributes={"class": "probes"}),
        element("h2", text="How to read this"),
        *explanation,
        element("h2", text="Keys"),
        element("ul", *keys, attributes={"class": "keys small"}),
        attributes={"class": "scrolled"},
    )
    hint = "Move the pointer over a character to read what comes next."
    pointer = element(
        "div",
        element("p", text=hint, attributes={"class": "muted"}),
        attributes={"class": "pointer"},
    )
    return element("aside", scrolled, pointer)


_EXPLANATION = (
    "The colour of a character is the unit's output h after that character "
    "has been read. Below it are the five characters that the model finds "
    "most likely to come next, greener for more likely, and then the "
    "character's own surprise in bits: how unlikely the model found it.",
    "A dot above the line is a unit: the further to the right, the larger the "
    "magnitude of its correlation with the probe, from 0 to 1. The grey dots "
    "below are the control, the same on shuffled text: either the network "
    "reads the characters in random order, or the probe looks at another "
    "place; the higher score is shown. 99 % of the control is to the left of "
    "the vertical line.",
)


def _data(reading, findings, unit):
    scales = np.abs(reading.activations).max(axis=0, initial=0)  # [N]
    relative = reading.activations / np.maximum(scales, 1e-9)
    table, guesses = _candidates(reading)
    highest = findings.values.max(axis=1, keepdims=True, initial=0)
    return {
        "page": {
            "characters": list(reading.characters),
            "bits": [
                None if np.isnan(bits) else round(float(bits), 3)
                for bits in reading.bits
            ],
            "layers": reading.num_layers,
            "units": reading.units_per_layer,
            "unit": unit,
            "scales": [round(float(scale), 5) for scale in scales],
            "candidates": table,
            "colors": {
                "negative": colors.NEGATIVE,
                "positive": colors.POSITIVE,
            },
        },
        "probes": [
            {
                "name": probe.name,
                "title": probe.title,
                "description": probe.description,
                "present": bool(findings.present[index]),
                "threshold": round(float(findings.thresholds[index]), 5),
                "count": int(findings.follows[index].sum()),
                "best": findings.best_units(index, _BEST),
            }
            for index, probe in enumerate(PROBES)
        ],
        "activations": _packed(relative.T * 127, "<i1"),
        "guesses": _packed(guesses, "<u2"),
        "chances": _packed(_chances(reading) * 65535, "<u2"),
        "values": _packed(
            findings.values / np.maximum(highest, 1) * 255, "<u1"
        ),
        "scores": _packed(findings.scores * 32767, "<i2"),
        "control": _packed(findings.control * 32767, "<i2"),
    }


def _candidates(reading):
    """Returns the different candidates, and which they are, int [T, 5]."""
    flat = [c for candidates in reading.top_characters for c in candidates]
    table = sorted(set(flat))
    places = {candidate: index for index, candidate in enumerate(table)}
    indices = np.array([places[candidate] for candidate in flat], np.int64)
    return table, indices.reshape(len(reading.top_characters), -1)


def _chances(reading):
    # A candidate that is none has no probability.
    real = [[bool(c) for c in row] for row in reading.top_characters]
    return np.where(real, np.exp(reading.top_log_probs), 0)


def _packed(values, dtype):
    """Returns rounded values as base64, row after row."""
    data = np.ascontiguousarray(np.rint(values), dtype)
    return base64.b64encode(data.tobytes()).decode()
