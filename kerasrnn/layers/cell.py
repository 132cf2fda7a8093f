"""What the cells have in common: weights, dropout masks, configuration."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

# Keras resets dropout masks only for instances of this class, which it does
# not export.
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell

from kerasrnn.recurrence.projection import add_bias
from kerasrnn.recurrence.step import LayerWeights
from kerasrnn.recurrence.step import Step
from kerasrnn.recurrence.step import split_bias

# What Keras makes an object of: its name, its configuration or itself.
Spec = str | dict[str, Any] | Callable[..., Any] | None

# By the last word of an argument's name: what reads and writes its values.
_MODULES = {
    "activation": keras.activations,
    "initializer": keras.initializers,
    "regularizer": keras.regularizers,
    "constraint": keras.constraints,
}


class RecurrentCell(keras.Layer, DropoutRNNCell):
    """Base of the cells, each of which computes one step.

    A subclass has a `recurrent_step`, and an `__init__` with the arguments of
    Keras' own cell, which become attributes of the same names.

    Args:
        arguments: What the subclass's `__init__` was given, by name; see
            `own_arguments`.
        **kwargs: Those of `keras.Layer`, and `implementation` of a cell with
            gates.

    Raises:
        ValueError: `units` is not positive.
    """

    recurrent_step: Step

    units: int
    activation: Callable
    use_bias: bool
    kernel_initializer: Callable
    recurrent_initializer: Callable
    bias_initializer: Callable
    kernel_regularizer: Callable | None
    recurrent_regularizer: Callable | None
    bias_regularizer: Callable | None
    kernel_constraint: Callable | None
    recurrent_constraint: Callable | None
    bias_constraint: Callable | None
    dropout: float
    recurrent_dropout: float
    seed: int | None
    implementation = 2

    def __init__(self, arguments: dict, **kwargs: Any):
        units, seed = arguments["units"], arguments["seed"]
        if units <= 0:
            raise ValueError(
                "Received an invalid value for argument `units`, expected a "
                f"positive integer, got {units}."
            )
        sizes = self.recurrent_step.sizes
        if sizes.gates > 1:
            implementation = kwargs.pop("implementation", 2)
            arguments = {**arguments, "implementation": implementation}
        super().__init__(**kwargs)
        # Unseeded initializers and generators draw their seeds as they are
        # made, so what is made in Keras' order starts with Keras' weights.
        if sizes.gates == 1:
            self.seed_generator = keras.random.SeedGenerator(seed=seed)
        for name, value in arguments.items():
            module = _module(name)
            setattr(self, name, module.get(value) if module else value)
        self.dropout = min(1.0, max(0.0, self.dropout))
        self.recurrent_dropout = min(1.0, max(0.0, self.recurrent_dropout))
        if sizes.gates > 1:
            self.seed_generator = keras.random.SeedGenerator(seed=seed)
            # As in Keras, recurrent dropout takes a mask for each gate.
            if self.recurrent_dropout > 0:
                self.implementation = 1
        if self.implementation == 1:
            self.dropout_mask_count = sizes.gates
        self.state_size = units
        if sizes.states > 1:
            self.state_size = [units] * sizes.states
        self.output_size = units
        self._argument_names = tuple(arguments)

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        width = self.units * self.recurrent_step.sizes.gates
        self.kernel = self.add_weight(
            shape=(input_shape[-1], width),
            name="kernel",
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, width),
            name="recurrent_kernel",
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(2, width) if self.num_biases() == 2 else (width,),
                name="bias",
                initializer=self.first_bias(),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def num_biases(self) -> int:
        """Returns how many biases there are, with `use_bias`."""
        return self.recurrent_step.sizes.biases

    def first_bias(self) -> Callable:
        """Returns the initializer of all biases."""
        return self.bias_initializer

    def layer_weights(self) -> LayerWeights:
        """Returns the weights as loops take them."""
        bias = self.bias
        if bias is not None:
            bias = ops.convert_to_tensor(bias)
        return LayerWeights(
            ops.convert_to_tensor(self.kernel),
            ops.convert_to_tensor(self.recurrent_kernel),
            *split_bias(bias),
        )

    def activations(self) -> list[Callable]:
        """Returns the last arguments of the step's `forward`."""
        return [self.activation]

    def is_standard(self) -> bool:
        """Whether the step's `backward` is the derivative of this cell."""
        return self.activation is keras.activations.tanh

    def call(
        self, inputs: Any, states: Any, training: bool = False
    ) -> tuple[tf.Tensor, Any]:
        nested = isinstance(states, list | tuple)
        states = self.own_states(
            states if nested else [states], f"states of {type(self).__name__}"
        )
        weights = self.layer_weights()
        projected = self._project(inputs, weights, training)
        states = self.advance(projected, states, weights, training)
        return states[0], states if nested else states[0]

    def own_states(self, states: Sequence[Any], name: str) -> list[Any]:
        """Returns the first ones of `states`, as many as the cell has.

        Keras takes more: an encoder's h and c are the states of a GRU, too.

        Args:
            states: Tensors [B, units], h first.
            name: What to call them in an error.

        Raises:
            ValueError: There are too few.
        """
        count = self.recurrent_step.sizes.states
        if len(states) < count:
            raise ValueError(
                f"{name} must be a list of {count} tensors [batch, units], as "
                "get_initial_state(batch_size) returns them, h first; "
                f"received {len(states)}."
            )
        return list(states[:count])

    def advance(
        self,
        projected: tf.Tensor,
        states: list[tf.Tensor],
        weights: LayerWeights,
        training: bool,
    ) -> list[tf.Tensor]:
        """Returns the states after a step.

        Args:
            projected: The inputs' product, with its bias [B, gates * units].
            states: Tensors [B, units], h first.
            weights: The weights of the cell.
            training: Whether dropout applies.
        """
        product = gated_product(
            states[0],
            weights.recurrent_kernel,
            self.recurrent_masks(states[0], training),
        )
        if weights.recurrent_bias is not None:
            product = add_bias(product, weights.recurrent_bias)
        sums = self.recurrent_step.sums(projected, product)
        states, _ = self.recurrent_step.forward(
            *sums, *states, *self.activations()
        )
        return list(states)

    def _project(self, inputs, weights, training):
        masks = None
        if training and self.drops(self.dropout):
            masks = self.input_masks(inputs)
        projected = gated_product(inputs, weights.kernel, masks)
        if weights.bias is None:
            return projected
        return add_bias(projected, weights.bias)

    def drops(self, rate: float) -> bool:
        """Whether dropout at this rate has an effect in training.

        As in Keras, a rate of 1 has none in cells with gates, and leaves
        nothing in the others.
        """
        return rate > 0.0 and (
            rate < 1.0 or self.recurrent_step.sizes.gates == 1
        )

    def input_masks(self, inputs: tf.Tensor) -> Any:
        """Returns the inputs' dropout masks: one, or a list of one per gate.

        Args:
            inputs: Tensor [B, features], or [B, T, features], of which all
                steps have the same dropout.
        """
        if len(inputs.shape) == 2:
            return self.get_dropout_mask(inputs)
        masks = self.get_dropout_mask(inputs[:, 0])
        return keras.tree.map_structure(lambda mask: mask[:, None], masks)

    def recurrent_masks(self, state: tf.Tensor, training: bool) -> Any:
        """Returns the dropout masks of the recurrent product, or None."""
        if training and self.drops(self.recurrent_dropout):
            return self.get_recurrent_dropout_mask(state)
        return None

    def get_initial_state(
        self, batch_size: int | None = None
    ) -> list[tf.Tensor]:
        """Returns zeros [batch_size, units], one tensor per state."""
        return [
            ops.zeros((batch_size, self.units), dtype=self.compute_dtype)
            for _ in range(self.recurrent_step.sizes.states)
        ]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in self._argument_names:
            value, module = getattr(self, name), _module(name)
            config[name] = module.serialize(value) if module else value
        return config


class GatedCell(RecurrentCell):
    """Base of the cells with gates, which have an activation of their own."""

    recurrent_activation: Callable

    def activations(self) -> list[Callable]:
        """Returns the last arguments of the step's `forward`."""
        return [self.activation, self.recurrent_activation]

    def is_standard(self) -> bool:
        """Whether the step's `backward` is the derivative of this cell."""
        gates = self.recurrent_activation is keras.activations.sigmoid
        return gates and super().is_standard()


def own_arguments(scope: dict) -> dict:
    """Returns an `__init__`'s arguments but `kwargs`, from its `locals()`."""
    return {
        name: value
        for name, value in scope.items()
        if name not in ("self", "kwargs", "__class__")
    }


def gated_product(
    inputs: tf.Tensor, kernel: tf.Tensor, masks: Any = None
) -> tf.Tensor:
    """Returns `inputs @ kernel`, with dropout masks on the inputs.

    Args:
        inputs: Tensor [..., features].
        kernel: Tensor [features, gates * units].
        masks: None, one mask for all gates, or a list of one mask per gate;
            each broadcasts to `inputs`.
    """
    if masks is None:
        return ops.matmul(inputs, kernel)
    if not isinstance(masks, list | tuple):
        return ops.matmul(inputs * masks, kernel)
    kernels = ops.split(kernel, len(masks), axis=-1)
    return ops.concatenate(
        [
            ops.matmul(inputs * mask, gate_kernel)
            for mask, gate_kernel in zip(masks, kernels, strict=True)
        ],
        axis=-1,
    )


def _module(name):
    return _MODULES.get(name.rpartition("_")[2])
