"""Texts of thousands of kinds of characters are learned from the start."""

import random

from absl.testing import absltest
from absl.testing import parameterized
from helpers.models.small_training import TrainingTestCase

from kerasrnn.training.step.schedule import Limits

_KINDS = 2_000
_LENGTH = 60_000


def make_text():
    """Returns a text in which each character has a few usual successors."""
    draws = random.Random(0)
    kinds = [chr(0x4E00 + index) for index in range(_KINDS)]
    weights = [1 / (rank + 1) for rank in range(_KINDS)]
    usual = {kind: draws.choices(kinds, weights, k=3) for kind in kinds}
    others = iter(draws.choices(kinds, weights, k=_LENGTH))
    text = kinds[:1]
    while len(text) < _LENGTH:
        is_usual = draws.random() < 0.7
        text.append(draws.choice(usual[text[-1]]) if is_usual else next(others))
    return "".join(text)


class LargeAlphabetTest(parameterized.TestCase, TrainingTestCase):
    @parameterized.parameters(0, 32)
    def test_pairs_are_learned_in_a_hundred_steps(self, embedding_size):
        # Guessing by their frequencies costs 5.29 nats per character. With
        # first weights that shrink with the alphabet it would be at 4.4 now.
        self.text.write_text(make_text())
        result = self.train(
            "workdir",
            limits=Limits(max_steps=100),
            model={
                "units": 64,
                "num_layers": 2,
                "dropout": 0.0,
                "embedding_size": embedding_size,
            },
            batch_size=16,
            sequence_length=50,
            learning_rate=0.01,
            warmup_steps=20,
        )
        self.assertLess(result.best_loss, 4.25)


if __name__ == "__main__":
    absltest.main()
