"""Layers that pass parts on, without joining and cutting them again.

A layer joins the outputs of its parts and makes them batch-major; the layer
above makes them time-major and cuts them again. In a graph both can be skipped:
the parts are the inputs of the operation that joined them. So each part runs
through the layers without waiting for the others.

The shortcut is taken only where the result is certainly the same; everything
else, and whatever is computed eagerly, is joined and cut.

A tape does not see that anything is skipped: for it, what a shortcut returns
was made of the tensor that it goes around. So the gradient with respect to that
tensor is there for whoever asks for it; and as the derivatives of parts that
were joined are cut with the same shortcut, it is computed for nobody else.
"""

from collections.abc import Callable
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.python.eager import record


def cut(value: tf.Tensor, sizes: Sequence) -> list[tf.Tensor]:
    """Cuts a tensor into parts of `sizes` along its first dimension.

    Args:
        value: Any tensor.
        sizes: Integers, or scalar tensors, that add up to that dimension.
    """
    source = _source(value, "ConcatV2")
    if source is not None:
        *parts, axis = source.inputs
        rows = [part.shape[0] for part in parts]
        known = all(isinstance(size, int) for size in sizes)
        if known and rows == list(sizes) and tf.get_static_value(axis) == 0:
            return _recorded(
                lambda: [tf.identity(part) for part in parts],
                [value],
                lambda *upstream: [join(upstream)],
            )
    return tf.split(value, sizes)


def join(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """Joins parts along their first dimension, as `cut` cuts them."""
    parts = [tf.convert_to_tensor(part) for part in parts]
    sizes = [part.shape[0] for part in parts]
    if None in sizes or not tf.is_symbolic_tensor(parts[0]):
        return tf.concat(parts, axis=0)
    [joined] = _recorded(
        lambda: [tf.concat(parts, axis=0)],
        parts,
        lambda upstream: cut(tf.convert_to_tensor(upstream), sizes),
    )
    return joined


def time_major(value: tf.Tensor) -> tf.Tensor:
    """Turns [B, T, ...] into [T, B, ...], or back."""
    order = [1, 0, *range(2, len(value.shape))]
    if not tf.is_symbolic_tensor(value):
        return tf.transpose(value, order)
    [turned] = _recorded(
        lambda: [_in_order(value, order)],
        [value],
        lambda upstream: [time_major(tf.convert_to_tensor(upstream))],
    )
    return turned


def _in_order(value, order):
    source = _source(value, "Transpose")
    if source is not None:
        original, permutation = source.inputs
        permutation = tf.get_static_value(permutation)
        if permutation is not None and list(permutation) == order:
            return tf.identity(original)
    return tf.transpose(value, order)


def _source(value: tf.Tensor, kind: str) -> tf.Operation | None:
    """The operation of a graph that made a tensor, if it is of this kind."""
    if not tf.is_symbolic_tensor(value):
        return None
    operation = value.op
    while _is_plain_identity(operation):
        operation = operation.inputs[0].op
    return operation if operation.type == kind else None


def _is_plain_identity(operation):
    """Whether an operation does nothing but to pass its input on."""
    return (
        operation.type == "Identity"
        and not operation.control_inputs
        and "_gradient_op_type" not in operation.node_def.attr
    )


def _recorded(
    function: Callable[[], list[tf.Tensor]],
    inputs: Sequence[tf.Tensor],
    gradient: Callable[..., list[tf.Tensor]],
) -> list[tf.Tensor]:
    """Calls a function that has, for tapes, these inputs and this gradient.

    `tf.custom_gradient` would do the same, but its outputs depend on the inputs
    in the graph as well, so that what is skipped would be computed.
    """
    with record.stop_recording():
        outputs = function()
    record.record_operation("Shortcut", outputs, inputs, gradient)
    return outputs
