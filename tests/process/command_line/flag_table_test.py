"""Every flag of every program, with values from outside and from its edges."""

import importlib
import os
import pathlib
import typing

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized
from helpers.full_counts import FULL
from helpers.processes import program_runner
from helpers.processes.flags_of_programs import flags_of
from helpers.processes.program_runner import PROGRAMS
from helpers.processes.program_runner import STARTED_TENSORFLOW

from kerasrnn.command_line import program_flags
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.errors import UserError
from kerasrnn.foundation.constraints import Range
from kerasrnn.foundation.constraints import constraints
from kerasrnn.training.step.schedule import Limits

SCHEMES = ("gs://bucket/x", "s3://b", "HTTPS://a.b/c.txt", "file:///tmp/x")
SMALL = ("--units=4", "--num_layers=1", "--batch_size=2", "--sequence_length=4")


def allowed_range(flag):
    """Returns the range of a flag for a number, else None."""
    return getattr(flag.parser, "allowed", None)


def wrong_values(flag):
    """Returns values that a flag refuses."""
    if flag.boolean:
        return ["maybe", ""]
    if isinstance(flag.parser, flags.EnumParser):
        return ["nonsense", ""]
    if isinstance(flag.parser, flags.FloatParser | flags.IntegerParser):
        allowed = allowed_range(flag)
        return [
            *("", "many", "nan", "inf", "-inf", "1e400", "9" * 5000),
            f"{allowed.low - 1}",
            f"{allowed.high * 2}",
            *([f"{allowed.low}"] if allowed.above_low else []),
            *([f"{allowed.high}"] if allowed.below_high else []),
        ]
    if flag.parser.flag_type() == "path":
        return [*SCHEMES]
    return []


def edge_values(flag):
    """Returns values at the edges of what a flag takes."""
    allowed = allowed_range(flag)
    if allowed is None:
        return []
    low = allowed.low if not allowed.above_low else allowed.high * 1e-300
    high = allowed.high if not allowed.below_high else allowed.high - 1e-16
    return [low, high] if FULL else [high]


class PathsTest(parameterized.TestCase):
    @parameterized.parameters(*PROGRAMS)
    def test_a_tilde_is_the_home_directory(self, name):
        importlib.import_module(PROGRAMS[name])
        paths = [
            flag
            for flag in flags_of(name).values()
            if flag.parser.flag_type() == "path"
        ]
        self.assertNotEmpty(paths)
        for flag in paths:
            for given in ("~", "~/model", "./~", "a/~", "~nobody-of-that-name"):
                self.assertEqual(
                    flag.parser.parse(given), os.path.expanduser(given)
                )


class WrongValuesTest(parameterized.TestCase):
    @parameterized.parameters(*PROGRAMS)
    def test_a_wrong_value_is_refused_in_a_sentence(self, name):
        module = importlib.import_module(PROGRAMS[name])
        count = 0
        for flag in flags_of(name).values():
            for value in wrong_values(flag):
                values = flags.FlagValues()
                module.define_flags(values)
                own = program_flags.own_flags(values, set())
                argument = f"--{flag.name}={value}"
                with self.subTest(argument[:60]):
                    with self.assertRaises(UserError) as caught:
                        program_flags.parse_flags([name, argument], values, own)
                    self.assertStartsWith(
                        str(caught.exception), f"--{flag.name}"
                    )
                    self.assertNotIn("\n", str(caught.exception))
                    count += 1
        self.assertGreater(count, 10)

    @parameterized.parameters(*PROGRAMS)
    def test_every_number_has_a_range_and_every_default_is_in_it(self, name):
        for flag in flags_of(name).values():
            if isinstance(flag.parser, flags.FloatParser | flags.IntegerParser):
                allowed = allowed_range(flag)
                self.assertIsInstance(allowed, Range, flag.name)
                if flag.default is not None:
                    self.assertIn(flag.default, allowed, flag.name)

    @parameterized.parameters(DataConfig, ModelConfig, TrainingConfig, Limits)
    def test_every_number_of_a_configuration_has_a_range(self, cls):
        for field, hint in typing.get_type_hints(cls).items():
            if hint in (int, float):
                self.assertIsInstance(constraints(cls)[field], Range, field)

    @parameterized.parameters(*PROGRAMS)
    def test_what_names_a_file_or_a_directory_is_a_path(self, name):
        named = {"dir", "file", "ca", "key", "certificate", "output", "data"}
        for flag in flags_of(name).values():
            words = set(flag.name.replace("dir", "_dir").split("_"))
            if words & named and not flag.boolean:
                self.assertEqual(flag.parser.flag_type(), "path", flag.name)

    def test_the_program_says_it_and_ends(self):
        result = program_runner.run(
            "kerasrnn-train", "--workdir=gs://bucket/m", cwd="/"
        )
        self.assertEqual(
            result,
            program_runner.Result(
                1,
                "",
                "error: --workdir=gs://bucket/m: gs:// is not supported. Mount "
                "or copy what is there, and give a path on this machine. See "
                "`kerasrnn-train --help`.\n",
            ),
        )


class EdgeValuesTest(parameterized.TestCase):
    """What is in range either works or is refused in a sentence."""

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.create_tempdir().full_path)
        (self.directory / "text.txt").write_text("to be or not to be\n" * 40)

    @parameterized.parameters(*PROGRAMS)
    def test_edges(self, name):
        arguments = []
        if name == "kerasrnn-train":
            arguments = ["--data=text.txt", *SMALL]
        elif name == "kerasrnn-query":
            arguments = ["--server=127.0.0.1:1", "--timeout=0.1"]
        elif name == "kerasrnn-gateway":
            arguments = ["--port=0", "--end_with_input"]
        started = 0
        for flag in flags_of(name).values():
            for value in edge_values(flag):
                argument = f"--{flag.name}={value}"
                with self.subTest(argument):
                    result = program_runner.run(
                        name, *arguments, argument, cwd=self.directory
                    )
                    if result.status == STARTED_TENSORFLOW:
                        started += 1
                        continue
                    if name == "kerasrnn-gateway" and result.status == 0:
                        self.assertIn("http://127.0.0.1:", result.errors)
                        started += 1
                        continue
                    self.assertEqual(result.status, 1, result)
                    self.assertStartsWith(result.errors, "error: ")
                    self.assertEqual(result.errors.count("\n"), 1, result)
        least = {"kerasrnn-train": 20, "kerasrnn-gateway": 10}
        self.assertGreaterEqual(started, least.get(name, 0))


if __name__ == "__main__":
    absltest.main()
