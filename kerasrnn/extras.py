"""Which extra of the package brings what, for clear messages."""

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec

from kerasrnn import keras_backend
from kerasrnn.errors import UserError

_EXTRAS = {
    "grpc_health": "test",
    "h11": "gateway",
    "keras": "train",
    "prometheus_client": "gateway",
    "starlette": "gateway",
    "tensorboard": "train",
    "tensorflow": "train",
    "tensorflow_serving": "train",
    "torch": "bench",
    "uvicorn": "gateway",
}
_TITLES = {"keras": "Keras", "tensorflow": "TensorFlow", "torch": "PyTorch"}


def how_to_install(error: ModuleNotFoundError, what: str) -> str | None:
    """Returns the sentence that says how `what` can be made to work.

    Args:
        error: Raised by an import; its `name` is the missing module.
        what: The program or module that needs it, as its user knows it.

    Returns:
        The sentence, or None if no extra brings the missing module.
    """
    package = (error.name or "").partition(".")[0]
    if package not in _EXTRAS:
        return None
    return (
        f"{what} needs {_TITLES.get(package, package)}, which is not "
        f"installed here: run `pip install '.[{_EXTRAS[package]}]'` in the "
        "clone of kerasrnn."
    )


def require_tensorflow(what: str) -> None:
    """Checks that TensorFlow and Keras are installed, without importing them.

    So a program need not have worked for minutes before it finds out.

    Args:
        what: See `how_to_install`.

    Raises:
        UserError: One of them is missing.
    """
    for package in ("tensorflow", "keras"):
        if find_spec(package) is None:
            missing = ModuleNotFoundError(name=package)
            raise UserError(how_to_install(missing, what))


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Makes imports inside the block say how `what` can be made to work.

    Args:
        what: See `how_to_install`.

    Raises:
        ModuleNotFoundError: As the import raised it, with that sentence.
        ImportError: Keras is set to another backend than TensorFlow.
    """
    try:
        yield
    except (ImportError, ValueError) as error:
        # Another backend may be missing itself, or have no such name.
        obstacle = find_spec("keras") and keras_backend.obstacle(what)
        if obstacle:
            raise ImportError(obstacle) from None
        if not isinstance(error, ModuleNotFoundError):
            raise
        sentence = how_to_install(error, what)
        if sentence is None:
            raise
        raise ModuleNotFoundError(sentence, name=error.name) from None
