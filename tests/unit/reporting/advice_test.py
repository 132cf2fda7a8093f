"""Tests of what a run's losses say about its settings."""

import random

from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.reporting.advice import advice
from kerasrnn.reporting.advice import gap
from kerasrnn.reporting.training_charts import Validations

_SETTINGS = {"model": {"dropout": 0.1, "units": 128}}


def validations(*losses):
    """Returns validations after each hundredth step."""
    steps = [100 * (number + 1) for number in range(len(losses))]
    return Validations(steps, list(losses), "tail")


def said(*losses, gap=0.1, settings=_SETTINGS):
    """Returns the advice on a run with these validation losses."""
    return advice(validations(*losses), gap, settings)


class GapTest(absltest.TestCase):
    def test_mean_of_the_steps_before_the_best(self):
        steps = list(range(1, 601))
        # Only steps 201 to 400 count: the best is after step 400.
        losses = [9.0] * 200 + [1.0, 2.0] * 100 + [7.0] * 200
        found = gap(validations(3.0, 2.5, 2.0, 1.75, 1.8, 1.9), steps, losses)
        self.assertAlmostEqual(found, 1.75 - 1.5)

    def test_nothing_to_compare(self):
        self.assertIsNone(gap(Validations([], [], ""), [1, 2], [3.0, 3.0]))
        # A model that another one began is validated at step 0.
        self.assertIsNone(gap(Validations([0], [1.0], ""), [1], [3.0]))


class AdviceTest(parameterized.TestCase):
    @parameterized.parameters(
        ((2.0, 1.5, 1.4, 1.45, 1.5), 0.1, "memorize the training text"),
        ((2.0, 1.5, 1.4, 1.3, 1.2), 0.1, "still falling"),
        ((2.0, 1.4, 1.31, 1.3, 1.3), 0.2, "0.20 nats above the training loss"),
        ((2.0, 1.4, 1.31, 1.3, 1.3), 0.0, "a larger network"),
        ((2.0, 1.4, 1.31, 1.3, 1.3), 0.07, ""),
        ((2.0, 1.4), 0.2, ""),
    )
    def test_each_case(self, losses, gap, words):
        text = said(*losses, gap=gap)
        self.assertIn(words, text)
        self.assertEqual(bool(words), bool(text))

    def test_the_step_of_the_best_is_named(self):
        self.assertIn("since step 300,", said(2.0, 1.5, 1.4, 1.45, 1.5))

    def test_dropout_that_is_proposed_can_be_set(self):
        both = "--dropout=0.3 --recurrent_kernel_dropout=0.4"
        for dropout, of_kernels, proposed in (
            (0.0, None, "--dropout=0.2"),
            (0.1, 0.0, "--dropout=0.3"),
            (0.4, 0.0, "--dropout=0.5"),
            (0.2, 0.3, both),
            (0.0, 0.2, "--recurrent_kernel_dropout=0.4"),
            (0.6, 0.2, "--dropout=0.6 --recurrent_kernel_dropout=0.3"),
            (0.5, 0.0, None),
            (0.7, 0.5, None),
            ("?", "?", None),
        ):
            model = {"dropout": dropout, "recurrent_kernel_dropout": of_kernels}
            settings = {"model": model}
            text = said(2.0, 1.5, 1.4, 1.45, 1.5, settings=settings)
            if proposed:
                self.assertIn(f"more dropout ({proposed})", text)
            else:
                self.assertNotIn("dropout", text)
        self.assertNotIn("dropout", said(2.0, 1.4, 1.5, settings={}))

    def test_dropout_that_is_proposed_rises_as_long(self):
        for steps, proposed in (
            (0, "(--dropout=0.3)"),
            (900, "(--dropout=0.3 --dropout_warmup_steps=900)"),
            ("?", "(--dropout=0.3)"),
        ):
            model = {"dropout": 0.1, "dropout_warmup_steps": steps}
            text = said(2.0, 1.5, 1.4, 1.45, 1.5, settings={"model": model})
            self.assertIn(proposed, text)

    def test_one_sentence_fits_any_run(self):
        choices = random.Random(3)
        for _ in range(300):
            losses = [
                choices.uniform(0.5, 3) for _ in range(choices.randrange(9))
            ]
            text = said(*losses, gap=choices.uniform(-0.5, 1))
            self.assertEqual(text, text.strip())
            if len(losses) < 3:
                self.assertEqual(text, "")
            elif losses[-1] > min(losses) * 1.01:
                self.assertIn("has risen", text)


if __name__ == "__main__":
    absltest.main()
