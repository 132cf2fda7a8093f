"""cuDNN's loops over time, for training on a GPU: time-major, as our own.

Shapes: T time steps, B batch, D features, U units, G gates.

The weights are those of our layers and of Keras; `parameters` puts them into
cuDNN's one vector. Only training takes these loops: a graph that holds them
runs on a GPU and nowhere else, so nothing that is exported may.

TensorFlow's op was not run where this was written: `obstacle_here` compares
a small example with our own loop before it is trusted. cuDNN with this vector
of weights was, through PyTorch (docs/accelerators.md).
"""

import functools
from collections.abc import Sequence
from typing import cast

import tensorflow as tf
from absl import logging
from tensorflow.python.ops import control_flow_util

from kerasrnn.recurrence.projection import project
from kerasrnn.recurrence.scan import scan
from kerasrnn.recurrence.step import CudnnMode
from kerasrnn.recurrence.step import LayerWeights
from kerasrnn.recurrence.step import Step


def loop(
    mode: CudnnMode,
    inputs: tf.Tensor,
    weights: LayerWeights,
    states: Sequence[tf.Tensor],
    lengths: tf.Tensor | None = None,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Runs cuDNN's loop over time; all arguments have one dtype.

    Args:
        mode: The cell.
        inputs: Tensor [T, B, D].
        weights: Those of a layer.
        states: Tensors [B, U], h first.
        lengths: None, or int32 [B]: steps to read of each row, at least 1.

    Returns:
        `(h of every step [T, B, U], final states)`. Past its length a row's
        h stays as it is.
    """
    steps, batch = tf.unstack(tf.shape(inputs)[:2])
    read = tf.fill([batch], steps) if lengths is None else lengths
    flat = parameters(mode, weights)
    # A state has a dimension of layers, of which there is one here.
    layered = [state[None] for state in states]  # [1, B, U]
    inputs, flat, *layered = _differentiable_once(inputs, flat, *layered)
    outputs, h, c, _, _ = tf.raw_ops.CudnnRNNV3(
        input=inputs,
        input_h=layered[0],
        # The operation wants a c of cells that have none.
        input_c=layered[1] if layered[1:] else tf.zeros([], inputs.dtype),
        params=flat,
        sequence_lengths=read,
        rnn_mode=mode.name,
        is_training=True,
        time_major=True,
    )
    # The op infers no more than ranks.
    outputs.set_shape(inputs.shape[:2].concatenate(states[0].shape[1:]))
    final = [state[0] for state in (h, c)[: len(states)]]
    for state, old in zip(final, states, strict=True):
        state.set_shape(old.shape)
    if lengths is not None:
        # cuDNN writes zeros past a row's length.
        inside = tf.transpose(tf.sequence_mask(lengths, steps))[:, :, None]
        outputs = tf.where(inside, outputs, final[0])
    return outputs, final


def parameters(mode: CudnnMode, weights: LayerWeights) -> tf.Tensor:
    """Returns the weights as cuDNN's vector [G * (D * U + U * U + 2 * U)].

    Its layout is the canonical one of `CudnnRNNParamsToCanonicalV2`: the
    matrices of the inputs, gate by gate, each [U, D]; those of the states,
    each [U, U]; and the two biases, gate by gate.
    """
    pieces = []
    for matrix in (weights.kernel, weights.recurrent_kernel):
        blocks = tf.split(tf.transpose(matrix), len(mode.gates))
        pieces += [tf.reshape(blocks[gate], [-1]) for gate in mode.gates]
    for bias in (weights.bias, weights.recurrent_bias):
        if bias is None:
            bias = tf.zeros_like(weights.kernel[0])
        blocks = tf.split(bias, len(mode.gates))
        pieces += [blocks[gate] for gate in mode.gates]
    return tf.concat(pieces, axis=0)


@tf.custom_gradient
def _differentiable_once(*values):
    """Passes values on; their gradient is refused a gradient of its own."""

    def gradient(*upstream):
        return _not_differentiable(*upstream)

    return [tf.identity(value) for value in values], gradient


@tf.custom_gradient
def _not_differentiable(*values):
    """Passes values on; differentiating them raises."""

    def gradient(*_):
        # TensorFlow's forward mode differentiates the gradient, too.
        raise NotImplementedError(
            "cuDNN's recurrent loops have no second derivative and none in "
            "forward mode. Build the layer with use_cudnn=False for these."
        )

    return [tf.identity(value) for value in values], gradient


def lengths_of(mask: tf.Tensor) -> tf.Tensor:
    """Returns how many steps of each row are read, int32 [B].

    Args:
        mask: bool [T, B]; False steps are skipped.
    """
    return tf.reduce_sum(tf.cast(mask, tf.int32), axis=0)


def is_right_padded(mask: tf.Tensor) -> tf.Tensor:
    """Whether the lengths of a mask's rows say all that it does.

    Args:
        mask: bool [B, T]; False steps are skipped.

    Returns:
        A bool scalar: whether each row is one or more True, then False to
        its end.
    """
    lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    padded = tf.sequence_mask(lengths, tf.shape(mask)[1])
    return tf.reduce_all(tf.equal(mask, padded)) & tf.reduce_all(lengths > 0)


def obstacle_here(step: Step) -> str:
    """Returns why the graph that is being made cannot hold cuDNN's loop, or "".

    Args:
        step: What the cell computes.
    """
    if step.cudnn is None:
        return "cuDNN has no such cell"
    if not tf.config.list_logical_devices("GPU"):
        return "TensorFlow sees no GPU"
    if not tf.sysconfig.get_build_info().get("is_cuda_build"):
        return "this TensorFlow is built without CUDA"
    if control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    ):
        return "the function that calls it is compiled with XLA"
    if not agrees_here(step):
        return "cuDNN does not compute on this GPU what it should"
    return ""


@functools.cache
def agrees_here(step: Step) -> bool:
    """Whether cuDNN gives what our loop gives; asked once a process."""
    with tf.init_scope():
        try:
            error = _difference(step)
        except (tf.errors.OpError, NotImplementedError) as failure:
            logging.warning("cuDNN is not used: %s", failure)
            return False
    # Products may be rounded to the 10 bits of TensorFloat-32.
    if error < 0.01:
        return True
    logging.warning(
        "cuDNN is not used: its %s differs from the equations by %s.",
        cast(CudnnMode, step.cudnn).name,
        error,
    )
    return False


def _difference(step):
    """The largest difference of outputs, states and gradients."""
    batch, steps, features, units = 2, 3, 4, 8
    width = len(step.cudnn.gates) * units
    num_biases, num_states = step.sizes.biases, step.sizes.states
    shapes = [
        (steps, batch, features),
        (features, width),
        (units, width),
        *[(width,)] * num_biases,
        *[(batch, units)] * num_states,
    ]
    tensors = [
        tf.random.stateless_normal(shape, [0, index], stddev=0.5)
        for index, shape in enumerate(shapes)
    ]

    def evaluate(function):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            inputs, *rest = tensors
            weights = [*rest[: 2 + num_biases], None][:4]
            outputs, final = function(
                inputs, LayerWeights(*weights), rest[2 + num_biases :]
            )
            loss = tf.reduce_sum(tf.square(outputs))
            loss += tf.add_n([tf.reduce_sum(state) for state in final])
        return [outputs, *final, *tape.gradient(loss, tensors)]

    def own_loop(inputs, weights, states):
        return scan(
            step,
            project(inputs, weights.kernel, weights.bias, inputs.dtype),
            weights.recurrent_kernel,
            states,
            bias=weights.recurrent_bias,
        )

    ours = evaluate(own_loop)
    theirs = evaluate(functools.partial(loop, step.cudnn))
    return max(
        float(tf.reduce_max(tf.abs(a - b)) / tf.reduce_max(tf.abs(a)))
        for a, b in zip(ours, theirs, strict=True)
    )
