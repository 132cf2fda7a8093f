"""Programs from outside: flags in, a sentence and an exit status out."""

import os
import re
import select
import subprocess
import sys
import textwrap
import tomllib

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized
from helpers.sources.repository import ROOT

from kerasrnn.command_line import program_flags
from kerasrnn.errors import UserError

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PROGRAMS = [
    (name, entry.removesuffix(":run"))
    for name, entry in PROJECT["scripts"].items()
]

# A program of ours, in small.
TOY = '''\
"""Counts to a number.

    toy --workdir=here

It stops there.
"""

import os
import sys

from absl import flags

from kerasrnn.command_line import program
from kerasrnn.errors import UserError


def define_flags(flag_values):
    flags.DEFINE_integer(
        "count", 3, "How far.", lower_bound=0, flag_values=flag_values
    )
    flags.DEFINE_enum(
        "cell", "lstm", ["lstm", "gru"], "Which.", flag_values=flag_values
    )
    flags.DEFINE_bool("greedy", False, "Or not.", flag_values=flag_values)
    flags.DEFINE_multi_string("data", [], "Text.", flag_values=flag_values)
    flags.DEFINE_string(
        "workdir", None, "Where.", required=True, flag_values=flag_values
    )
    flags.DEFINE_string("fault", "", "What.", flag_values=flag_values)


def main(argv):
    match flags.FLAGS.fault:
        case "user":
            raise UserError("The moon is full; wait a day.")
        case "tensorflow":
            sys.modules["tensorflow"] = None  # as if it were not installed
            import tensorflow
        case "other":
            import no_such_module_of_ours
        case "file":
            open("/no/such/file")
        case "bug":
            return 1 / 0
        case "interrupt":
            raise KeyboardInterrupt
        case "lines":
            for number in range(100_000):
                print("line", number)
        case "status":
            return 7
    print(argv[1:], flags.FLAGS.data, os.environ["TF_CPP_MIN_LOG_LEVEL"])


def run():
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
'''


class ToyTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = self.create_tempfile("toy.py", TOY).full_path

    def run_toy(self, *arguments, environment=None):
        return subprocess.run(
            [sys.executable, self.path, *arguments],
            capture_output=True,
            text=True,
            cwd=os.path.dirname(self.path),
            env=_environment() | (environment or {}),
        )

    def test_runs(self):
        result = self.run_toy("--workdir=x", "--data=a", "--data", "b")
        self.assertEqual(result.stdout, "[] ['a', 'b'] 3\n")
        self.assertEqual((result.stderr, result.returncode), ("", 0))

    def test_what_follows_two_dashes_is_passed_on(self):
        result = self.run_toy("--workdir=x", "--", "--data=a", "b", "--")
        self.assertEqual(result.stdout, "['--data=a', 'b', '--'] [] 3\n")

    def test_keeps_a_log_level_that_the_user_has_set(self):
        result = self.run_toy(
            "--workdir=x", environment={"TF_CPP_MIN_LOG_LEVEL": "0"}
        )
        self.assertEqual(result.stdout, "[] [] 0\n")

    def test_status_is_what_main_returns(self):
        result = self.run_toy("--workdir=x", "--fault=status")
        self.assertEqual(result.returncode, 7)

    @parameterized.parameters(
        ("--fualt=x", "There is no flag --fualt; did you mean --fault?"),
        ("--zzz=3", "There is no flag --zzz."),
        ("--count=many", "--count=many: expected a non-negative integer."),
        ("--count=-2", "--count=-2: expected a non-negative integer."),
        (
            "--cell=lstn",
            "--cell=lstn: expected one of lstm, gru; did you mean lstm?",
        ),
        ("--greedy=maybe", "--greedy=maybe: expected true or false."),
        ("--nogreedy=1", "--nogreedy=1 does not take an argument."),
        ("--count", "Missing value for flag --count."),
        ("", "--workdir is required."),
        ("text.txt", "Unexpected argument 'text.txt': every value"),
        ("--flagfile=/no/file", "Unable to open flagfile:"),
    )
    def test_a_bad_flag_is_one_sentence(self, argument, expected):
        arguments = [argument] if argument else []
        if expected.startswith("Unexpected"):
            arguments.append("--workdir=x")
        result = self.run_toy(*arguments)
        self.assertStartsWith(result.stderr, f"error: {expected}")
        self.assertEndsWith(result.stderr, " See `toy.py --help`.\n")
        self.assertEqual(result.stderr.count("\n"), 1)
        self.assertEqual((result.stdout, result.returncode), ("", 1))

    @parameterized.parameters(
        ("user", "error: The moon is full; wait a day.\n", 1),
        (
            "tensorflow",
            "error: toy.py needs TensorFlow, which is not installed here: "
            "run `pip install '.[train]'` in the clone of kerasrnn.\n",
            1,
        ),
        ("file", "error: No such file or directory: /no/such/file.\n", 1),
        ("interrupt", "", 130),
    )
    def test_a_failure_shows_no_traceback(self, fault, message, status):
        result = self.run_toy("--workdir=x", f"--fault={fault}")
        self.assertEqual(result.stderr, message)
        self.assertEqual((result.stdout, result.returncode), ("", status))

    @parameterized.parameters("bug", "other")
    def test_a_fault_of_ours_shows_its_traceback(self, fault):
        result = self.run_toy("--workdir=x", f"--fault={fault}")
        self.assertStartsWith(result.stderr, "Traceback")
        self.assertEqual(result.returncode, 1)

    def test_a_reader_that_leaves_is_no_fault(self):
        with subprocess.Popen(
            [sys.executable, self.path, "--workdir=x", "--fault=lines"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
        ) as process:
            self.assertEqual(process.stdout.readline(), b"line 0\n")
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")
        self.assertEqual(process.returncode, 141)

    @parameterized.parameters("--help", "-h", "-help", "-?", "--helpshort")
    def test_help_shows_our_flags_only(self, flag):
        result = self.run_toy(flag)
        self.assertEqual((result.stderr, result.returncode), ("", 0))
        self.assertEqual(
            result.stdout,
            textwrap.dedent("""\
            Counts to a number.

                toy --workdir=here

            It stops there.

            Usage: toy.py [--flag=value ...]

            Flags:
              --count=INTEGER  (default: 3)
                  How far.
              --cell=lstm|gru  (default: lstm)
                  Which.
              --[no]greedy  (default: false)
                  Or not.
              --data=STRING  (may be repeated)
                  Text.
              --workdir=STRING  (required)
                  Where.
              --fault=STRING
                  What.
              --flagfile=FILE
                  Reads flags from a file, one per line.
              --version
                  Prints the versions of kerasrnn and of what it runs on.
              --helpfull
                  Lists the flags of logging, debugging and profiling, too.
            """),
        )

    def test_flags_come_from_a_file_too(self):
        flagfile = self.create_tempfile("f.flags", "--data=a\n# no\n--data=b")
        result = self.run_toy(
            "--workdir=x", f"--flagfile={flagfile.full_path}", "--data=c"
        )
        self.assertEqual(result.stdout, "[] ['a', 'b', 'c'] 3\n")


class NoiseTest(absltest.TestCase):
    def test_a_child_that_outlives_the_filtered_block_is_not_waited_for(self):
        # It ends when its standard input does, which is after the program.
        code = textwrap.dedent("""
            import os, subprocess, sys
            from kerasrnn.command_line.quiet_tensorflow import filtered_stderr
            with filtered_stderr():
                os.write(2, b"before, no line")
                subprocess.Popen(
                    ["sh", "-c", "read x; echo from the child >&2"],
                    stdout=subprocess.DEVNULL,
                )
            os.write(2, b" and after\\n")
            os.write(1, b"left\\n")
            os.close(1)
        """)
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        readable, _, _ = select.select([process.stdout], [], [], 60)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdin.close)
        self.assertTrue(readable, "it waits for the child")
        self.assertEqual(process.stdout.read(), b"left\n")
        self.assertEqual(process.wait(60), 0)
        process.stdin.close()
        self.assertEqual(
            process.stderr.read(),
            b"before, no line and after\nfrom the child\n",
        )

    def test_only_noise_is_filtered(self):
        script = textwrap.dedent("""\
            import os
            from kerasrnn.command_line.quiet_tensorflow import filtered_stderr
            os.write(2, b"I0000 00:00:17.0 1 a.cc:1] before\\n")
            with filtered_stderr():
                os.write(2, b"WARNING: All log messages before "
                            b"absl::InitializeLog() is called are ...\\n")
                os.write(2, b"I0000 00:00:17.0 1 a.cc:1] oneDNN\\n")
                os.write(2, b"something that matters\\n")
                os.write(2, b"E0000 00:00:17.0 1 a.cc:1] an error\\n")
                os.write(2, b"F0000 00:00:17.0 1 a.cc:1] no AVX\\n")
                os.abort()
            """)
        result = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env=_environment(),
        )
        self.assertEqual(result.returncode, -6)
        self.assertEqual(
            result.stderr,
            "I0000 00:00:17.0 1 a.cc:1] before\n"
            "something that matters\n"
            "E0000 00:00:17.0 1 a.cc:1] an error\n"
            "F0000 00:00:17.0 1 a.cc:1] no AVX\n",
        )

    def test_a_program_of_the_users_own_is_quiet_if_it_asks_for_it(self):
        script = textwrap.dedent("""\
            from kerasrnn import tensorflow_noise
            tensorflow_noise.install()
            import keras
            from kerasrnn.layers import LSTM
            print(LSTM(2)(keras.ops.ones([1, 3, 4])).shape)
            """)
        result = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env=_environment(),
        )
        self.assertEqual(result.stderr, "")
        self.assertEqual(result.stdout, "(1, 2)\n")

    def test_so_are_its_children_and_notebooks(self):
        script = textwrap.dedent("""\
            import subprocess
            import sys
            from kerasrnn import tensorflow_noise
            tensorflow_noise.install()
            if len(sys.argv) == 1:
                subprocess.run([sys.executable, __file__, "child"], check=True)
            else:
                sys.ps1 = ""  # What TensorFlow knows a notebook by.
                from tensorflow.python.platform import tf_logging
                tf_logging.warning("a note")
            """)
        path = self.create_tempfile("starts.py", script).full_path
        result = subprocess.run(
            [sys.executable, path],
            capture_output=True,
            text=True,
            env=_environment(),
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((result.stdout, result.stderr), ("", ""))


class ParseTest(absltest.TestCase):
    def test_flags_are_parsed_into_values_of_their_own(self):
        values = flags.FlagValues()
        flags.DEFINE_float("temperature", 1.0, "Heat.", flag_values=values)
        own = program_flags.own_flags(values, set())
        remaining = program_flags.parse_flags(
            ["p", "--temperature=2"], values, own
        )
        self.assertEqual(remaining, ["p"])
        self.assertEqual(values.temperature, 2.0)
        with self.assertRaisesRegex(UserError, "temperature=hot: expected a n"):
            program_flags.parse_flags(["p", "--temperature=hot"], values, own)


class ProgramsTest(parameterized.TestCase):
    """The programs that the package installs."""

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
            env=_environment(),
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
            env=_environment(),
        )
        self.assertEqual(result.returncode, 1)
        self.assertEqual(
            result.stderr,
            "error: There is no flag --no_such_flag. "
            f"See `python -m {module} --help`.\n",
        )


def _environment():
    """Returns variables with which a child finds what is tested here."""
    ours = [str(ROOT / folder) for folder in (".", "export", "serving")]
    path = os.pathsep.join([*ours, *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path}
    # The tests' own setting is not what a user has.
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return environment


if __name__ == "__main__":
    absltest.main()
