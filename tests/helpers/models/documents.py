"""Models of documents, random documents, and the oracle that reads them."""

import functools

import numpy as np
import tensorflow as tf

from helpers.models import small_models

SEPARATOR = "\n"
VOCABULARY = small_models.make_vocabulary("characters")
SEPARATOR_ID = VOCABULARY.start_id
NETWORKS = (
    {"cell": "lstm"},
    {"cell": "gru", "embedding_size": 5},
    {"cell": "simple_rnn", "num_layers": 1},
)


def make_config(**options):
    """Returns the configuration of a small model of documents."""
    return small_models.make_config(
        VOCABULARY, separator_id=SEPARATOR_ID, dropout=0.2, **options
    )


class DocumentsModel:
    """The oracle: a new `NumpyModel` at each separator."""

    def __init__(self, config, weights):
        self._new = functools.partial(small_models.NumpyModel, config, weights)
        self._model = self._new()

    def read(self, token, start=False):
        if start or token == SEPARATOR_ID:
            self._model = self._new()
        self._model.read(token)

    def log_probs(self):
        return self._model.log_probs()


def random_states(config, rows, seed=0):
    """Returns states as reading some text may have left them."""
    chance = np.random.default_rng(seed)
    count = config.num_layers * (2 if config.cell == "lstm" else 1)
    shape = (rows, config.units)
    return [
        tf.constant(chance.normal(size=shape), tf.float32) for _ in range(count)
    ]


def random_ids(chance, length):
    """Returns ids of which every fifth or so is a separator."""
    ids = chance.integers(1, len(VOCABULARY), length)
    return np.where(chance.random(length) < 0.2, SEPARATOR_ID, ids)


def score(config, weights, ids):
    """Returns log p of each id from the start state on, by the oracle."""
    oracle, values = DocumentsModel(config, weights), []
    oracle.read(SEPARATOR_ID)
    for token in ids:
        values.append(oracle.log_probs()[token] if token else 0.0)
        oracle.read(token)
    return np.array(values)


def random_document(chance, longest=12):
    """Returns known characters without a separator, one or more."""
    characters = sorted(set(small_models.ALPHABET) - {SEPARATOR})
    return "".join(chance.choices(characters, k=chance.randint(1, longest)))
