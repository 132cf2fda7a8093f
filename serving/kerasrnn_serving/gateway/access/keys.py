"""The file of keys: who may ask, kept as hashes.

A key is 32 random bytes, so one round of SHA-256 hides it as well as any
slow hash would, which is for passwords that people choose.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from kerasrnn.errors import UserError
from kerasrnn.foundation import files
from kerasrnn.foundation.locks import held_lock
from kerasrnn_serving.gateway.access.limits import Limits

_LOGGER = logging.getLogger("kerasrnn_serving.gateway")
_PREFIX = "krnn-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Key:
    """One entry of the file.

    Attributes:
        name: Whose key it is, for logs and metrics.
        digest: SHA-256 of the key, in hexadecimal.
        limits: What its holder may ask for.
        expires: When it ends, in UTC; None is never.
    """

    name: str
    digest: str
    limits: Limits = Limits()
    expires: datetime.datetime | None = None

    def has_expired(self, now: datetime.datetime) -> bool:
        """Whether it no longer opens anything."""
        return self.expires is not None and now >= self.expires

    def to_json(self) -> dict:
        """Returns the entry as the file has it."""
        limits = dataclasses.asdict(self.limits)
        expires = self.expires and self.expires.isoformat(timespec="seconds")
        return {
            "name": self.name,
            "sha256": self.digest,
            **{name: value for name, value in limits.items() if value},
            **({"expires": expires} if expires else {}),
        }


def new_key(
    name: str, limits: Limits, expires: datetime.datetime | None
) -> tuple[str, Key]:
    """Returns a new key, and its entry.

    Raises:
        UserError: The name cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"A key cannot be named {name!r}: expected up to 64 letters, "
            "digits, dots, dashes, underscores and @."
        )
    secret = _PREFIX + secrets.token_urlsafe(32)
    key = Key(name=name, digest=_digest(secret), limits=limits, expires=expires)
    return secret, key


def find(keys: tuple[Key, ...], secret: str) -> Key | None:
    """Returns the key's entry, in a time that tells nothing of the others."""
    digest, found = _digest(secret), None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found


def _digest(secret):
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def read(path: Path) -> tuple[Key, ...]:
    """Returns the file's keys.

    Raises:
        UserError: It cannot be read, or an entry is damaged.
    """
    try:
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"Cannot read the keys in {path}: {error.strerror}. Make the file "
            f"with `kerasrnn-gateway keys add NAME --keys={path}`."
        ) from None
    except (ValueError, RecursionError):
        raise _damaged(path, "it is not JSON") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("keys"), list):
        raise _damaged(path, 'it has no list of "keys"')
    return tuple(_entry(path, entry) for entry in fields["keys"])


@contextlib.contextmanager
def changing(path: Path) -> Iterator[None]:
    """Lets one process at a time read the file, change it and write it.

    Others wait, by the lock of a hidden file beside it, which stays.

    Raises:
        UserError: The file system refuses the lock, or what the block writes.
    """
    try:
        with held_lock(path.parent / f".{path.name}.lock"):
            yield
    except OSError as error:
        raise UserError(
            f"Cannot change the keys in {path}: {error.strerror}. Expected a "
            "directory that can be written to; give a --keys=FILE in one."
        ) from None


def write(path: Path, keys: tuple[Key, ...]) -> None:
    """Replaces the file; call it within `changing`."""
    fields = {"keys": [key.to_json() for key in keys]}
    files.write_file(path, json.dumps(fields, indent=2).encode() + b"\n")


def _entry(path, fields):
    try:
        limits = {
            field.name: fields.get(field.name)
            for field in dataclasses.fields(Limits)
        }
        unknown = fields.keys() - limits.keys() - {"name", "sha256", "expires"}
        if unknown:
            raise _damaged(path, f"{min(unknown)!r} is no field of a key")
        expires = fields.get("expires")
        if expires is not None:
            expires = datetime.datetime.fromisoformat(expires)
            if expires.tzinfo is None:
                raise ValueError
        if not (
            _NAME.fullmatch(fields["name"])
            and _DIGEST.fullmatch(fields["sha256"])
        ):
            raise ValueError
        return Key(
            name=fields["name"],
            digest=fields["sha256"],
            limits=Limits(**limits),
            expires=expires,
        )
    except UserError as error:
        raise _damaged(path, str(error).rstrip(".")) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        name = fields.get("name") if isinstance(fields, dict) else fields
        raise _damaged(path, f"the entry {name!r} is no key") from None


def _damaged(path, why):
    return UserError(
        f"{path} is not a file of keys: {why}. Put it right, or make another "
        "one with `kerasrnn-gateway keys add NAME`."
    )


class KeyRing:
    """The keys of a file, which is read anew when it changes.

    Args:
        path: Of the file.

    Raises:
        UserError: It cannot be read at first. Later on, the keys read last
            stay valid, and the log says why.
    """

    def __init__(self, path: Path):
        self._path = path
        self._seen = self._look()
        self._keys = read(path)

    def find(self, secret: str) -> Key | None:
        """Returns the entry of a key that has not expired."""
        self._refresh()
        key = find(self._keys, secret)
        now = datetime.datetime.now(datetime.UTC)
        return None if key is None or key.has_expired(now) else key

    def _refresh(self):
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._keys = read(self._path)
        except UserError as error:
            _LOGGER.warning("%s Until then the keys read last count.", error)

    def _look(self):
        with contextlib.suppress(OSError):
            status = os.stat(self._path)
            return status.st_ino, status.st_mtime_ns, status.st_size
        return None
