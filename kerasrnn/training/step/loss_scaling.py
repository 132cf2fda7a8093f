"""Dynamic loss scaling, which keeps float16 gradients from vanishing.

The mean loss is multiplied by a scale before it is differentiated, and the
gradient divided by it afterwards. A gradient that overflows is thrown away,
its step skipped and the scale halved; after many good steps the scale is
doubled. Micikevicius et al., "Mixed Precision Training", 2018; the numbers
are those of `keras.mixed_precision.LossScaleOptimizer`.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

INITIAL_SCALE = 2.0**15
GROWTH_STEPS = 2000


class NextScale(NamedTuple):
    """The scale of the next step.

    Attributes:
        scale: float32 scalar.
        good_steps: int32 scalar, finite steps since the scale changed.
    """

    scale: tf.Tensor
    good_steps: tf.Tensor


def next_scale(
    scale: tf.Tensor, good_steps: tf.Tensor, finite: tf.Tensor
) -> NextScale:
    """Returns the scale of the step after one.

    Args:
        scale: float32 scalar, that of this step.
        good_steps: int32 scalar, finite steps since the scale changed.
        finite: bool scalar, whether this step's gradient is finite.
    """
    good_steps += 1
    grows = finite & (good_steps >= GROWTH_STEPS)
    factor = tf.where(finite, tf.where(grows, 2.0, 1.0), 0.5)
    return NextScale(
        tf.maximum(scale * factor, 1.0),
        tf.where(finite & ~grows, good_steps, 0),
    )


class LossScale:
    """The scale as variables, equal on all replicas.

    To be made in the strategy's scope.

    Attributes:
        scale: float32 variable, what the mean loss is multiplied by.
        good_steps: int32 variable, finite steps since the scale changed.
    """

    def __init__(self):
        self.scale = self._variable(INITIAL_SCALE, "float32", "loss_scale")
        self.good_steps = self._variable(0, "int32", "loss_scale_good_steps")

    def skips(self, norm: tf.Tensor) -> tf.Tensor:
        """Whether to skip a step with a gradient of this norm.

        At a scale of 1 there is nothing left to halve: the gradient is not
        finite because training has diverged, and that must show.
        """
        return ~tf.math.is_finite(norm) & (self.scale.value > 1.0)

    def update(self, finite: tf.Tensor) -> None:
        """Sets the next step's scale; called across replicas."""
        scale, good_steps = next_scale(
            tf.convert_to_tensor(self.scale.value),
            tf.convert_to_tensor(self.good_steps.value),
            finite,
        )
        self.scale.value.assign(scale)
        self.good_steps.value.assign(good_steps)

    @property
    def variables(self) -> list[keras.Variable]:
        """What a checkpoint keeps."""
        return [self.scale, self.good_steps]

    @staticmethod
    def _variable(value, dtype, name):
        return keras.Variable(
            value,
            dtype=dtype,
            trainable=False,
            aggregation="only_first_replica",
            name=name,
        )
