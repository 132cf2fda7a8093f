"""What the three kinds of cells have in common."""

import keras
from keras import ops

# Keras resets dropout masks only for instances of this class, which it does
# not export.
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell

from kerasrnn.recurrence.projection import add_bias


class RecurrentCell(keras.Layer, DropoutRNNCell):
    """Base of the cells: weights, dropout masks and configuration.

    A subclass has `num_gates`, `num_states` and `step`; a cell knows no
    time. The arguments are those of Keras' own cells.
    """

    num_gates = 1
    num_states = 1

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
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        if units <= 0:
            raise ValueError(
                "Received an invalid value for argument `units`, expected a "
                f"positive integer, got {units}."
            )
        implementation = 2
        if self.num_gates > 1:
            implementation = kwargs.pop("implementation", 2)
        super().__init__(**kwargs)
        # Unseeded initializers and generators draw their seeds as they are
        # made, so what is made in Keras' order starts with Keras' weights.
        if self.num_gates == 1:
            self.seed_generator = keras.random.SeedGenerator(seed=seed)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(
            recurrent_initializer
        )
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = keras.regularizers.get(
            recurrent_regularizer
        )
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.recurrent_constraint = keras.constraints.get(recurrent_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.dropout = min(1.0, max(0.0, dropout))
        self.recurrent_dropout = min(1.0, max(0.0, recurrent_dropout))
        self.seed = seed
        if self.num_gates > 1:
            self.seed_generator = keras.random.SeedGenerator(seed=seed)
        # As in Keras, recurrent dropout takes a mask for each gate.
        several = self.num_gates > 1 and self.recurrent_dropout > 0
        self.implementation = 1 if several else implementation
        if self.implementation == 1:
            self.dropout_mask_count = self.num_gates
        self.state_size = (
            units if self.num_states == 1 else [units] * self.num_states
        )
        self.output_size = units

    def build(self, input_shape):
        super().build(input_shape)
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units * self.num_gates),
            name="kernel",
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, self.units * self.num_gates),
            name="recurrent_kernel",
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=self._bias_shape(),
                name="bias",
                initializer=self._bias_initializer(),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _bias_shape(self):
        return (self.units * self.num_gates,)

    def _bias_initializer(self):
        return self.bias_initializer

    def input_bias(self):
        """Returns the bias added to the projected inputs, or None."""
        return self.bias

    def project(self, inputs, training=False):
        """Returns `inputs @ kernel + bias`, with the inputs' dropout.

        Args:
            inputs: Tensor [B, features], or [B, T, features], of which all
                steps have the same dropout.
            training: Whether dropout applies.

        Returns:
            Tensor [B, gates * units] or [B, T, gates * units].
        """
        masks = None
        if training and 0.0 < self.dropout < 1.0:
            masks = self.input_masks(inputs)
        projected = gated_product(inputs, self.kernel, masks)
        bias = self.input_bias()
        return projected if bias is None else add_bias(projected, bias)

    def input_masks(self, inputs):
        """Returns what `inputs` are multiplied with, a list if one a gate."""
        if len(inputs.shape) == 2:
            return self.get_dropout_mask(inputs)
        masks = self.get_dropout_mask(inputs[:, 0])
        return keras.tree.map_structure(lambda mask: mask[:, None], masks)

    def step(self, projected, states, training=False):
        """Advances one step.

        Args:
            projected: What `project` returns for the step's inputs
                [B, gates * units].
            states: List of tensors [B, units].
            training: Whether dropout applies.

        Returns:
            `(output [B, units], new states)`.
        """
        raise NotImplementedError

    def call(self, inputs, states, training=False):
        nested = isinstance(states, list | tuple)
        projected = self.project(inputs, training)
        output, states = self.step(
            projected, list(states) if nested else [states], training
        )
        return output, states if nested else states[0]

    def recurrent_masks(self, state, training):
        """Returns the dropout masks of the recurrent product, or None."""
        if training and 0.0 < self.recurrent_dropout < 1.0:
            return self.get_recurrent_dropout_mask(state)
        return None

    def get_initial_state(self, batch_size=None):
        """Returns zeros [batch_size, units], one tensor a state."""
        return [
            ops.zeros((batch_size, self.units), dtype=self.compute_dtype)
            for _ in range(self.num_states)
        ]

    def get_config(self):
        config = {
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "recurrent_initializer": keras.initializers.serialize(
                self.recurrent_initializer
            ),
            "bias_initializer": keras.initializers.serialize(
                self.bias_initializer
            ),
            "kernel_regularizer": keras.regularizers.serialize(
                self.kernel_regularizer
            ),
            "recurrent_regularizer": keras.regularizers.serialize(
                self.recurrent_regularizer
            ),
            "bias_regularizer": keras.regularizers.serialize(
                self.bias_regularizer
            ),
            "kernel_constraint": keras.constraints.serialize(
                self.kernel_constraint
            ),
            "recurrent_constraint": keras.constraints.serialize(
                self.recurrent_constraint
            ),
            "bias_constraint": keras.constraints.serialize(
                self.bias_constraint
            ),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }
        if self.num_gates > 1:
            config["implementation"] = self.implementation
        return {**super().get_config(), **config}


def gated_product(inputs, kernel, masks=None):
    """Returns `inputs @ kernel`, with dropout masks on the inputs.

    Args:
        inputs: Tensor [..., features].
        kernel: Tensor [features, gates * units].
        masks: None, one mask for all gates, or a list of one mask a gate;
            each broadcasts to `inputs`.
    """
    if masks is None:
        return ops.matmul(inputs, kernel)
    if not isinstance(masks, list | tuple):
        return ops.matmul(inputs * masks, kernel)
    kernels = ops.split(ops.convert_to_tensor(kernel), len(masks), axis=-1)
    return ops.concatenate(
        [
            ops.matmul(inputs * mask, gate_kernel)
            for mask, gate_kernel in zip(masks, kernels, strict=True)
        ],
        axis=-1,
    )
