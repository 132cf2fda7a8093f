"""Files that are complete or not there: written aside, synced, renamed."""

import codecs
import contextlib
import errno
import math
import os
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from kerasrnn.errors import UserError
from kerasrnn.foundation import dataclass_json
from kerasrnn.foundation.paths import local_path

_TEMPORARY = ".tmp-"
_REPLACED = "-replaced"


def write_file(path: os.PathLike | str, data: bytes) -> None:
    """Writes a file aside, syncs it and renames it into place."""
    path = local_path(path)
    temporary = path.with_name(f"{_TEMPORARY}{path.name}-{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_directory(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def page_target(output: os.PathLike | str) -> pathlib.Path:
    """Returns the file that `--output` names, where a page can be written.

    Raises:
        UserError: It is a directory, or is not in one that can be written.
    """
    target = pathlib.Path(output).expanduser()
    if target.is_dir():
        raise _unwritable(target, os.strerror(errno.EISDIR))
    try:
        # Only the system knows; it has more reasons than permissions.
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise _unwritable(target, error.strerror) from None
    return target


def write_page(target: pathlib.Path, data: bytes) -> None:
    """Writes a page for the user as `write_file` does.

    Raises:
        UserError: It cannot be written.
    """
    try:
        write_file(target, data)
    except OSError as error:
        raise _unwritable(target, error.strerror) from None


def _unwritable(target, reason):
    return UserError(
        f"Cannot write the page to {target}: {reason}. Name a file that can "
        "be written with --output."
    )


def sync_directory(path: os.PathLike | str) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def new_directory(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary directory that becomes `target` at the end.

    The caller must sync the files that it writes there. If `target` exists,
    it is replaced. After an exception `target` is what it was, unless the new
    one has taken its place but could not be synced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{_TEMPORARY}{target.name}-{os.getpid()}")
    replaced = target.with_name(f"{_TEMPORARY}{target.name}{_REPLACED}")
    try:
        temporary.mkdir()
        yield temporary
        sync_directory(temporary)
        if target.exists():
            shutil.rmtree(replaced, ignore_errors=True)
            target.rename(replaced)
        try:
            temporary.rename(target)
        except BaseException:
            if replaced.exists():
                replaced.rename(target)
            raise
        sync_directory(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)


def sweep(directory: os.PathLike | str) -> None:
    """Removes what a killed process left half written.

    A directory that was being replaced by another is put back if the other
    one has not taken its place.
    """
    for path in pathlib.Path(directory).glob(f"{_TEMPORARY}*{_REPLACED}"):
        name = path.name.removeprefix(_TEMPORARY).removesuffix(_REPLACED)
        if not path.with_name(name).exists():
            path.rename(path.with_name(name))
    for path in pathlib.Path(directory).glob(f"{_TEMPORARY}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def read_json(path: os.PathLike | str, limit: int = 2**20) -> Any:
    """Returns the contents of a JSON file of at most `limit` bytes.

    Raises:
        UserError: It is larger, missing or not JSON.
    """
    try:
        return dataclass_json.loads(read_text(path, limit))
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is not JSON: {error}.") from None


def read_text(
    path: os.PathLike | str, limit: int = 2**20, cut: bool = False
) -> str:
    """Returns the contents of a UTF-8 file of at most `limit` bytes.

    Args:
        path: The file's.
        limit: Bytes to read at most.
        cut: Whether the beginning of a larger one will do.

    Raises:
        UserError: It is larger, missing or not UTF-8.
    """
    path = pathlib.Path(path)
    try:
        # To open a pipe would wait, perhaps for ever.
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a plain file.")
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    is_whole = len(data) <= limit
    if not is_whole and not cut:
        raise UserError(f"{path} is larger than {limit} bytes.")
    try:
        decoder = codecs.getincrementaldecoder("utf-8")()
        return decoder.decode(data[:limit], final=is_whole)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}.") from None


def write_arrays(
    path: os.PathLike | str, arrays: dict[str, np.ndarray]
) -> None:
    """Writes arrays by name to an .npz file, uncompressed, and syncs it.

    Raises:
        ValueError: An array holds objects.
    """
    with open(path, "wb") as file:
        # Not `np.savez`: before NumPy 2.2 it cannot be told to refuse objects.
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                info = zipfile.ZipInfo(f"{name}.npy")
                with archive.open(info, "w", force_zip64=True) as member:
                    np.lib.format.write_array(
                        member,
                        np.asarray(array, order="C"),
                        version=(1, 0),
                        allow_pickle=False,
                    )
        file.flush()
        os.fsync(file.fileno())


def read_arrays(path: os.PathLike | str) -> dict[str, np.ndarray]:
    """Returns the arrays of an .npz file; nothing in it is executed.

    Raises:
        UserError: It is not such a file, holds objects instead of numbers,
            or claims to hold more than it does.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                # Uncompressed, so that no small file can fill the memory.
                if member.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(f"{member.filename} is compressed")
                name = member.filename.removesuffix(".npy")
                with archive.open(member) as file:
                    arrays[name] = _read_array(file, member.file_size)
    # Whatever zipfile and NumPy raise at bytes that are no such file, which
    # takes more kinds of exceptions than either of them lists.
    except Exception as error:
        raise UserError(f"{path} is not a file of arrays: {error!r}.") from None
    return arrays


def _read_array(file, size):
    """Reads one .npy file of `size` bytes.

    `np.load` would take the memory that the header asks for before it looks
    whether there is so much to read.
    """
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"version {version} of the .npy format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in "biuf" or fortran:
        raise ValueError(f"an array of {dtype}, not of plain numbers")
    data = file.read(size)
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError("an array that is not as large as it says")
    return np.frombuffer(data, dtype).reshape(shape)
