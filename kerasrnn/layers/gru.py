"""Gated recurrent unit.

    z_t = sigmoid(x_t W_z + h_{t-1} R_z + b_z)          update gate
    r_t = sigmoid(x_t W_r + h_{t-1} R_r + b_r)          reset gate
    g_t = tanh(x_t W_g + r_t * (h_{t-1} R_g + b'_g) + b_g)
    h_t = z_t * h_{t-1} + (1 - z_t) * g_t

The gates stand in the kernels in the order z, r, g, which is Keras' z, r, h.
With `reset_after=False` the candidate is that of Cho et al., "Learning Phrase
Representations using RNN Encoder-Decoder" (2014), where the reset gate acts
before the product: `g_t = tanh(x_t W_g + (r_t * h_{t-1}) R_g + b_g)`.
"""

import keras
from keras import ops

from kerasrnn.layers.cell import RecurrentCell
from kerasrnn.layers.cell import gated_product
from kerasrnn.layers.layer import GatedLayer
from kerasrnn.layers.layer import cell_property
from kerasrnn.recurrence import cudnn
from kerasrnn.recurrence.projection import add_bias
from kerasrnn.recurrence.scan import gru_scan


def gru_step(
    projected,
    states,
    recurrent_kernel,
    recurrent_bias=None,
    activation=ops.tanh,
    recurrent_activation=ops.sigmoid,
    reset_after=True,
    masks=None,
):
    """One step of the equations above.

    Args:
        projected: Inputs times kernel plus input bias [B, 3U].
        states: `[h]`, h [B, U].
        recurrent_kernel: Tensor [U, 3U].
        recurrent_bias: None or a tensor [3U], with `reset_after` only.
        activation: Function for the candidate.
        recurrent_activation: Function for the gates.
        reset_after: Whether the reset gate acts after the product.
        masks: None, or dropout masks for h, one or one a gate.

    Returns:
        `(h, [h])`.
    """
    h = states[0]
    if reset_after:
        a = gated_product(h, recurrent_kernel, masks)
        if recurrent_bias is not None:
            a = add_bias(a, recurrent_bias)
        return gru_gates(projected, a, h, activation, recurrent_activation)
    units = h.shape[-1]
    p_z, p_r, p_g = ops.split(projected, 3, axis=-1)
    gates_kernel = recurrent_kernel[:, : 2 * units]
    several = isinstance(masks, list | tuple)
    a = gated_product(h, gates_kernel, masks[:2] if several else masks)
    a_z, a_r = ops.split(a, 2, axis=-1)
    z, r = recurrent_activation(p_z + a_z), recurrent_activation(p_r + a_r)
    candidate_kernel = recurrent_kernel[:, 2 * units :]
    mask = masks[2] if several else masks
    g = activation(p_g + gated_product(r * h, candidate_kernel, mask))
    h = z * h + (1 - z) * g
    return h, [h]


def gru_gates(
    projected, a, h, activation=ops.tanh, recurrent_activation=ops.sigmoid
):
    """What a step does once its products are there, with `reset_after`.

    Args:
        projected: `x @ kernel` plus input bias [B, 3U].
        a: `h @ recurrent_kernel` plus recurrent bias [B, 3U].
        h: Tensor [B, U].
        activation: Function for the candidate.
        recurrent_activation: Function for the gates.

    Returns:
        `(h, [h])`.
    """
    p_z, p_r, p_g = ops.split(projected, 3, axis=-1)
    a_z, a_r, a_g = ops.split(a, 3, axis=-1)
    z, r = recurrent_activation(p_z + a_z), recurrent_activation(p_r + a_r)
    g = activation(p_g + r * a_g)
    h = z * h + (1 - z) * g
    return h, [h]


@keras.saving.register_keras_serializable(package="kerasrnn")
class GRUCell(RecurrentCell):
    """Cell of `GRU`, with the arguments of `keras.layers.GRUCell`.

    Call arguments:
        inputs: Tensor with shape `(batch, features)`.
        states: A tensor with shape `(batch, units)`, or a list of it.
        training: Whether `dropout` and `recurrent_dropout` apply.

    Example:
    >>> rnn = keras.layers.RNN(kerasrnn.layers.GRUCell(4))
    >>> rnn(np.zeros((32, 10, 8))).shape
    TensorShape([32, 4])
    """

    num_gates = 3

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
        reset_after=True,
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
        self.reset_after = reset_after

    def _bias_shape(self):
        size = 3 * self.units
        return (2, size) if self.reset_after else (size,)

    def input_bias(self):
        if self.bias is None or not self.reset_after:
            return self.bias
        return self.bias[0]

    def recurrent_bias(self):
        """Returns the bias added to the recurrent product, or None."""
        if self.bias is None or not self.reset_after:
            return None
        return self.bias[1]

    def step(self, projected, states, training=False):
        masks = self.recurrent_masks(states[0], training)
        return gru_step(
            projected,
            states,
            ops.convert_to_tensor(self.recurrent_kernel),
            self.recurrent_bias(),
            self.activation,
            self.recurrent_activation,
            self.reset_after,
            masks,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "recurrent_activation": keras.activations.serialize(
                self.recurrent_activation
            ),
            "reset_after": self.reset_after,
        }


@keras.saving.register_keras_serializable(package="kerasrnn")
class GRU(GatedLayer):
    """Drop-in replacement of `keras.layers.GRU`, with its own loop.

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

    cell_arguments = ("recurrent_activation", "reset_after")
    reset_after = cell_property("reset_after")

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
        reset_after=True,
        use_cudnn="auto",
        **kwargs,
    ):
        cell = GRUCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            reset_after=reset_after,
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
            name="gru_cell",
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

    def has_fast_scan(self, training):
        return super().has_fast_scan(training) and self.reset_after

    def fast_scan(self):
        cell = self.cell
        bias = cell.recurrent_bias()
        if bias is None:
            bias = ops.zeros((3 * cell.units,), dtype=cell.compute_dtype)
        return gru_scan, [cell.recurrent_kernel, bias]

    def cudnn_loop(self):
        return cudnn.gru, (2, 3 * self.units)
