"""What the page about a run says of dropout."""

import itertools

from absl.testing import absltest

from kerasrnn.reporting.training_report import TrainingRecord
from kerasrnn.reporting.training_report import training_report

RECORDS = (
    {"step": 10, "losses": [2.0] * 10},
    {
        "step": 20,
        "losses": [1.5] * 10,
        "validation_loss": 1.6,
        "split": "tail",
    },
)
PHRASES = ("dropout on", "measured with dropout")


def page(settings):
    """Returns the page about a run with these settings."""
    return training_report(
        TrainingRecord(name="run", records=RECORDS, settings=settings)
    )


class DropoutTest(absltest.TestCase):
    def test_it_is_named_where_there_is_some(self):
        for rates in itertools.product((0.0, 0.2, None), repeat=2):
            names = ("dropout", "recurrent_kernel_dropout")
            model = {
                name: rate
                for name, rate in zip(names, rates, strict=True)
                if rate is not None
            }
            text = page({"model": model})
            for phrase in PHRASES:
                self.assertEqual(phrase in text, any(rates), (model, phrase))

    def test_nobody_knows_without_settings(self):
        text = page({})
        self.assertIn("nats below the training loss at that time.", text)
        for phrase in PHRASES:
            self.assertNotIn(phrase, text)


if __name__ == "__main__":
    absltest.main()
