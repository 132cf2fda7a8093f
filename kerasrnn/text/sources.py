"""Which files the text is in, and their characters block by block."""

import codecs
import glob
import io
import os
import pathlib
import stat
import sysconfig
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from kerasrnn.errors import CollectedErrors
from kerasrnn.errors import UserError
from kerasrnn.foundation.paths import StrPath
from kerasrnn.foundation.paths import local_path
from kerasrnn.text.recognition import not_utf8
from kerasrnn.text.vocabulary import code_points_of_text

# A block and its copies as code points and indices stay in the processor's
# cache; larger ones are no faster and cost memory.
BLOCK_BYTES = 2**18

# Tests and tables would teach a model the wrong Python, and bundled
# packages depend on who installed it.
_NOT_STANDARD_LIBRARY = frozenset(
    {
        "__pycache__",
        "dist-packages",
        "encodings",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "site-packages",
        "test",
        "tests",
        "turtledemo",
    }
)


def resolve(patterns: Sequence[str]) -> list[pathlib.Path]:
    """Returns the files that paths and glob patterns name.

    They keep the order of the patterns; the matches of one pattern are
    sorted. `**` stands for any number of directories. A file that is named
    twice, be it by a symbolic link, is there once, where it came first.

    Args:
        patterns: Paths and patterns; none stands for the source code of
            Python's standard library on this machine.

    Raises:
        UserError: A path does not exist, is a directory, is empty or cannot
            be read, or a pattern matches no file; up to ten are named.
    """
    if not patterns:
        return _standard_library()
    files: dict[str, pathlib.Path] = {}
    errors = CollectedErrors("files and patterns")
    for pattern in patterns:
        with errors.collected():
            local_path(pattern)
            for path in _matches(os.path.expanduser(pattern)):
                files.setdefault(os.path.realpath(path), pathlib.Path(path))
    errors.raise_if_any()
    return list(files.values())


def check_file(path: StrPath) -> None:
    """Checks that text can be read from a path.

    Raises:
        UserError: It does not exist, is no regular file, or is empty.
    """
    if _checked_size(path) == 0:
        raise empty_file(path)


def empty_file(path: StrPath) -> UserError:
    """Returns what to tell about a file without a character."""
    return UserError(f"{path} is empty; give a file with text in it.")


def _matches(pattern: str) -> list[str]:
    # An existing file with a bracket in its name is that file.
    if os.path.lexists(pattern) or not glob.has_magic(pattern):
        check_file(pattern)
        return [pattern]
    matches = sorted(glob.glob(pattern, recursive=True))
    matches = [path for path in matches if not os.path.isdir(path)]
    if not matches:
        raise UserError(
            f"No file matches the pattern {pattern!r}; check its directory "
            "and spelling ('**/' stands for any number of directories)."
        )
    errors = CollectedErrors(f"files that match {pattern!r}")
    for path in matches:
        with errors.collected():
            _checked_size(path)
    errors.raise_if_any()
    return matches


def _checked_size(path: StrPath) -> int:
    try:
        status = os.stat(local_path(path))
    except FileNotFoundError:
        raise UserError(
            f"There is no file {path}; give the path of a text file."
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    if stat.S_ISDIR(status.st_mode):
        raise UserError(
            f"{path} is a directory; name the files in it, for example by the "
            f"pattern '{os.path.join(path, '**', '*.txt')}'."
        )
    if not stat.S_ISREG(status.st_mode):
        raise UserError(
            f"{path} is not a regular file; text is read twice, so write it "
            "to a file first."
        )
    return status.st_size


def _unreadable(path: StrPath, error: OSError) -> UserError:
    return UserError(
        f"{path} cannot be read ({error.strerror}); make it readable or give "
        "another file."
    )


def standard_library_root() -> pathlib.Path:
    """Returns where Python's standard library is on this machine."""
    return pathlib.Path(sysconfig.get_path("stdlib"))


def _standard_library() -> list[pathlib.Path]:
    root = standard_library_root()
    files: list[pathlib.Path] = []
    for directory, subdirectories, names in os.walk(root):
        subdirectories[:] = set(subdirectories) - _NOT_STANDARD_LIBRARY
        # _sysconfigdata says how this one Python was compiled.
        files += [
            pathlib.Path(directory, name)
            for name in names
            if name.endswith(".py") and not name.startswith("_sysconfigdata")
        ]
    if not files:
        raise UserError(
            "The source code of Python's standard library is not on this "
            f"machine (looked in {root}); name a text file by --data."
        )
    return sorted(files, key=lambda path: path.relative_to(root).as_posix())


def read_blocks(
    path: StrPath,
    kind: str,
    block_bytes: int = BLOCK_BYTES,
    *,
    kind_is_fixed: bool = False,
    normalize_newlines: bool = False,
) -> Iterator[tuple[np.ndarray, int]]:
    """Yields a file's characters, a bounded number at a time.

    Args:
        path: A file.
        kind: "characters" reads UTF-8; "bytes" reads anything.
        block_bytes: Bytes read at a time; no result depends on it.
        kind_is_fixed: Whether a model reads this kind and no other; what is
            not UTF-8 is then not advised to be read as bytes.
        normalize_newlines: Whether a carriage return, with the newline that
            follows it or without, is read as a newline, and a byte order
            mark at the start is left out.

    Yields:
        Code points, uint32 [n], or byte values, uint8 [n], and the number of
        bytes that were read for them.

    Raises:
        UserError: The file cannot be read, or is not UTF-8 where it must be.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            start = _text_start(file) if normalize_newlines else 0
            file.seek(start)
            decode = _Decoder(kind, normalize_newlines, start)
            while block := file.read(block_bytes):
                yield decode(block), len(block)
            yield decode(b"", final=True), start
    except _NotUtf8Error as error:
        message = not_utf8(path, *error.args, may_be_bytes=not kind_is_fixed)
        raise UserError(message) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _text_start(file: io.FileIO) -> int:
    """Returns where the text begins: behind a byte order mark."""
    mark = codecs.BOM_UTF8
    return len(mark) if file.read(len(mark)) == mark else 0


class _NotUtf8Error(Exception):
    """Has the offset of the first byte that is not UTF-8, and the reason."""


class _Decoder:
    """Turns a file's blocks, one after another, into numbers.

    Args:
        kind: "characters" or "bytes".
        normalize_newlines: See `read_blocks`.
        offset: Of the first block in the file.
    """

    def __init__(self, kind: str, normalize_newlines: bool, offset: int):
        self._is_bytes = kind == "bytes"
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._newlines: io.IncrementalNewlineDecoder | None = None
        if normalize_newlines:
            self._newlines = io.IncrementalNewlineDecoder(None, translate=True)
        self._offset = offset

    def __call__(self, block: bytes, final: bool = False) -> np.ndarray:
        """Returns code points, uint32 [n], or byte values, uint8 [n]."""
        if self._is_bytes:
            if self._newlines is None:
                return np.frombuffer(block, np.uint8)
            # Latin-1 has a character for each byte, and changes none.
            text = self._newlines.decode(block.decode("latin-1"), final)
            return np.frombuffer(text.encode("latin-1"), np.uint8)
        text = self._decoded(block, final)
        if self._newlines is not None:
            text = self._newlines.decode(text, final)
        return code_points_of_text(text)

    def _decoded(self, block: bytes, final: bool) -> str:
        waiting = len(self._utf8.getstate()[0])
        try:
            text = self._utf8.decode(block, final)
        except UnicodeDecodeError as error:
            offset = self._offset - waiting + error.start
            raise _NotUtf8Error(offset, error.reason) from None
        self._offset += len(block)
        return text
