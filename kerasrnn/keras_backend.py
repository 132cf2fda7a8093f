"""Which backend Keras is set to: this package computes with TensorFlow's.

Keras takes the first of what the variable `KERAS_BACKEND` says, what
`keras.json` says, and TensorFlow. The programs choose TensorFlow themselves
(`kerasrnn.command_line.program_setup`); whoever imports the library has chosen
already.
"""

import json
import os
import pathlib
import sys


def obstacle(what: str) -> str | None:
    """Returns why `what` cannot work with Keras' backend, or None if it can.

    Args:
        what: The module that needs TensorFlow, as its user knows it.
    """
    keras = sys.modules.get("keras")
    config = getattr(keras, "config", None)
    if config is not None:  # else Keras is not imported, or failed to be
        backend, source = config.backend(), "Keras has been imported with"
    else:
        backend, source = _setting()
    if backend == "tensorflow":
        return None
    return (
        f"{what} needs Keras' TensorFlow backend, but {source} {backend!r}. "
        "Set KERAS_BACKEND=tensorflow before Keras is imported."
    )


def _setting():
    """Returns the backend that Keras will take, and who says so."""
    if backend := os.environ.get("KERAS_BACKEND"):
        return backend, "the variable KERAS_BACKEND says"
    home = os.environ.get("KERAS_HOME") or pathlib.Path("~", ".keras")
    path = pathlib.Path(home).expanduser() / "keras.json"
    try:
        backend = json.loads(path.read_bytes())["backend"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        backend = "tensorflow"
    return backend, f"{path} says"
