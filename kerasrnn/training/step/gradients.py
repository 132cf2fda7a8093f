"""The loss of a batch and its gradient, in the way that is fastest here.

Shapes: B streams, T sequence length, P elements of all weights.
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kerasrnn.config import ModelConfig
from kerasrnn.model.char_rnn import sequence_logits
from kerasrnn.model.char_rnn import training_engine
from kerasrnn.model.dropout import multiplied
from kerasrnn.model.dropout import recurrent_kernel_factors
from kerasrnn.recurrence import batch_parts
from kerasrnn.recurrence.engine import CUDNN
from kerasrnn.recurrence.engine import PLAIN
from kerasrnn.recurrence.engine import Engine
from kerasrnn.recurrence.engine import compiles_here
from kerasrnn.recurrence.engine import compiling
from kerasrnn.recurrence.engine import whole_engine
from kerasrnn.training.step.cross_entropy import sequence_loss
from kerasrnn.training.step.flat_weights import Layout


def loss_gradient(
    config: ModelConfig,
    layout: Layout,
    flat: tf.Tensor,
    inputs: tf.Tensor,
    targets: tf.Tensor,
    states: Sequence[tf.Tensor],
    key: tf.Tensor,
    scale: tf.Tensor | None = None,
    *,
    engine: Engine = PLAIN,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    """The loss of one batch and its gradient.

    Args:
        config: What the model is.
        layout: Where each weight stands in `flat`.
        flat: All weights, float32 [P].
        inputs: int32 [B, T]. Where a row's first id is `~id`, the row is read
            from the zero state.
        targets: int32 [B, T].
        states: List of tensors [B, units].
        key: int64 [3], see `CharRNN`'s `dropout_key`.
        scale: float32 scalar that the gradient is multiplied by before it
            is computed (see `loss_scaling`); None is 1.
        engine: How the loops over time are run.

    Returns:
        `(nats, characters, gradient [P] of the nats, states)`.
    """
    weights, factors = _dropped(config, layout, flat, key, engine)
    nats, characters, gradients, states = _gradients(
        config, weights, inputs, targets, states, key, scale, engine
    )
    return nats, characters, _joined(gradients, factors), states


def _dropped(config, layout, flat, key, engine):
    """Returns the weights of a step, and what each was multiplied by."""
    factors = recurrent_kernel_factors(config, key, engine.is_for_cpu)
    return multiplied(layout.split(flat), factors), factors


def _joined(gradients, factors):
    """Returns the gradient [P], from those by the weights of the step."""
    gradients = multiplied(gradients, factors)
    return tf.concat([tf.reshape(g, [-1]) for g in gradients], axis=0)


def _gradients(config, weights, inputs, targets, states, key, scale, engine):
    """Returns what `loss_gradient` does, with a gradient for each weight."""
    inputs, states = _begun_anew(config, inputs, states)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        logits, states = sequence_logits(
            config, weights, inputs, states, dropout_key=key, engine=engine
        )
        nats, characters = sequence_loss(logits, targets)
    gradients = tape.gradient(nats, weights, output_gradients=scale)
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    return nats, characters, gradients, states


def _begun_anew(config, inputs, states):
    """Returns ids, and states that are zero where a row begins anew."""
    if config.separator_id:
        return inputs, states  # The model does the same at any character.
    marked = inputs[:, :1] < 0  # [B, 1]
    return (
        tf.where(inputs < 0, -1 - inputs, inputs),
        [tf.where(marked, 0.0, state) for state in states],
    )


def make_loss_gradient(
    config: ModelConfig, layout: Layout, jit_compile: str
) -> Callable[..., Any]:
    """Returns `loss_gradient` of all but its first two arguments.

    Args:
        config: What the model is.
        layout: Where each weight stands.
        jit_compile: "off" runs operation by operation, "on" compiles the
            batch as a whole with XLA, "auto" cuts it in parts for the cores
            of a CPU and compiles of them what pays there, takes cuDNN's
            loops on a GPU where they fit, and compiles the whole elsewhere.
    """

    def whole(*arguments, engine=PLAIN):
        return loss_gradient(config, layout, *arguments, engine=engine)

    def part(batched, weights, key, scale, engine):
        inputs, targets, states, streams = batched
        key = tf.concat([key[:2], streams[:1]], axis=0)
        return _gradients(
            config, weights, inputs, targets, states, key, scale, engine
        )

    if jit_compile == "off":
        return whole
    compiled_whole = compiling(
        lambda *arguments: whole(*arguments, engine=whole_engine())
    )
    if jit_compile == "on":
        return compiled_whole

    def fastest(flat, inputs, targets, states, key, scale=None):
        engine = training_engine(config, *inputs.shape)
        arguments = (flat, inputs, targets, states, key, scale)
        if engine is PLAIN:
            # A CPU has run a small model before it would be compiled.
            run = whole if compiles_here() else compiled_whole
            return run(*arguments)
        if engine is CUDNN:
            return whole(*arguments, engine=engine)
        # Dropout is a function of the stream, so each part knows its own.
        streams = key[2] + tf.range(tf.shape(inputs, tf.int64)[0])
        weights, factors = _dropped(config, layout, flat, key, engine)
        results = [
            part(rows, weights, key, scale, engine)
            for rows in batch_parts.parts((inputs, targets, states, streams))
        ]
        nats, characters, gradients, states = zip(*results, strict=True)
        states = [
            tf.concat(state, axis=0) for state in zip(*states, strict=True)
        ]
        return (
            tf.add_n(nats),
            tf.add_n(characters),
            _joined(map(tf.add_n, zip(*gradients, strict=True)), factors),
            states,
        )

    return fastest
