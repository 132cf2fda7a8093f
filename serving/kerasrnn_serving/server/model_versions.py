"""The versions of one model: found, loaded, swapped and unloaded.

The newest numbered directory is served. A version that is replaced keeps
answering the calls it has; one that does not load leaves the old one in
place. This is TensorFlow Serving's availability-preserving policy for one
version at a time. Unlike there, another model under the number that is served
is loaded, too: a directory that is deleted and exported to again begins with
1 again. It knows neither TensorFlow nor gRPC's transport.
"""

import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from typing import NamedTuple
from typing import Protocol

import grpc
from absl import logging

from kerasrnn.contract import api
from kerasrnn.contract.versions import find_versions
from kerasrnn_serving.server.rpc import StatusError

# Path, size and time of change of each file and directory of a version.
_Fingerprint = tuple[tuple[str, int, int], ...]


class Closable(Protocol):
    """What a loader returns."""

    def close(self) -> None:
        """Frees it; called once no call uses it."""


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """What GetModelStatus says of a version.

    Attributes:
        version: Its number.
        state: `api.START` to `api.END`.
        code: 0, or the gRPC code of the error that ended it.
        message: That error's.
    """

    version: int
    state: int
    code: int = 0
    message: str = ""


class InUse(NamedTuple):
    """A version that a call uses.

    Attributes:
        version: Its number.
        servable: What its loader returned.
    """

    version: int
    servable: Any


class _Loaded:
    """A version in service, with its count of running calls."""

    def __init__(
        self, version: int, servable: Closable, fingerprint: _Fingerprint
    ):
        self.version = version
        self.servable = servable
        self.fingerprint = fingerprint
        self.users = 0


class ModelVersions:
    """Serves the newest version under a directory.

    Args:
        name: The model's name, for messages.
        directory: Holds the versions, as directories named by numbers.
        load: `load(version_directory) -> servable`; raises StatusError.
    """

    def __init__(
        self, name: str, directory: Path, load: Callable[[Path], Closable]
    ):
        self.name = name
        self._directory = Path(directory)
        self._load = load
        self._lock = threading.Lock()
        self._current: _Loaded | None = None
        self._retired: list[_Loaded] = []
        self._statuses: dict[int, VersionStatus] = {}
        self._failed: dict[int, _Fingerprint] = {}
        # What the last look found in place of what is served.
        self._replacement: _Fingerprint | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def poll(self) -> None:
        """Looks once: loads a new version, closes old ones without calls."""
        self._close_idle()
        found = self._to_load()
        if found is None:
            return
        version, path, fingerprint = found
        self._set_status(VersionStatus(version, api.LOADING))
        try:
            servable = self._load(path)
        except StatusError as error:
            self._fail(version, fingerprint, error.code, error.message)
            return
        except Exception as error:
            # A fault of ours, or a machine without memory.
            logging.exception("Loading version %d failed.", version)
            code = grpc.StatusCode.INTERNAL
            self._fail(version, fingerprint, code, repr(error))
            return
        self._swap(_Loaded(version, servable, fingerprint))
        self._close_idle()

    def _to_load(self):
        """Returns number, path and fingerprint of what to load, or None."""
        versions = find_versions(self._directory)
        if not versions:
            return None
        version = max(versions)
        fingerprint = _fingerprint(versions[version])
        with self._lock:
            current = self._current
        if current is not None and current.version == version:
            if not self._is_replaced(current, fingerprint):
                return None
        # A version that failed is tried again once its files have changed.
        if self._failed.get(version) == fingerprint:
            return None
        return version, versions[version], fingerprint

    def _is_replaced(self, current, fingerprint):
        """Returns whether other files are in the place of those loaded.

        Files are deleted, and maybe copied there, one by one. So they count
        once two looks have found the same.
        """
        last, self._replacement = self._replacement, fingerprint
        # What is loaded stays when its files go.
        gone = not fingerprint
        is_other = not gone and fingerprint != current.fingerprint
        return is_other and fingerprint == last

    def _fail(self, version, fingerprint, code, message):
        self._failed[version] = fingerprint
        self._set_status(
            VersionStatus(version, api.END, code.value[0], message)
        )
        nothing = self.version is None
        logging.error(
            "Version %d of %s does not load, %s: %s",
            version,
            self.name,
            "nothing is served" if nothing else "the old one stays",
            message,
        )

    def _swap(self, loaded):
        with self._lock:
            old, self._current = self._current, loaded
            if old is not None:
                self._retired.append(old)
                status = VersionStatus(old.version, api.UNLOADING)
                self._statuses[old.version] = status
            status = VersionStatus(loaded.version, api.AVAILABLE)
            self._statuses[loaded.version] = status
        if old is not None:
            # Of the first one its server says more.
            logging.info("Serving version %d of %s.", loaded.version, self.name)

    def _close_idle(self):
        with self._lock:
            idle = [entry for entry in self._retired if not entry.users]
            self._retired = [entry for entry in self._retired if entry.users]
        for entry in idle:
            entry.servable.close()
            self._set_status(VersionStatus(entry.version, api.END))
            logging.info("Unloaded version %d.", entry.version)

    def _set_status(self, status):
        with self._lock:
            current = self._current
            # It is in service, whatever is said of another of its number.
            if current is None or current.version != status.version:
                self._statuses[status.version] = status

    @contextlib.contextmanager
    def use(self, version: int | None = None) -> Iterator[InUse]:
        """Yields a version for one call, and holds it meanwhile.

        Args:
            version: The version wanted; None is the newest.

        Raises:
            StatusError: NOT_FOUND, it is not in service.
        """
        with self._lock:
            entry = self._current
            if entry is None or version not in (None, entry.version):
                raise not_found(self.name, version)
            entry.users += 1
        try:
            yield InUse(entry.version, entry.servable)
        finally:
            with self._lock:
                entry.users -= 1

    @property
    def version(self) -> int | None:
        """The version in service; None before one has loaded."""
        with self._lock:
            return self._current.version if self._current else None

    def statuses(self) -> list[VersionStatus]:
        """Returns the status of every version seen, the newest first."""
        with self._lock:
            statuses = self._statuses.values()
            return sorted(statuses, key=lambda status: -status.version)

    def start_polling(self, seconds: float = 1.0) -> None:
        """Polls in a thread of its own until `stop`."""

        def work():
            told = None
            while not self._stop.wait(seconds):
                try:
                    self.poll()
                    told = None
                except Exception as error:
                    # Such as a volume that is away for a moment. What is
                    # loaded stays, and nothing ends the search for versions;
                    # the same error is logged once, not each second.
                    if repr(error) != told:
                        logging.exception(
                            "Looking for versions of %s failed; trying again.",
                            self.name,
                        )
                    told = repr(error)

        self._thread = threading.Thread(target=work, name="poll", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends polling and closes everything; no call may be running."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            entries = [*self._retired, *filter(None, [self._current])]
            self._retired, self._current = [], None
        for entry in entries:
            entry.servable.close()


def not_found(name: str, version: int | None) -> StatusError:
    """Returns the server's answer for a model or version not in service."""
    wanted = f"Latest({name})"
    if version is not None:
        wanted = f"Specific({name}, {version})"
    return StatusError(
        grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}"
    )


def _fingerprint(directory):
    """Returns what changes with the files; () where there are none."""
    found = []
    for parent, directories, names in os.walk(directory, onerror=_unless_gone):
        for name in (*directories, *names):
            path = os.path.join(parent, name)
            # Others delete and write there meanwhile.
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(path)
                found.append((path, status.st_size, status.st_mtime_ns))
    return tuple(sorted(found))


def _unless_gone(error):
    if not isinstance(error, FileNotFoundError):
        raise error
