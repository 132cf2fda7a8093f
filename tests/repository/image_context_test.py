"""What the gateway's image is built from: the package, and no secret."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import yaml
from absl.testing import absltest
from helpers.sources.docker_daemon import sent_to_build
from helpers.sources.repository import ROOT

_DOCKER = ROOT / "serving" / "docker"
_DOCKERFILE = "serving/docker/gateway.Dockerfile"
_PACKAGES = ("kerasrnn", "export/kerasrnn_export", "serving/kerasrnn_serving")
_OTHER_FILES = ("LICENSE", "README.md", "pyproject.toml")

# What the documented commands, and those who give them, leave in a clone.
_LEFT_THERE = (
    ".env",
    ".git/config",
    ".keys.json.lock",
    ".venv/lib/python3.11/site-packages/kerasrnn.pth",
    ".venv-docs/.installed",
    "demo/model/config.json",
    "dist/kerasrnn.whl",
    "export/1/saved_model.pb",
    "export/keys.json",
    "input.txt",
    "kerasrnn/__pycache__/config.cpython-311.pyc",
    "kerasrnn/text/__pycache__/corpus.cpython-311.pyc",
    "keys.json",
    "my_export/3/variables/variables.data-00000-of-00001",
    "my_model/best/900/weights.npz",
    "my_model/corpus/manifest.json",
    "server.key",
    "server.pem",
    "serving/docker/keys.json",
    "serving/server.key",
    "ssl.config",
    "texts/README.md",
    "texts/kerasrnn/private.txt",
)


def _names(folder, below="."):
    return {
        path.relative_to(folder).as_posix()
        for path in (folder / below).rglob("*")
        if path.is_file()
    }


def _package_files(folder):
    return {
        name
        for package in _PACKAGES
        for name in _names(folder, package)
        if "__pycache__" not in name
    }


def _has_docker():
    if shutil.which("docker") is None:
        return False
    # Another program may go by this name.
    run = subprocess.run(["docker", "--version"], capture_output=True)
    return run.stdout.startswith(b"Docker version")


def _admitted(folder):
    """Returns the files that `.dockerignore` leaves, by Docker's rules.

    The last pattern that fits a path, or a folder that it is in, decides.
    """
    rules = []
    for line in (folder / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            rules.append((_expression(line.removeprefix("!")), line[0] == "!"))
    names = set()
    for name in _names(folder):
        around = [name, *map(str, Path(name).parents)]
        fitting = [
            keeps
            for expression, keeps in rules
            if any(map(expression.fullmatch, around))
        ]
        if not fitting or fitting[-1]:
            names.add(name)
    return names


def _expression(pattern):
    """Returns the regular expression of a pattern without brackets."""
    meanings = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.strip("/"))
    return re.compile(
        "".join(meanings.get(part) or re.escape(part) for part in parts)
    )


class ContextTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.clone = Path(self.create_tempdir().full_path)
        for name in (".dockerignore", *_OTHER_FILES):
            shutil.copy(ROOT / name, self.clone)
        for name in ("export", "kerasrnn", "serving"):
            shutil.copytree(
                ROOT / name,
                self.clone / name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        for name in _LEFT_THERE:
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("secret")
        self.wanted = _package_files(self.clone) | set(_OTHER_FILES)

    def test_the_package_alone_is_admitted(self):
        self.assertContainsSubset(_LEFT_THERE, _names(self.clone))
        self.assertEqual(_admitted(self.clone), self.wanted)

    def test_docker_s_client_sends_the_package_alone(self):
        if not _has_docker():
            self.skipTest("needs Docker's client (not its daemon)")
        # These two the client always sends, and the daemon drops them again.
        self.assertEqual(
            sent_to_build(self.clone / _DOCKERFILE, self.clone),
            self.wanted | {".dockerignore", _DOCKERFILE},
        )

    def test_the_wheel_is_built_from_what_is_admitted(self):
        source, wheels = self.clone / "source", self.clone / "wheels"
        for name in _admitted(self.clone):
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.clone / name, path)
        (command,) = re.findall(
            "(?m)^RUN pip (wheel .*)$", (ROOT / _DOCKERFILE).read_text()
        )
        for before, after in (("/source", source), ("/wheels", wheels)):
            self.assertIn(before, command)
            command = command.replace(before, str(after))
        # hatchling is part of the test extra, so this needs no network.
        run = subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check"]
            + [*command.split(), "--no-build-isolation"],
            capture_output=True,
            text=True,
        )
        self.assertEqual(run.returncode, 0, run.stderr)
        (wheel,) = wheels.iterdir()
        names = zipfile.ZipFile(wheel).namelist()
        self.assertEqual(
            {name for name in names if ".dist-info/" not in name},
            {
                name.removeprefix("export/").removeprefix("serving/")
                for name in _package_files(ROOT)
            },
        )


class DockerfileTest(absltest.TestCase):
    def test_the_image_has_nothing_of_the_clone_but_the_wheel(self):
        last = (ROOT / _DOCKERFILE).read_text().rpartition("\nFROM ")[2]
        self.assertEqual(
            re.findall("(?m)^(?:COPY|ADD|RUN --mount).*", last),
            ["COPY --from=build /wheels /wheels"],
        )

    def test_compose_builds_from_the_same_folder(self):
        compose = yaml.safe_load((_DOCKER / "compose.yaml").read_text())
        build = compose["services"]["gateway"]["build"]
        context = (_DOCKER / build["context"]).resolve()
        self.assertEqual(context, ROOT.resolve())
        self.assertEqual(build["dockerfile"], _DOCKERFILE)


if __name__ == "__main__":
    absltest.main()
