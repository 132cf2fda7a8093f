"""The example that reads a digit row by row, in its short form."""

from absl.testing import absltest
from helpers.processes.example_process import run_example
from PIL import Image


class DigitRowsTest(absltest.TestCase):
    def test_it_knows_more_with_each_part_of_the_image(self):
        example = run_example(
            "examples/digit_rows.py",
            self.create_tempdir().full_path,
            "--epochs=5",
        )
        # Chance is 10 %.
        self.assertGreaterEqual(example.percentage(), 70)
        first = example.percentage("after 1 of 8 rows: ")
        self.assertLess(first, 50)
        with Image.open(example.folder / "digit_rows.png") as picture:
            self.assertGreater(picture.width, 8 * 64)


if __name__ == "__main__":
    absltest.main()
