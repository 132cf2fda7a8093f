"""Tests of examples/reading.py: the window, the numbers, the program."""

import re
import sys

import keras
import numpy as np
from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.processes.example_process import ROOT
from helpers.processes.example_process import run_example
from PIL import Image

sys.path.insert(0, str(ROOT / "examples"))

import glimpses  # noqa: E402
import handwritten_numbers  # noqa: E402
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
            seen = glimpses.look(
                picture[None].astype("float32"),
                np.array([[x, y, distance]], "float32"),
            )[0]
            error = np.abs(seen - expected).max() / np.abs(picture).max()
            self.assertLess(error, 0.03)

    def test_shows_nothing_outside_the_picture(self):
        seen = glimpses.look(
            np.ones([1, HEIGHT, WIDTH], "float32"),
            np.array([[WIDTH + 30, 14, 1]], "float32"),
        )
        np.testing.assert_array_less(np.abs(seen), 1e-6)

    def test_details_are_seen_through_the_window_only(self):
        random = np.random.default_rng(1)
        picture = random.uniform(size=[1, HEIGHT, WIDTH]).astype("float32")
        keras.utils.set_random_seed(1)  # Few first windows reach the edge.
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

        far = reader.read(shuffled(range(first, WIDTH)))[0]
        np.testing.assert_allclose(far, logits, atol=1e-5)
        near = reader.read(shuffled(range(0, first)))[0]
        self.assertGreater(np.abs(near - logits).max(), 1e-4)


class NumbersTest(absltest.TestCase):
    def test_labels_are_the_digits_from_left_to_right(self):
        # A digit's ink is as strong as the digit is large.
        labels = np.arange(10)
        digits = np.ones([10, 8, 8], "float32") * (labels + 6)[:, None, None]
        numbers = handwritten_numbers.Numbers(
            digits / 16, labels, 64, 1, seed=0
        )
        pictures, given, weights = numbers[0]
        for picture, answer, places, weight in zip(
            pictures,
            given["digits"],
            given["places"],
            weights["digits"],
            strict=True,
        ):
            inks = np.round(picture * 16).astype(int)
            found = []
            for column in inks.T:
                ink, count = np.unique(column[column > 0], return_counts=True)
                # Clutter is 4 pixels high.
                tall = [i for i, n in zip(ink, count, strict=True) if n > 8]
                found += [i - 6 for i in tall]
            runs = [d for i, d in enumerate(found) if [d] != found[i - 1 : i]]
            said = answer[
                : answer.tolist().index(handwritten_numbers.STOP)
            ].tolist()
            centres = places[: len(said)].astype(int)
            self.assertEqual([inks[y, x] - 6 for x, y in centres], said)
            # Two like digits side by side look like one.
            merged = [d for i, d in enumerate(said) if [d] != said[i - 1 : i]]
            self.assertEqual(runs, merged)
            self.assertEqual(
                weight.tolist(), (np.arange(4) <= len(said)).tolist()
            )


class ProgramTest(absltest.TestCase):
    def test_it_learns_in_a_short_training(self):
        example = run_example(
            "examples/reading.py",
            self.create_tempdir().full_path,
            *(("--epochs=5",) if FULL else ("--epochs=3", "--batch=16")),
            "--output=looks.png",
        )
        if FULL:
            # By chance: a tenth, or less, as it has to stop in time, too.
            share = example.percentage("numbers of 1 digit read exactly: ")
            self.assertGreaterEqual(share, 20)
        # To look where digits lie on average is 16 pixels wrong for numbers
        # of one, 7 for those of three.
        away = re.findall(r"windows are ([\d.]+) pixels", example.printed)
        self.assertLen(away, 3)
        for pixels in away:
            self.assertLess(float(pixels), 6)
        with Image.open(example.folder / "looks.png") as picture:
            self.assertGreater(picture.width, 500)


if __name__ == "__main__":
    absltest.main()
