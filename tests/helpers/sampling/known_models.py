"""Step models whose text is known beforehand, and `generate` over them."""

import functools

import numpy as np
import tensorflow as tf

from helpers.models import small_models
from kerasrnn.config import ModelConfig
from kerasrnn.model.char_rnn import CharRNN
from kerasrnn.sampling.generate import HISTORY
from kerasrnn.sampling.generate import StepModel
from kerasrnn.sampling.generate import generate

VOCABULARY = 7


@functools.cache
def counting_model(size=VOCABULARY, certainty=30.0):
    """After id i comes i + 1, after the last comes 1; the state is i."""

    def logits(states):
        following = states[0][:, 0] % (size - 1) + 1
        return certainty * tf.one_hot(tf.cast(following, tf.int32), size)

    return StepModel(
        lambda ids, states: [tf.cast(ids, tf.float32)[:, None]], logits
    )


@functools.cache
def constant_model():
    """The state is the logits, whatever is read."""
    return StepModel(lambda ids, states: states, lambda states: states[0])


@functools.cache
def char_rnn(cell="gru"):
    model = CharRNN(
        ModelConfig(vocabulary_size=20, units=8, cell=cell, embedding_size=4)
    )
    model.build_weights()
    model.set_weights(small_models.random_weights(model.config))
    return model.step_model(), model.initial_states


def all_arguments(rows, **given):
    """Returns all arguments of `generate`, a number standing for all rows."""
    arguments = {
        "length": np.int32(10),
        "temperature": np.float32(1),
        "top_k": np.int32(0),
        "top_p": np.float32(1),
        "seed": np.int64(0),
        "draws": np.int64(0),
    }
    for name, default in arguments.items():
        value = np.asarray(given.pop(name, default), default.dtype)
        arguments[name] = tf.constant(np.broadcast_to(value, [rows]))
    return {
        **arguments,
        "history": tf.zeros([rows, HISTORY], tf.int32),
        "stop": tf.zeros([rows, HISTORY + 1], tf.int32),
        "stop_length": tf.zeros([rows], tf.int32),
        **given,
    }


@functools.cache
def _graph(model, widths):
    """`generate` as a graph for any number of rows."""
    states = [tf.TensorSpec([None, width]) for width in widths]
    arguments = {
        name: tf.TensorSpec([None, *value.shape[1:]], value.dtype)
        for name, value in all_arguments(1).items()
    }
    return tf.function(
        lambda states, arguments: generate(model, states, **arguments),
        input_signature=[states, arguments],
        autograph=False,
    )


def generate_ids(model, states, **given):
    widths = tuple(state.shape[1] for state in states)
    arguments = all_arguments(states[0].shape[0], **given)
    return _graph(model, widths)(states, arguments)


def count_from(*starts):
    return [tf.constant(starts, tf.float32)[:, None]]
