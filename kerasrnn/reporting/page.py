"""The frame of every HTML page: one file that needs no server and no network.

Text goes into a page through `escape` or `element`, numbers and texts for a
script through `page(data=...)`. A policy in the page's head lets only the
page's own script run and nothing be fetched, so that a text that looks like
HTML is shown, and would not be run even where escaping it was forgotten.
"""

import base64
import hashlib
import html
import json
import math
from collections.abc import Mapping
from typing import Any

# Colours that keep their contrast in the light and in the dark. The series
# are blue, orange, green: told apart by the colour-blind too.
STYLE = """\
:root {
  color-scheme: light dark;
  --background: #ffffff; --surface: #f6f7f9; --text: #1b1f24;
  --muted: #5b6470; --line: #d9dde3;
  --first: #2563c9; --second: #c2570c; --third: #15803d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --background: #14171b; --surface: #1d2127; --text: #e6e9ed;
    --muted: #9aa4b0; --line: #363d47;
    --first: #74a9ff; --second: #ff9f5a; --third: #5fce8a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 64rem;
  background: var(--background); color: var(--text);
  font: 16px/1.5 system-ui, "Segoe UI", "Liberation Sans", sans-serif;
}
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 0.25rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 0.75rem; }
a { color: var(--first); }
code, pre {
  font-family: ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", monospace;
  font-size: 0.875rem;
}
button, input, select { font: inherit; }
:focus-visible { outline: 2px solid var(--first); outline-offset: 2px; }
.muted { color: var(--muted); }
"""


def escape(text: object) -> str:
    """Returns a text as HTML that shows it, in elements and attributes."""
    # A lone surrogate cannot be written as UTF-8, and NUL not in HTML.
    text = str(text).encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    # A parser would make a line feed of it, and take two for one.
    return html.escape(text).replace("\r", "&#13;")


def element(
    name: str,
    *children: str,
    text: object = None,
    attributes: Mapping[str, object] | None = None,
) -> str:
    """Returns an element of HTML or SVG.

    Args:
        name: Its tag.
        *children: HTML inside it, as other calls of this returned it.
        text: Text before the children; it is escaped.
        attributes: By name; values are escaped, those that are None left out.
    """
    shown = "".join(
        f' {key}="{escape(value)}"'
        for key, value in (attributes or {}).items()
        if value is not None
    )
    inner = ("" if text is None else escape(text)) + "".join(children)
    # A parser drops a line feed right after <pre>.
    if name == "pre" and inner.startswith("\n"):
        inner = f"\n{inner}"
    return f"<{name}{shown}>{inner}</{name}>"


def page(
    title: str,
    body: str,
    *,
    style: str = "",
    script: str = "",
    data: Mapping[str, Any] | None = None,
) -> str:
    """Returns a whole HTML document.

    Args:
        title: Shown by the browser; it is escaped.
        body: HTML, made by `element` and `escape`.
        style: CSS that follows `STYLE`.
        script: JavaScript of the page's author, run after the body is there.
        data: Values of JSON's types by name. The script gets each by
            `JSON.parse(document.getElementById(name).textContent)`.

    Raises:
        ValueError: The script or the style would end its own element.
    """
    for name, source in (("script", script), ("style", style)):
        if f"</{name}" in source.lower() or "<!--" in source:
            raise ValueError(f"The {name} must not hold </{name} or <!--.")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest())
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest.decode()}'; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    head = [
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width">',
        # Else a browser asks the server for one.
        '<link rel="icon" href="data:,">',
        element("title", text=title),
        f"<style>\n{STYLE}{style}</style>",
    ]
    blocks = [
        f'<script type="application/json" id="{escape(name)}">'
        f"{script_json(value)}</script>"
        for name, value in (data or {}).items()
    ]
    if script:
        blocks.append(f"<script>{script}</script>")
    lines = ["<!DOCTYPE html>", '<html lang="en">', "<head>", *head]
    lines += ["</head>", "<body>", body, *blocks, "</body>", "</html>"]
    return "\n".join(lines) + "\n"


def script_json(value: Any) -> str:
    """Returns a value as JSON that can stand inside a script element.

    Numbers that are not finite, which JSON does not have, are null.
    """
    text = json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))
    # Nothing that a parser of HTML looks at; the same to one of JSON.
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _finite(value):
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
