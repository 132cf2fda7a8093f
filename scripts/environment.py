"""Makes a virtual environment with this checkout installed in it.

    python3.11 scripts/environment.py FOLDER REQUIREMENT...

It needs nothing but Python. A requirement that starts with a dot is this
checkout, which is installed so that edits take effect at once. What pip says
goes to FOLDER/install.log; of it, one line is shown every few seconds.
"""

import os
import queue
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path

# Seconds between two words about what pip is doing.
INTERVAL = 3.0
_TELLING = ("Collecting", "Downloading", "Building", "Installing")


def main(folder: str, *requirements: str) -> int:
    """Makes the environment; returns the exit status."""
    directory = Path(folder)
    python = directory / "bin" / "python"
    if not _works(python):
        print(f"Making the Python environment {directory}.", flush=True)
        venv.create(directory, with_pip=True, clear=directory.exists())
    print(
        f"Installing Python packages into {directory}. TensorFlow is large: "
        "the first time takes a few minutes.",
        flush=True,
    )
    command = [python, "-m", "pip", "install", "--progress-bar=off"]
    for requirement in requirements:
        if requirement.startswith("."):
            command.append("--editable")
        command.append(requirement)
    log = directory / "install.log"
    if _run(command, log) == 0:
        print(f"Installed; {log} has the details.", flush=True)
        return 0
    lines = log.read_text(errors="replace").splitlines()
    print(*lines[-20:], sep="\n", file=sys.stderr)
    print(
        f"error: pip could not install the packages; {log} has all that it "
        "said. Is the network there, and 3 GB of disk? Run make again to "
        "try again.",
        file=sys.stderr,
    )
    return 1


def _works(python):
    """Whether `python` is of the version that runs this, and has pip."""
    if not python.exists():
        return False
    version = "{}.{}".format(*sys.version_info)
    check = f"import pip, sys; sys.exit(sys.version[:4] != {version!r})"
    command = [python, "-c", check]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


def _run(command, log):
    """Runs pip; shows its newest telling line every `INTERVAL` seconds."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    lines = queue.SimpleQueue()

    def read():
        with open(log, "w") as file:
            for line in process.stdout:
                file.write(line)
                if line.lstrip().startswith(_TELLING):
                    lines.put(line)

    reader = threading.Thread(target=read)
    reader.start()
    start = time.monotonic()
    words = "Starting pip"
    while reader.is_alive():
        reader.join(INTERVAL)
        while not lines.empty():
            words = lines.get().strip()
            if words.startswith("Installing collected"):
                words = f"Installing {words.count(',') + 1} packages"
        if reader.is_alive():
            seconds = round(time.monotonic() - start)
            print(f"  {seconds:4d} s  {words[:68]}", flush=True)
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
