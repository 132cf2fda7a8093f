"""Phrases of messages: numbers with their nouns, commands to be copied."""

import json
import os
import pathlib
import re
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized
from helpers.models.best_model import TEXT
from helpers.models.best_model import make_model
from helpers.processes import program_runner
from helpers.processes.program_runner import STARTED_TENSORFLOW
from helpers.sources import source_tree

from kerasrnn.config import TrainingConfig
from kerasrnn.foundation.phrases import command
from kerasrnn.foundation.phrases import counted
from kerasrnn.text.marks import Marks
from kerasrnn.training.records import announcement
from kerasrnn.training.step.schedule import Limits
from kerasrnn.training.step.schedule import Plan

# Directories as people name them, and as nobody should.
NAMES = ("my model", "it's", 'a "b" c', "$HOME", "a;b", "./~", "-x", "é*?")

# Tells its arguments, as a shell has passed them.
_TELLER = f"""#!{sys.executable}
import json, sys
print(json.dumps(sys.argv[1:]))
"""


class CountedTest(absltest.TestCase):
    def test_counted(self):
        self.assertEqual(counted(0, "step"), "0 steps")
        self.assertEqual(counted(1, "step"), "1 step")
        self.assertEqual(counted(1234, "step"), "1,234 steps")
        self.assertEqual(counted(2, "box", "boxes"), "2 boxes")

    def test_messages_of_one(self):
        plan = Plan(
            TrainingConfig(epochs=1, patience=1), 10, Limits(minutes=1), True
        )
        sentences = [
            *Marks(1, 1, 1, 1).sentences(),
            plan.reason_to_end(10, 0, 0),
            plan.reason_to_end(5, 60, 0),
            plan.reason_to_end(5, 0, 1),
        ]
        self.assertLen(sentences, 5)
        for sentence in sentences:
            self.assertNotRegex(sentence, r"\b1 (?!is )([a-z]+ )?[a-z]+s\b")

    def test_messages_of_programs_of_one(self):
        directory = pathlib.Path(self.create_tempdir().full_path)
        (directory / "text.txt").write_text("ab")
        for arguments in (
            ("--data=text.txt",),
            ("--data=text.txt", "--split=interleaved", "--split_streams=9"),
            ("--data=text.txt", "--min_count=9"),
        ):
            result = program_runner.run(
                "kerasrnn-train", *arguments, cwd=directory
            )
            self.assertEqual(result.status, 1, result)
            self.assertNotRegex(result.errors, r"\b1 [a-z]+s\b")

    def test_no_message_counts_in_a_way_of_its_own(self):
        """A number with a plural beside it goes through `counted`."""
        own = re.compile(r"""'s' if|"s" if|else 's'|else "s\"""")
        for module in source_tree.read_modules().values():
            if module.path.startswith(("kerasrnn", "export", "serving")):
                text = (source_tree.ROOT / module.path).read_text()
                self.assertNotRegex(text, own, module.path)
                if module.name != "kerasrnn.foundation.phrases":
                    self.assertNotIn("shlex", text, module.path)


class CommandTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.create_tempdir().full_path)
        self.path = self.directory / "bin"
        self.path.mkdir()
        for name in program_runner.PROGRAMS:
            (self.path / name).write_text(_TELLER)
            (self.path / name).chmod(0o755)

    def run_printed(self, line):
        """Runs a printed line by a shell; returns what the program does."""
        told = subprocess.run(
            ["sh", "-c", line],
            stdout=subprocess.PIPE,
            check=True,
            cwd=self.directory,
            env={**os.environ, "PATH": f"{self.path}:{os.environ['PATH']}"},
        )
        return program_runner.run(
            line.split()[0], *json.loads(told.stdout), cwd=self.directory
        )

    @parameterized.parameters(*NAMES)
    def test_a_shell_reads_the_arguments(self, name):
        line = command("kerasrnn-train", f"--workdir={name}", name)
        told = subprocess.run(
            ["sh", "-c", line],
            stdout=subprocess.PIPE,
            check=True,
            env={**os.environ, "PATH": f"{self.path}:{os.environ['PATH']}"},
        )
        self.assertEqual(json.loads(told.stdout), [f"--workdir={name}", name])

    @parameterized.parameters(*NAMES)
    def test_a_model_that_is_not_there(self, name):
        (self.directory / "text.txt").write_text(TEXT)
        for made in (False, True):
            if made:
                (self.directory / name).mkdir()
            result = program_runner.run(
                "kerasrnn-sample", f"--workdir={name}", cwd=self.directory
            )
            (line,) = re.findall("`(kerasrnn-train .*)`", result.errors)
            result = self.run_printed(f"{line} --data=text.txt --batch_size=2")
            self.assertEqual(result.status, STARTED_TENSORFLOW, result)
            corpus = self.directory / name / "corpus" / "corpus.json"
            self.assertTrue(corpus.exists())
            subprocess.run(["rm", "-r", self.directory / name], check=True)

    @parameterized.parameters(*NAMES)
    def test_a_model_that_would_be_lost(self, name):
        (self.directory / name).mkdir()
        make_model(self.directory / name, TEXT)
        (self.directory / "text.txt").write_text(TEXT)
        arguments = (f"--workdir={name}", "--data=text.txt", "--batch_size=2")
        result = program_runner.run(
            "kerasrnn-train", *arguments, cwd=self.directory
        )
        (flag,) = re.findall("give (.*--init_from=.*) and", result.errors)
        result = self.run_printed(
            f"kerasrnn-train {flag} --workdir=other --data=text.txt "
            "--batch_size=2"
        )
        self.assertEqual(result.status, STARTED_TENSORFLOW, result)

    @parameterized.parameters(*NAMES)
    def test_a_training_of_a_similar_name(self, name):
        name = f"{name} of a long name"
        path = self.directory / name
        (path / "checkpoints" / "7").mkdir(parents=True)
        text = announcement.of_standard_library(f"{path}r")
        line = text.splitlines()[-1].strip()
        result = self.run_printed(line)
        self.assertEqual(result.status, 1)
        # It is the directory meant, whose checkpoint is none.
        self.assertIn("None of the checkpoints in", result.errors)
        self.assertIn(str(pathlib.Path(name)), result.errors)


if __name__ == "__main__":
    absltest.main()
