"""What loops over time are given: a cell's step and a layer's weights.

Shapes: B batch, D features, U units, G gates (4 for an LSTM).
"""

import functools
from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import tensorflow as tf

from kerasrnn.config import CellSizes


class CudnnMode(NamedTuple):
    """A cell's counterpart in cuDNN.

    Attributes:
        name: What TensorFlow's operation calls it.
        gates: Where cuDNN's gates, in its order, are in our kernels.
    """

    name: str
    gates: tuple[int, ...]


class Step(NamedTuple):
    """What a cell computes at one step, given its two products.

    Both functions work element by element: `x @ kernel` and
    `h @ recurrent_kernel` are the caller's.

    Attributes:
        sizes: How many gates, states and biases the cell has. With one bias
            a step takes the sum of the two products, with two it takes the
            products apart, that of the inputs first.
        forward: `(*sums [B, G * U], *states [B, U]) -> (states, kept)`; the
            first state, h, is the cell's output.
        backward: `(kept, *d_states) -> (d_sums, d_states)`: from the
            derivatives with respect to the new states, those with respect to
            the sums and to the old states, the latter without what comes
            through h's product. None is zero.
        kept: The named tuple of tensors [B, U] that `forward` keeps for
            `backward`: compiled code reads whole tensors faster than slices
            of one.
        passes_h: Whether h reaches the next h by another way than its product,
            so that `backward` returns a derivative with respect to it.
        cudnn: The counterpart in cuDNN, or None.
    """

    sizes: CellSizes
    forward: Callable
    backward: Callable
    kept: type[Any]
    passes_h: bool = False
    cudnn: CudnnMode | None = None

    def sums(self, projected: tf.Tensor, product: tf.Tensor) -> list[tf.Tensor]:
        """Returns the arguments of `forward` that come before the states.

        Args:
            projected: The inputs' product, with its bias.
            product: That of h, with its bias if it has one.
        """
        if self.sizes.biases == 1:
            return [projected + product]
        return [projected, product]


def sigmoid_gradient(y: tf.Tensor, d_y: tf.Tensor) -> tf.Tensor:
    """Returns `d_y * y * (1 - y)`: the derivative before `y = sigmoid(x)`."""
    return tf.raw_ops.SigmoidGrad(y=y, dy=d_y)


def tanh_gradient(y: tf.Tensor, d_y: tf.Tensor) -> tf.Tensor:
    """Returns `d_y * (1 - y * y)`: the derivative before `y = tanh(x)`."""
    return tf.raw_ops.TanhGrad(y=y, dy=d_y)


class Packed(NamedTuple):
    """What a packed step keeps: all of it side by side [B, K * U]."""

    side_by_side: tf.Tensor


@functools.cache
def packed(step: Step) -> Step:
    """Returns the same step, which keeps one tensor in place of several."""

    def forward(*arguments):
        states, kept = step.forward(*arguments)
        return states, Packed(tf.concat(kept, axis=-1))

    def backward(kept, *d_states):
        count = len(step.kept._fields)
        pieces = tf.split(kept.side_by_side, count, axis=-1)
        return step.backward(step.kept(*pieces), *d_states)

    return step._replace(forward=forward, backward=backward, kept=Packed)


class LayerWeights(NamedTuple):
    """The weights of a recurrent layer.

    Attributes:
        kernel: Tensor [D, G * U].
        recurrent_kernel: Tensor [U, G * U].
        bias: None, or what is added to the inputs' product [G * U].
        recurrent_bias: None, or what is added to that of h [G * U].
    """

    kernel: tf.Tensor
    recurrent_kernel: tf.Tensor
    bias: tf.Tensor | None
    recurrent_bias: tf.Tensor | None

    def cast(self, dtype: tf.DType | str) -> "LayerWeights":
        """Returns the weights in another dtype."""
        return LayerWeights(
            *(w if w is None else tf.cast(w, dtype) for w in self)
        )


def split_bias(bias: tf.Tensor | None) -> list[tf.Tensor | None]:
    """Returns `[bias, recurrent bias]` of a layer's one weight.

    Args:
        bias: None, a tensor [G * U] for the inputs alone, or one
            [2, G * U] for both.
    """
    if bias is None or bias.shape.rank == 1:
        return [bias, None]
    return tf.unstack(bias)
