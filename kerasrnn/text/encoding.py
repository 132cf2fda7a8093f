"""Characters of files to ids in a file, a block at a time."""

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from kerasrnn.errors import UserError
from kerasrnn.text.sources import read_blocks
from kerasrnn.text.vocabulary import NUM_CODE_POINTS
from kerasrnn.text.vocabulary import UNKNOWN_ID
from kerasrnn.text.vocabulary import Vocabulary

# Called with bytes done, bytes in all and "counting" or "encoding".
Progress = Callable[[int, int, str], None]

# Little-endian, so that a corpus may be shared between machines.
ID_DTYPES = ("<u1", "<u2", "<i4")


def reporter(
    progress: Progress | None, files: Sequence[pathlib.Path], what: str
) -> Callable[[int], None]:
    """Returns a function of the bytes of a block that calls `progress`."""
    total = sum(path.stat().st_size for path in files)
    done = 0

    def report(num_bytes):
        nonlocal done
        done += num_bytes
        if progress is not None:
            progress(done, total, what)

    return report


def count_characters(
    files: Sequence[pathlib.Path], kind: str, report: Callable[[int], None]
) -> np.ndarray:
    """Returns the occurrences of each code point or byte value, int64.

    Raises:
        UserError: A file cannot be read as `kind`, or all are empty.
    """
    counts = np.zeros(256 if kind == "bytes" else NUM_CODE_POINTS, np.int64)
    for path in files:
        for code_points, num_bytes in read_blocks(path, kind):
            block = np.bincount(code_points)
            counts[: len(block)] += block
            report(num_bytes)
    if not counts.any():
        raise UserError("The text is empty: all files that match are empty.")
    return counts


def write_ids(
    file: BinaryIO,
    files: Sequence[pathlib.Path],
    vocabulary: Vocabulary,
    report: Callable[[int], None],
    separator_id: int = 0,
) -> tuple[int, int, str]:
    """Writes the ids of all files' characters, as `dtype_for` says.

    Args:
        file: Where to.
        files: What to read, one after the other.
        vocabulary: Gives the ids.
        report: Called after each block with its number of bytes.
        separator_id: Written after a file that ends with another character,
            if one follows; 0 writes nothing.

    Returns:
        The number of characters, how many are unknown, and the SHA-256 of
        what was written.

    Raises:
        UserError: A file cannot be read as the vocabulary's kind.
        OSError: `file` cannot be written.
    """
    dtype = dtype_for(vocabulary)
    digest = hashlib.sha256()
    num_characters = num_unknown = 0
    last = separator_id

    def write(ids):
        nonlocal num_characters, num_unknown, last
        file.write(ids)
        digest.update(ids)
        num_characters += len(ids)
        num_unknown += int(np.count_nonzero(ids == UNKNOWN_ID))
        last = ids[-1] if len(ids) else last

    for path in files:
        if last != separator_id and separator_id:
            write(np.array([separator_id], dtype))
        for code_points, num_bytes in read_blocks(
            path, vocabulary.kind, kind_is_fixed=True
        ):
            write(vocabulary.encode_code_points(code_points).astype(dtype))
            report(num_bytes)
    return num_characters, num_unknown, digest.hexdigest()


def dtype_for(vocabulary: Vocabulary) -> str:
    """Returns the smallest of `ID_DTYPES` that holds all ids."""
    if len(vocabulary) <= 2**8:
        return "<u1"
    return "<u2" if len(vocabulary) <= 2**16 else "<i4"


@contextlib.contextmanager
def write_aside(path: pathlib.Path) -> Iterator[BinaryIO]:
    """Yields a new file beside `path`, removed unless it is published."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
    finally:
        temporary.unlink(missing_ok=True)


def publish(file: BinaryIO, path: pathlib.Path) -> None:
    """Syncs `file` and gives it the name `path`, there as a whole or not."""
    file.flush()
    os.fsync(file.fileno())
    os.replace(file.name, path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
