"""Programs with TensorFlow that start at once, as forks of a warm process.

TensorFlow takes seconds to import, and tests that kill a training a hundred
times would spend their time on that. Here a server process imports it, runs
nothing with it, and forks. What runs in the fork is the program itself, with
its own arguments, its output in a pipe, its signals and its exit status.
"""

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

from helpers.sources.repository import ROOT

_CONTEXT = multiprocessing.get_context("forkserver")
# Imported before the forks; nothing of it runs, so no thread is lost in them.
_CONTEXT.set_forkserver_preload(
    [
        "kerasrnn.train",
        "kerasrnn.text.corpus",
        "kerasrnn.training.train_and_evaluate",
        "tensorboard.summary.writer.event_file_writer",
    ]
)


class ForkedTrainer:
    """One process of kerasrnn-train.

    Args:
        arguments: The program's, without its name.
        cwd: Its working directory.
        variables: Of its environment, beside those of this process.
    """

    def __init__(self, arguments, cwd, variables=()):
        self._process, self.output = start_forked(
            "kerasrnn.train", arguments, cwd, variables
        )
        self.lines = []

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    def wait_for(self, beginning: str) -> str:
        """Reads the output up to a line that begins so, and returns it.

        Raises:
            EOFError: The process ended before.
        """
        for line in self.output:
            self.lines.append(line)
            if line.startswith(beginning):
                return line
        raise EOFError(f"no {beginning!r} in {self.text}")

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    def finish(self, timeout: float | None = None) -> int:
        """Waits for its end; returns its status, or minus its signal.

        Raises:
            TimeoutError: It still runs after so many seconds.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError(f"still running: {self.text}")
        self.lines += self.output.readlines()
        return self._process.exitcode

    def join(self, timeout: float) -> None:
        """Waits for its end for so many seconds, and reads nothing."""
        self._process.join(timeout)

    def kill(self) -> None:
        """Kills it with SIGKILL and waits until it is gone."""
        self._process.kill()
        self.finish()

    @property
    def status(self) -> int | None:
        """Its exit status, or minus the signal that ended it."""
        return self._process.exitcode

    def close(self) -> None:
        """Ends it, however far it is."""
        if self.is_alive():
            self._process.kill()
        self._process.join()
        self.output.close()

    @property
    def text(self) -> str:
        """All of its output that was read, standard error among it."""
        return "".join(self.lines)


def start_forked(module, arguments, cwd="/", variables=(), errors=""):
    """Starts a program.

    Args:
        module: Of the program, as "kerasrnn.evaluate".
        arguments: Its command line, without its name.
        cwd: Its working directory.
        variables: Of its environment, beside those of this process.
        errors: The file for its standard error; without one it is written
            where standard output is.

    Returns:
        `(process, output)`: as `multiprocessing` has it, and a text file to
        read from.
    """
    reader, writer = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(
        target=_run,
        args=(
            module, list(arguments), str(cwd), dict(variables), writer, errors
        ),
    )  # fmt: skip
    _start(process)
    writer.close()
    output = os.fdopen(os.dup(reader.fileno()), "r")
    reader.close()
    return process, output


def start_call(function, *arguments) -> multiprocessing.Process:
    """Calls a function where TensorFlow is imported, and has not run.

    Returns:
        Its process, which has started.
    """
    process = _CONTEXT.Process(target=function, args=arguments)
    _start(process)
    return process


def call_forked(function, *arguments) -> None:
    """Calls a function likewise, and waits for its end.

    Raises:
        RuntimeError: It ends with an exception, which is on standard error.
    """
    process = start_call(function, *arguments)
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{function} ended with {process.exitcode}")


def run_forked(module, *arguments, cwd="/") -> subprocess.CompletedProcess:
    """Runs a program to its end.

    Args:
        module: Of the program, as "kerasrnn.evaluate".
        *arguments: Its command line.
        cwd: Its working directory.

    Returns:
        What `subprocess.run` does, with standard output and error as texts.

    Raises:
        subprocess.CalledProcessError: It fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        process = _CONTEXT.Process(
            target=_run_into_files,
            args=(module, arguments, str(cwd), {}, folder),
        )
        _start(process)
        process.join()
        output, errors = (
            Path(folder, name).read_text("utf-8")
            for name in ("output", "errors")
        )
    if process.exitcode:
        raise subprocess.CalledProcessError(
            process.exitcode, [module, *arguments], output, errors
        )
    return subprocess.CompletedProcess(arguments, 0, output, errors)


def _start(process):
    # The server is started with the first process, and inherits this.
    folders = [str(ROOT), str(ROOT / "tests"), *filter(None, sys.path)]
    environment = {
        "PYTHONPATH": os.pathsep.join(folders),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with mock.patch.dict(os.environ, environment):
        process.start()


def _run(module, arguments, cwd, variables, writer, errors):
    os.dup2(writer.fileno(), 1)
    if errors:
        with open(errors, "ab") as file:
            os.dup2(file.fileno(), 2)
    else:
        os.dup2(writer.fileno(), 2)
    writer.close()
    _become(module, arguments, cwd, variables)


def _run_into_files(module, arguments, cwd, variables, folder):
    for number, name in enumerate(("output", "errors"), 1):
        with open(f"{folder}/{name}", "wb") as file:
            os.dup2(file.fileno(), number)
    _become(module, arguments, cwd, variables)


def _become(module, arguments, cwd, variables):
    """Runs a program in this process, with its file descriptors 1 and 2."""
    os.environ.update(variables)
    # The server's own were made for files, which Python can seek in.
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = open(2, "w", buffering=1, closefd=False)
    # Whoever runs the tests may have had nohup ignore it.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.chdir(cwd)
    sys.argv = [module, *arguments]
    importlib.import_module(module).run()
