"""What `kerasrnn-gateway keys` does with a file of keys."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted
from kerasrnn_serving.gateway.access import keys
from kerasrnn_serving.gateway.access.limits import Limits

_USAGE = (
    "expected `keys add NAME`, `keys remove NAME` or `keys list`, with "
    "--keys=FILE"
)


def run_command(
    arguments: Sequence[str],
    path: Path,
    limits: Limits,
    days: float | None,
) -> str:
    """Carries out a command; returns what to print.

    Args:
        arguments: After the word `keys`.
        path: The file of keys.
        limits: Of a key to add.
        days: After which it expires; None is never.

    Raises:
        UserError: There is no such command, or it cannot be done.
    """
    match list(arguments):
        case ["add", name]:
            with keys.changing(path):
                return _add(path, name, limits, days)
        case ["remove", name]:
            with keys.changing(path):
                return _remove(path, name)
        case ["list"]:
            return "\n".join(map(_described, keys.read(path)))
    received = " ".join(["keys", *arguments])
    raise UserError(f"Received `{received}`; {_USAGE}.")


def _add(path, name, limits, days):
    present = keys.read(path) if path.exists() else ()
    if any(key.name == name for key in present):
        raise UserError(
            f"{path} has a key named {name!r} already. Give another name, or "
            f"remove that one first (`keys remove {name}`)."
        )
    expires = None
    if days is not None:
        now = datetime.datetime.now(datetime.UTC)
        try:
            expires = now + datetime.timedelta(days=days)
        except OverflowError:
            raise UserError(
                f"--expires_days={days:g} is beyond the calendar; leave it out "
                "for a key that never expires."
            ) from None
    secret, key = keys.new_key(name, limits, expires)
    keys.write(path, (*present, key))
    return secret


def _remove(path, name):
    present = keys.read(path)
    left = tuple(key for key in present if key.name != name)
    if len(left) == len(present):
        raise UserError(
            f"{path} has no key named {name!r}; `keys list` shows those that "
            "it has."
        )
    keys.write(path, left)
    return f"Removed {name}; {counted(len(left), 'key')} left."


def _described(key):
    fields = key.to_json()
    words = [fields.pop("name"), f"sha256 {fields.pop('sha256')[:12]}..."]
    words += [f"{name} {value}" for name, value in fields.items()]
    return ", ".join(words)
