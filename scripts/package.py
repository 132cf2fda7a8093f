"""Builds the wheel and the source distribution, checks them and tries them.

    make package

Both are left in dist/. The wheel is built from the source distribution, so
that a file which the latter lacks is missed here and not by whoever builds
from it. Then it is installed, with the dependencies that it declares, into an
environment of its own, from where its programs are run.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

DIST = Path("dist")

# What whoever has the source distribution alone needs to build and test.
_IN_SOURCE = (
    ".dockerignore",
    "BUILD",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "MODULE.bazel",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "benchmarks/shared/alternation.py",
    "docs/client.md",
    "examples/shared.py",
    "kerasrnn/contract/signatures.py",
    "kerasrnn/config.py",
    "pyproject.toml",
    "requirements_lock.txt",
    "scripts/environment.py",
    "serving/docker/compose.yaml",
    "serving/kerasrnn_serving/client/_client.py",
    "tests/conftest.py",
)

# These need nothing but what the wheel requires without extras.
_LIGHT_PROGRAMS = ("kerasrnn-query",)


def main() -> int:
    """Builds, checks and tries; returns the exit status."""
    shutil.rmtree(DIST, ignore_errors=True)
    _run(sys.executable, "-m", "build", f"--outdir={DIST}")
    wheel, source = _only("*.whl"), _only("*.tar.gz")
    _run(sys.executable, "-m", "twine", "check", "--strict", wheel, source)
    _check_source(source)
    _check_wheel(wheel)
    _try(wheel)
    print(f"{wheel} and {source} are in order.")
    return 0


def _only(pattern):
    (path,) = DIST.glob(pattern)
    return path


def _check_source(path):
    with tarfile.open(path) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    if missing := sorted(set(_IN_SOURCE) - names):
        sys.exit(f"error: {path} lacks {', '.join(missing)}.")


def _check_wheel(path):
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
    packages = {"kerasrnn", "kerasrnn_export", "kerasrnn_serving"}
    tops = {name.partition("/")[0] for name in names}
    information = {top for top in tops if top.endswith(".dist-info")}
    if tops - information != packages or len(information) != 1:
        sys.exit(f"error: {path} holds {sorted(tops)}, not {sorted(packages)}.")


def _try(wheel):
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        programs = Path(folder) / "bin"
        _run(programs / "pip", "install", "--quiet", wheel.absolute())
        for name in _LIGHT_PROGRAMS:
            _run(programs / name, "--version", cwd=folder)
        code = "from kerasrnn_serving.client import Client"
        _run(programs / "python", "-c", code, cwd=folder)


def _run(*command, cwd=None):
    words = [str(word) for word in command]
    print("+", *words, flush=True)
    # Nothing of this checkout is to be imported where it is not meant.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    status = subprocess.run(words, cwd=cwd, env=environment).returncode
    if status:
        sys.exit(f"error: {words[0]} ended with status {status}.")


if __name__ == "__main__":
    sys.exit(main())
