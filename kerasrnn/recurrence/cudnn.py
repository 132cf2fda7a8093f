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

import tensorflow as tf
from absl import logging
from tensorflow.python.ops import control_flow_util

from kerasrnn.recurrence import scan

# Where cuDNN's gates stand in the kernels, for its order: i, f, g, o of an
# LSTM, as in the kernels, and r, z, g of a GRU, which are z, r, g there.
_GATES = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2)}


def lstm(inputs, kernel, recurrent_kernel, bias, states, lengths=None):
    """Long short-term memory over time; the equations are `lstm_step`'s.

    Args:
        inputs: Tensor [T, B, D].
        kernel: Tensor [D, 4U], gates in the order i, f, g, o.
        recurrent_kernel: Tensor [U, 4U].
        bias: Tensor [4U].
        states: `[h, c]`, each [B, U].
        lengths: None, or int32 [B]: steps to read of each row, at least 1.

    Returns:
        `(h of every step [T, B, U], [last h, last c])`. Past its length a
        row's h stays as it is.
    """
    flat = parameters(
        "lstm", kernel, recurrent_kernel, bias, tf.zeros_like(bias)
    )
    return _run("lstm", inputs, flat, states, lengths)


def gru(inputs, kernel, recurrent_kernel, bias, states, lengths=None):
    """Gated recurrent unit over time, with the reset after the product.

    Args:
        inputs: Tensor [T, B, D].
        kernel: Tensor [D, 3U], gates in the order z, r, g.
        recurrent_kernel: Tensor [U, 3U].
        bias: Tensor [2, 3U], of the inputs and of the recurrent product.
        states: `[h]`, h [B, U].
        lengths: None, or int32 [B]: steps to read of each row, at least 1.

    Returns:
        `(h of every step [T, B, U], [last h])`. Past its length a row's h
        stays as it is.
    """
    flat = parameters("gru", kernel, recurrent_kernel, bias[0], bias[1])
    return _run("gru", inputs, flat, states, lengths)


def parameters(kind, kernel, recurrent_kernel, input_bias, recurrent_bias):
    """Returns the weights as cuDNN's vector [G * (D * U + U * U + 2 * U)].

    Its layout is the canonical one of `CudnnRNNParamsToCanonicalV2`: the
    matrices of the inputs, gate by gate, each [U, D]; those of the states,
    each [U, U]; and the two biases, gate by gate.

    Args:
        kind: "lstm" or "gru".
        kernel: Tensor [D, G * U].
        recurrent_kernel: Tensor [U, G * U].
        input_bias: Tensor [G * U].
        recurrent_bias: Tensor [G * U].
    """
    gates = _GATES[kind]
    pieces = []
    for matrix in (kernel, recurrent_kernel):
        blocks = tf.split(tf.transpose(matrix), len(gates))  # [U, D or U]
        pieces += [tf.reshape(blocks[gate], [-1]) for gate in gates]
    for bias in (input_bias, recurrent_bias):
        blocks = tf.split(bias, len(gates))
        pieces += [blocks[gate] for gate in gates]
    return tf.concat(pieces, axis=0)


def _run(kind, inputs, flat, states, lengths):
    steps, batch = tf.unstack(tf.shape(inputs)[:2])
    sequence_lengths = tf.fill([batch], steps) if lengths is None else lengths
    # A state has a dimension of layers, of which there is one here.
    layered = [state[None] for state in states]  # [1, B, U]
    inputs, flat, *layered = _differentiable_once(inputs, flat, *layered)
    outputs, h, c, _, _ = tf.raw_ops.CudnnRNNV3(
        input=inputs,
        input_h=layered[0],
        # A GRU has no c.
        input_c=layered[1] if kind == "lstm" else tf.zeros([], inputs.dtype),
        params=flat,
        sequence_lengths=sequence_lengths,
        rnn_mode=kind,
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
        read = tf.transpose(tf.sequence_mask(lengths, steps))[:, :, None]
        outputs = tf.where(read, outputs, final[0])
    return outputs, final


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


def right_padded_lengths(mask):
    """Reads a mask as lengths of its rows.

    Args:
        mask: bool [B, T]; False steps are skipped.

    Returns:
        `(lengths int32 [B], fits)`; `fits` is a bool scalar, whether each
        row is one or more True, then False to its end, so that the lengths
        say all that the mask does.
    """
    lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    padded = tf.sequence_mask(lengths, tf.shape(mask)[1])
    fits = tf.reduce_all(tf.equal(mask, padded)) & tf.reduce_all(lengths > 0)
    return lengths, fits


def obstacle_here() -> str:
    """Why the graph that is being made cannot hold cuDNN's ops, or ""."""
    if not tf.config.list_logical_devices("GPU"):
        return "TensorFlow sees no GPU"
    if not tf.sysconfig.get_build_info().get("is_cuda_build"):
        return "this TensorFlow is built without CUDA"
    if control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    ):
        return "the function that calls it is compiled with XLA"
    if not agrees_here():
        return "cuDNN does not compute on this GPU what it should"
    return ""


@functools.cache
def agrees_here() -> bool:
    """Whether cuDNN gives what our loops give; asked once a process."""
    with tf.init_scope():
        try:
            errors = [_difference(kind) for kind in _GATES]
        except (tf.errors.OpError, NotImplementedError) as error:
            logging.warning("cuDNN is left alone: %s", error)
            return False
    # Products may be rounded to the 10 bits of TensorFloat-32.
    if max(errors) < 0.01:
        return True
    logging.warning(
        "cuDNN is left alone: it differs from the equations by %s.", errors
    )
    return False


def _difference(kind):
    """The largest difference of outputs, states and gradients."""
    batch, steps, features, units = 2, 3, 4, 8
    width = len(_GATES[kind]) * units
    biases = (width,) if kind == "lstm" else (2, width)
    shapes = [
        (steps, batch, features),
        (features, width),
        (units, width),
        biases,
        *[(batch, units)] * (2 if kind == "lstm" else 1),
    ]
    tensors = [
        tf.random.stateless_normal(shape, [0, index], stddev=0.5)
        for index, shape in enumerate(shapes)
    ]

    def evaluate(function):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            *arguments, states = (*tensors[:4], tensors[4:])
            outputs, final = function(*arguments, states)
            loss = tf.reduce_sum(tf.square(outputs))
            loss += tf.add_n([tf.reduce_sum(state) for state in final])
        return [outputs, *final, *tape.gradient(loss, tensors)]

    ours = evaluate(functools.partial(_own_loop, kind))
    theirs = evaluate(lstm if kind == "lstm" else gru)
    return max(
        float(tf.reduce_max(tf.abs(a - b)) / tf.reduce_max(tf.abs(a)))
        for a, b in zip(ours, theirs, strict=True)
    )


def _own_loop(kind, inputs, kernel, recurrent_kernel, bias, states):
    if kind == "lstm":
        projected = tf.tensordot(inputs, kernel, 1) + bias
        return scan.lstm_scan(projected, recurrent_kernel, states)
    projected = tf.tensordot(inputs, kernel, 1) + bias[0]
    return scan.gru_scan(projected, recurrent_kernel, bias[1], states)
