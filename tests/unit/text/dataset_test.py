"""Tests of kerasrnn.text.batches.dataset."""

import hypothesis
import numpy as np
from absl.testing import absltest
from helpers.sources.repository import ROOT
from hypothesis import strategies

from kerasrnn.config import DataConfig
from kerasrnn.errors import UserError
from kerasrnn.text.batches.dataset import TextDataset
from kerasrnn.text.splits import split_ranges

TINYSHAKESPEARE = ROOT.resolve().parent / "shared/data/tinyshakespeare.txt"

quick = hypothesis.settings(deadline=None, max_examples=150)


@strategies.composite
def datasets(draw):
    """Draws a dataset whose ids are their own positions, and its ranges."""
    batch_size = draw(strategies.integers(1, 5))
    sequence_length = draw(strategies.integers(1, 7))
    config = DataConfig(
        split=draw(strategies.sampled_from(["tail", "interleaved"])),
        split_streams=draw(strategies.integers(1, 5)),
        validation_fraction=draw(strategies.floats(0.2, 0.4)),
        test_fraction=draw(strategies.floats(0, 0.2)),
    )
    ids = np.arange(draw(strategies.integers(200, 400)))
    name = draw(strategies.sampled_from(["train", "validation"]))
    multiple = draw(strategies.sampled_from([1, sequence_length]))
    ranges = split_ranges(len(ids), config, name, multiple)
    try:
        dataset = TextDataset(ids, ranges, batch_size, sequence_length)
    except UserError:
        hypothesis.reject()
    return dataset, ranges, len(ids)


class TextDatasetTest(absltest.TestCase):
    @quick
    @hypothesis.given(datasets())
    def test_each_character_is_a_target_once_an_epoch(self, drawn):
        dataset, ranges, length = drawn
        epoch = dataset.batches(0, dataset.steps_per_epoch)
        targets = sorted(epoch.targets.ravel().tolist())
        self.assertLen(set(targets), len(targets))
        # Ids are positions: what can be a target follows a character of the
        # ranges, in the text or in the next range.
        inside = [p for start, stop in ranges for p in range(start, stop)]
        after = {stop for _, stop in ranges if stop < length}
        self.assertContainsSubset(targets, {*inside, *after})
        block = dataset.batch_size * dataset.sequence_length
        self.assertGreater(len(targets) + block, len(inside) - 1)
        self.assertContainsSubset(set(epoch.inputs.ravel().tolist()), inside)

    @quick
    @hypothesis.given(datasets())
    def test_streams_are_contiguous(self, drawn):
        dataset, _, _ = drawn
        epoch = dataset.batches(0, dataset.steps_per_epoch)
        np.testing.assert_array_equal(
            epoch.inputs[1:, :, 0], epoch.targets[:-1, :, -1]
        )
        np.testing.assert_array_equal(
            epoch.inputs[..., 1:], epoch.targets[..., :-1]
        )

    @quick
    @hypothesis.given(
        datasets(), strategies.integers(0, 1000), strategies.integers(1, 40)
    )
    def test_batches_are_stacked_batches(self, drawn, step, count):
        dataset, _, _ = drawn
        shape = (dataset.batch_size, dataset.sequence_length)
        several = dataset.batches(step, count)
        for field in ("inputs", "targets"):
            stacked = getattr(several, field)
            self.assertEqual(stacked.shape, (count, *shape))
            self.assertEqual(stacked.dtype, np.int32)
            # Backwards: what was asked for before must not matter.
            for i in reversed(range(count)):
                one = getattr(dataset.batch(step + i), field)
                self.assertEqual(one.shape, shape)
                np.testing.assert_array_equal(one, stacked[i])

    @quick
    @hypothesis.given(datasets(), strategies.integers(0, 1000))
    def test_epochs_repeat(self, drawn, step):
        dataset, _, _ = drawn
        np.testing.assert_array_equal(
            dataset.batch(step), dataset.batch(step + dataset.steps_per_epoch)
        )

    def test_one_range_by_hand(self):
        dataset = TextDataset(np.arange(100), [(10, 24)], 2, 3)
        self.assertEqual(dataset.steps_per_epoch, 2)
        inputs, targets = dataset.batch(0)
        self.assertEqual(inputs.tolist(), [[10, 11, 12], [16, 17, 18]])
        self.assertEqual(targets.tolist(), [[11, 12, 13], [17, 18, 19]])
        inputs, targets = dataset.batch(1)
        self.assertEqual(inputs.tolist(), [[13, 14, 15], [19, 20, 21]])
        self.assertEqual(targets.tolist(), [[14, 15, 16], [20, 21, 22]])

    def test_joined_ranges_by_hand(self):
        dataset = TextDataset(np.arange(99), [(0, 3), (9, 12), (20, 22)], 2, 4)
        inputs, targets = dataset.batch(0)
        self.assertEqual(inputs.tolist(), [[0, 1, 2, 9], [10, 11, 20, 21]])
        self.assertEqual(targets.tolist(), [[1, 2, 9, 10], [11, 20, 21, 22]])

    def test_a_range_a_stream_by_hand(self):
        dataset = TextDataset(np.arange(99), [(0, 4), (10, 14)], 2, 4)
        inputs, targets = dataset.batch(0)
        self.assertEqual(inputs.tolist(), [[0, 1, 2, 3], [10, 11, 12, 13]])
        self.assertEqual(targets.tolist(), [[1, 2, 3, 4], [11, 12, 13, 14]])

    def test_ranges_of_unequal_length_are_joined(self):
        dataset = TextDataset(np.arange(99), [(0, 4), (10, 30)], 2, 4)
        self.assertEqual(dataset.steps_per_epoch, 3)
        self.assertEqual(dataset.batch(0).inputs[:, 0].tolist(), [0, 18])

    def test_the_end_of_the_text_has_no_target(self):
        ids = np.arange(9)
        self.assertEqual(TextDataset(ids, [(0, 8)], 2, 4).steps_per_epoch, 1)
        with self.assertRaises(UserError):
            TextDataset(ids[:8], [(0, 8)], 2, 4)

    def test_too_short_says_what_fits(self):
        ids = np.zeros(101, np.uint8)
        for batch_size, sequence_length, message in [
            (50, 50, "100 .* needs 2,500; at most --batch_size=2 or --seq"),
            (50, 50, "or --sequence_length=2 fits"),
            (50, 101, "at most --sequence_length=2 fits"),
            (101, 50, "at most --batch_size=2 fits"),
            (101, 101, "needs 10,201; give more text"),
        ]:
            with self.assertRaisesRegex(UserError, message):
                TextDataset(ids, [(0, 101)], batch_size, sequence_length)
        TextDataset(ids, [(0, 101)], 2, 50)
        TextDataset(ids, [(0, 101)], 50, 2)
        with self.assertRaisesRegex(UserError, "has 0 characters"):
            TextDataset(ids, [], 1, 1)


@absltest.skipUnless(TINYSHAKESPEARE.exists(), "needs tinyshakespeare.txt")
class CharRnnTest(absltest.TestCase):
    def test_batches_are_those_of_char_rnn(self):
        text = np.frombuffer(TINYSHAKESPEARE.read_bytes(), np.uint8)
        # char-rnn, util/CharSplitLMMinibatchLoader.lua, in numpy: cut to
        # whole batches, B streams, the last part of each for validation.
        num_batches = len(text) // 2500
        cut = text[: num_batches * 2500]
        inputs = cut.reshape(50, num_batches, 50).swapaxes(0, 1)
        targets = text[1 : len(cut) + 1].reshape(50, num_batches, 50)
        targets = targets.swapaxes(0, 1)
        self.assertEqual(num_batches, 446)

        config = DataConfig(split="interleaved", split_streams=50)
        for name, start, stop in [
            ("train", 0, 423),
            ("validation", 423, 446),
        ]:
            ranges = split_ranges(len(text), config, name, multiple=50)
            dataset = TextDataset(text, ranges, 50, 50)
            self.assertEqual(dataset.steps_per_epoch, stop - start)
            epoch = dataset.batches(0, stop - start)
            np.testing.assert_array_equal(epoch.inputs, inputs[start:stop])
            np.testing.assert_array_equal(epoch.targets, targets[start:stop])


if __name__ == "__main__":
    absltest.main()
