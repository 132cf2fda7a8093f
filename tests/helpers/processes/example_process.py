"""Runs an example as a reader does: by its command, in a folder of its own."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

from helpers.sources.repository import ROOT


@dataclasses.dataclass(frozen=True)
class Finished:
    """An example that has run.

    Attributes:
        printed: All that it printed.
        folder: Where it ran, and wrote its files.
    """

    printed: str
    folder: Path

    def percentage(self, pattern: str = "held out: ") -> float:
        """Returns the percentage that is printed after `pattern`."""
        match = re.search(pattern + r"([\d.]+)%", self.printed)
        if match is None:
            raise AssertionError(f"No {pattern!r} in:\n{self.printed}")
        return float(match[1])


def run_example(path: str, folder: str, *arguments: str) -> Finished:
    """Runs an example to its end.

    Args:
        path: Of its file, as "examples/digit_class.py".
        folder: Where it runs.
        *arguments: Flags.

    Raises:
        AssertionError: It fails.
    """
    paths = [ROOT, *map(Path, sys.path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    # Of the tests (conftest.py): a reader has not set it.
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    result = subprocess.run(
        [sys.executable, str(ROOT / path), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
    )
    if result.returncode:
        raise AssertionError(f"{path} failed:\n{result.stdout}{result.stderr}")
    return Finished(result.stdout, Path(folder))
