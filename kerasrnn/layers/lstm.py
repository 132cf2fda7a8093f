"""Long short-term memory.

    i_t = sigmoid(x_t W_i + h_{t-1} R_i + b_i)      input gate
    f_t = sigmoid(x_t W_f + h_{t-1} R_f + b_f)      forget gate
    g_t = tanh(x_t W_g + h_{t-1} R_g + b_g)         candidate
    o_t = sigmoid(x_t W_o + h_{t-1} R_o + b_o)      output gate
    c_t = f_t * c_{t-1} + i_t * g_t
    h_t = o_t * tanh(c_t)

The kernels hold the gates in the order i, f, g, o, which is Keras' i, f, c, o.
Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9
(1997), with the forget gate of Gers, Schmidhuber and Cummins, "Learning to
Forget" (2000).
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import ops

from kerasrnn.config import CELL_SIZES
from kerasrnn.layers.cell import GatedCell
from kerasrnn.layers.cell import Spec
from kerasrnn.layers.cell import own_arguments
from kerasrnn.layers.kinds import Kind
from kerasrnn.layers.layer import RecurrentLayer
from kerasrnn.recurrence.step import CudnnMode
from kerasrnn.recurrence.step import Step
from kerasrnn.recurrence.step import sigmoid_gradient
from kerasrnn.recurrence.step import tanh_gradient


class LSTMKept(NamedTuple):
    """What the derivative needs from a step: its gates, and the c before it."""

    i: tf.Tensor
    f: tf.Tensor
    g: tf.Tensor
    o: tf.Tensor
    c: tf.Tensor


def lstm_step(
    z: tf.Tensor,
    h: tf.Tensor,
    c: tf.Tensor,
    activation: Callable = tf.tanh,
    recurrent_activation: Callable = tf.sigmoid,
) -> tuple[tuple[tf.Tensor, tf.Tensor], LSTMKept]:
    """One step of the equations above, element by element.

    Args:
        z: `x W + h R + b`, the gates side by side [B, 4U].
        h: Output of the step before [B, U]; z includes it already.
        c: Memory after the step before [B, U].
        activation: Function of the candidate and the output.
        recurrent_activation: Function of the gates.

    Returns:
        `((h, c), kept)`.
    """
    del h
    i, f, g, o = tf.split(z, 4, axis=-1)
    i, f = recurrent_activation(i), recurrent_activation(f)
    g, o = activation(g), recurrent_activation(o)
    new_c = f * c + i * g
    return (o * activation(new_c), new_c), LSTMKept(i, f, g, o, c)


def lstm_derivative(
    kept: LSTMKept, d_h: tf.Tensor | None, d_c: tf.Tensor | None
) -> tuple[Sequence[tf.Tensor], Sequence[tf.Tensor | None]]:
    """The derivative of `lstm_step` with its default activations.

    Args:
        kept: What the step kept.
        d_h: Derivative with respect to the new h [B, U].
        d_c: Derivative with respect to the new c [B, U].

    Returns:
        `((d_z [B, 4U],), (None, d_c))`: h has an effect through z alone.
    """
    i, f, g, o, c = kept
    # Computing it again is cheaper than keeping it in memory.
    tanh_c = tf.tanh(f * c + i * g)
    d_c += tanh_gradient(tanh_c, d_h * o)
    d_z = tf.concat(
        [
            sigmoid_gradient(i, d_c * g),
            sigmoid_gradient(f, d_c * c),
            tanh_gradient(g, d_c * i),
            sigmoid_gradient(o, d_h * tanh_c),
        ],
        axis=-1,
    )
    return (d_z,), (None, d_c * f)


@keras.saving.register_keras_serializable(package="kerasrnn")
class LSTMCell(GatedCell):
    """Cell of `LSTM`, with the arguments of `keras.layers.LSTMCell`.

    Args:
        units: Positive integer, width of the state and of the output.
        activation: Activation function of the candidate and the output,
            `tanh` by default. None is linear: `a(x) = x`.
        recurrent_activation: Activation function of the gates, `sigmoid` by
            default. None is linear.
        use_bias: Whether the cell has a bias.
        kernel_initializer: Initializer of `kernel`, the weights of the inputs.
        recurrent_initializer: Initializer of `recurrent_kernel`, the weights
            of the state.
        bias_initializer: Initializer of the bias.
        unit_forget_bias: Whether the bias of the forget gate starts at 1,
            whatever `bias_initializer` says.
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
        **kwargs: Arguments of `keras.Layer`, and `implementation`, as in Keras.

    Call arguments:
        inputs: Tensor with shape `(batch, features)`.
        states: List of two tensors with shape `(batch, units)`, h and c.
        training: Whether `dropout` and `recurrent_dropout` apply.

    Example:
    >>> rnn = keras.layers.RNN(kerasrnn.layers.LSTMCell(4))
    >>> rnn(np.zeros((32, 10, 8))).shape
    TensorShape([32, 4])
    """

    recurrent_step = Step(
        sizes=CELL_SIZES["lstm"],
        forward=lstm_step,
        backward=lstm_derivative,
        kept=LSTMKept,
        cudnn=CudnnMode("lstm", gates=(0, 1, 2, 3)),
    )
    unit_forget_bias: bool

    def __init__(
        self,
        units: int,
        activation: Spec = "tanh",
        recurrent_activation: Spec = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Spec = "glorot_uniform",
        recurrent_initializer: Spec = "orthogonal",
        bias_initializer: Spec = "zeros",
        unit_forget_bias: bool = True,
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

    def first_bias(self) -> Callable:
        """Returns the initializer of the bias, 1 at the forget gate."""
        if not self.unit_forget_bias:
            return self.bias_initializer

        def initializer(shape, dtype=None):
            del shape
            # In Keras' pieces: a seeded initializer gives each its own start.
            return ops.concatenate(
                [
                    self.bias_initializer((self.units,), dtype=dtype),
                    ops.ones((self.units,), dtype=dtype),
                    self.bias_initializer((2 * self.units,), dtype=dtype),
                ]
            )

        return initializer


@keras.saving.register_keras_serializable(package="kerasrnn")
class LSTM(RecurrentLayer):
    """Drop-in replacement for `keras.layers.LSTM`, with its own loop.

    Args:
        units: Positive integer, width of the state and of the output.
        activation: Activation function of the candidate and the output,
            `tanh` by default. None is linear: `a(x) = x`.
        recurrent_activation: Activation function of the gates, `sigmoid` by
            default. None is linear.
        use_bias: Whether the cell has a bias.
        kernel_initializer: Initializer of `kernel`, the weights of the inputs.
        recurrent_initializer: Initializer of `recurrent_kernel`, the weights
            of the state.
        bias_initializer: Initializer of the bias.
        unit_forget_bias: Whether the bias of the forget gate starts at 1,
            whatever `bias_initializer` says.
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
        return_state: Whether to return the final states as well.
        go_backwards: Whether to read the sequence from its end.
        stateful: Whether the final state of row i of a batch is the initial
            state of row i of the next one.
        unroll: Whether to repeat the step in the graph instead of running a
            loop, which takes more memory and a fixed number of steps.
        use_cudnn: "auto" trains with cuDNN's loop on a GPU if the options allow
            it; True raises an error if they do not; False never uses it.
            Exports never contain it.
        **kwargs: Arguments of `keras.layers.RNN`, and `implementation`, as in
            Keras.

    Call arguments:
        sequences: Tensor with shape `(batch, timesteps, features)`.
        initial_state: List of two tensors with shape `(batch, units)`.
        mask: Bool tensor with shape `(batch, timesteps)`; False is skipped.
        training: Whether `dropout` and `recurrent_dropout` apply.

    Example:
    >>> layer = kerasrnn.layers.LSTM(4, return_sequences=True)
    >>> layer(np.zeros((32, 10, 8))).shape
    TensorShape([32, 10, 4])
    """

    cell_class = LSTMCell
    cell_name = "lstm_cell"

    def __init__(
        self,
        units: int,
        activation: Spec = "tanh",
        recurrent_activation: Spec = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Spec = "glorot_uniform",
        recurrent_initializer: Spec = "orthogonal",
        bias_initializer: Spec = "zeros",
        unit_forget_bias: bool = True,
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
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ):
        super().__init__(own_arguments(locals()), **kwargs)


KIND = Kind(LSTMCell.recurrent_step, LSTMCell, LSTM)
