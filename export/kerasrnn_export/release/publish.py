"""Publishing a directory as the next version, whole or not at all.

A server polls the export directory and loads whatever appears there under a
number. So a version is prepared under a name that is no number, made
readable, written through to the disk and then renamed, which a reader sees
as one step. Whatever a killed export left behind is swept by the next one.
"""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kerasrnn.contract.versions import LARGEST_VERSION
from kerasrnn.contract.versions import taken_numbers
from kerasrnn.errors import UserError
from kerasrnn.foundation.locks import open_lock
from kerasrnn.foundation.locks import try_lock
from kerasrnn.foundation.paths import local_path

_PREFIX = ".tmp-"
_LOCK = ".lock"


@contextlib.contextmanager
def preparation(export_dir: str | os.PathLike) -> Iterator[Path]:
    """Gives a new directory in `export_dir` to prepare a version in.

    It is on the file system that it will be published on, and is removed
    again unless it was published. What exports that were killed left behind
    is removed first.

    Args:
        export_dir: Made where it does not exist, with the directories that
            it is in, so that everybody may read them; those that are there
            keep their permissions.

    Raises:
        UserError: It cannot be written to, or another export into it is
            running; also where the block raises an OSError of the system's.
    """
    export_dir = local_path(export_dir)
    with _explained(export_dir):
        _make_directory(export_dir)
        with _locked(export_dir):
            for leftover in export_dir.glob(f"{_PREFIX}*"):
                # What this module has made there is a directory.
                if leftover.is_dir() and not leftover.is_symlink():
                    shutil.rmtree(leftover)
            directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=export_dir))
            try:
                yield directory
            finally:
                shutil.rmtree(directory, ignore_errors=True)


def publish(
    prepared_directory: str | os.PathLike,
    export_dir: str | os.PathLike | None = None,
) -> Path:
    """Renames a prepared directory to the next version of `export_dir`.

    The version is one more than the highest there, 1 if there is none. Any
    number of processes may publish at a time.

    Args:
        prepared_directory: On the same file system; it is gone afterwards.
        export_dir: The directory that the server polls; None is the one
            that the prepared directory is in, see `preparation`.

    Returns:
        The version's directory.

    Raises:
        UserError: The export directory cannot be written to, or is on
            another file system. Also where the version was published, but
            perhaps not for good: it could not be synced.
    """
    prepared_directory = Path(prepared_directory)
    export_dir = local_path(export_dir or prepared_directory.parent)
    with _explained(export_dir):
        if not any(prepared_directory.iterdir()):
            raise UserError(
                f"{prepared_directory} is empty: there is nothing to publish."
            )
        _make_readable(prepared_directory)
        _sync(prepared_directory)
        while True:
            target = export_dir / str(_next_version(export_dir))
            try:
                prepared_directory.rename(target)
            except OSError as error:
                # Another process published this version meanwhile.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            else:
                _sync_name(target)
                return target


def _next_version(export_dir):
    version = max(taken_numbers(export_dir), default=0) + 1
    if version > LARGEST_VERSION:
        raise UserError(
            f"{export_dir} has the highest version there can be, "
            f"{LARGEST_VERSION}; export into another directory."
        )
    return version


def _make_directory(path):
    """Makes a directory and what it is in, for everybody to read."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        directory.chmod(stat.S_IMODE(directory.stat().st_mode) | 0o755)


@contextlib.contextmanager
def _locked(export_dir):
    """Holds the one lock of preparations; a killed process lets go of it."""
    lock = open_lock(export_dir / _LOCK)
    try:
        if not try_lock(lock, export_dir / _LOCK):
            raise UserError(
                f"Another export into {export_dir} is running; wait until it "
                "has ended, or give another --export_dir."
            )
        yield
    finally:
        os.close(lock)


def _make_readable(directory):
    """Lets everybody read: the server may run as another user."""
    for path in _contents(directory):
        mode = path.stat().st_mode
        path.chmod(
            stat.S_IMODE(mode) | (0o755 if stat.S_ISDIR(mode) else 0o644)
        )


def _sync(directory):
    """Writes all files and directories through to the disk."""
    for path in _contents(directory):
        _sync_one(path)


def _contents(directory):
    """Returns what is in a directory, and at last the directory itself.

    Links are left out: what they lead to is not the export's own.
    """
    paths = [*directory.rglob("*"), directory]
    return [path for path in paths if not path.is_symlink()]


def _sync_name(target):
    """Writes the name of a published version through to the disk."""
    try:
        _sync_one(target.parent)
    except OSError as error:
        raise UserError(
            f"{target} was published, but its name could not be written "
            f"through to the disk ({error.strerror}); if the machine stops "
            "now, the version may be lost. Put the disk right, and see with "
            f"`kerasrnn-export --describe={target}` whether the version is "
            "there; if it is, do not export again."
        ) from None


def _sync_one(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(export_dir):
    """Turns what the file system refuses into a `UserError`."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise UserError(
            f"Cannot export into {export_dir}: "
            f"{_explanation(error.errno, error)} Nothing was published."
        ) from None


def _explanation(number, error):
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"it is not writable ({error.strerror}: {error.filename}); give "
            "an --export_dir that is."
        )
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"the disk is full ({error.strerror}); make room, or give "
            "another --export_dir."
        )
    if number in (errno.ENOTDIR, errno.EEXIST, errno.ENOENT):
        return (
            f"it is not a directory and cannot be made one ({error.strerror}:"
            f" {error.filename}); give another --export_dir."
        )
    if number == errno.EXDEV:
        return (
            f"what was prepared is on another file system ({error.strerror})."
        )
    place = f": {error.filename}" if error.filename else ""
    return (
        f"the system refused it ({error.strerror}{place}); put that right, or "
        "give another --export_dir."
    )
