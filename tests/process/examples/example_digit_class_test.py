"""The example that has no recurrence, in its short form."""

from absl.testing import absltest
from helpers.processes.example_process import run_example
from PIL import Image


class DigitClassTest(absltest.TestCase):
    def test_most_images_are_given_their_class(self):
        example = run_example(
            "examples/digit_class.py",
            self.create_tempdir().full_path,
            "--epochs=8",
            "--output=mistakes.png",
        )
        self.assertGreaterEqual(example.percentage(), 80)
        with Image.open(example.folder / "mistakes.png") as picture:
            self.assertGreater(picture.width, 8 * 64)

    def test_a_folder_that_is_missing_is_told_before_the_training(self):
        with self.assertRaisesRegex(
            AssertionError,
            r"^examples/digit_class.py failed:\nerror: "
            r"--output=nowhere/a.png: there is no folder .*\n$",
        ):
            run_example(
                "examples/digit_class.py",
                self.create_tempdir().full_path,
                "--output=nowhere/a.png",
            )


if __name__ == "__main__":
    absltest.main()
