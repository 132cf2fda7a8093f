"""Hand-written gradients that can be differentiated again.

A hand-written gradient is fast, but TensorFlow cannot see what it computes. So
it comes with the same function in TensorFlow's own operations, which is used
where the gradient itself is differentiated: for second derivatives and for
forward mode, which TensorFlow derives from the gradient of a gradient.
"""

import functools
from collections.abc import Callable
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.python.eager import forwardprop_util


def differentiable(
    gradient: Callable,
    plain: Callable,
    constants: Sequence[tf.Tensor],
    tensors: Sequence[tf.Tensor],
    values: Sequence[tf.Tensor],
) -> Callable:
    """Returns a hand-written gradient that has derivatives itself.

    Args:
        gradient: Called as `gradient(*upstream)`, returns a list with the
            gradient of each of the tensors.
        plain: Called as `plain(constants, *tensors, unroll=False)`, returns
            the values, by operations that TensorFlow differentiates as often
            as is wanted, with `unroll` without a loop in the graph. It is
            traced once for each object that is given here.
        constants: List of tensors that have no gradient.
        tensors: What there is a gradient for.
        values: What `upstream` are the derivatives with respect to.
    """
    eagerly = tf.executing_eagerly()
    dtypes = [value.dtype for value in values]

    def differentiable_gradient(*upstream):
        upstream = [
            tf.cast(tensor, dtype)
            for tensor, dtype in zip(upstream, dtypes, strict=True)
        ]
        gradients = gradient(*unwatched(upstream))
        second = functools.partial(_second, plain, eagerly, constants)
        return _differentiable(gradients, second, tensors, upstream)

    return differentiable_gradient


def in_forward_mode(tensors: Sequence[tf.Tensor]) -> bool:
    """Whether a graph is made in which TensorFlow takes derivatives forward.

    There it looks into whatever computes the values, and knows no loop.
    """
    if tf.executing_eagerly():
        return False
    return bool(forwardprop_util.pack_tangents(list(tensors)).tangents)


def unwatched(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the tensors without the tapes that watch them.

    A compiled function that is called with a watched tensor is differentiated
    for the tape, as often as tapes are around it, whether that is used or not.
    """
    return [tf.stop_gradient(tensor) for tensor in tensors]


def _differentiable(gradients, second, tensors, upstream):
    """Passes gradients on, with a gradient of their own.

    Args:
        gradients: Those of `tensors`.
        second: Called as `second(tensors, upstream, seconds)`, returns the
            gradients of tensors and upstream.
        tensors: What there is a gradient for.
        upstream: What `gradients` are made from, beside `tensors`.
    """
    count = len(gradients)
    tensors = _in_this_graph(tensors)

    @tf.custom_gradient
    def identity(*values):
        def gradient(*seconds):
            tensors, upstream = values[count : 2 * count], values[2 * count :]
            # What reaches the gradients themselves ends there.
            return [None] * count + second(tensors, upstream, seconds)

        return [tf.identity(value) for value in values[:count]], gradient

    return identity(*gradients, *tensors, *upstream)


def _second(plain, eagerly, constants, tensors, upstream, seconds):
    """The gradients of `tensors` and `upstream`, see `_differentiable`."""
    # What is differentiated eagerly is differentiated again in a graph for
    # its Jacobian, in which TensorFlow has no loop.
    unroll = eagerly and not tf.executing_eagerly()
    return _gradients_again(plain, unroll)(
        *(_in_this_graph(t) for t in (constants, tensors, upstream, seconds))
    )


@functools.cache
def _gradients_again(plain, unroll):
    """The gradient of the gradient of a plain function.

    It is made in a graph, as no tape records inside of the differentiation
    of a forward accumulator.
    """

    @tf.function(autograph=False, reduce_retracing=True)
    def gradients_again(constants, tensors, upstream, seconds):
        zero = tf.UnconnectedGradients.ZERO
        tensors, upstream = list(tensors), list(upstream)
        values = plain(constants, *tensors, unroll=unroll)
        gradients = tf.gradients(
            values, tensors, upstream, unconnected_gradients=zero
        )
        return tf.gradients(
            gradients, tensors + upstream, seconds, unconnected_gradients=zero
        )

    return gradients_again


def _in_this_graph(tensors):
    return [tf.identity(tensor) for tensor in tensors]
