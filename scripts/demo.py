"""The whole path on one machine: text, model, export, server, generated text.

    .venv/bin/python scripts/demo.py

Trains for two minutes on the source code of Python's own standard library,
publishes the model, serves it, and has it write code. All of it is kept in
demo/, so a second run finds its work done; `rm -r demo` starts anew.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
WORKDIR = Path("demo/workdir")
MODELS = Path("demo/models")
MINUTES = 2.0
# Seconds that a server may take to say where it listens.
PATIENCE = 120

NEXT = """
That was the whole path. With a text of your own (some 100 kB or more):

    {bin}/kerasrnn-train --data=your_text.txt --workdir=your_model
    {bin}/kerasrnn-export --workdir=your_model --export_dir=your_export
    {bin}/kerasrnn-sample --workdir=your_model --prompt="Once upon"

And in a browser, at http://127.0.0.1:8080, with

    {bin}/kerasrnn-serve --export_dir={models} --server=local --page

Each of them has --help; README.md continues from here."""


def main() -> int:
    """Runs the demonstration; returns the exit status."""
    os.chdir(Path(__file__).resolve().parent.parent)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start = time.monotonic()
    try:
        say(1, f"Train a character model, {MINUTES:g} minutes at most")
        call(
            "kerasrnn-train",
            f"--workdir={WORKDIR}",
            f"--minutes={MINUTES:g}",
        )
        say(2, "Publish it as a SavedModel that carries its state")
        if is_published():
            print(f"{newest(MODELS)} is up to date.", flush=True)
        else:
            call(
                "kerasrnn-export",
                f"--workdir={WORKDIR}",
                f"--export_dir={MODELS}",
            )
        say(3, "Serve it over gRPC, on this machine")
        with server() as address:
            say(4, "Have the server write Python, streamed as it is written")
            call(
                "kerasrnn-query",
                f"--server={address}",
                "--prompt=def main(",
                "--length=600",
                "--temperature=0.7",
                "--seed=1",
            )
            print("\nStopping the server.", flush=True)
    except subprocess.CalledProcessError as error:
        program = Path(error.cmd[0]).name
        print(
            f"error: {program} failed (status {error.returncode}); what it "
            "says is above.",
            file=sys.stderr,
        )
        return error.returncode if error.returncode > 0 else 1
    except KeyboardInterrupt:
        print(
            "\nStopped. `make demo` resumes here.",
            file=sys.stderr,
        )
        return 130
    print(NEXT.format(bin=os.path.relpath(PROGRAMS), models=MODELS))
    print(f"\nThe demo took {time.monotonic() - start:.0f} seconds.")
    return 0


def say(number: int, words: str) -> None:
    """Announces a part of the demonstration."""
    print(f"\n[{number}/4] {words}.", flush=True)


def command_line(program: str, *arguments: str) -> list[str]:
    """Returns the command, after it has been shown."""
    print(f"$ {shlex.join([program, *arguments])}", flush=True)
    return [str(PROGRAMS / program), *arguments]


def call(program: str, *arguments: str) -> None:
    """Runs a program of ours to its end.

    Ctrl-C reaches it as well; it is given the time to save.

    Raises:
        CalledProcessError: It failed.
        KeyboardInterrupt: It was stopped by Ctrl-C.
    """
    command = command_line(program, *arguments)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        status = process.wait()
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit):
            process.terminate()
        with contextlib.suppress(KeyboardInterrupt):
            process.wait()
        raise
    if status in (130, -signal.SIGINT):
        raise KeyboardInterrupt
    if status:
        raise subprocess.CalledProcessError(status, command)


def newest(directory: Path) -> Path | None:
    """Returns the numbered directory with the highest number."""
    if not directory.is_dir():
        return None
    numbered = [path for path in directory.iterdir() if path.name.isdigit()]
    return max(numbered, key=lambda path: int(path.name), default=None)


def is_published() -> bool:
    """Whether the newest version was made after the best checkpoint."""
    version, best = newest(MODELS), newest(WORKDIR / "best")
    if version is None or best is None:
        return False
    return version.stat().st_mtime >= best.stat().st_mtime


@contextlib.contextmanager
def server():
    """Starts the local server; yields its address; always stops it.

    Raises:
        CalledProcessError: It ended before it listened.
    """
    command = command_line(
        "kerasrnn-serve",
        f"--export_dir={MODELS}",
        "--server=local",
        "--port=0",
    )
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        # The alarm ends a wait for a server that never says anything.
        signal.signal(signal.SIGALRM, lambda *_: process.kill())
        signal.alarm(PATIENCE)
        for line in process.stdout:
            print(line, end="", flush=True)
            if match := re.search(r" at (\S+:\d+)", line):
                break
        else:
            raise subprocess.CalledProcessError(process.wait() or 1, command)
        signal.alarm(0)
        yield match[1]
    finally:
        signal.alarm(0)
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
