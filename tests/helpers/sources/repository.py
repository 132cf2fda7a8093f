"""Where the repository is."""

from pathlib import Path

# Not resolved: under Bazel this file is a link, and the rest lies around it.
ROOT = Path(__file__).absolute().parents[3]

# The folders that its packages are imported from.
PACKAGE_FOLDERS = (ROOT, ROOT / "export", ROOT / "serving")
