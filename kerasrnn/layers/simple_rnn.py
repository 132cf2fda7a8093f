"""The simple recurrent network: one tanh per step.

    h_t = tanh(x_t W + h_{t-1} R + b)

Elman, "Finding Structure in Time", Cognitive Science 14 (1990).
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf

from kerasrnn.config import CELL_SIZES
from kerasrnn.layers.cell import RecurrentCell
from kerasrnn.layers.cell import Spec
from kerasrnn.layers.cell import own_arguments
from kerasrnn.layers.kinds import Kind
from kerasrnn.layers.layer import RecurrentLayer
from kerasrnn.recurrence.step import Step
from kerasrnn.recurrence.step import tanh_gradient


class SimpleRNNKept(NamedTuple):
    """What the derivative needs of a step: its output."""

    h: tf.Tensor


def simple_rnn_step(
    z: tf.Tensor, h: tf.Tensor, activation: Callable = tf.tanh
) -> tuple[tuple[tf.Tensor], SimpleRNNKept]:
    """One step of the equation above, element by element.

    Args:
        z: `x W + h R + b` [B, U].
        h: Output of the step before [B, U], which is in z.
        activation: Function of a tensor.

    Returns:
        `((h,), kept)`.
    """
    h = activation(z)
    return (h,), SimpleRNNKept(h)


def simple_rnn_derivative(
    kept: SimpleRNNKept, d_h: tf.Tensor | None
) -> tuple[Sequence[tf.Tensor], Sequence[tf.Tensor | None]]:
    """The derivative of `simple_rnn_step` with its default activation.

    Args:
        kept: What the step kept.
        d_h: Derivative with respect to the new h [B, U].

    Returns:
        `((d_z [B, U],), (None,))`: h has an effect through z alone.
    """
    return (tanh_gradient(kept.h, d_h),), (None,)


@keras.saving.register_keras_serializable(package="kerasrnn")
class SimpleRNNCell(RecurrentCell):
    """Cell of `SimpleRNN`, with the arguments of `keras.layers.SimpleRNNCell`.

    Args:
        units: Positive integer, width of the state and of the output.
        activation: Activation function of a step, `tanh` by default.
            None is linear: `a(x) = x`.
        use_bias: Whether the cell has a bias.
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
        seed: Seed of the dropout masks.
        **kwargs: Those of `keras.Layer`.

    Call arguments:
        sequence: Tensor with shape `(batch, features)`.
        states: A tensor with shape `(batch, units)`, or a list of it.
        training: Whether `dropout` and `recurrent_dropout` apply.

    Example:
    >>> rnn = keras.layers.RNN(kerasrnn.layers.SimpleRNNCell(4))
    >>> rnn(np.zeros((32, 10, 8))).shape
    TensorShape([32, 4])
    """

    recurrent_step = Step(
        sizes=CELL_SIZES["simple_rnn"],
        forward=simple_rnn_step,
        backward=simple_rnn_derivative,
        kept=SimpleRNNKept,
    )

    def __init__(
        self,
        units: int,
        activation: Spec = "tanh",
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
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(own_arguments(locals()), **kwargs)

    # Keras' name of the argument.
    def call(
        self, sequence: Any, states: Any, training: bool = False
    ) -> tuple[tf.Tensor, Any]:
        return super().call(sequence, states, training)


@keras.saving.register_keras_serializable(package="kerasrnn")
class SimpleRNN(RecurrentLayer):
    """Drop-in replacement for `keras.layers.SimpleRNN`, with its own loop.

    Args:
        units: Positive integer, width of the state and of the output.
        activation: Activation function of a step, `tanh` by default.
            None is linear: `a(x) = x`.
        use_bias: Whether the cell has a bias.
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
        return_sequences: Whether to return the outputs of all steps, or the
            last one.
        return_state: Whether to return the final state as well.
        go_backwards: Whether to read the sequence from its end.
        stateful: Whether the final state of row i of a batch is the initial
            state of row i of the next one.
        unroll: Whether to repeat the step in the graph instead of running a
            loop, which takes more memory and a fixed number of steps.
        seed: Seed of the dropout masks.
        **kwargs: Those of `keras.layers.RNN`.

    Call arguments:
        sequences: Tensor with shape `(batch, timesteps, features)`.
        initial_state: List of one tensor with shape `(batch, units)`.
        mask: Bool tensor with shape `(batch, timesteps)`; False is skipped.
        training: Whether `dropout` and `recurrent_dropout` apply.

    Example:
    >>> layer = kerasrnn.layers.SimpleRNN(4, return_sequences=True)
    >>> layer(np.zeros((32, 10, 8))).shape
    TensorShape([32, 10, 4])
    """

    cell_class = SimpleRNNCell
    cell_name = "simple_rnn_cell"

    def __init__(
        self,
        units: int,
        activation: Spec = "tanh",
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
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(own_arguments(locals()), **kwargs)


KIND = Kind(SimpleRNNCell.recurrent_step, SimpleRNNCell, SimpleRNN)
