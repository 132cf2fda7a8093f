"""Paths that users give: of files and directories on this machine."""

import os
import pathlib
import re

from kerasrnn.errors import UserError

# As RFC 3986 spells a scheme. The second slash is what tells it from a name:
# pathlib would drop it, and write to a directory "gs:" here.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

StrPath = str | os.PathLike[str]


def local_path(path: StrPath, what: str = "") -> pathlib.Path:
    """Returns a path, once it is sure that it is one on this machine.

    Args:
        path: What was given, a string or a `os.PathLike`.
        what: What the message calls it, such as "--file=..."; by default the
            path itself.

    Raises:
        UserError: It is the address of something elsewhere, such as
            gs://bucket/model, or no path at all.
    """
    complaint = complaint_about(str(path))
    if complaint:
        raise UserError(f"{what or path}: {complaint}")
    return pathlib.Path(path)


def complaint_about(path: str) -> str:
    """Returns why a string cannot be a path on this machine, or ""."""
    scheme = _SCHEME.match(path)
    if scheme:
        return (
            f"{scheme[0]} is not supported. Mount or copy what is there, and "
            "give a path on this machine."
        )
    if "\0" in path:
        return "no path has a null character."
    return ""
