"""What the three recurrent layers have in common: Keras' RNN, own loop."""

import functools

import keras
import tensorflow as tf
from keras import ops

from kerasrnn.recurrence import batch_parts
from kerasrnn.recurrence import cudnn
from kerasrnn.recurrence.engine import Engine
from kerasrnn.recurrence.engine import choose_engine
from kerasrnn.recurrence.loop import differentiable_loop
from kerasrnn.recurrence.projection import project
from kerasrnn.recurrence.time_chunks import in_stretches

_CELL_CONFIG = (
    "units",
    "activation",
    "use_bias",
    "kernel_initializer",
    "recurrent_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "recurrent_regularizer",
    "bias_regularizer",
    "kernel_constraint",
    "recurrent_constraint",
    "bias_constraint",
    "dropout",
    "recurrent_dropout",
    "seed",
    "implementation",
)


def cell_property(name):
    """Returns a read-only property that mirrors an attribute of the cell."""
    return property(lambda self: getattr(self.cell, name))


class RecurrentLayer(keras.layers.RNN):
    """Base of the layers: Keras' RNN around one of our cells.

    `keras.layers.RNN` keeps statefulness, casts and dropout masks; the loop
    over time is `inner_loop` below, which takes the fast path of
    `kerasrnn.recurrence.scan` wherever the options allow it.
    """

    # Names of the cell's arguments beyond those that all cells have.
    cell_arguments = ()

    def __init__(self, cell, activity_regularizer=None, **kwargs):
        super().__init__(
            cell, activity_regularizer=activity_regularizer, **kwargs
        )
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.supports_masking = True

    units = cell_property("units")
    activation = cell_property("activation")
    use_bias = cell_property("use_bias")
    kernel_initializer = cell_property("kernel_initializer")
    recurrent_initializer = cell_property("recurrent_initializer")
    bias_initializer = cell_property("bias_initializer")
    kernel_regularizer = cell_property("kernel_regularizer")
    recurrent_regularizer = cell_property("recurrent_regularizer")
    bias_regularizer = cell_property("bias_regularizer")
    kernel_constraint = cell_property("kernel_constraint")
    recurrent_constraint = cell_property("recurrent_constraint")
    bias_constraint = cell_property("bias_constraint")
    dropout = cell_property("dropout")
    recurrent_dropout = cell_property("recurrent_dropout")
    seed = cell_property("seed")

    def fast_scan(self):
        """Returns the cell's `(loop, recurrent weights)`.

        The loop is one of `kerasrnn.recurrence.scan`.
        """
        raise NotImplementedError

    def has_fast_scan(self, training):
        """Whether the options are those of `fast_scan`."""
        cell = self.cell
        # A mask for each gate means a product for each gate. Without masks
        # the two implementations are the same equations.
        masks_by_gate = cell.dropout and cell.implementation == 1
        return (
            not self.unroll
            and cell.activation is keras.activations.tanh
            and not (training and (cell.recurrent_dropout or masks_by_gate))
        )

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Runs the cell over time.

        Args:
            sequences: Tensor [B, T, features].
            initial_state: List of tensors [B, units].
            mask: None or bool [B, T]; False steps are skipped.
            training: Whether dropout applies.

        Returns:
            `(last output [B, units], outputs [B, T, units], states)`.
        """
        if isinstance(mask, list | tuple):
            mask = mask[0]
        if mask is not None:
            mask = tf.cast(mask, tf.bool)
            if len(mask.shape) == 3:  # [B, T, 1], as Keras has it inside
                mask = tf.squeeze(mask, axis=-1)
        # A state [1, units] is that of every row.
        rows = [tf.shape(sequences)[0], self.units]
        initial_state = [
            state
            if state.shape[0] == sequences.shape[0] is not None
            else tf.ensure_shape(
                tf.broadcast_to(state, rows), [sequences.shape[0], self.units]
            )
            for state in initial_state
        ]
        if self.go_backwards:
            sequences = tf.reverse(sequences, [1])
            mask = None if mask is None else tf.reverse(mask, [1])
        if self.has_fast_scan(training):
            outputs, states = self._fast_scan(
                sequences, initial_state, mask, training
            )
        else:
            outputs, states = self._plain_scan(
                sequences, initial_state, mask, training
            )
        last = states[0]
        visible = None if mask is None else self._visible(mask)
        if visible is not None:
            last = _zero_unless(visible[:, -1], last)
        if not self.return_sequences:
            return last, last[:, None], states  # as Keras' own loop
        if visible is not None:
            outputs = _zero_unless(visible, outputs)
        return last, outputs, states

    def _fast_scan(self, sequences, states, mask, training):
        cell = self.cell
        # With 16-bit floats the products are narrow, the states are not.
        dtype = cell.compute_dtype
        wide = "float64" if dtype == "float64" else "float32"
        states = [ops.cast(state, wide) for state in states]
        sequences = ops.cast(sequences, dtype)  # Keras casts no integers
        if training and 0.0 < cell.dropout < 1.0:
            sequences = sequences * cell.input_masks(sequences)
        bias = cell.input_bias()
        scan, weights = self.fast_scan()
        weights = [cell.kernel, bias, *weights]
        weights = [w if w is None else ops.cast(w, dtype) for w in weights]
        engine = Engine.PLAIN
        if training:
            batch, steps, _ = sequences.shape
            engine = choose_engine(self.units, batch, steps, dtype)
        run = functools.partial(_project_and_scan, scan, engine)
        if not engine.is_for_cpu:
            outputs, states = run((sequences, states, mask), *weights)
        else:
            results = batch_parts.in_parts(
                run, (sequences, states, mask), weights
            )
            outputs = tf.concat([part for part, _ in results], axis=0)
            states = zip(*(part for _, part in results), strict=True)
            states = [tf.concat(state, axis=0) for state in states]
        return ops.cast(outputs, dtype), [ops.cast(s, dtype) for s in states]

    def _plain_scan(self, sequences, states, mask, training):
        inputs = [_time_major(sequences)]
        if mask is not None:
            inputs.append(_time_major(mask)[:, :, None])  # [T, B, 1]

        def step(slices, states):
            _, new_states = self.cell.call(slices[0], list(states), training)
            if mask is None:
                return new_states
            return [
                tf.where(slices[1], new, old)
                for new, old in zip(new_states, states, strict=True)
            ]

        states = [ops.convert_to_tensor(state) for state in states]
        outputs, states = differentiable_loop(
            step,
            inputs,
            states,
            states[0].dtype,
            unroll=self.unroll,
            every_step=self.return_sequences,
        )
        return None if outputs is None else _time_major(outputs), states

    def _visible(self, mask):
        """Where outputs are not zero: bool [B, T].

        That is where something was read before, or what the mask says.
        """
        if self.zero_output_for_mask:
            return mask
        return tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0

    def get_config(self):
        config = super().get_config()
        del config["cell"]
        cell_config = self.cell.get_config()
        for name in (*_CELL_CONFIG, *self.cell_arguments):
            if name in cell_config:
                config[name] = cell_config[name]
        config["activity_regularizer"] = keras.regularizers.serialize(
            self.activity_regularizer
        )
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


class GatedLayer(RecurrentLayer):
    """Base of the layers whose cells have gates, and a cuDNN counterpart.

    In training on a GPU the loop is cuDNN's where the options allow it. Its
    weights are the same, and what is exported never holds it.
    """

    recurrent_activation = cell_property("recurrent_activation")

    def __init__(self, cell, use_cudnn="auto", **kwargs):
        if use_cudnn not in ("auto", True, False):
            raise ValueError(
                "Received an invalid value for argument `use_cudnn`, expected "
                f"one of 'auto', True, False, got {use_cudnn!r}."
            )
        super().__init__(cell, **kwargs)
        self.use_cudnn = use_cudnn
        if use_cudnn and not self._cudnn_obstacle():
            # So that Keras does not compile the model with XLA, which has
            # no cuDNN loops.
            self.supports_jit = False

    def has_fast_scan(self, training):
        return (
            super().has_fast_scan(training)
            and self.cell.recurrent_activation is keras.activations.sigmoid
        )

    def cudnn_loop(self):
        """Returns the loop of `recurrence.cudnn` and the bias's shape."""
        raise NotImplementedError

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if self.use_cudnn is True and (obstacle := self._cudnn_obstacle()):
            raise ValueError(
                "use_cudnn=True was specified, but cuDNN cannot run this "
                f"layer here: {obstacle}. Pass use_cudnn='auto' to take the "
                "fastest path there is."
            )
        return super().inner_loop(sequences, initial_state, mask, training)

    def _cudnn_obstacle(self):
        """Why cuDNN cannot train this layer here, or ""."""
        if not self.has_fast_scan(training=True):
            return (
                "it has no unroll, no recurrent_dropout, no dropout with "
                "implementation=1, no activations but tanh and sigmoid, and "
                "no GRU but that with reset_after=True"
            )
        return cudnn.obstacle_here()

    def _fast_scan(self, sequences, states, mask, training):
        if not (training and self.use_cudnn) or self._cudnn_obstacle():
            return super()._fast_scan(sequences, states, mask, training)
        if mask is None:
            return self._cudnn_scan(sequences, states, None)
        lengths, fits = cudnn.right_padded_lengths(mask)
        if self.use_cudnn is True:
            message = (
                "use_cudnn=True was specified, but cuDNN reads only masks "
                "that are right-padded: in each row one or more True, then "
                "False to its end, in the direction of reading. Pass "
                "use_cudnn='auto' for other masks."
            )
            with tf.control_dependencies(
                [tf.debugging.Assert(fits, [message])]
            ):
                lengths = tf.identity(lengths)
            return self._cudnn_scan(sequences, states, lengths)
        own = super()._fast_scan
        return tf.cond(
            fits,
            lambda: self._cudnn_scan(sequences, states, lengths),
            lambda: own(sequences, states, mask, training),
        )

    def _cudnn_scan(self, sequences, states, lengths):
        cell = self.cell
        dtype = cell.compute_dtype
        sequences = ops.cast(sequences, dtype)
        if 0.0 < cell.dropout < 1.0:
            sequences = sequences * cell.input_masks(sequences)
        loop, bias_shape = self.cudnn_loop()
        bias = tf.zeros(bias_shape) if cell.bias is None else cell.bias
        weights = [cell.kernel, cell.recurrent_kernel, bias]
        weights = [ops.cast(weight, dtype) for weight in weights]
        states = [ops.cast(state, dtype) for state in states]
        outputs, states = loop(
            _time_major(sequences), *weights, states, lengths
        )
        return _time_major(outputs), states

    def get_config(self):
        return {**super().get_config(), "use_cudnn": self.use_cudnn}


def _zero_unless(visible, values):
    return tf.where(visible[..., None], values, tf.zeros_like(values))


def _project_and_scan(scan, engine, batched, kernel, bias, *weights):
    """Projects the inputs of all steps at once and runs the loop.

    Args:
        scan: One of the loops of `kerasrnn.recurrence.scan`.
        engine: How to run it.
        batched: `(sequences [B, T, features], states, mask)`.
        kernel: Tensor [features, G * U].
        bias: Tensor [G * U] or None.
        *weights: The recurrent weights that `scan` takes.

    Returns:
        `(outputs [B, T, U], states)`.
    """
    sequences, states, mask = batched

    def run(sequences, states):
        sequences, mask = sequences
        projected = project(sequences, kernel, bias)
        return scan(projected, *weights, states, mask, engine=engine)

    sequences = [v if v is None else _time_major(v) for v in (sequences, mask)]
    if engine.is_for_cpu:
        outputs, states = in_stretches(run, sequences, states)
    else:
        outputs, states = run(sequences, states)
    return _time_major(outputs), states


def _time_major(value):
    """[B, T, ...] to [T, B, ...], or back.

    What was transposed so by a layer below is taken as it was.
    """
    order = [1, 0, *range(2, len(value.shape))]
    if tf.is_symbolic_tensor(value) and value.op.type == "Transpose":
        original, permutation = value.op.inputs
        permutation = tf.get_static_value(permutation)
        if permutation is not None and list(permutation) == order:
            return original
    return tf.transpose(value, order)
