"""Small models with random weights for tests, and NumPy's word on them."""

import numpy as np

from kerasrnn.config import ModelConfig
from kerasrnn.text.vocabulary import Vocabulary

# Characters of one to four bytes; as bytes, few sequences of them are UTF-8.
ALPHABET = "\n abcdefgh.é€Ж🙂"


def make_vocabulary(kind: str) -> Vocabulary:
    """Returns a vocabulary of `ALPHABET`, as characters or bytes."""
    text = ALPHABET if kind == "characters" else ALPHABET.encode()
    return Vocabulary.from_text(text, kind)


def make_config(vocabulary: Vocabulary, **options) -> ModelConfig:
    """Returns the configuration of two layers of 16 units."""
    options = {"cell": "lstm", "units": 16, "num_layers": 2, **options}
    return ModelConfig(vocabulary_size=len(vocabulary), **options)


def random_weights(
    config: ModelConfig, seed: int = 0, scale: float = 1.0
) -> list[np.ndarray]:
    """Returns weights whose text is neither constant nor noise.

    Args:
        config: Of the model.
        seed: Of the weights.
        scale: 1 suits 16 units; in general 4 / sqrt(units).
    """
    random = np.random.default_rng(seed)
    *shapes, output_kernel, output_bias = weight_shapes(config)
    # Larger ones would make the states chaotic, and rounding errors large.
    weights = [random.normal(scale=0.3 * scale, size=shape) for shape in shapes]
    for shape in (output_kernel, output_bias):
        weights.append(random.normal(scale=0.7 * scale, size=shape))
    return [weight.astype(np.float32) for weight in weights]


def weight_shapes(config: ModelConfig) -> list[tuple[int, ...]]:
    """Returns the shapes, in the order of `CharRNN.weights`."""
    size, units = config.vocabulary_size, config.units
    gates = {"simple_rnn": 1, "lstm": 4, "gru": 3}[config.cell]
    width = config.embedding_size or size
    shapes = [(size, width)] if config.embedding_size else []
    for _ in range(config.num_layers):
        bias = (2, 3 * units) if config.cell == "gru" else (gates * units,)
        shapes += [(width, gates * units), (units, gates * units), bias]
        width = units
    return [*shapes, (units, size), (size,)]


class NumpyModel:
    """The model as its equations say, in float64, one character at a time."""

    def __init__(self, config: ModelConfig, weights):
        self._config = config
        weights = [np.asarray(weight, np.float64) for weight in weights]
        size = config.vocabulary_size
        self._inputs = weights.pop(0) if config.embedding_size else np.eye(size)
        *layers, self._output_kernel, self._output_bias = weights
        self._layers = [layers[i : i + 3] for i in range(0, len(layers), 3)]
        self._start()

    def _start(self):
        self._h = [np.zeros(self._config.units) for _ in self._layers]
        self._c = [np.zeros(self._config.units) for _ in self._layers]

    def read(self, token: int) -> None:
        """Reads one character, a document's separator from zero states."""
        if token and token == self._config.separator_id:
            self._start()
        x = self._inputs[token]
        step = getattr(self, f"_{self._config.cell}")
        for index, layer in enumerate(self._layers):
            self._h[index] = x = step(index, x, *layer)

    def activations(self) -> np.ndarray:
        """Returns h [L * U] of every layer."""
        return np.concatenate(self._h)

    def log_probs(self) -> np.ndarray:
        """Returns log p [V] of the next character in nats."""
        logits = self._h[-1] @ self._output_kernel + self._output_bias
        logits[0] = -np.inf
        logits -= logits.max()
        return logits - np.log(np.exp(logits).sum())

    def _simple_rnn(self, index, x, kernel, recurrent_kernel, bias):
        return np.tanh(x @ kernel + self._h[index] @ recurrent_kernel + bias)

    def _lstm(self, index, x, kernel, recurrent_kernel, bias):
        z = x @ kernel + self._h[index] @ recurrent_kernel + bias
        i, f, g, o = np.split(z, 4)
        c = _sigmoid(f) * self._c[index] + _sigmoid(i) * np.tanh(g)
        self._c[index] = c
        return _sigmoid(o) * np.tanh(c)

    def _gru(self, index, x, kernel, recurrent_kernel, bias):
        h = self._h[index]
        z_x, r_x, g_x = np.split(x @ kernel + bias[0], 3)
        z_h, r_h, g_h = np.split(h @ recurrent_kernel + bias[1], 3)
        z = _sigmoid(z_x + z_h)
        g = np.tanh(g_x + _sigmoid(r_x + r_h) * g_h)
        return z * h + (1 - z) * g


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))
