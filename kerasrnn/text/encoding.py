"""Characters of files to ids in a file, a block at a time."""

import contextlib
import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import BinaryIO

import numpy as np

from kerasrnn.config import DataConfig
from kerasrnn.errors import CollectedErrors
from kerasrnn.errors import UserError
from kerasrnn.foundation.paths import StrPath
from kerasrnn.text.marks import Marks
from kerasrnn.text.marks import MarksCounter
from kerasrnn.text.sources import BLOCK_BYTES
from kerasrnn.text.sources import check_file
from kerasrnn.text.sources import empty_file
from kerasrnn.text.sources import read_blocks
from kerasrnn.text.vocabulary import NUM_CODE_POINTS
from kerasrnn.text.vocabulary import UNKNOWN_ID
from kerasrnn.text.vocabulary import Vocabulary

# Called with bytes done, bytes in all and "counting" or "encoding".
Progress = Callable[[int, int, str], None]

# Little-endian, so that a corpus may be shared between machines.
ID_DTYPES = ("<u1", "<u2", "<i4")
# Of a corpus.
FORMAT_VERSION = 1


def reporter(
    progress: Progress | None, files: Sequence[pathlib.Path], what: str
) -> Callable[[int], None]:
    """Returns a function of the bytes of a block that calls `progress`."""
    total = sum(path.stat().st_size for path in files)
    done = 0

    def report(num_bytes: int) -> None:
        nonlocal done
        done += num_bytes
        if progress is not None:
            progress(done, total, what)

    return report


def fingerprint_of(config: DataConfig, files: Sequence[pathlib.Path]) -> str:
    """Returns a hash of all that the ids follow from, but a vocabulary."""
    parts: list[Any] = [FORMAT_VERSION, config.vocabulary, config.min_count]
    if config.document_separator:
        parts.append(config.document_separator)
    # Appended where it is set, so that earlier corpora keep their hash.
    if config.normalize_newlines:
        parts.append("normalize_newlines")
    for path in files:
        try:
            status = path.stat()
        except OSError:
            parts.append([str(path), "gone"])
            continue
        parts.append(
            [os.path.realpath(path), status.st_size, status.st_mtime_ns]
        )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def count_characters(
    files: Sequence[pathlib.Path],
    kind: str,
    report: Callable[[int], None],
    normalize_newlines: bool = False,
) -> tuple[np.ndarray, Marks]:
    """Returns the occurrences of each code point or byte value, int64.

    Beside them the marks of a text of characters, see `Marks`.

    Args:
        files: What to read.
        kind: "characters" or "bytes".
        report: Called after each block with its number of bytes.
        normalize_newlines: See `kerasrnn.text.sources.read_blocks`.

    Raises:
        UserError: Files cannot be read as `kind`, or all are empty.
    """
    counts = np.zeros(256 if kind == "bytes" else NUM_CODE_POINTS, np.int64)
    marks = MarksCounter()
    errors = CollectedErrors("files")
    for path in files:
        marks.begin_file()
        with errors.collected():
            for code_points, num_bytes in read_blocks(
                path, kind, normalize_newlines=normalize_newlines
            ):
                block = np.bincount(code_points)
                counts[: len(block)] += block
                if kind == "characters":
                    marks.count(code_points, block)
                report(num_bytes)
    errors.raise_if_any()
    if not counts.any():
        raise UserError("The text is empty: all files that match are empty.")
    return counts, marks.marks()


def write_ids(
    file: BinaryIO,
    files: Sequence[pathlib.Path],
    vocabulary: Vocabulary,
    report: Callable[[int], None],
    separator_id: int = 0,
    normalize_newlines: bool = False,
) -> tuple[int, int, str]:
    """Writes the ids of all files' characters, as `dtype_for` says.

    Args:
        file: Where to.
        files: What to read, one after the other.
        vocabulary: Gives the ids.
        report: Called after each block with its number of bytes.
        separator_id: Written after a file that ends with another character,
            if one follows; 0 writes nothing.
        normalize_newlines: See `kerasrnn.text.sources.read_blocks`.

    Returns:
        The number of characters, how many are unknown, and the SHA-256 of
        what was written.

    Raises:
        UserError: Files cannot be read as the vocabulary's kind.
        OSError: `file` cannot be written.
    """
    dtype = dtype_for(vocabulary)
    digest = hashlib.sha256()
    num_characters = num_unknown = 0
    last = separator_id

    def write(ids: np.ndarray) -> None:
        nonlocal num_characters, num_unknown, last
        file.write(ids.data)
        digest.update(ids.data)
        num_characters += len(ids)
        num_unknown += int(np.count_nonzero(ids == UNKNOWN_ID))
        last = ids[-1] if len(ids) else last

    errors = CollectedErrors("files")
    for path in files:
        if last != separator_id and separator_id:
            write(np.array([separator_id], dtype))
        with errors.collected():
            for code_points, num_bytes in read_blocks(
                path,
                vocabulary.kind,
                kind_is_fixed=True,
                normalize_newlines=normalize_newlines,
            ):
                write(vocabulary.encode_code_points(code_points).astype(dtype))
                report(num_bytes)
    errors.raise_if_any()
    return num_characters, num_unknown, digest.hexdigest()


def encode_file(
    path: StrPath,
    vocabulary: Vocabulary,
    normalize_newlines: bool = False,
) -> np.ndarray:
    """Returns the ids of a file that belongs to no corpus, [length].

    They are mapped from a temporary file: memory does not grow with it.

    Args:
        path: The file.
        vocabulary: Gives the ids.
        normalize_newlines: See `kerasrnn.text.sources.read_blocks`.

    Raises:
        UserError: The file cannot be used.
    """
    check_file(path)
    try:
        with tempfile.TemporaryFile() as file:
            length, *_ = write_ids(
                file,
                [pathlib.Path(path)],
                vocabulary,
                lambda num_bytes: None,
                normalize_newlines=normalize_newlines,
            )
            if not length:
                raise empty_file(path)
            file.flush()
            return np.memmap(file, dtype_for(vocabulary), "r")
    except OSError as error:
        raise unwritable(tempfile.gettempdir(), error) from None


def dtype_for(vocabulary: Vocabulary) -> str:
    """Returns the smallest of `ID_DTYPES` that holds all ids."""
    if len(vocabulary) <= 2**8:
        return "<u1"
    return "<u2" if len(vocabulary) <= 2**16 else "<i4"


def count_unknown(ids: np.ndarray, ranges: Sequence[tuple[int, int]]) -> int:
    """Returns how many characters of a text are unknown.

    Args:
        ids: Integers [length], held in memory or mapped.
        ranges: (start, stop) of the parts to look at.
    """
    return sum(
        int(np.count_nonzero(ids[a : min(a + BLOCK_BYTES, stop)] == UNKNOWN_ID))
        for start, stop in ranges
        for a in range(start, stop, BLOCK_BYTES)
    )


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


def unwritable(directory: StrPath, error: OSError) -> UserError:
    """Returns what to tell where a text's ids cannot be written."""
    return UserError(
        f"The text cannot be encoded into {directory} ({error}); give a "
        "directory that can be written, with space for the text."
    )
