"""A small CharRNN of random weights, and what it reads."""

import numpy as np

from helpers.models import small_models
from kerasrnn.config import ModelConfig
from kerasrnn.model.char_rnn import CharRNN

VOCABULARY = 11
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, (3, 9), np.int32)


def make_config(**options):
    return ModelConfig(
        **{"vocabulary_size": VOCABULARY, "units": 6, "dropout": 0.0, **options}
    )


def make_model(**options):
    model = CharRNN(make_config(**options))
    model.build_weights()
    model.set_weights(small_models.random_weights(model.config))
    return model
