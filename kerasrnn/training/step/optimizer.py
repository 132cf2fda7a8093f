"""Optimizers of Keras, clipping, weight decay and averaging.

The trainer keeps all weights in one flat vector [P], so that an update is a
dozen operations whatever the number of layers, a global norm is one sum, and
replicas exchange one tensor.
"""

import keras
import tensorflow as tf

from kerasrnn.config import TrainingConfig


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """Returns the Keras optimizer that the configuration names.

    The learning rate is handed to each `update_step`, and AdamW's weight
    decay is `decay` below (which knows kernels from biases in the flat
    vector), so neither is set here.
    """
    if config.optimizer in ("adam", "adamw"):
        return keras.optimizers.Adam(
            beta_1=config.beta_1, beta_2=config.beta_2, epsilon=config.epsilon
        )
    if config.optimizer == "rmsprop":
        # Keras adds epsilon under the root, Torch (and our configuration)
        # to the root: squared it has the same effect where it matters.
        return keras.optimizers.RMSprop(
            rho=config.beta_2, epsilon=config.epsilon**2
        )
    return keras.optimizers.SGD(momentum=config.beta_1)


def clip(gradient, config: TrainingConfig):
    """Clips a gradient element by element, then by its norm.

    Args:
        gradient: float32 [P], of the loss averaged over batch and time.
        config: Says at what to clip.

    Returns:
        `(gradient [P], norm)`; the norm is that before it is clipped by it,
        and infinite where an element of the gradient is not finite.
    """
    finite = None
    if config.clip_value:
        # Infinity would be clipped to what looks like a gradient.
        finite = tf.reduce_all(tf.math.is_finite(gradient))
        gradient = tf.clip_by_value(
            gradient, -config.clip_value, config.clip_value
        )
    norm = tf.sqrt(tf.reduce_sum(tf.square(gradient)))
    if finite is not None:
        norm = tf.where(finite, norm, float("inf"))
    if config.clip_norm:
        # A norm that is not finite must stay visible in the result.
        limit = tf.constant(config.clip_norm, tf.float32)
        gradient *= limit / tf.maximum(norm, limit)
    return gradient, norm


def decay(weights, decayed, config: TrainingConfig, rate):
    """Returns the weights after decoupled decay (Loshchilov and Hutter, 2019).

    Args:
        weights: float32 [P].
        decayed: float32 [P], 1 for what decays (kernels) and 0 elsewhere.
        config: Gives the strength.
        rate: float32 scalar, the step's learning rate.
    """
    return weights - weights * decayed * (config.weight_decay * rate)


def averaging_momentum(config: TrainingConfig, step):
    """Returns the momentum of the weights' moving average at a step.

    It starts low, so that the first weights are soon forgotten, as in
    `tf.train.ExponentialMovingAverage(num_updates=)`.

    Args:
        config: Gives its limit.
        step: int64 scalar tensor.
    """
    step = tf.cast(step, tf.float32)
    return tf.minimum(config.averaging, (1 + step) / (10 + step))
