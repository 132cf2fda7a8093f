"""Many short runs of the programs: forks of one process that has them.

A fork takes milliseconds where a start takes a third of a second. What runs
in it is the program, with arguments, streams and environment of its own.
To import TensorFlow ends it: then nothing was refused before.
"""

import atexit
import dataclasses
import functools
import importlib
import importlib.machinery
import json
import os
import signal
import subprocess
import sys
import tempfile

from helpers.sources.repository import program_environment

PROGRAMS = {
    "kerasrnn-train": "kerasrnn.train",
    "kerasrnn-evaluate": "kerasrnn.evaluate",
    "kerasrnn-sample": "kerasrnn.sample",
    "kerasrnn-export": "kerasrnn_export.program",
    "kerasrnn-serve": "kerasrnn_serving.programs.serve",
    "kerasrnn-query": "kerasrnn_serving.programs.query",
    "kerasrnn-gateway": "kerasrnn_serving.programs.gateway",
    "kerasrnn-inspect": "kerasrnn_serving.programs.inspect_units",
}
# What they import only when they need it; in the forks it is there.
_IMPORTED_LATER = (
    "kerasrnn.training.run",
    "prometheus_client",
    "starlette.applications",
    "uvicorn.protocols.http.h11_impl",
)
# What a program ends with that went as far as to start TensorFlow.
STARTED_TENSORFLOW = 99
# After which a program that does not end is ended.
_MOST_SECONDS = 120


@dataclasses.dataclass(frozen=True)
class Result:
    """What a program left.

    Attributes:
        status: Its exit status; minus the signal that ended it, which is
            SIGALRM if it did not end by itself.
        output: What it wrote to standard output.
        errors: What it wrote to standard error.
    """

    status: int
    output: str
    errors: str


def run(
    program: str,
    *arguments: str,
    cwd,
    closed: tuple[int, ...] = (),
    environment: dict[str, str] | None = None,
) -> Result:
    """Runs a program until it ends or imports TensorFlow.

    Args:
        program: Its name, of `PROGRAMS`.
        *arguments: Its command line.
        cwd: The directory to run it in.
        closed: File descriptors that it starts without.
        environment: Variables to set beside those of this process.
    """
    server = _server()
    request = [program, arguments, str(cwd), closed, environment or {}]
    server.stdin.write(json.dumps(request).encode() + b"\n")
    server.stdin.flush()
    return Result(**json.loads(server.stdout.readline()))


@functools.cache
def _server():
    """Returns the process that forks, which never has TensorFlow."""
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=program_environment(),
    )

    def close():
        process.stdin.close()
        process.stdout.close()
        process.wait()

    atexit.register(close)
    return process


def _serve():
    for name in (*PROGRAMS.values(), *_IMPORTED_LATER):
        importlib.import_module(name)
    for line in sys.stdin.buffer:
        result = _run(*json.loads(line))
        print(json.dumps(dataclasses.asdict(result)), flush=True)


def _run(program, arguments, cwd, closed, environment):
    files = [tempfile.TemporaryFile() for _ in range(2)]
    child = os.fork()
    if not child:
        module = importlib.import_module(PROGRAMS[program])
        _become(module, program, arguments, cwd, closed, environment, files)
    _, status = os.waitpid(child, 0)
    texts = []
    for file in files:
        with file:
            file.seek(0)
            texts.append(file.read().decode())
    return Result(os.waitstatus_to_exitcode(status), *texts)


def _become(module, program, arguments, cwd, closed, environment, files):
    """Runs the program in this process and ends it."""
    status = 70
    signal.alarm(_MOST_SECONDS)
    try:
        os.chdir(cwd)
        os.environ.update(environment)
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        for number, file in enumerate(files, 1):
            os.dup2(file.fileno(), number)
        for number in closed:
            os.close(number)
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            # As the interpreter finds them.
            stream = None
            if number not in closed:
                mode = "w" if number else "r"
                stream = open(number, mode, closefd=False)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        sys.argv = [program, *arguments]
        sys.modules["__main__"].__spec__ = None
        sys.meta_path.insert(0, _NoTensorFlow())
        module.run()
        status = 0
    except SystemExit as error:
        status = _status_of(error.code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None:
                    stream.flush()
            except OSError:
                status = 120
        os._exit(status)


def _status_of(code):
    return code if isinstance(code, int) else int(code is not None)


class _NoTensorFlow:
    """Ends the process where it would start TensorFlow or Keras."""

    def find_spec(self, fullname, path=None, target=None):
        """Finds them, but not what they are."""
        if fullname in ("tensorflow", "keras"):
            return importlib.machinery.ModuleSpec(fullname, self)
        return None

    def create_module(self, spec):
        """Leaves it to the interpreter."""

    def exec_module(self, module):
        """Ends the process."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(STARTED_TENSORFLOW)


if __name__ == "__main__":
    _serve()
