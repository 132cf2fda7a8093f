"""What a step computes element by element, and its derivative by hand.

A step of a recurrent network is one product, `h @ recurrent_kernel`, and
functions of single elements. Here are the functions, for the standard
activations, one `Elements` a kind of cell; the products and the loop over
time are in `kerasrnn.recurrence.scan`.

Shapes: B batch, U units, G gates (4 for an LSTM, 3 for a GRU).
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class Elements(NamedTuple):
    """One kind of cell, without its product.

    Attributes:
        forward: `(product [B, G * U], projected [B, G * U], states, biases)
            -> (new states, residuals)`, where `product` is that of h and the
            recurrent kernel, `projected` the inputs' share of the sum, and
            the residuals are what `backward` needs, [B, U] each: compiled
            code reads whole tensors faster than slices of one.
        backward: `(derivatives of the new states, residuals) ->
            (d_product, d_projected, derivatives of the states)`, the last
            without the product's share; None is zero.
        projects_alike: Whether `d_projected` is `d_product`.
        passes_h: Whether h reaches the next h past the product.
        num_residuals: Number of residuals.
    """

    forward: Callable
    backward: Callable
    projects_alike: bool
    passes_h: bool
    num_residuals: int


def _simple_rnn_forward(product, projected, states, biases):
    del states, biases
    h = tf.tanh(projected + product)
    return [h], [h]


def _simple_rnn_backward(d_states, residuals):
    (d_h,), (h,) = d_states, residuals
    d_z = d_h * (1 - tf.square(h))
    return d_z, d_z, [None]


def _lstm_forward(product, projected, states, biases):
    del biases
    _, c = states
    i, f, g, o = tf.split(projected + product, 4, axis=-1)
    i, f, o = tf.sigmoid(i), tf.sigmoid(f), tf.sigmoid(o)
    g = tf.tanh(g)
    new_c = f * c + i * g
    return [o * tf.tanh(new_c), new_c], [i, f, g, o, c]


def _lstm_backward(d_states, residuals):
    d_h, d_c = d_states
    i, f, g, o, c = residuals
    # Computing it again is cheaper than keeping it in memory.
    squashed = tf.tanh(f * c + i * g)
    d_c += d_h * o * (1 - tf.square(squashed))
    d_z = tf.concat(
        [
            d_c * g * i * (1 - i),
            d_c * c * f * (1 - f),
            d_c * i * (1 - tf.square(g)),
            d_h * squashed * o * (1 - o),
        ],
        axis=-1,
    )  # [B, 4U]
    return d_z, d_z, [None, d_c * f]


def _gru_forward(product, projected, states, biases):
    (h,), (bias,) = states, biases
    p_z, p_r, p_g = tf.split(projected, 3, axis=-1)
    a_z, a_r, a_g = tf.split(product + bias, 3, axis=-1)
    z, r = tf.sigmoid(p_z + a_z), tf.sigmoid(p_r + a_r)
    g = tf.tanh(p_g + r * a_g)
    return [g + z * (h - g)], [z, r, g, a_g, h]


def _gru_backward(d_states, residuals):
    (d_h,), (z, r, g, a_g, h) = d_states, residuals
    d_g = d_h * (1 - z) * (1 - tf.square(g))
    d_z = d_h * (h - g) * z * (1 - z)
    d_r = d_g * a_g * r * (1 - r)
    d_product = tf.concat([d_z, d_r, d_g * r], axis=-1)  # [B, 3U]
    d_projected = tf.concat([d_z, d_r, d_g], axis=-1)  # [B, 3U]
    return d_product, d_projected, [d_h * z]


SIMPLE_RNN = Elements(
    _simple_rnn_forward,
    _simple_rnn_backward,
    projects_alike=True,
    passes_h=False,
    num_residuals=1,
)
LSTM = Elements(
    _lstm_forward,
    _lstm_backward,
    projects_alike=True,
    passes_h=False,
    num_residuals=5,
)
GRU = Elements(
    _gru_forward,
    _gru_backward,
    projects_alike=False,
    passes_h=True,
    num_residuals=5,
)
