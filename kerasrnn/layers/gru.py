"""Gated recurrent unit.

    z_t = sigmoid(x_t W_z + h_{t-1} R_z + b_z)          update gate
    r_t = sigmoid(x_t W_r + h_{t-1} R_r + b_r)          reset gate
    g_t = tanh(x_t W_g + b_g + r_t * (h_{t-1} R_g + b'_g))
    h_t = z_t * h_{t-1} + (1 - z_t) * g_t

The kernels hold the gates in the order z, r, g, which is Keras' z, r, h. With
`reset_after=False` the candidate is that of Cho et al., "Learning Phrase
Representations using RNN Encoder-Decoder" (2014), where the reset gate acts
before the product: `g_t = tanh(x_t W_g + b_g + (r_t * h_{t-1}) R_g)`.
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf

from kerasrnn.config import CELL_SIZES
from kerasrnn.layers.cell import GatedCell
from kerasrnn.layers.cell import Spec
from kerasrnn.layers.cell import gated_product
from kerasrnn.layers.cell import own_arguments
from kerasrnn.layers.kinds import Kind
from kerasrnn.layers.layer import RecurrentLayer
from kerasrnn.recurrence.step import CudnnMode
from kerasrnn.recurrence.step import LayerWeights
from kerasrnn.recurrence.step import Step
from kerasrnn.recurrence.step import sigmoid_gradient
from kerasrnn.recurrence.step import tanh_gradient


class GRUKept(NamedTuple):
    """What the derivative needs: gates, h's share of g, the h before."""

    z: tf.Tensor
    r: tf.Tensor
    g: tf.Tensor
    a_g: tf.Tensor
    h: tf.Tensor


def gru_step(
    x: tf.Tensor,
    a: tf.Tensor,
    h: tf.Tensor,
    activation: Callable = tf.tanh,
    recurrent_activation: Callable = tf.sigmoid,
) -> tuple[tuple[tf.Tensor], GRUKept]:
    """One step of the equations above, element by element.

    Args:
        x: `x W + b`, the gates side by side [B, 3U].
        a: `h R + b'` [B, 3U].
        h: Output of the step before [B, U].
        activation: Function of the candidate.
        recurrent_activation: Function of the gates.

    Returns:
        `((h,), kept)`.
    """
    x_z, x_r, x_g = tf.split(x, 3, axis=-1)
    a_z, a_r, a_g = tf.split(a, 3, axis=-1)
    z, r = recurrent_activation(x_z + a_z), recurrent_activation(x_r + a_r)
    g = activation(x_g + r * a_g)
    return (_update(z, h, g),), GRUKept(z, r, g, a_g, h)


def gru_derivative(
    kept: GRUKept, d_h: tf.Tensor | None
) -> tuple[Sequence[tf.Tensor], Sequence[tf.Tensor | None]]:
    """The derivative of `gru_step` with its default activations.

    Args:
        kept: What the step kept.
        d_h: Derivative with respect to the new h [B, U].

    Returns:
        `((d_x [B, 3U], d_a [B, 3U]), (d_h,))`, the last without what comes
        through a.
    """
    z, r, g, a_g, h = kept
    d_g = tanh_gradient(g, d_h * (1 - z))
    d_z = sigmoid_gradient(z, d_h * (h - g))
    d_r = sigmoid_gradient(r, d_g * a_g)
    d_x = tf.concat([d_z, d_r, d_g], axis=-1)
    d_a = tf.concat([d_z, d_r, d_g * r], axis=-1)
    return (d_x, d_a), (d_h * z,)


def _update(z, h, g):
    """`z * h + (1 - z) * g`, in 32 bits with one product fewer."""
    if z.dtype.size < 4:
        # The difference is rounded relative to g: z = 1 would not hold h.
        return z * h + (1 - z) * g
    return g + z * (h - g)


@keras.saving.register_keras_serializable(package="kerasrnn")
class GRUCell(GatedCell):
    """Cell of `GRU`, with the arguments of `keras.layers.GRUCell`.

    Args:
        units: Positive integer, width of the state and of the output.
        activation: Activation function of the candidate, `tanh` by default.
            None is linear: `a(x) = x`.
        recurrent_activation: Activation function of the gates, `sigmoid` by
            default. None is linear.
        use_bias: Whether the cell has biases.
        kernel_initializer: Initializer of `kernel`, the weights of the inputs.
        recurrent_initializer: Initializer of `recurrent_kernel`, the weights
            of the state.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Regularizer of `kernel`.
        recurrent_regularizer: Regularizer of `recurrent_kernel`.
        bias_regularizer: Regularizer of the bias.
        kernel_constraint: Constraint on `kernel`.
        recurrent_constraint: Constraint on `recurrent_kernel`.
        bias_constraint: Constraint on the bias.
        dropout: Fraction of the inputs to drop, between 0 and 1.
        recurrent_dropout: Fraction of the state to drop in the recurrent
            product, between 0 and 1.
        reset_after: Whether the reset gate acts after the recurrent product
            (the default, and what cuDNN has) or before.
        seed: Seed of the dropout masks.
        **kwargs: Arguments of `keras.Layer`, and `implementation`, as in Keras.

    Call arguments:
        inputs: Tensor with shape `(batch, features)`.
        states: A tensor with shape `(batch, units)`, or a list of it.
        training: Whether `dropout` and `recurrent_dropout` apply.

    Example:
    >>> rnn = keras.layers.RNN(kerasrnn.layers.GRUCell(4))
    >>> rnn(np.zeros((32, 10, 8))).shape
    TensorShape([32, 4])
    """

    recurrent_step = Step(
        sizes=CELL_SIZES["gru"],
        forward=gru_step,
        backward=gru_derivative,
        kept=GRUKept,
        passes_h=True,
        cudnn=CudnnMode("gru", gates=(1, 0, 2)),  # r, z, g
    )
    reset_after: bool

    def __init__(
        self,
        units: int,
        activation: Spec = "tanh",
        recurrent_activation: Spec = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Spec = "glorot_uniform",
        recurrent_initializer: Spec = "orthogonal",
        bias_initializer: Spec = "zeros",
        kernel_regularizer: Spec = None,
        recurrent_regularizer: Spec = None,
        bias_regularizer: Spec = None,
        kernel_constraint: Spec = None,
        recurrent_constraint: Spec = None,
        bias_constraint: Spec = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(own_arguments(locals()), **kwargs)

    def num_biases(self) -> int:
        """Returns how many biases there are, with `use_bias`."""
        return 2 if self.reset_after else 1

    def is_standard(self) -> bool:
        """Whether `gru_derivative` is the derivative of this cell."""
        return self.reset_after and super().is_standard()

    def advance(
        self,
        projected: tf.Tensor,
        states: list[tf.Tensor],
        weights: LayerWeights,
        training: bool,
    ) -> list[tf.Tensor]:
        """Returns the states after a step; see `RecurrentCell.advance`."""
        if self.reset_after:
            return super().advance(projected, states, weights, training)
        (h,) = states
        masks = self.recurrent_masks(h, training)
        by_gate = masks if isinstance(masks, list | tuple) else [masks] * 3
        kernels = tf.split(weights.recurrent_kernel, [2 * self.units, -1], -1)
        both = by_gate[:2] if by_gate is masks else masks
        x_z, x_r, x_g = tf.split(projected, 3, axis=-1)
        a_z, a_r = tf.split(gated_product(h, kernels[0], both), 2, axis=-1)
        z = self.recurrent_activation(x_z + a_z)
        r = self.recurrent_activation(x_r + a_r)
        a_g = gated_product(r * h, kernels[1], by_gate[2])
        return [_update(z, h, self.activation(x_g + a_g))]


@keras.saving.register_keras_serializable(package="kerasrnn")
class GRU(RecurrentLayer):
    """Drop-in replacement for `keras.layers.GRU`, with its own loop.

    Args:
        units: Positive integer, width of the state and of the output.
        activation: Activation function of the candidate, `tanh` by default.
            None is linear: `a(x) = x`.
        recurrent_activation: Activation function of the gates, `sigmoid` by
            default. None is linear.
        use_bias: Whether the cell has biases.
        kernel_initializer: Initializer of `kernel`, the weights of the inputs.
        recurrent_initializer: Initializer of `recurrent_kernel`, the weights
            of the state.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Regularizer of `kernel`.
        recurrent_regularizer: Regularizer of `recurrent_kernel`.
        bias_regularizer: Regularizer of the bias.
        activity_regularizer: Regularizer of the outputs.
        kernel_constraint: Constraint on `kernel`.
        recurrent_constraint: Constraint on `recurrent_kernel`.
        bias_constraint: Constraint on the bias.
        dropout: Fraction of the inputs to drop, between 0 and 1.
        recurrent_dropout: Fraction of the state to drop in the recurrent
            product, between 0 and 1. Above 0, training uses the plain loop,
            which is slower.
        seed: Seed of the dropout masks.
        return_sequences: Whether to return the outputs of all steps, or the
            last one.
        return_state: Whether to return the final state as well.
        go_backwards: Whether to read the sequence from its end.
        stateful: Whether the final state of row i of a batch is the initial
            state of row i of the next one.
        unroll: Whether to repeat the step in the graph instead of running a
            loop, which takes more memory and a fixed number of steps.
        reset_after: Whether the reset gate acts after the recurrent product
            (the default, and what cuDNN has) or before.
        use_cudnn: "auto" trains with cuDNN's loop on a GPU if the options allow
            it; True raises an error if they do not; False never uses it.
            Exports never contain it.
        **kwargs: Arguments of `keras.layers.RNN`, and `implementation`, as in
            Keras.

    Call arguments:
        sequences: Tensor with shape `(batch, timesteps, features)`.
        initial_state: List of one tensor with shape `(batch, units)`.
        mask: Bool tensor with shape `(batch, timesteps)`; False is skipped.
        training: Whether `dropout` and `recurrent_dropout` apply.

    Example:
    >>> layer = kerasrnn.layers.GRU(4, return_sequences=True)
    >>> layer(np.zeros((32, 10, 8))).shape
    TensorShape([32, 10, 4])
    """

    cell_class = GRUCell
    cell_name = "gru_cell"

    def __init__(
        self,
        units: int,
        activation: Spec = "tanh",
        recurrent_activation: Spec = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Spec = "glorot_uniform",
        recurrent_initializer: Spec = "orthogonal",
        bias_initializer: Spec = "zeros",
        kernel_regularizer: Spec = None,
        recurrent_regularizer: Spec = None,
        bias_regularizer: Spec = None,
        activity_regularizer: Spec = None,
        kernel_constraint: Spec = None,
        recurrent_constraint: Spec = None,
        bias_constraint: Spec = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ):
        super().__init__(own_arguments(locals()), **kwargs)


KIND = Kind(GRUCell.recurrent_step, GRUCell, GRU)
