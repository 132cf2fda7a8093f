"""Bazel itself reads `BUILD`, and finds every label in it.

Needs Debian's bazel-bootstrap (or another Bazel that knows WORKSPACE), and no
network: rules_python and the wheels are stand-ins.
"""

import os
import shutil
import subprocess
import unittest
from pathlib import Path

from absl.testing import absltest
from helpers.sources import source_names
from helpers.sources import source_tree
from helpers.sources.repository import ROOT

RULES = ("py_binary", "py_library", "py_test")


def write(path, text=""):
    """Writes a file and the folders around it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@unittest.skipUnless(shutil.which("bazel"), "there is no bazel")
@unittest.skipIf("TEST_SRCDIR" in os.environ, "Bazel runs this test")
class BazelTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.home = Path(self.create_tempdir().full_path)
        rules = self.home / "rules_python"
        write(rules / "WORKSPACE")
        write(rules / "python" / "BUILD")
        for rule in RULES:
            write(
                rules / "python" / f"{rule}.bzl",
                f"def {rule}(**kwargs):\n    native.{rule}(**kwargs)\n",
            )
        wheels = self.home / "pypi"
        write(wheels / "WORKSPACE")
        for wheel in source_names.WHEELS.values():
            write(
                wheels / wheel / "BUILD",
                f'py_library(name = "{wheel}", '
                'visibility = ["//visibility:public"])\n',
            )
        main = self.home / "main"
        write(main / "WORKSPACE")
        for entry in ROOT.resolve().iterdir():
            if not entry.name.startswith((".", "bazel-")):
                (main / entry.name).symlink_to(entry)

    def query(self, expression):
        """Returns the labels that Bazel answers with."""
        overrides = [
            f"--override_repository={name}={self.home / name}"
            for name in ("rules_python", "pypi")
        ]
        result = subprocess.run(
            [
                "bazel",
                "--batch",
                f"--output_user_root={self.home / 'out'}",
                "query",
                "--noimplicit_deps",
                "--nohost_deps",
                "--noshow_progress",
                *overrides,
                expression,
            ],
            cwd=self.home / "main",
            capture_output=True,
            text=True,
            env={**os.environ, "HOME": str(self.home)},
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.split()

    def tearDown(self):
        # Bazel makes its own folders read-only.
        subprocess.run(["chmod", "-R", "u+w", str(self.home)], check=True)
        super().tearDown()

    def test_every_label_is_found(self):
        labels = self.query(
            "//:all + labels(srcs, //:all) + labels(data, //:all)"
            " + labels(deps, //:all)"
        )
        rules = {
            f"//:{name}"
            for name, rule in source_tree.read_build().items()
            if rule["kind"] not in ("programs", "tests")
        }
        self.assertContainsSubset(rules, labels)
        # A label that leads nowhere is listed like any other.
        main = self.home / "main"
        made = {*rules, "//:sources"}
        for folder in ("examples", "tests"):
            for path in (ROOT / folder).rglob("*.py"):
                made.add(f"//:{path.relative_to(ROOT).with_suffix('')}")
        nowhere = [
            label
            for label in sorted({*labels} - made)
            if label.startswith("//:")
            and not (main / label.removeprefix("//:")).exists()
        ]
        self.assertEqual(nowhere, [])
        self.assertIn("@pypi//numpy:numpy", labels)
        self.assertIn("//:examples/dates", labels)
        self.assertIn("//:tests/repository/bazel_test", labels)
        self.assertIn("//:kerasrnn/command_line/presets/charrnn.flags", labels)


if __name__ == "__main__":
    absltest.main()
