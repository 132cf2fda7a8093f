"""Keeps TensorFlow from drowning what a program has to say.

While it is imported and looks for devices, TensorFlow writes notes to
standard error that `TF_CPP_MIN_LOG_LEVEL` does not govern ("All log messages
before absl::InitializeLog() is called are written to STDERR"). They go
through a filter in a process of its own, so that nothing else that is said
in this time is lost, not even if TensorFlow aborts.
"""

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import IO
from typing import cast

from kerasrnn.foundation.imports import wrap_import

# Notes, warnings, and that there is no driver where there is no GPU.
_FILTER = r"""
import os, re, sys
end = sys.argv[1].encode() + b"\n"
noise = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|[IW]\d{4} \d\d:\d\d:|E\d{4} .* failed call to cuInit: .*\(303\)"
)
for line in sys.stdin.buffer:
    ends = line.endswith(end)
    if ends:
        line = line[: -len(end)]
    if not noise.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
    if ends:
        # All that the program has to wait for is written. Processes that it
        # started may still write to this one.
        os.close(1)
"""


# Says that this module has set TF_CPP_MIN_LOG_LEVEL, which processes that a
# program starts inherit.
_INHERITED = "KERASRNN_QUIET_TENSORFLOW"


def install() -> None:
    """Keeps TensorFlow quiet while it starts and while it works.

    Does nothing if the user has set `TF_CPP_MIN_LOG_LEVEL`, since they then
    want to see what TensorFlow logs.
    """
    if "TF_CPP_MIN_LOG_LEVEL" not in os.environ or _INHERITED in os.environ:
        # What matters comes as an exception, too; what is logged as an error
        # may be as harmless as oneDNN falling back to Eigen.
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        os.environ[_INHERITED] = "1"
        wrap_import(("tensorflow",), _execute)
        # Its Python side: what it writes where, and its own deprecations.
        # In a notebook it sets its level itself, so a filter is needed, too.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        logging.getLogger("tensorflow").addFilter(_is_an_error)
        logging.getLogger("absl").addFilter(_is_not_a_note_of_tensorflow)


def _is_an_error(record):
    return record.levelno >= logging.ERROR


def _is_not_a_note_of_tensorflow(record):
    folder = f"{os.sep}site-packages{os.sep}tensorflow{os.sep}"
    return record.levelno > logging.INFO or folder not in record.pathname


def _execute(exec_module, module):
    with filtered_stderr():
        exec_module(module)
        # Looking for devices is the other half of the noise.
        module.config.list_physical_devices()


@contextlib.contextmanager
def filtered_stderr() -> Iterator[None]:
    """Sends standard error through the filter for the time of the block.

    Processes that are started in the block keep the filter: it ends when the
    last of them does, and nobody waits for that.
    """
    try:
        original = os.dup(2)
    except OSError:  # There is no standard error.
        yield
        return
    end = f"\x1fend of the filter {os.getpid()}\x1f"
    process = subprocess.Popen(
        [sys.executable, "-E", "-S", "-c", _FILTER, end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # A Ctrl-C is for the program: the filter ends when the block does.
        start_new_session=True,
    )
    stdin, stdout = cast(
        tuple[IO[bytes], IO[bytes]], (process.stdin, process.stdout)
    )
    try:
        os.dup2(stdin.fileno(), 2)
        stdin.close()
        yield
    finally:
        if sys.stderr is not None:
            sys.stderr.flush()
        with contextlib.suppress(BrokenPipeError):  # It was killed.
            os.write(2, f"{end}\n".encode())
        os.dup2(original, 2)
        os.close(original)
        stdout.read()
        stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
