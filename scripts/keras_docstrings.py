"""Lets mkdocstrings read two sections that docstrings have as Keras has them.

"Call arguments" becomes a list, and what follows "Example:" a block of code
(`extensions` in mkdocs.yml).
"""

import re
from typing import Any

import griffe


class KerasDocstrings(griffe.Extension):
    """Rewrites the docstrings of all objects that mkdocstrings loads."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites an object's docstring, if it has one."""
        if obj.docstring:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(docstring: str) -> str:
    """Returns a docstring whose sections Google's style knows."""
    docstring = re.sub(
        r"(?m)^Call arguments:\n((?: {4}.*(?:\n|$))+)", _list, docstring
    )
    return re.sub(r"(?m)^Example:\n((?:.+(?:\n|$))+)", _indented, docstring)


def _list(match: re.Match[str]) -> str:
    items = re.sub(r"(?m)^ {4}(\w+): ", r"* **`\1`** – ", match[1])
    return f"**Call arguments:**\n\n{items}"


def _indented(match: re.Match[str]) -> str:
    return "Examples:\n" + re.sub(r"(?m)^(?=.)", "    ", match[1])
