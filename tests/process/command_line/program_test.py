"""A program of ours: flags in, a sentence and an exit status out."""

import os
import subprocess
import sys
import textwrap

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized
from helpers.processes.user_environment import user_environment

from kerasrnn.command_line import program_flags
from kerasrnn.errors import UserError

# A program of ours, in small.
TOY = '''\
"""Counts to a number.

    toy --workdir=here

It stops there.
"""

import gc
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
    flags.DEFINE_integer("units", 1, "Width.", flag_values=flag_values)


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
        case "memory":
            bytearray(2**62)
        case "arrays":
            import numpy

            numpy.zeros(2**50)
        case "tensors":
            import tensorflow as tf

            tf.zeros(2**50)
        case "interrupt":
            raise KeyboardInterrupt
        case "lines":
            for number in range(100_000):
                print("line", number)
        case "keras":
            import keras

            print("sklearn" in sys.modules, keras.wrappers.SKLearnClassifier)
            print(gc.isenabled(), gc.get_freeze_count() > 100_000)
            from sklearn.base import BaseEstimator

            return BaseEstimator is None
        case "pipe":
            reader, writer = os.pipe()
            os.close(reader)
            os.write(writer, b"x")
        case "status":
            return 7
    print(argv[1:], flags.FLAGS.data, os.environ["TF_CPP_MIN_LOG_LEVEL"])


def run():
    program.run(main, define_flags, passes_on=True)


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
            env=user_environment() | (environment or {}),
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

    def test_keras_is_imported_quickly(
        self,
    ):
        result = self.run_toy("--workdir=x", "--fault=keras")
        scikit_learn, collection = result.stdout.splitlines()
        self.assertEqual(scikit_learn, "False None", result.stderr)
        # What was imported is not looked through for garbage.
        self.assertEqual(collection, "True True")
        # A program of its own may still import it.
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_broken_connection_is_not_taken_for_a_reader_that_left(self):
        result = self.run_toy("--workdir=x", "--fault=pipe")
        self.assertEqual(result.returncode, 1)
        self.assertIn("BrokenPipeError", result.stderr)

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

    @parameterized.parameters("memory", "arrays", "tensors")
    def test_too_little_memory_shows_no_traceback(self, fault):
        result = self.run_toy("--workdir=x", f"--fault={fault}")
        self.assertRegex(
            result.stderr,
            r"\Aerror: There is not enough memory: [^\n]*[^.\n]\. "
            r"Lower --units\.\n\Z",
        )
        self.assertEqual((result.stdout, result.returncode), ("", 1))

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
            env=user_environment(),
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
              --units=INTEGER  (default: 1)
                  Width.
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


if __name__ == "__main__":
    absltest.main()
