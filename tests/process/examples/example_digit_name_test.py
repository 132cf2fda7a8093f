"""The example that spells digits, in its short form."""

from absl.testing import absltest
from helpers.processes.example_process import run_example
from PIL import Image


class DigitNameTest(absltest.TestCase):
    def test_most_names_are_exact(self):
        example = run_example(
            "examples/digit_name.py",
            self.create_tempdir().full_path,
            "--epochs=6",
        )
        # One name for all would be 10 %.
        self.assertGreaterEqual(example.percentage(), 70)
        with Image.open(example.folder / "digit_name.png") as picture:
            self.assertGreater(picture.width, 8 * 64)


if __name__ == "__main__":
    absltest.main()
