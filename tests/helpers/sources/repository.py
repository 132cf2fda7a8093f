"""Where the repository is, and what processes need to import it."""

import os
import sys
from pathlib import Path

# Not resolved: under Bazel this file is a link, and the rest lies around it.
ROOT = Path(__file__).absolute().parents[3]

# The folders that its packages are imported from.
PACKAGE_FOLDERS = (ROOT, ROOT / "export", ROOT / "serving")


def program_environment() -> dict[str, str]:
    """Returns this process's environment, in which Python finds what it has."""
    folders = [*map(str, PACKAGE_FOLDERS), *filter(None, sys.path)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
