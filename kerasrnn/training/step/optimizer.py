"""How a gradient updates the weights: optimizer, clipping, decay, averaging.

All weights are one flat vector [P], so that an update is a dozen operations
whatever the number of layers, a global norm is one sum, and replicas exchange
one tensor.
"""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.config import Config
from kerasrnn.config import TrainingConfig
from kerasrnn.training.step.flat_weights import Layout
from kerasrnn.training.step.loss_scaling import LossScale


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """Returns the Keras optimizer that the configuration names.

    The learning rate is passed to each `update_step`, and AdamW's weight
    decay is `decay` below (which tells kernels from biases in the flat
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
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(momentum=config.beta_1)
    raise ValueError(f"No optimizer is made for {config.optimizer!r}.")


class Clipped(NamedTuple):
    """A clipped gradient.

    Attributes:
        gradient: float32 [P].
        norm: Its norm before it was clipped by it, a float32 scalar;
            infinite if an element of the gradient is not finite.
    """

    gradient: tf.Tensor
    norm: tf.Tensor


def clip(gradient: tf.Tensor, config: TrainingConfig) -> Clipped:
    """Clips a gradient element by element, then by its norm.

    Args:
        gradient: float32 [P], of the loss averaged over batch and time.
        config: Says at what to clip.
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
    return Clipped(gradient, norm)


def decay(
    weights: tf.Tensor,
    decayed: np.ndarray,
    config: TrainingConfig,
    rate: tf.Tensor,
) -> tf.Tensor:
    """Returns the weights after decoupled decay (Loshchilov and Hutter, 2019).

    Args:
        weights: float32 [P].
        decayed: float32 [P], 1 for what decays (kernels) and 0 elsewhere.
        config: Gives the strength.
        rate: float32 scalar, the step's learning rate.
    """
    return weights - weights * decayed * (config.weight_decay * rate)


def averaging_momentum(config: TrainingConfig, step: tf.Tensor) -> tf.Tensor:
    """Returns the momentum of the weights' moving average at a step.

    It starts low, so that the first weights are soon forgotten, as in
    `tf.train.ExponentialMovingAverage(num_updates=)`.

    Args:
        config: Gives its limit.
        step: int64 scalar tensor.
    """
    step = tf.cast(step, tf.float32)
    return tf.minimum(config.averaging, (1 + step) / (10 + step))


class WeightUpdater:
    """The weights, and all other variables that an update changes.

    Make it in the strategy's scope.

    Args:
        config: The whole configuration.
        layout: Where each weight is in the flat vector.
        weights: First weights, float32 [P].

    Attributes:
        weights: float32 variable [P].
        average: Their moving average [P]; None without `averaging`.
        loss_scale: The loss scale; None without float16.
    """

    def __init__(self, config: Config, layout: Layout, weights: np.ndarray):
        training = self._config = config.training
        self._layout = layout
        self.weights = keras.Variable(weights, name="weights")
        self.average: keras.Variable | None = None
        if training.averaging:
            self.average = keras.Variable(
                weights, name="average", trainable=False
            )
        self._optimizer = make_optimizer(training)
        self._optimizer.build([self.weights])
        self.loss_scale: LossScale | None = None
        if config.model.dtype_policy == "mixed_float16":
            self.loss_scale = LossScale()
        self._decayed = None
        if training.optimizer == "adamw" and training.weight_decay:
            self._decayed = layout.kernels()

    @property
    def evaluation_weights(self) -> tf.Tensor:
        """The weights that are evaluated, sampled and exported, [P]."""
        variable = self.weights if self.average is None else self.average
        return tf.convert_to_tensor(variable.value)

    def variables(self) -> dict[str, keras.Variable]:
        """Returns what a checkpoint keeps, by name."""
        variables = {"weights": self.weights}
        if self.average is not None:
            variables["average"] = self.average
        # Keras' own count of steps and its learning rate are not kept: both
        # are given anew for each step. A slot is as long as the weights.
        for variable in self._optimizer.variables:
            if tuple(variable.shape) == (self._layout.size,):
                slot = variable.name.removeprefix("weights_")
                variables[f"optimizer_{slot}"] = variable
        if self.loss_scale is not None:
            for variable in self.loss_scale.variables:
                variables[variable.name] = variable
        return variables

    def set_step(self, step: tf.Tensor) -> None:
        """Tells the optimizer the step's number; called across replicas."""
        # Adam's bias correction counts steps.
        iterations = self._optimizer.iterations.value
        iterations.assign(tf.cast(step, iterations.dtype))

    def update(
        self,
        gradient: tf.Tensor,
        step: tf.Tensor,
        rate: tf.Tensor,
        skipped: tf.Tensor,
    ) -> None:
        """Updates the weights; called on each replica, with equal values.

        Args:
            gradient: float32 [P], summed over the replicas and clipped.
            step: int64 scalar, the step's number.
            rate: float32 scalar, its learning rate.
            skipped: bool scalar, whether the weights stay as they are.
        """
        context = tf.distribute.get_replica_context()
        context.merge_call(
            self._merged_update, args=(gradient, step, rate, skipped)
        )

    def _merged_update(self, strategy, gradient, step, rate, skipped):
        arguments = [gradient, _same(step), _same(rate), skipped]
        if self.average is not None:
            arguments.append(self.average.value)
        if self.loss_scale is not None:
            self.loss_scale.update(~_same(skipped))
        strategy.extended.update(
            self.weights.value, self._update, args=arguments, group=False
        )

    def _update(self, weights, gradient, step, rate, skipped, average=None):
        def apply():
            self._apply(weights, gradient, step, rate, average)
            return True

        if self.loss_scale is None:
            apply()
        else:
            tf.cond(skipped, lambda: False, apply)

    def _apply(self, weights, gradient, step, rate, average):
        if self._decayed is not None:
            weights.assign(decay(weights, self._decayed, self._config, rate))
        self._optimizer.update_step(gradient, weights, rate)
        if average is not None:
            momentum = averaging_momentum(self._config, step)
            average.assign_sub((average - weights) * (1 - momentum))


def _same(value):
    """One replica's value of what is equal on all replicas."""
    return value.values[0] if hasattr(value, "values") else value
