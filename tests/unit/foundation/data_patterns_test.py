"""Tests of --data: patterns as they are kept, whatever the directory's name."""

import contextlib
import os
import pathlib
from unittest import mock

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.command_line.config_flags import define_config_flags
from kerasrnn.command_line.config_flags import given_fields
from kerasrnn.config import DataConfig
from kerasrnn.text import sources


class DataPatternsTest(parameterized.TestCase):
    def found(self, pattern):
        """Returns the files' names, as found from another directory."""
        flag_values = flags.FlagValues()
        define_config_flags(flag_values)
        flag_values(["train", f"--data={pattern}"])
        kept = given_fields(flag_values, DataConfig)["data"]
        with contextlib.chdir("/"):
            return [path.name for path in sources.resolve(kept)]

    @parameterized.parameters("plain", "[2024] logs", "a*b", "what?", "[", "a]")
    def test_where_the_directory_has_such_a_name(self, name):
        directory = pathlib.Path(self.create_tempdir().full_path, name)
        (directory / "x" / "[y]").mkdir(parents=True)
        for path in ("a.txt", "x/b.txt", "x/[y]/c.txt", "[1].txt"):
            (directory / path).write_text("text")
        home = mock.patch.dict(os.environ, HOME=str(directory))
        with home, contextlib.chdir(directory):
            for pattern, expected in (
                ("*.txt", ["[1].txt", "a.txt"]),
                ("x/*.txt", ["b.txt"]),
                ("./x/../?.txt", ["a.txt"]),
                ("x/[[]y]/*.txt", ["c.txt"]),
                ("[1].txt", ["[1].txt"]),
                ("a.txt", ["a.txt"]),
                ("~/x/*.txt", ["b.txt"]),
                ("~/**/c.*", ["c.txt"]),
            ):
                self.assertEqual(self.found(pattern), expected, pattern)
            with contextlib.chdir("x"):
                self.assertEqual(self.found("../a.*"), ["a.txt"])


if __name__ == "__main__":
    absltest.main()
