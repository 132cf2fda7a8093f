"""Tests of shuffled text: `kerasrnn.text.batches.segments` and `beginnings`."""

import re

import hypothesis
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import strategies

from kerasrnn.text.batches.beginnings import Beginnings
from kerasrnn.text.batches.dataset import TextDataset
from kerasrnn.text.batches.segments import Shuffling

SEPARATOR = 1
quick = hypothesis.settings(deadline=None, max_examples=100)


def shuffled(ids, ranges, batch_size, sequence_length, length, **options):
    """Returns the text in segments of some length."""
    documents = options.pop("documents", False)
    shuffling = Shuffling(
        length,
        options.pop("seed", 0),
        Beginnings(np.asarray(ids), SEPARATOR, documents),
    )
    return TextDataset(
        np.asarray(ids),
        ranges,
        batch_size,
        sequence_length,
        documents,
        shuffling,
    )


def read(batch):
    """Returns the inputs without their marks, and the marks."""
    marks = batch.inputs < 0
    return np.where(marks, ~batch.inputs, batch.inputs), marks


class SegmentsTest(parameterized.TestCase):
    @quick
    @hypothesis.given(
        size=strategies.integers(30, 400),
        cuts=strategies.lists(strategies.integers(1, 399), max_size=4),
        batch_size=strategies.integers(1, 4),
        sequence_length=strategies.integers(1, 6),
        length=strategies.integers(1, 100),
        seed=strategies.integers(0, 2**32 - 1),
    )
    def test_an_epoch_reads_each_character_once(
        self, size, cuts, batch_size, sequence_length, length, seed
    ):
        # Without a separator, each id says where it stands.
        ids = np.arange(SEPARATOR + 1, SEPARATOR + 1 + size)
        cuts = sorted({cut for cut in cuts if cut < size})
        ranges = list(zip([0, *cuts], [*cuts, size], strict=True))
        dataset = shuffled(
            ids, ranges, batch_size, sequence_length, length, seed=seed
        )
        steps = dataset.steps_per_epoch
        for epoch in (0, 3):
            batches = dataset.batches(epoch * steps, steps)
            inputs, marks = read(batches)
            self.assertLen(np.unique(inputs), inputs.size)
            # Only the end of the text is followed by nothing.
            following = np.where(inputs == ids[-1], 0, inputs + 1)
            np.testing.assert_array_equal(batches.targets, following)
            # A row reads on, unless it is marked, from the zero state.
            self.assertFalse(marks[..., 1:].any())
            self.assertTrue(marks[0, :, 0].all())
            last, first = inputs[:-1, :, -1], inputs[1:, :, 0]
            reads_on = (last + 1 == first) | (last == ids[-1])
            self.assertTrue((reads_on | marks[1:, :, 0]).all())
        # At most a step in four is lost, of many none.
        in_order = TextDataset(ids, ranges, batch_size, sequence_length)
        self.assertBetween(
            steps, 0.75 * in_order.steps_per_epoch, in_order.steps_per_epoch
        )

    @quick
    @hypothesis.given(
        text=strategies.text("ab \n", min_size=60, max_size=300),
        first=strategies.integers(0, 50),
        count=strategies.integers(1, 30),
        documents=strategies.booleans(),
        data=strategies.data(),
    )
    def test_a_batch_is_a_function_of_its_step(
        self, text, first, count, documents, data
    ):
        ids = [" \nab".index(c) + SEPARATOR - 1 + (c == " ") * 5 for c in text]
        cut = data.draw(strategies.integers(20, 40))
        arguments = (ids, [(0, cut), (cut + 5, len(ids))], 3, 2, 8)
        together = shuffled(*arguments, documents=documents).batches(
            first, count
        )
        apart = shuffled(*arguments, documents=documents)
        for index in reversed(range(count)):
            batch = apart.batch(first + index)
            np.testing.assert_array_equal(batch.inputs, together.inputs[index])
            np.testing.assert_array_equal(
                batch.targets, together.targets[index]
            )

    def test_epochs_and_seeds_differ(self):
        ids = np.arange(2, 2000)
        dataset = shuffled(ids, [(0, 1998)], 4, 10, 100)
        steps = dataset.steps_per_epoch
        epochs = [dataset.batches(epoch * steps, steps) for epoch in range(3)]
        other = shuffled(ids, [(0, 1998)], 4, 10, 100, seed=1)
        epochs.append(other.batches(0, steps))
        firsts = {tuple(read(batches)[0][0, :, 0]) for batches in epochs}
        self.assertLen(firsts, 4)

    def test_half_of_the_segments_begin_with_a_line(self):
        ids = np.full(40_000, 5)
        ids[::23] = SEPARATOR
        dataset = shuffled(ids, [(0, len(ids))], 8, 10, 100)
        inputs, marks = read(dataset.batches(0, dataset.steps_per_epoch))
        begun = inputs[marks] == SEPARATOR
        self.assertBetween(len(begun), 300, 600)
        self.assertBetween(begun.mean(), 0.45, 0.6)

    @parameterized.product(period=(7, 23, 150, 900), length=(20, 100, 800))
    def test_documents_are_read_to_their_ends(self, period, length):
        ids = np.arange(2, 5_002)
        ids[::period] = SEPARATOR
        dataset = shuffled(ids, [(0, len(ids))], 4, 10, length, documents=True)
        epochs = dataset.batches(0, 30 * dataset.steps_per_epoch)
        inputs, _ = read(epochs)
        missed = np.setdiff1d(ids, inputs)
        self.assertEmpty(missed)
        # A document's end is learned where its last character predicts it.
        last = ids[period - 1 :: period][:-1]
        learned = inputs[epochs.targets == SEPARATOR]
        self.assertEmpty(np.setdiff1d(last, learned))

    def test_no_segment_begins_outside_the_ranges(self):
        ids = np.full(3_000, 5)
        ids[:1_000] = SEPARATOR
        ids[1_000:1_010] = 7
        dataset = shuffled(ids, [(1_005, 3_000)], 2, 5, 20)
        inputs, _ = read(dataset.batches(0, 5 * dataset.steps_per_epoch))
        self.assertNotIn(SEPARATOR, inputs)
        self.assertLessEqual((inputs == 7).sum(), 5 * 5)


class BeginningsTest(parameterized.TestCase):
    @quick
    @hypothesis.given(
        text=strategies.text("a\n", min_size=1, max_size=200),
        position=strategies.integers(0, 199),
        documents=strategies.booleans(),
    )
    def test_equals_a_regular_expression(self, text, position, documents):
        position = min(position, len(text) - 1)
        ids = np.array([SEPARATOR if c == "\n" else 2 for c in text])
        beginnings = Beginnings(ids, SEPARATOR, documents)
        pattern = r"\n" if documents else r"\n(?=a)"
        if "\n\n" in text and not documents:
            pattern = r"(?<=\n)\n(?=a)"
        places = [match.start() for match in re.finditer(pattern, text)]
        before = [place for place in places if place <= position]
        self.assertEqual(
            beginnings.last_before(position), max(before, default=position)
        )
        from_there = [place for place in places if place >= position]
        self.assertEqual(
            beginnings.after(position, len(text)),
            min(from_there, default=None),
        )

    def test_a_place_far_away_does_not_count(self):
        ids = np.full(10_000, 2)
        ids[10] = SEPARATOR
        beginnings = Beginnings(ids, SEPARATOR)
        self.assertEqual(beginnings.last_before(2_010), 10)
        self.assertEqual(beginnings.last_before(2_011), 2_011)
        self.assertEqual(beginnings.after(0, 10_000), 10)
        self.assertIsNone(beginnings.after(11, 10_000))


if __name__ == "__main__":
    absltest.main()
