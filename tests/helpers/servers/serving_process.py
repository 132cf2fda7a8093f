"""The local server in a process of its own, for tests."""

import atexit
import functools
import os
import re
import select
import tempfile
import time
from pathlib import Path

import grpc

from helpers.processes.forked_trainer import start_forked
from kerasrnn.contract import api
from kerasrnn.contract import messages

# Longer than any machine should take to import TensorFlow.
_START_SECONDS = 120
_EXIT_SECONDS = 60
_CLOSE_SECONDS = 5


class ServerProcess:
    """`kerasrnn-serve --server=local` over a directory, on a free port.

    Attributes:
        process: Its process, as `multiprocessing` has it.
        line: What it has printed: where it is.
        target: Its address.
    """

    def __init__(self, export_dir, *flags):
        self._errors = tempfile.NamedTemporaryFile()
        self.process, self._output = start_forked(
            "kerasrnn_serving.programs.serve",
            [
                "--server=local",
                f"--export_dir={export_dir}",
                "--port=0",
                *flags,
            ],
            cwd=os.getcwd(),
            errors=self._errors.name,
        )
        ready, _, _ = select.select([self._output], [], [], _START_SECONDS)
        line = self._output.readline() if ready else ""
        match = re.search(r" at ([\w.]+):(\d+) ", line)
        if match is None:
            self.process.kill()
            self.process.join()
            raise RuntimeError(f"no server: {line!r} {self.errors()}")
        self.line = line
        self.target = f"{match[1]}:{match[2]}"

    def errors(self) -> str:
        """Returns what it has written to standard error."""
        # The process writes on from where a file shared with it is read.
        file = self._errors.fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode()

    def terminate(self) -> int:
        """Sends SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Returns the exit status; kills what does not end."""
        self.process.join(_EXIT_SECONDS)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise TimeoutError(f"still running: {self.errors()}")
        self._output.close()
        return self.process.exitcode

    def close(self) -> None:
        """Ends it, if it still runs: by a signal that it may act on first."""
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(_CLOSE_SECONDS)
        if self.process.is_alive():
            self.process.kill()
        self.wait()
        self._errors.close()


@functools.cache
def shared_server() -> ServerProcess:
    """Returns a server of version 1 of the fake model, for all tests.

    Tests that publish versions or send signals start one of their own.
    """
    from helpers.servers import fake_export

    directory = tempfile.TemporaryDirectory()
    fake_export.publish(Path(directory.name), 1)
    server = ServerProcess(directory.name, fake_export.FLAG)
    atexit.register(directory.cleanup)
    atexit.register(server.close)
    return server


def wait_for_version(target: str, version: int) -> None:
    """Waits until the server has the version in service, or has failed it."""
    request = messages.GetModelStatusRequest()
    request.model_spec.name = "kerasrnn"
    end = time.monotonic() + _START_SECONDS
    with grpc.insecure_channel(target) as channel:
        call = channel.unary_unary(
            api.GET_MODEL_STATUS,
            messages.GetModelStatusRequest.SerializeToString,
            messages.GetModelStatusResponse.FromString,
        )
        while time.monotonic() < end:
            response = call(request, timeout=10)
            for entry in response.model_version_status:
                if entry.version == version and entry.state in (
                    api.AVAILABLE,
                    api.END,
                ):
                    return
            time.sleep(0.05)
    raise RuntimeError(f"version {version} did not come")
