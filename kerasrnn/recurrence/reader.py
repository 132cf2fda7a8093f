"""Reading sequences with one recurrent layer: project, cut, scan.

`read` is for whoever has cut the batch for the cores already, `read_batch`
cuts it. CharRNN and the Keras layers read so; what there is to know about
dtypes, biases, masks and resets is here, once.

Shapes: T time steps, B batch, D features, U units.
"""

from collections.abc import Sequence
from typing import cast

import tensorflow as tf

from kerasrnn.recurrence import batch_parts
from kerasrnn.recurrence import cudnn
from kerasrnn.recurrence import time_chunks
from kerasrnn.recurrence.engine import CUDNN
from kerasrnn.recurrence.engine import PLAIN
from kerasrnn.recurrence.engine import Engine
from kerasrnn.recurrence.engine import choose_engine
from kerasrnn.recurrence.graph_shortcuts import join
from kerasrnn.recurrence.graph_shortcuts import time_major
from kerasrnn.recurrence.projection import project
from kerasrnn.recurrence.scan import scan
from kerasrnn.recurrence.step import CudnnMode
from kerasrnn.recurrence.step import LayerWeights
from kerasrnn.recurrence.step import Step


def read(
    step: Step,
    inputs: tf.Tensor,
    weights: LayerWeights,
    states: Sequence[tf.Tensor],
    dtype: str,
    *,
    mask: tf.Tensor | None = None,
    reset: tf.Tensor | None = None,
    engine: Engine = PLAIN,
    differentiable: bool = True,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Reads sequences, time-major.

    Args:
        step: What the layer's cell computes.
        inputs: Tensor [T, B, D], or ids [T, B] that stand for one-hot vectors.
        weights: Those of the layer.
        states: Tensors [B, U], h first.
        dtype: That of the products and the outputs, by its name. States, and
            sums over time, have 32 bits or more.
        mask: None, or bool [T, B]; where False the states are held.
        reset: None, or bool [T, B]; where True the states are zero before
            the step.
        engine: How to run the loop; with `CUDNN` there is no reset, and each
            row's mask is one or more True, then False to the end.
        differentiable: Whether there is a gradient; without, nothing is kept
            for it.

    Returns:
        `(outputs [T, B, U], final states)`.
    """
    wide = "float64" if dtype == "float64" else "float32"
    states = [tf.cast(state, wide) for state in states]
    if engine is CUDNN:
        if inputs.dtype.is_integer:
            inputs = tf.one_hot(inputs, weights.kernel.shape[0])
        outputs, states = cudnn.loop(
            cast(CudnnMode, step.cudnn),
            tf.cast(inputs, dtype),
            weights.cast(dtype),
            [tf.cast(state, dtype) for state in states],
            None if mask is None else cudnn.lengths_of(mask),
        )
        return outputs, [tf.cast(state, wide) for state in states]
    stretches = [(inputs, mask, reset)]
    if engine.is_for_cpu:
        width = weights.kernel.shape[1]
        stretches = time_chunks.stretches(inputs, mask, reset, width=width)
    recurrent_kernel = tf.cast(weights.recurrent_kernel, dtype)
    # The bias of ids is in the rows that they pick.
    in_step = engine.adds_biases and not inputs.dtype.is_integer
    input_bias, recurrent_bias = (
        bias if bias is None else tf.cast(bias, dtype)
        for bias in (weights.bias if in_step else None, weights.recurrent_bias)
    )
    bias = None if in_step else weights.bias
    outputs = []
    for inputs, mask, reset in stretches:
        output, states = scan(
            step,
            project(inputs, weights.kernel, bias, dtype),
            recurrent_kernel,
            states,
            input_bias=input_bias,
            bias=recurrent_bias,
            mask=mask,
            reset=reset,
            engine=engine,
            differentiable=differentiable,
        )
        outputs.append(output)
    return join(outputs) if outputs[1:] else outputs[0], states


def read_batch(
    step: Step,
    sequences: tf.Tensor,
    weights: LayerWeights,
    states: Sequence[tf.Tensor],
    dtype: str,
    *,
    mask: tf.Tensor | None = None,
    training: bool = False,
    use_cudnn: bool = False,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Reads sequences, batch-major, in the way that is fastest here.

    Args:
        step: What the layer's cell computes.
        sequences: Tensor [B, T, D].
        weights: Those of the layer.
        states: Tensors [B, U], h first.
        dtype: That of the products and the outputs, by its name.
        mask: None, or bool [B, T]; where False the states are held.
        training: Whether a gradient is to be expected.
        use_cudnn: Whether to take cuDNN's loop; see `read` about masks.

    Returns:
        `(outputs [B, T, U], final states)`.
    """
    engine = PLAIN
    if use_cudnn:
        engine = CUDNN
    elif training:
        units = weights.recurrent_kernel.shape[0]
        batch, steps = sequences.shape[:2]
        engine = choose_engine(units, batch, steps, dtype)
    parts = [(sequences, states, mask)]
    if engine.is_for_cpu:
        parts = batch_parts.parts(parts[0])
    elif not training and sequences.shape[0] is not None:
        # What is exported has a batch of unknown size and stays in one part.
        parts = batch_parts.parts(parts[0], batch_parts.MIN_ROWS_TO_PREDICT)
    if engine.is_for_cpu or len(parts) > 1:
        weights = weights.cast(dtype)  # once for all parts
    results = []
    for sequences, states, mask in parts:
        outputs, states = read(
            step,
            time_major(sequences),
            weights,
            states,
            dtype,
            mask=None if mask is None else time_major(mask),
            engine=engine,
        )
        results.append([time_major(outputs), *states])
    if len(results) == 1:
        outputs, *states = results[0]
    else:
        outputs, *states = (
            join(pieces) for pieces in zip(*results, strict=True)
        )
    return outputs, states
