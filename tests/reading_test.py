"""Tests of examples/reading.py: the window, the numbers, the program."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from absl.testing import absltest

EXAMPLES = Path(__file__).absolute().parent.parent / "examples"
sys.path.insert(0, str(EXAMPLES))

import reading  # noqa: E402

HEIGHT, WIDTH = reading.HEIGHT, reading.WIDTH


class WindowTest(absltest.TestCase):
    def test_shows_what_lies_at_its_points(self):
        # On a slope, symmetric filters show the picture's value at a point.
        rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        random = np.random.default_rng(0)
        for _ in range(50):
            down, across = random.normal(size=2)
            picture = down * rows + across * columns
            distance = random.uniform(0.9, 1.3)
            reach = distance * 11 / 2 + 4 * distance
            x = random.uniform(reach, WIDTH - reach)
            y = random.uniform(reach, HEIGHT - reach)
            points = distance * (np.arange(12) - 5.5)
            expected = (
                down * (y + points)[:, None] + across * (x + points)[None]
            )
            seen = reading.look(
                picture[None].astype("float32"),
                np.array([[x, y, distance]], "float32"),
            )[0]
            error = np.abs(seen - expected).max() / np.abs(picture).max()
            self.assertLess(error, 0.03)

    def test_shows_nothing_outside_the_picture(self):
        seen = reading.look(
            np.ones([1, HEIGHT, WIDTH], "float32"),
            np.array([[WIDTH + 30, 14, 1]], "float32"),
        )
        np.testing.assert_array_less(np.abs(seen), 1e-6)

    def test_details_are_seen_through_the_window_only(self):
        random = np.random.default_rng(1)
        picture = random.uniform(size=[1, HEIGHT, WIDTH]).astype("float32")
        reader = reading.Reader()
        logits, windows = map(np.asarray, reader.read(picture))
        right = (windows[..., 0] + 12 * windows[..., 2]).max()
        first = -(-int(right) // reading.OVERVIEW) * reading.OVERVIEW
        self.assertLess(first, WIDTH)

        def shuffled(columns):
            # Inside the squares of the overview, so that it stays the same.
            side, changed = reading.OVERVIEW, picture.copy()
            for x in range(columns.start, columns.stop, side):
                for y in range(0, HEIGHT, side):
                    square = changed[0, y : y + side, x : x + side]
                    square[:] = random.permutation(square.ravel()).reshape(
                        side, side
                    )
            return changed

        far = reader(shuffled(range(first, WIDTH)))
        np.testing.assert_allclose(far, logits, atol=1e-6)
        near = reader(shuffled(range(0, first)))
        self.assertGreater(np.abs(near - logits).max(), 1e-4)


class NumbersTest(absltest.TestCase):
    def test_labels_are_the_digits_from_left_to_right(self):
        # A digit's ink is as strong as the digit is large.
        labels = np.arange(10)
        digits = np.ones([10, 8, 8], "float32") * (labels + 6)[:, None, None]
        numbers = reading.Numbers(digits / 16, labels, 64, 1, seed=0)
        pictures, given, weights = numbers[0]
        for picture, answer, weight in zip(
            pictures, given, weights, strict=True
        ):
            inks = np.round(picture * 16).astype(int)
            found = []
            for column in inks.T:
                ink, count = np.unique(column[column > 0], return_counts=True)
                # Clutter is 4 pixels high.
                tall = [i for i, n in zip(ink, count, strict=True) if n > 8]
                found += [i - 6 for i in tall]
            runs = [d for i, d in enumerate(found) if [d] != found[i - 1 : i]]
            said = answer[: answer.tolist().index(reading.STOP)].tolist()
            # Two like digits that touch look like one.
            merged = [d for i, d in enumerate(said) if [d] != said[i - 1 : i]]
            self.assertEqual(runs, merged)
            self.assertEqual(
                weight.tolist(), (np.arange(4) <= len(said)).tolist()
            )


class ProgramTest(absltest.TestCase):
    def test_short_form(self):
        path = self.create_tempfile("reading.png").full_path
        process = subprocess.run(
            [
                sys.executable,
                EXAMPLES / "reading.py",
                "--epochs=2",
                f"--output={path}",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(Path(path).read_bytes()[:4], b"\x89PNG")


if __name__ == "__main__":
    absltest.main()
