"""HTML pages from arrays, without TensorFlow."""

from importlib import resources


def asset(name: str) -> str:
    """Returns a style sheet or a script that ships with this package."""
    return (resources.files(__name__) / name).read_text(encoding="utf-8")
