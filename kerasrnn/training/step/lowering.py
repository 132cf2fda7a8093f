"""Whole training steps as XLA modules, for any compiler of XLA.

Forward pass, backward pass, clipping and optimizer are one module of static
shapes, as a TPU runs them; with `--jit_compile=on` a GPU compiles the forward
and backward pass likewise. Lowering needs no device but this machine's CPU.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from kerasrnn.config import Config
from kerasrnn.config import ModelConfig
from kerasrnn.layers.kinds import kind_of
from kerasrnn.model.weights import state_sizes
from kerasrnn.recurrence.engine import lowering_for
from kerasrnn.training.step.flat_weights import initial_weights
from kerasrnn.training.step.trainer import Trainer


class StepToLower(NamedTuple):
    """A step for `lower`.

    Attributes:
        function: Function of tensors.
        arguments: What it is called with; values do not matter.
    """

    function: Callable
    arguments: tuple


def charrnn_step(config: Config) -> StepToLower:
    """What `kerasrnn-train` runs on each replica of a TPU.

    Args:
        config: Its batch is that of the one replica.
    """
    training = config.training
    layout, weights = initial_weights(config.model, training.seed)
    trainer = Trainer(config, tf.distribute.get_strategy(), layout, weights)
    ids = tf.zeros([training.batch_size, training.sequence_length], tf.int32)
    states = [
        tf.zeros([training.batch_size, size])
        for size in state_sizes(config.model)
    ]

    def step(inputs, targets, states, number, rate):
        return trainer.strategy.run(
            trainer.replica_step, (inputs, targets, states, number, rate)
        )

    number, rate = tf.constant(0, tf.int64), tf.constant(1e-3)
    return StepToLower(step, (ids, ids, states, number, rate))


def sequential_step(config: Config) -> StepToLower:
    """The same sizes of `kerasrnn.layers`, in a `keras.Sequential`.

    The inputs are one-hot; Keras' optimizer clips the gradients.

    Args:
        config: Only sizes, policy and learning rate are used.
    """
    training = config.training
    model = _sequential(config.model, training)
    optimizer = keras.optimizers.Adam(
        training.learning_rate, global_clipnorm=training.clip_norm or None
    )
    optimizer.build(model.trainable_variables)
    variables = [v.value for v in model.trainable_variables]

    def step(inputs, targets):
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            )
        gradients = tape.gradient(loss, variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    targets = tf.zeros(
        [training.batch_size, training.sequence_length], tf.int32
    )
    inputs = tf.one_hot(targets, config.model.vocabulary_size)
    return StepToLower(step, (inputs, targets))


def lower(
    function: Callable,
    arguments: tuple,
    stage: str = "hlo_serialized",
    device: str = "TPU",
) -> bytes | str:
    """Returns a function as one XLA module.

    Args:
        function: Function of tensors.
        arguments: What it is called with; values do not matter.
        stage: "hlo_serialized" for bytes, "hlo" for text.
        device: "TPU" or "GPU": what it is for.
    """
    compiled = tf.function(function, jit_compile=True, autograph=False)
    with lowering_for(device):
        module = compiled.experimental_get_compiler_ir(*arguments)(stage=stage)
    return _without_copies(module) if isinstance(module, bytes) else module


def _without_copies(module):
    """Replaces the copies of new variables, which StableHLO does not have."""
    module = hlo_pb2.HloModuleProto.FromString(module)
    for computation in module.computations:
        for instruction in computation.instructions:
            if instruction.opcode == "copy":
                instruction.opcode = "reshape"
    return module.SerializeToString()


def _sequential(config: ModelConfig, training):
    stack = [
        kind_of(config.cell).layer(
            config.units, return_sequences=True, dtype=config.dtype_policy
        )
        for _ in range(config.num_layers)
    ]
    return keras.Sequential(
        [
            keras.Input(
                (training.sequence_length, config.vocabulary_size),
                training.batch_size,
            ),
            *stack,
            keras.layers.Dense(config.vocabulary_size, dtype="float32"),
        ]
    )
