"""The version directories under an export directory.

Publishing and serving both read them here, by TensorFlow Serving's rule: a
version is a directory whose name is a number that an int64 holds.
"""

import os
from pathlib import Path

from kerasrnn.foundation.paths import local_path

# Servers read versions as int64.
LARGEST_VERSION = 2**63 - 1
# Longer names are no numbers of 64 bits, but for zeros in front of them.
_LONGEST_NAME = 30


def find_versions(export_dir: str | os.PathLike[str]) -> dict[int, Path]:
    """Returns the version directories by number, rising.

    Of two that spell the same number, as 7 and 007, it is the shorter. A
    directory that is missing has none.

    Raises:
        OSError: The directory cannot be read.
    """
    return {
        number: path
        for number, path in taken_numbers(export_dir).items()
        if path.is_dir()
    }


def taken_numbers(export_dir: str | os.PathLike[str]) -> dict[int, Path]:
    """Returns what has a version's number for a name, directory or not."""
    try:
        entries = sorted(local_path(export_dir).iterdir(), key=_longest_first)
    except FileNotFoundError:
        return {}
    found = {
        int(entry.name): entry for entry in entries if _is_version(entry.name)
    }
    return dict(sorted(found.items()))


def _longest_first(path: Path) -> tuple[int, str]:
    return -len(path.name), path.name


def _is_version(name: str) -> bool:
    return (
        name.isascii()
        and name.isdigit()
        and len(name) <= _LONGEST_NAME
        and int(name) <= LARGEST_VERSION
    )
