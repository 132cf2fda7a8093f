"""A text in the colours of a unit, for a terminal."""

import io

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from kerasrnn.reporting import colors
from kerasrnn.reporting.findings import Findings
from kerasrnn.reporting.findings import share_sentences
from kerasrnn.reporting.probes import PROBES
from kerasrnn.reporting.reading import Reading
from kerasrnn.reporting.reading import visible

# Units that are named for each probe.
_BEST = 3


def colored(
    reading: Reading, findings: Findings, unit: int, width: int | None = None
) -> str:
    """Returns the text and which units follow what, with colour codes.

    No character of the text is sent as it is where a terminal would take it
    for a command. The variable NO_COLOR leaves the colours out.

    Args:
        reading: The text, and what the network did.
        findings: Which units follow what.
        unit: The unit whose activations colour the text.
        width: Columns; None takes the terminal's.
    """
    output = io.StringIO()
    console = Console(
        file=output,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        width=width,
    )
    console.print(_heading(reading, findings, unit), soft_wrap=True)
    console.print(_text(reading, unit), soft_wrap=True)
    console.print(_table(reading, findings))
    for sentence in share_sentences(findings):
        console.print(sentence)
    return output.getvalue()


def _heading(reading, findings, unit):
    probe = findings.best_probe(unit)
    name = reading.name(unit).capitalize()
    if probe is None:
        return Text(f"{name} follows no probe better than on shuffled text.")
    return Text(
        f"{name} follows {PROBES[probe].title}: correlation "
        f"{findings.scores[probe, unit]:+.2f}, control "
        f"{findings.thresholds[probe]:.2f}."
    )


def _text(reading, unit):
    shades = colors.diverging(reading.relative_activations(unit)).tolist()
    ink = "#{:02x}{:02x}{:02x}".format(*colors.INK)
    shown = Text()
    for character, shade in zip(reading.characters, shades, strict=True):
        background = "#{:02x}{:02x}{:02x}".format(*shade)
        shown.append(visible(character), Style(color=ink, bgcolor=background))
        if character == "\n":
            shown.append("\n")
    return shown


def _table(reading, findings):
    table = Table(box=None, pad_edge=False)
    table.add_column("what units follow")
    table.add_column("control", justify="right")
    table.add_column("units above it", justify="right")
    table.add_column("the best, with their correlations")
    for index, probe in enumerate(PROBES):
        if not findings.present[index]:
            table.add_row(probe.title, "", "", "not in this text")
            continue
        best = (
            f"{reading.short_name(unit)} {findings.scores[index, unit]:+.2f}"
            for unit in findings.best_units(index, _BEST)
        )
        table.add_row(
            probe.title,
            f"{findings.thresholds[index]:.2f}",
            f"{findings.follows[index].sum():,}",
            ", ".join(best),
        )
    return table
