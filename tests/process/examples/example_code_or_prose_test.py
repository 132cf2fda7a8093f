"""The example that tells code from prose, in its short form."""

from absl.testing import absltest
from helpers.processes.example_process import run_example
from PIL import Image


class CodeOrProseTest(absltest.TestCase):
    def test_most_lines_are_told_right(self):
        example = run_example(
            "examples/code_or_prose.py",
            self.create_tempdir().full_path,
            "--epochs=2",
            "--lines=1500",
            "--units=32",
        )
        # As many lines are code as prose.
        self.assertGreaterEqual(example.percentage(), 70)
        self.assertGreaterEqual(example.percentage("passages of 5 lines: "), 60)
        with Image.open(example.folder / "code_or_prose.png") as picture:
            self.assertGreater(picture.width, 400)


if __name__ == "__main__":
    absltest.main()
