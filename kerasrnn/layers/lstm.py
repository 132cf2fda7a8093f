"""Long short-term memory.

    i_t = sigmoid(x_t W_i + h_{t-1} R_i + b_i)      input gate
    f_t = sigmoid(x_t W_f + h_{t-1} R_f + b_f)      forget gate
    g_t = tanh(x_t W_g + h_{t-1} R_g + b_g)         candidate
    o_t = sigmoid(x_t W_o + h_{t-1} R_o + b_o)      output gate
    c_t = f_t * c_{t-1} + i_t * g_t
    h_t = o_t * tanh(c_t)

The gates stand in the kernels in the order i, f, g, o, which is Keras' own
i, f, c, o. Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural
Computation 9 (1997), with the forget gate of Gers, Schmidhuber and Cummins,
"Learning to Forget" (2000).
"""

import keras
from keras import ops

from kerasrnn.layers.cell import RecurrentCell
from kerasrnn.layers.cell import gated_product
from kerasrnn.layers.layer import GatedLayer
from kerasrnn.layers.layer import cell_property
from kerasrnn.recurrence import cudnn
from kerasrnn.recurrence.scan import lstm_scan


def lstm_step(
    projected,
    states,
    recurrent_kernel,
    activation=ops.tanh,
    recurrent_activation=ops.sigmoid,
    masks=None,
):
    """One step of the equations above.

    Args:
        projected: Inputs times kernel plus bias [B, 4U].
        states: `[h, c]`, each [B, U].
        recurrent_kernel: Tensor [U, 4U].
        activation: Function for the candidate and the output.
        recurrent_activation: Function for the gates.
        masks: None, or dropout masks for h, one or one a gate.

    Returns:
        `(h, [h, c])`.
    """
    h, c = states
    z = projected + gated_product(h, recurrent_kernel, masks)
    return lstm_gates(z, c, activation, recurrent_activation)


def lstm_gates(z, c, activation=ops.tanh, recurrent_activation=ops.sigmoid):
    """What a step does once its products are there.

    Args:
        z: `x @ kernel + h @ recurrent_kernel + bias` [B, 4U].
        c: Tensor [B, U].
        activation: Function for the candidate and the output.
        recurrent_activation: Function for the gates.

    Returns:
        `(h, [h, c])`.
    """
    i, f, g, o = ops.split(z, 4, axis=-1)
    i, f = recurrent_activation(i), recurrent_activation(f)
    c = f * c + i * activation(g)
    h = recurrent_activation(o) * activation(c)
    return h, [h, c]


@keras.saving.register_keras_serializable(package="kerasrnn")
class LSTMCell(RecurrentCell):
    """Cell of `LSTM`, with the arguments of `keras.layers.LSTMCell`.

    Call arguments:
        inputs: Tensor with shape `(batch, features)`.
        states: List of two tensors with shape `(batch, units)`, h and c.
        training: Whether `dropout` and `recurrent_dropout` apply.

    Example:
    >>> rnn = keras.layers.RNN(kerasrnn.layers.LSTMCell(4))
    >>> rnn(np.zeros((32, 10, 8))).shape
    TensorShape([32, 4])
    """

    num_gates = 4
    num_states = 2

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
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
        super().__init__(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            **kwargs,
        )
        self.recurrent_activation = keras.activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias

    def _bias_initializer(self):
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

    def step(self, projected, states, training=False):
        masks = self.recurrent_masks(states[0], training)
        return lstm_step(
            projected,
            states,
            self.recurrent_kernel,
            self.activation,
            self.recurrent_activation,
            masks,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "recurrent_activation": keras.activations.serialize(
                self.recurrent_activation
            ),
            "unit_forget_bias": self.unit_forget_bias,
        }


@keras.saving.register_keras_serializable(package="kerasrnn")
class LSTM(GatedLayer):
    """Drop-in replacement of `keras.layers.LSTM`, with its own loop.

    Call arguments:
        sequences: Tensor with shape `(batch, timesteps, features)`.
        initial_state: List of two tensors with shape `(batch, units)`,
            h and c.
        mask: Bool tensor with shape `(batch, timesteps)`; False is skipped.
        training: Whether `dropout` and `recurrent_dropout` apply.

    Example:
    >>> layer = kerasrnn.layers.LSTM(4, return_sequences=True)
    >>> layer(np.zeros((32, 10, 8))).shape
    TensorShape([32, 10, 4])
    """

    cell_arguments = ("recurrent_activation", "unit_forget_bias")
    unit_forget_bias = cell_property("unit_forget_bias")

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
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
        use_cudnn="auto",
        **kwargs,
    ):
        cell = LSTMCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
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
            name="lstm_cell",
            implementation=kwargs.pop("implementation", 2),
        )
        super().__init__(
            cell,
            activity_regularizer=activity_regularizer,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            use_cudnn=use_cudnn,
            **kwargs,
        )

    def fast_scan(self):
        return lstm_scan, [self.cell.recurrent_kernel]

    def cudnn_loop(self):
        return cudnn.lstm, (4 * self.units,)
