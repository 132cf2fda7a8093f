"""The simple recurrent network of the blog post: one tanh a step.

    h_t = tanh(x_t W + h_{t-1} R + b)

Elman, "Finding Structure in Time", Cognitive Science 14 (1990).
"""

import keras
from keras import ops

from kerasrnn.layers.cell import RecurrentCell
from kerasrnn.layers.cell import gated_product
from kerasrnn.layers.layer import RecurrentLayer
from kerasrnn.recurrence.scan import simple_rnn_scan


def simple_rnn_step(
    projected, states, recurrent_kernel, activation=ops.tanh, masks=None
):
    """One step: `h = activation(projected + h @ recurrent_kernel)`.

    Args:
        projected: Inputs times kernel plus bias [B, U].
        states: `[h]`, h [B, U].
        recurrent_kernel: Tensor [U, U].
        activation: Function of a tensor.
        masks: None or a dropout mask for h.

    Returns:
        `(h, [h])`.
    """
    h = activation(
        projected + gated_product(states[0], recurrent_kernel, masks)
    )
    return h, [h]


@keras.saving.register_keras_serializable(package="kerasrnn")
class SimpleRNNCell(RecurrentCell):
    """Cell of `SimpleRNN`, with the arguments of `keras.layers.SimpleRNNCell`.

    Call arguments:
        sequence: Tensor with shape `(batch, features)`.
        states: A tensor with shape `(batch, units)`, or a list of it.
        training: Whether `dropout` and `recurrent_dropout` apply.

    Example:
    >>> rnn = keras.layers.RNN(kerasrnn.layers.SimpleRNNCell(4))
    >>> rnn(np.zeros((32, 10, 8))).shape
    TensorShape([32, 4])
    """

    # Keras' name of the argument.
    def call(self, sequence, states, training=False):
        return super().call(sequence, states, training)

    def step(self, projected, states, training=False):
        masks = self.recurrent_masks(states[0], training)
        return simple_rnn_step(
            projected, states, self.recurrent_kernel, self.activation, masks
        )


@keras.saving.register_keras_serializable(package="kerasrnn")
class SimpleRNN(RecurrentLayer):
    """Drop-in replacement of `keras.layers.SimpleRNN`, with its own loop.

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

    def __init__(
        self,
        units,
        activation="tanh",
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
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        seed=None,
        **kwargs,
    ):
        cell = SimpleRNNCell(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="simple_rnn_cell",
        )
        super().__init__(
            cell,
            activity_regularizer=activity_regularizer,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            **kwargs,
        )

    def fast_scan(self):
        return simple_rnn_scan, [self.cell.recurrent_kernel]
