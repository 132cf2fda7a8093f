"""Gradients by hand that can be differentiated again.

A gradient by hand is fast, and TensorFlow knows nothing of what is behind it.
So it comes with the same function as TensorFlow's own operations, which is
taken where the gradient itself is differentiated: for second derivatives and
for those in forward mode, which TensorFlow makes of a gradient's gradient.
"""

import functools

import tensorflow as tf
from tensorflow.python.eager import forwardprop_util


def with_gradient(fast, plain, constants=()):
    """Returns a function with a gradient by hand.

    Args:
        fast: Called as `fast(*tensors)`, returns `(values, gradient)`, a list
            of tensors and a function: `gradient(*upstream)` returns a list
            with the gradient of each of the tensors.
        plain: Called as `plain(constants, *tensors, unroll=False)`, returns
            the same values, by operations that TensorFlow differentiates as
            often as is wanted, with `unroll` without a loop in the graph.
            It is traced once for each object that is given here.
        constants: List of tensors that have no gradient.

    Returns:
        A function of the tensors that returns the values.
    """

    @tf.custom_gradient
    def function(*tensors):
        eagerly = tf.executing_eagerly()
        values, fast_gradient = fast(*_unwatched(tensors))

        def gradient(*upstream):
            upstream = [
                tf.cast(tensor, value.dtype)
                for tensor, value in zip(upstream, values, strict=True)
            ]
            gradients = fast_gradient(*_unwatched(upstream))
            second = functools.partial(_second, plain, eagerly, constants)
            return _differentiable(gradients, second, tensors, upstream)

        return values, gradient

    def run(*tensors):
        if not tf.executing_eagerly() and _have_tangents(tensors):
            # In a graph the forward mode looks into `fast`, and knows no loop.
            return plain(constants, *tensors, unroll=True)
        return function(*tensors)

    return run


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


def _have_tangents(tensors):
    """Whether a forward accumulator watches one of them."""
    return bool(forwardprop_util.pack_tangents(list(tensors)).tangents)


def _in_this_graph(tensors):
    return [tf.identity(tensor) for tensor in tensors]


def _unwatched(tensors):
    """The tensors, without the tapes that watch them.

    A compiled function that is called with a watched tensor is differentiated
    for the tape, as often as tapes are around it, whether that is used or not.
    """
    return [tf.stop_gradient(tensor) for tensor in tensors]
