"""Where a network begins: with how frequent each character is."""

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.config import ModelConfig
from kerasrnn.model.initialization import log_frequencies
from kerasrnn.training.step.flat_weights import initial_weights

COUNTS = np.array([0, 700, 250, 49, 0, 1])


class OutputBiasTest(parameterized.TestCase):
    def test_softmax_gives_the_frequencies(self):
        logits = log_frequencies(COUNTS)[1:]
        chances = np.exp(logits) / np.sum(np.exp(logits))
        np.testing.assert_allclose(
            chances, (COUNTS[1:] + 0.5) / (1000 + 2.5), rtol=1e-5
        )
        self.assertAlmostEqual(logits.mean(), 0, places=5)

    @parameterized.parameters("keras", "charrnn", "torchrnn")
    def test_only_keras_way_begins_with_them(self, initializer):
        config = ModelConfig(
            vocabulary_size=6, units=3, initializer=initializer
        )
        layout, plain = initial_weights(config, 1)
        _, informed = initial_weights(config, 1, COUNTS)
        plain, informed = map(layout.unpack, (plain, informed))
        for name, weight in informed.items():
            if name == "logits/bias" and initializer == "keras":
                np.testing.assert_array_equal(weight, log_frequencies(COUNTS))
            else:
                np.testing.assert_array_equal(weight, plain[name])


if __name__ == "__main__":
    absltest.main()
