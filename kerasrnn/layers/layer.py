"""What the recurrent layers have in common: Keras' RNN, with our loops."""

import inspect
from collections.abc import Sequence
from typing import Any
from typing import Self

import keras
import tensorflow as tf
from keras import ops

from kerasrnn.layers.call_arguments import mask_of_every_row
from kerasrnn.layers.call_arguments import states_of_every_row
from kerasrnn.layers.cell import RecurrentCell
from kerasrnn.recurrence import cudnn
from kerasrnn.recurrence.graph_shortcuts import time_major
from kerasrnn.recurrence.loop import differentiable_loop
from kerasrnn.recurrence.reader import read_batch


class RecurrentLayer(keras.layers.RNN):
    """Base of the layers: Keras' RNN around one of our cells.

    `keras.layers.RNN` keeps statefulness, casts and dropout masks; the loop
    over time is `inner_loop` below, which takes the fast path of
    `kerasrnn.recurrence.reader` wherever the options allow it.

    A subclass has a `cell_class` and an `__init__` with the arguments of
    Keras' own layer; those that are the cell's can be read from the layer.

    Args:
        arguments: What the subclass's `__init__` was given, by name; see
            `kerasrnn.layers.cell.own_arguments`.
        **kwargs: Those of `keras.layers.RNN`, and `implementation` of a cell
            with gates.

    Raises:
        ValueError: An argument has no such value.
    """

    cell_class: type[RecurrentCell]
    # Keras' name of the cell in a layer, which is in its weights' paths.
    cell_name: str
    # An argument of the layers whose cells have a counterpart in cuDNN, and an
    # attribute of these alone, as with Keras.
    use_cudnn: bool | str

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "cell_class" in vars(cls):
            for name in cls._cell_arguments():
                setattr(cls, name, _cell_property(name))

    def __init__(self, arguments: dict, **kwargs: Any):
        arguments = dict(arguments)
        use_cudnn = arguments.pop("use_cudnn", False)
        if use_cudnn not in ("auto", True, False):
            raise ValueError(
                "Received an invalid value for argument `use_cudnn`, expected "
                f"one of 'auto', True, False, got {use_cudnn!r}."
            )
        cell_arguments = {
            name: arguments.pop(name) for name in self._cell_arguments()
        }
        if self._is_gated() and "implementation" in kwargs:
            cell_arguments["implementation"] = kwargs.pop("implementation")
        cell = self.cell_class(
            **cell_arguments,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name=self.cell_name,
        )
        super().__init__(cell, **arguments, **kwargs)
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.supports_masking = True
        if self.cell.recurrent_step.cudnn is not None:
            self.use_cudnn = use_cudnn
        if use_cudnn and not self._cudnn_obstacle():
            # So that Keras does not compile the model with XLA, which has
            # no cuDNN loops.
            self.supports_jit = False

    @classmethod
    def _cell_arguments(cls):
        names = inspect.signature(cls.cell_class.__init__).parameters
        return [name for name in names if name not in ("self", "kwargs")]

    @classmethod
    def _is_gated(cls):
        return cls.cell_class.recurrent_step.sizes.gates > 1

    def has_fast_scan(self, training: bool) -> bool:
        """Whether the options are those of the fast loop."""
        cell = self.cell
        # A mask for each gate means a product for each gate. Without masks
        # the two implementations are the same equations.
        masks_by_gate = cell.dropout and cell.implementation == 1
        return (
            not self.unroll
            and cell.is_standard()
            and not (training and (cell.recurrent_dropout or masks_by_gate))
        )

    def inner_loop(
        self,
        sequences: tf.Tensor,
        initial_state: Sequence[tf.Tensor],
        mask: tf.Tensor | None,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Runs the cell over time.

        Args:
            sequences: Tensor [B, T, features].
            initial_state: List of tensors [B, units].
            mask: None or bool [B, T]; False steps are skipped.
            training: Whether dropout applies.

        Returns:
            `(last output [B, units], outputs [B, T, units], states)`.
        """
        use_cudnn = getattr(self, "use_cudnn", False)
        if use_cudnn is True and (obstacle := self._cudnn_obstacle()):
            raise ValueError(
                "use_cudnn=True was specified, but cuDNN cannot run this "
                f"layer here: {obstacle}. Pass use_cudnn='auto' to use the "
                "fastest path that is available."
            )
        mask = mask_of_every_row(mask, sequences)
        name = f"initial_state of {type(self).__name__}"
        states = self.cell.own_states(initial_state, name)
        states = states_of_every_row(states, sequences, self.cell.units)
        if self.go_backwards:
            sequences = tf.reverse(sequences, [1])
            mask = None if mask is None else tf.reverse(mask, [1])
        if not self.has_fast_scan(training):
            outputs, states = self._run_cell(sequences, states, mask, training)
        elif training and use_cudnn and not self._cudnn_obstacle():
            outputs, states = self._read_with_cudnn(sequences, states, mask)
        else:
            outputs, states = self._read(sequences, states, mask, training)
        last = states[0]
        visible = None if mask is None else self._visible(mask)
        if visible is not None:
            last = _zero_unless(visible[:, -1], last)
        if not self.return_sequences:
            return last, last[:, None], states  # as Keras' own loop
        if visible is not None:
            outputs = _zero_unless(visible, outputs)
        return last, outputs, states

    def _read(self, sequences, states, mask, training, use_cudnn=False):
        cell, dtype = self.cell, self.cell.compute_dtype
        sequences = ops.cast(sequences, dtype)  # Keras casts no integers
        if training and cell.drops(cell.dropout):
            sequences = sequences * cell.input_masks(sequences)
        outputs, states = read_batch(
            cell.recurrent_step,
            sequences,
            cell.layer_weights(),
            states,
            dtype,
            mask=mask,
            training=training,
            use_cudnn=use_cudnn,
        )
        return outputs, [tf.cast(state, dtype) for state in states]

    def _read_with_cudnn(self, sequences, states, mask):
        def theirs():
            return self._read(sequences, states, mask, True, use_cudnn=True)

        if mask is None:
            return theirs()
        fits = cudnn.is_right_padded(mask)
        if self.use_cudnn == "auto":
            return tf.cond(
                fits,
                theirs,
                lambda: self._read(sequences, states, mask, True),
            )
        message = (
            "use_cudnn=True was specified, but cuDNN reads only masks "
            "that are right-padded: in each row one or more True, then "
            "False to its end, in the direction of reading. Pass "
            "use_cudnn='auto' for other masks."
        )
        with tf.control_dependencies([tf.debugging.Assert(fits, [message])]):
            mask = tf.identity(mask)
        return theirs()

    def _cudnn_obstacle(self):
        """Why cuDNN cannot train this layer here, or ""."""
        if not self.has_fast_scan(training=True):
            return (
                "it has no unroll, no recurrent_dropout, no dropout with "
                "implementation=1, no activations but tanh and sigmoid, and "
                "no GRU but that with reset_after=True"
            )
        return cudnn.obstacle_here(self.cell.recurrent_step)

    def _run_cell(self, sequences, states, mask, training):
        """The loop over `cell.call`, for options that the fast one lacks."""
        inputs = [time_major(sequences)]
        if mask is not None:
            inputs.append(time_major(mask)[:, :, None])  # [T, B, 1]

        def step(slices, states):
            _, new_states = self.cell.call(slices[0], list(states), training)
            if mask is None:
                return new_states
            return [
                tf.where(slices[1], new, old)
                for new, old in zip(new_states, states, strict=True)
            ]

        outputs, states = differentiable_loop(
            step,
            inputs,
            states,
            states[0].dtype,
            unroll=self.unroll,
            every_step=self.return_sequences,
        )
        return None if outputs is None else time_major(outputs), states

    def _visible(self, mask):
        """Where outputs are not zero: bool [B, T].

        That is where something was read before, or what the mask says.
        """
        if self.zero_output_for_mask:
            return mask
        return tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["cell"]
        cell_config = self.cell.get_config()
        for name in self._cell_arguments():
            config[name] = cell_config[name]
        if self._is_gated():
            config["implementation"] = cell_config["implementation"]
        config["activity_regularizer"] = keras.regularizers.serialize(
            self.activity_regularizer
        )
        if self.cell.recurrent_step.cudnn is not None:
            config["use_cudnn"] = self.use_cudnn
        return config

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        custom_objects: dict[str, Any] | None = None,
    ) -> Self:
        return cls(**config)


def _cell_property(name):
    return property(
        lambda self: getattr(self.cell, name), doc=f"The cell's `{name}`."
    )


def _zero_unless(visible, values):
    return tf.where(visible[..., None], values, tf.zeros_like(values))
