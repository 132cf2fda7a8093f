"""The programs that the package installs, from outside."""

import re
import subprocess
import sys
import textwrap
import tomllib

from absl.testing import absltest
from absl.testing import parameterized
from helpers.processes.user_environment import user_environment
from helpers.sources.repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PROGRAMS = [
    (name, entry.removesuffix(":run"))
    for name, entry in PROJECT["scripts"].items()
]


class ProgramsTest(parameterized.TestCase):
    @parameterized.parameters(*PROGRAMS)
    def test_help(self, name, module):
        script = textwrap.dedent(f"""\
            import sys
            from {module} import run
            sys.argv = [{name!r}, "--help"]
            try:
                run()
            finally:
                heavy = {{"keras", "tensorflow"}} & set(sys.modules)
                print("IMPORTED", *sorted(heavy))
            """)
        result = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env=user_environment(),
        )
        self.assertEqual((result.stderr, result.returncode), ("", 0))
        self.assertEndsWith(result.stdout, "\nIMPORTED\n")
        self.assertIn(f"\nUsage: {name} [", result.stdout)
        self.assertNotIn("no help available", result.stdout)
        for line in result.stdout.splitlines():
            if not re.match(r" {2,4}\S", line):  # a flag or a command
                self.assertLessEqual(len(line), 80, line)

    @parameterized.parameters(*PROGRAMS)
    def test_an_unknown_flag_is_one_sentence(self, name, module):
        del name
        result = subprocess.run(
            [sys.executable, "-m", module, "--no_such_flag=1"],
            capture_output=True,
            text=True,
            env=user_environment(),
        )
        self.assertEqual(result.returncode, 1)
        self.assertEqual(
            result.stderr,
            "error: There is no flag --no_such_flag. "
            f"See `python -m {module} --help`.\n",
        )


if __name__ == "__main__":
    absltest.main()
