"""A lock that one process at a time holds on a file, until it closes it.

The system releases it when the process ends, however it ends.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator

from kerasrnn.errors import UserError


def open_lock(path: str | os.PathLike) -> int:
    """Opens a lock file, and makes it if it does not exist.

    Its contents stay. It is never opened through a symbolic link: a user who
    may create one there could choose which file is written to.

    Returns:
        A descriptor, to be closed by the caller.

    Raises:
        UserError: The path is a symbolic link.
        OSError: It cannot be opened for another reason.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise UserError(
            f"{path} is a symbolic link; expected a file of its own, as a "
            "lock. Remove the link, or give another directory."
        ) from None


def try_lock(descriptor: int, path: str | os.PathLike) -> bool:
    """Locks an open file unless another process has; returns whether it did.

    Args:
        descriptor: Of `open_lock`.
        path: What it was opened by, for the message.

    Raises:
        UserError: The file system has no locks.
    """
    try:
        _lock(descriptor, path, fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def held_lock(path: str | os.PathLike) -> Iterator[None]:
    """Holds a lock during the block, once no other process does.

    It waits for as long as that takes. The file stays.

    Args:
        path: Of the lock file, see `open_lock`.

    Raises:
        UserError: The path is a symbolic link, or the file system has no
            locks.
        OSError: It cannot be opened for another reason.
    """
    descriptor = open_lock(path)
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor, path, options=0):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | options)
    except BlockingIOError:
        raise
    except OSError as error:
        raise UserError(
            f"Cannot lock {path}: {error.strerror}. Locks keep two processes "
            "from writing to one directory at a time; give a directory on a "
            "file system that has them (flock), such as a local disk."
        ) from None
