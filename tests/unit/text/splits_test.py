"""The splits of a text: disjoint, complete and of the sizes asked for."""

import dataclasses

import hypothesis
from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import strategies

from kerasrnn.config import DataConfig
from kerasrnn.errors import UserError
from kerasrnn.text.splits import SPLIT_NAMES
from kerasrnn.text.splits import check_splits
from kerasrnn.text.splits import split_ranges

quick = hypothesis.settings(deadline=None, max_examples=100)


def _config(split, pieces, validation, test):
    return DataConfig(
        split=split,
        split_streams=pieces,
        validation_fraction=validation,
        test_fraction=test,
    )


class SplitTest(parameterized.TestCase):
    @quick
    @hypothesis.given(
        strategies.integers(400, 10_000),
        strategies.sampled_from(["tail", "interleaved"]),
        strategies.integers(1, 20),
        strategies.integers(1, 20),
        strategies.floats(0, 0.49),
        strategies.floats(0, 0.49),
    )
    def test_disjoint_ordered_and_complete(
        self, length, split, pieces, multiple, validation, test
    ):
        config = _config(split, pieces, validation, test)
        ranges = {
            name: split_ranges(length, config, name, multiple)
            for name in SPLIT_NAMES
        }
        everything = sorted(sum(ranges.values(), []))
        position = 0
        for start, stop in everything:
            self.assertEqual(start, position)
            self.assertLess(start, stop)
            position = stop
        self.assertEqual(position, length)
        for name, fraction in [
            ("train", 1 - validation - test),
            ("validation", validation),
            ("test", test),
        ]:
            self.assertEqual(ranges[name], sorted(ranges[name]))
            size = sum(stop - start for start, stop in ranges[name])
            rounding = 1 if split == "tail" else 3 * pieces * multiple
            self.assertAlmostEqual(size, fraction * length, delta=rounding + 1)

    @quick
    @hypothesis.given(
        strategies.integers(400, 10_000),
        strategies.sampled_from(["tail", "interleaved"]),
        strategies.integers(1, 50),
        strategies.integers(1, 8),
        strategies.sampled_from([0, 0.01, 0.05, 0.3]),
        strategies.sampled_from([0, 0.01, 0.05, 0.3]),
    )
    def test_what_is_asked_for_is_there_or_refused(
        self, length, split, pieces, multiple, validation, test
    ):
        config = _config(split, pieces, validation, test)
        empty = [
            name
            for name, share in (("validation", validation), ("test", test))
            if share and not split_ranges(length, config, name, multiple)
        ]
        if not empty:
            check_splits(length, config, multiple)
            return
        with self.assertRaisesRegex(UserError, f"^--{empty[0]}_fraction="):
            check_splits(length, config, multiple)

    @parameterized.parameters(
        # char-rnn: loader of tinyshakespeare, batches of 50 x 50.
        ("interleaved", 0.05, 0, 50, 423 * 2500, 23 * 2500 + 394, 0),
        # nanoGPT: data[: int(0.9 * n)] and the rest.
        ("tail", 0.1, 0, 1, 1_003_854, 111_540, 0),
        # torch-rnn: int(0.1 * n) each, training the rest.
        ("tail", 0.1, 0.1, 1, 892_316, 111_539, 111_539),
    )
    def test_sizes_are_those_of_the_programs(
        self, split, validation, test, multiple, *sizes
    ):
        config = DataConfig(
            split=split, validation_fraction=validation, test_fraction=test
        )
        for name, size in zip(SPLIT_NAMES, sizes, strict=True):
            ranges = split_ranges(1_115_394, config, name, multiple)
            self.assertEqual(sum(b - a for a, b in ranges), size)

    def test_fractions_are_decimals(self):
        # As a binary number, 0.3 is less than three tenths.
        config = DataConfig(validation_fraction=0.3, test_fraction=0.3)
        self.assertEqual(split_ranges(10, config, "train"), [(0, 4)])
        self.assertEqual(split_ranges(10, config, "validation"), [(4, 7)])
        self.assertEqual(split_ranges(10, config, "test"), [(7, 10)])

    def test_mistakes(self):
        config = DataConfig(split="interleaved", split_streams=50)
        with self.assertRaisesRegex(UserError, "one of train.*'all'"):
            split_ranges(1000, config, "all")
        with self.assertRaisesRegex(UserError, "--split_streams=40 or less"):
            split_ranges(1000, config, "train", multiple=25)
        with self.assertRaisesRegex(UserError, "give --split=tail, or more"):
            split_ranges(20, config, "train", multiple=25)
        fitting = dataclasses.replace(config, split_streams=40)
        self.assertLen(split_ranges(1000, fitting, "validation", 25), 40)


if __name__ == "__main__":
    absltest.main()
