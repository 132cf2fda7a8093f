"""What a validation reads, and that it costs no more than it may."""

import math

import hypothesis
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import strategies

from kerasrnn.config import DataConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.errors import UserError
from kerasrnn.text.batches.streams import Streams
from kerasrnn.text.batches.streams import characters_to_validate
from kerasrnn.text.batches.streams import sample_of
from kerasrnn.text.splits import characters_in
from kerasrnn.text.splits import split_ranges
from kerasrnn.training.step.schedule import Limits
from kerasrnn.training.step.schedule import Plan


class Validation:
    """What the first validation of a run reads, counted batch by batch.

    Args:
        length: Characters of the text.
        split: Fields of `DataConfig`.
        step: Steps made before it; None is an epoch, or `evaluate_every`.
        training: Fields of `TrainingConfig`.
    """

    def __init__(self, length, split=None, step=None, **training):
        self.training = TrainingConfig(**training)
        sequence_length = self.training.sequence_length
        data = DataConfig(**(split or {}))
        ranges = split_ranges(length, data, "validation", sequence_length)
        per_step = self.training.batch_size * sequence_length
        trained_on = split_ranges(length, data, "train", sequence_length)
        plan = Plan(
            self.training,
            max(characters_in(trained_on) // per_step, 1),
            Limits(),
            validates=True,
        )
        self.step = step or plan.evaluate_every
        self.held_out = characters_in(ranges)
        self.expected = characters_to_validate(ranges, self.training)
        self.allowed = plan.validation_sample(self.step, self.expected)
        sample = sample_of(ranges, self.training, self.allowed)
        context = self.training.validation_context
        text = Streams(
            np.ones(length, np.uint8),
            ranges,
            sample.streams,
            None,
            documents=False,
            most=sample.most,
            context=context,
        )
        batches = math.ceil(text.length / sequence_length)
        inputs, targets = text.batches(0, batches, sequence_length)
        self.read = inputs.size
        self.scored = np.count_nonzero(targets)
        self.contexts = context * sample.streams
        # A step is three times the forward pass of a batch.
        self.share = self.read / per_step / 3 / self.step


class ValidationCostTest(parameterized.TestCase):
    @hypothesis.settings(deadline=None, max_examples=300)
    @hypothesis.example(2 * 10**6, 50, 50, 20, 256, 0.1, "tail", 0.05)
    @hypothesis.example(2 * 10**6, 50, 10, 20, 256, 0.1, "tail", 0.05)
    @hypothesis.given(
        length=strategies.integers(20_000, 500_000),
        batch_size=strategies.integers(1, 100),
        sequence_length=strategies.integers(1, 200),
        evaluate_every=strategies.integers(0, 1000),
        context=strategies.sampled_from((0, 1, 16, 256, 1000)),
        cost=strategies.sampled_from((0.01, 0.1, 1.0)),
        split=strategies.sampled_from(("tail", "interleaved")),
        fraction=strategies.sampled_from((0.01, 0.05, 0.3)),
    )
    def test_it_is_what_was_promised(
        self,
        length,
        batch_size,
        sequence_length,
        evaluate_every,
        context,
        cost,
        split,
        fraction,
    ):
        streams = min(batch_size, length // sequence_length // 4)
        hypothesis.assume(streams > 0)
        try:
            validation = Validation(
                length,
                split={
                    "split": split,
                    "split_streams": streams,
                    "validation_fraction": fraction,
                },
                batch_size=batch_size,
                sequence_length=sequence_length,
                evaluate_every=evaluate_every,
                validation_context=context,
                validation_cost=cost,
            )
        except UserError:
            hypothesis.reject()
        batch = batch_size * sequence_length
        # It may always read four batches, or one stream of some length.
        least = max(4 * batch, 2 * context)
        self.assertLessEqual(
            validation.read,
            max(cost * validation.step * 3 * batch, least),
        )
        self.assertGreater(validation.scored, 0)
        if not validation.allowed:
            # What is estimated is what is read.
            self.assertBetween(
                validation.read,
                validation.expected - batch,
                validation.expected,
            )
            return
        self.assertLessEqual(validation.read, validation.allowed)
        self.assertLessEqual(validation.contexts, validation.allowed / 2)

    @parameterized.parameters(10, 50, 100)
    def test_a_small_sample_is_not_mostly_context(self, sequence_length):
        validation = Validation(
            2 * 10**6, step=20, sequence_length=sequence_length
        )
        self.assertGreater(validation.scored, 0.6 * validation.read)
        self.assertLessEqual(validation.share, 0.1)
        self.assertGreater(validation.share, 0.08)

    def test_all_is_read_once_an_epoch(self):
        lengths = [int(10_000 * 1.5**n) for n in range(15)]
        for length in lengths:
            for fraction in (0.05, 0.1):
                split = {"validation_fraction": fraction}
                validation = Validation(length, split)
                self.assertEqual(validation.allowed, 0)
                self.assertEqual(validation.scored, validation.held_out)

    def test_a_sample_that_holds_all(self):
        # Fewer streams, with less context, read all within what is allowed.
        validation = Validation(128_000, {"validation_fraction": 0.1}, step=33)
        self.assertGreater(validation.allowed, 0)
        self.assertEqual(validation.scored, validation.held_out)

    def test_a_sample_that_an_older_version_decided_on(self):
        # It did not count contexts, so it may have less room than one needs.
        for allowed in range(1, 3_000, 7):
            for sequence_length in (1, 10, 50, 300):
                training = TrainingConfig(sequence_length=sequence_length)
                sample = sample_of([(900_000, 10**6)], training, allowed)
                self.assertGreaterEqual(sample.most, sequence_length)
                self.assertBetween(sample.streams, 1, 50)


if __name__ == "__main__":
    absltest.main()
