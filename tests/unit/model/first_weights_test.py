"""A CharRNN's first weights: those of Keras, char-rnn or torch-rnn."""

import itertools

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models.small_char_rnn import make_config

from kerasrnn.config import CELLS
from kerasrnn.model.char_rnn import CharRNN


class InitializationTest(parameterized.TestCase):
    def _weights(self, initializer, seed=0, **options):
        options = {"vocabulary_size": 60, "units": 100, **options}
        keras.utils.set_random_seed(seed)
        model = CharRNN(make_config(initializer=initializer, **options))
        model.build_weights()
        return {weight.path: np.array(weight) for weight in model.weights}

    @parameterized.parameters(
        *itertools.product(("keras", "charrnn", "torchrnn"), CELLS)
    )
    def test_follows_from_the_seed(self, initializer, cell):
        first, same, other = (
            list(self._weights(initializer, seed, cell=cell).values())
            for seed in (5, 5, 6)
        )
        for a, b, c in zip(first, same, other, strict=True):
            np.testing.assert_array_equal(a, b)
            if np.ptp(a) > 1:
                self.assertFalse(np.array_equal(a, c))

    def _check_uniform(self, values, limit):
        self.assertLessEqual(np.max(np.abs(values)), limit)
        spread = limit / np.sqrt(3)
        self.assertAlmostEqual(np.std(values) / spread, 1, delta=0.1)
        self.assertLess(abs(np.mean(values)), 5 * spread / np.sqrt(values.size))

    @parameterized.parameters(*CELLS)
    def test_charrnn(self, cell):
        weights = self._weights("charrnn", cell=cell, embedding_size=30)
        for path, values in weights.items():
            if path.endswith("bias") and "logits" not in path:
                if cell == "gru":
                    # Keras' GRU has both biases that Torch's has.
                    self._check_uniform(values, 0.08)
                    continue
                if cell == "lstm":
                    # Of the forget gate's two, one starts at 1.
                    _, forget, *_ = np.split(values, 4)
                    self.assertLessEqual(np.max(np.abs(forget - 1)), 0.0801)
                    self.assertGreater(np.std(forget), 0.03)
                    values = np.delete(values, np.s_[100:200])
                # The sum of two draws, as of Torch's two biases.
                self.assertLessEqual(np.max(np.abs(values)), 0.16)
                self.assertAlmostEqual(
                    np.std(values) / (0.08 * np.sqrt(2 / 3)), 1, delta=0.15
                )
            else:
                self._check_uniform(values, 0.08)

    @parameterized.parameters(*CELLS)
    def test_torchrnn(self, cell):
        weights = self._weights("torchrnn", cell=cell, embedding_size=30)
        for path, values in weights.items():
            if "embedding" in path:
                self.assertAlmostEqual(np.std(values), 1, delta=0.1)
            elif "logits" in path:
                self._check_uniform(values, 0.1)
            elif path.endswith("kernel"):
                width = 130 if f"{cell}_0" in path else 200
                self.assertAlmostEqual(
                    np.std(values) * np.sqrt(width), 1, delta=0.05
                )
            else:
                ones = 100 if cell == "lstm" else 0
                self.assertEqual(np.sum(values), ones)

    @parameterized.product(cell=CELLS, embedding_size=(0, 30), size=(60, 3000))
    def test_keras(self, cell, embedding_size, size):
        weights = self._weights(
            "keras",
            cell=cell,
            embedding_size=embedding_size,
            vocabulary_size=size,
        )
        for path, values in weights.items():
            if len(values) == size and "logits" not in path:
                # A character's own row, whatever the number of kinds.
                self._check_uniform(values, 1.6 * np.sqrt(3))
            elif path.endswith("recurrent_kernel"):
                # Orthogonal as a whole, as Keras has it.
                np.testing.assert_allclose(
                    values @ values.T, np.eye(100), atol=1e-4
                )
            elif path.endswith("kernel"):
                limit = np.sqrt(6 / sum(values.shape))
                self._check_uniform(values, limit)
            elif cell == "lstm" and "logits" not in path:
                self.assertEqual(
                    values.tolist(), [0] * 100 + [1] * 100 + [0] * 200
                )
            else:
                np.testing.assert_array_equal(values, 0)


if __name__ == "__main__":
    absltest.main()
