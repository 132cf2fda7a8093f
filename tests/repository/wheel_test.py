"""The built wheel, base only, in an environment without TensorFlow.

The dependencies that the wheel declares, and theirs, are linked into the new
environment from the one that runs this test, so nothing is downloaded, and
nothing that is not declared is there.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

from absl.testing import absltest
from absl.testing import parameterized
from helpers.sources.repository import ROOT
from packaging.requirements import Requirement

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PROGRAMS = sorted(PROJECT["scripts"])

# Programs that need TensorFlow, with flags that suffice to get there.
NEED_TENSORFLOW = {
    "kerasrnn-train": ["--workdir=work"],
    "kerasrnn-evaluate": ["--workdir=work"],
    "kerasrnn-sample": ["--workdir=work"],
    "kerasrnn-export": ["--workdir=work", "--export_dir=models"],
    "kerasrnn-inspect": ["--workdir=work"],
}

EXTRA = "pip install '.[train]'"


class WheelTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        # hatchling is part of the test extra, so this needs no network.
        _run(
            *pip,
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            f"--wheel-dir={cls.directory}",
            str(ROOT.resolve()),
        )
        (cls.wheel,) = cls.directory.glob("kerasrnn-*.whl")
        environment = cls.directory / "environment"
        venv.create(environment, symlinks=True)
        cls.bin = environment / "bin"
        cls.pip = [*pip, "--python", str(cls.bin / "python")]
        (site_packages,) = environment.glob("lib/python*/site-packages")
        _run(*cls.pip, "install", "--quiet", "--no-deps", str(cls.wheel))
        for name in _requirements(PROJECT["dependencies"]):
            _link(name, site_packages)

    def setUp(self):
        super().setUp()
        self.elsewhere = self.create_tempdir().full_path

    def run_there(self, *command):
        """Runs a command of the new environment, from another directory."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        }
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            capture_output=True,
            text=True,
            cwd=self.elsewhere,
            env=environment | {"PATH": f"{self.bin}:/usr/bin:/bin"},
        )

    def run_python(self, script):
        """Returns what a Python script prints there."""
        result = self.run_there("python", "-c", textwrap.dedent(script))
        self.assertEqual((result.stderr, result.returncode), ("", 0))
        return result.stdout

    def test_wheel_holds_the_three_packages_and_nothing_else(self):
        names = zipfile.ZipFile(self.wheel).namelist()
        packages = {"kerasrnn", "kerasrnn_export", "kerasrnn_serving"}
        tops = {name.partition("/")[0] for name in names}
        self.assertEqual(tops, packages | {self.wheel.name[:14] + ".dist-info"})
        self.assertIn("kerasrnn/command_line/presets/charrnn.flags", names)
        self.assertContainsSubset({f"{p}/py.typed" for p in packages}, names)
        self.assertEqual([n for n in names if "__pycache__" in n], [])
        self.assertTrue(any(n.endswith("licenses/LICENSE") for n in names))

    def test_declared_dependencies_are_complete(self):
        _run(*self.pip, "check")
        self.assertEqual(
            self.run_python("""\
                from importlib.util import find_spec
                print(find_spec("tensorflow"), find_spec("keras"))
                """),
            "None None\n",
        )

    def test_client_works_without_tensorflow(self):
        printed = self.run_python("""\
            import kerasrnn_serving.client
            import kerasrnn.contract.signatures
            print(kerasrnn_serving.client.__file__)
            """)
        self.assertIn("/environment/lib/", printed)

    def test_text_works_without_tensorflow(self):
        printed = self.run_python("""\
            import pathlib
            import kerasrnn
            pathlib.Path("text.txt").write_text("to be or not to be\\n" * 99)
            config = kerasrnn.DataConfig(data=("text.txt",))
            corpus = kerasrnn.build_corpus(config, "corpus")
            ids = corpus.ids[:9]
            print(repr(corpus.vocabulary.decode(ids)), kerasrnn.__version__)
            """)
        version = self.wheel.name.split("-")[1]
        self.assertEqual(printed, f"'to be or ' {version}\n")

    def test_presets_are_there(self):
        printed = self.run_python("""\
            from kerasrnn.command_line import presets
            print(*presets.names())
            """)
        self.assertContainsSubset(["charrnn", "torchrnn"], printed.split())

    @parameterized.parameters(*PROGRAMS)
    def test_help(self, name):
        result = self.run_there(name, "--help")
        self.assertEqual((result.stderr, result.returncode), ("", 0))
        self.assertIn(f"Usage: {name} ", result.stdout)

    @parameterized.parameters(*NEED_TENSORFLOW)
    def test_program_says_which_extra_it_needs(self, name):
        result = self.run_there(name, *NEED_TENSORFLOW[name])
        self.assertRegex(
            result.stderr,
            f"^error: {name}( --workdir)? needs (Keras|TensorFlow), which is "
            f"not installed here: run `{re.escape(EXTRA)}` in the clone of "
            "kerasrnn\\.\n$",
        )
        self.assertEqual((result.stdout, result.returncode), ("", 1))
        self.assertEqual(os.listdir(self.elsewhere), [])

    def test_gateway_says_which_extra_it_needs(self):
        result = self.run_there("kerasrnn-gateway", "--port=0")
        self.assertRegex(
            result.stderr,
            r"^error: kerasrnn-gateway needs \w+, which is not installed here: "
            r"run `pip install '\.\[gateway\]'` in the clone of kerasrnn\.\n$",
        )
        self.assertEqual((result.stdout, result.returncode), ("", 1))

    def test_served_models_are_inspected_without_tensorflow(self):
        # Nobody serves there; all else than TensorFlow would be found out.
        result = self.run_there(
            "kerasrnn-inspect", "--server=localhost:1", "--text=a"
        )
        self.assertRegex(result.stderr, r"\nerror: .*localhost:1(.|\n)*\n$")
        self.assertNotIn("TensorFlow", result.stderr)
        self.assertEqual(result.returncode, 1)

    @parameterized.parameters(
        "import kerasrnn; kerasrnn.LSTM",
        "from kerasrnn import CharRNN",
        "from kerasrnn.layers import GRU",
        "import kerasrnn.layers.lstm",
        "import kerasrnn; kerasrnn.layers",
    )
    def test_import_says_which_extra_it_needs(self, line):
        result = self.run_there("python", "-c", line)
        self.assertRegex(
            result.stderr, f"ModuleNotFoundError: .*{re.escape(EXTRA)}"
        )


def _run(*command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{command} failed:\n{result.stdout}{result.stderr}")


def _requirements(lines):
    """Returns the names of all distributions that the requirements need."""
    waiting = [Requirement(line) for line in lines]
    names = set()
    while waiting:
        requirement = waiting.pop()
        marker = requirement.marker
        if requirement.name in names or (
            marker is not None and not marker.evaluate({"extra": ""})
        ):
            continue
        names.add(requirement.name)
        waiting += map(Requirement, metadata.requires(requirement.name) or ())
    return names


def _link(name, site_packages):
    """Links the files of an installed distribution into `site_packages`."""
    distribution = metadata.distribution(name)
    for top in {file.parts[0] for file in distribution.files}:
        if top not in ("..", "__pycache__"):
            link = site_packages / top
            if not link.exists():
                link.symlink_to(Path(distribution.locate_file(top)).resolve())


if __name__ == "__main__":
    absltest.main()
