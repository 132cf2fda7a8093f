"""Minimal gated unit: a GRU whose one gate forgets and resets.

    f_t = sigmoid(x_t W_f + h_{t-1} R_f + b_f)
    g_t = tanh(x_t W_g + b_g + f_t * (h_{t-1} R_g + b'_g))
    h_t = (1 - f_t) * h_{t-1} + f_t * g_t

Zhou et al., "Minimal Gated Unit for Recurrent Neural Networks" (2016), with
the gate after the product. It stands here as whoever adds a cell would write
it, for `cell_kinds_test`, which puts it into a copy of the package.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from kerasrnn.config import CELL_SIZES
from kerasrnn.layers.cell import GatedCell
from kerasrnn.layers.cell import own_arguments
from kerasrnn.layers.kinds import Kind
from kerasrnn.layers.layer import RecurrentLayer
from kerasrnn.recurrence.step import Step


class MGUKept(NamedTuple):
    """What the derivative needs: gate, candidate, h's share of it, h."""

    f: tf.Tensor
    g: tf.Tensor
    a_g: tf.Tensor
    h: tf.Tensor


def mgu_step(x, a, h, activation=tf.tanh, recurrent_activation=tf.sigmoid):
    """One step: `((h,), kept)`, of `x W + b` and `h R + b'` [B, 2U]."""
    (x_f, x_g), (a_f, a_g) = (tf.split(v, 2, axis=-1) for v in (x, a))
    f = recurrent_activation(x_f + a_f)
    g = activation(x_g + f * a_g)
    return (h + f * (g - h),), MGUKept(f, g, a_g, h)


def mgu_derivative(kept, d_h):
    """Derivatives by `x W + b` and `h R + b'`, and by h past them."""
    f, g, a_g, h = kept
    d_g = d_h * f * (1 - tf.square(g))
    d_f = (d_h * (g - h) + d_g * a_g) * f * (1 - f)
    d_x = tf.concat([d_f, d_g], axis=-1)
    return (d_x, tf.concat([d_f, d_g * f], axis=-1)), (d_h * (1 - f),)


class MGUCell(GatedCell):
    """Cell of `MGU`."""

    recurrent_step = Step(
        sizes=CELL_SIZES["minimal_gated_unit"],
        forward=mgu_step,
        backward=mgu_derivative,
        kept=MGUKept,
        passes_h=True,
    )

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(own_arguments(locals()), **kwargs)


@keras.saving.register_keras_serializable(package="tests")
class MGU(RecurrentLayer):
    """Minimal gated unit over time."""

    cell_class = MGUCell
    cell_name = "mgu_cell"

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        **kwargs,
    ):
        super().__init__(own_arguments(locals()), **kwargs)


KIND = Kind(MGUCell.recurrent_step, MGUCell, MGU)
