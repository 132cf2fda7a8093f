"""Training steps: many in one call, on one device or on many replicas.

Shapes: N steps a call, B streams, T sequence length, P weights.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.model.weights import state_sizes
from kerasrnn.training.step.accumulation import in_pieces
from kerasrnn.training.step.devices import streams_per_replica
from kerasrnn.training.step.flat_weights import Layout
from kerasrnn.training.step.gradients import make_loss_gradient
from kerasrnn.training.step.optimizer import WeightUpdater
from kerasrnn.training.step.optimizer import clip


class StepRecords(NamedTuple):
    """What N steps report, arrays [N].

    Attributes:
        nats: Loss summed over the scored characters of the global batch.
        characters: Number of scored characters.
        gradient_norm: Global norm before it is clipped; 0 where skipped.
        skipped: 1 where the gradient overflowed float16 and the weights
            stayed as they were, else 0.
    """

    nats: np.ndarray
    characters: np.ndarray
    gradient_norm: np.ndarray
    skipped: np.ndarray


class StepsResult(NamedTuple):
    """What N steps return.

    Attributes:
        states: The recurrent states after them, see `Trainer.run`.
        records: What each step reports.
    """

    states: list[tf.Tensor]
    records: StepRecords


class Trainer:
    """Makes steps, each of which updates the weights.

    The recurrent states are not in here: they go into `run` and come out.

    Args:
        config: The whole configuration.
        strategy: Where the replicas are.
        layout: Where each weight is in the flat vector.
        weights: First weights, float32 [P].
    """

    def __init__(
        self,
        config: Config,
        strategy: tf.distribute.Strategy,
        layout: Layout,
        weights: np.ndarray,
    ):
        self.config = config
        self.strategy = strategy
        self.layout = layout
        training = config.training
        with strategy.scope():
            self._updater = WeightUpdater(config, layout, weights)
        self._streams = streams_per_replica(
            strategy, training.batch_size, training.accumulation_steps
        )
        self._loss_gradient = in_pieces(
            make_loss_gradient(config.model, layout, training.jit_compile),
            training.accumulation_steps,
        )
        self._run = tf.function(
            self._run_steps,
            input_signature=self._signature(),
            reduce_retracing=True,
            autograph=False,
        )

    def run(
        self,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        states: Sequence[tf.Tensor],
        first_step: int,
        rates: Sequence[float],
    ) -> StepsResult:
        """Makes N steps.

        Args:
            inputs: int32 [N, B, T], cut for the replicas by `distribute`.
            targets: int32 [N, B, T], likewise.
            states: Tensors [B, units], likewise.
            first_step: Number of the first of these steps.
            rates: float32 [N], their learning rates.
        """
        states, records = self._run(
            inputs,
            targets,
            list(states),
            tf.constant(first_step, tf.int64),
            tf.convert_to_tensor(rates, tf.float32),
        )
        return StepsResult(
            states, StepRecords(*(record.numpy() for record in records))
        )

    def replica_step(
        self,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        states: Sequence[tf.Tensor],
        step: tf.Tensor,
        rate: tf.Tensor,
    ) -> tuple:
        """Makes one step on one replica; a TPU compiles exactly this.

        Call it in `strategy.run`.

        Args:
            inputs: int32 [B, T], the replica's streams.
            targets: int32 [B, T].
            states: Tensors [B, units].
            step: int64 scalar, the step's number.
            rate: float32 scalar, its learning rate.

        Returns:
            `(states, nats, characters, gradient norm, skipped)`, all but the
            states over all replicas; see `StepRecords`.
        """
        context = tf.distribute.get_replica_context()
        training = self.config.training
        batch = training.batch_size * training.sequence_length
        loss_scale = self._updater.loss_scale
        scale = []  # of the gradient of the batch's mean loss
        if loss_scale is not None:
            scale = [tf.convert_to_tensor(loss_scale.scale.value)]
        nats, characters, gradient, states = self._loss_gradient(
            tf.convert_to_tensor(self._updater.weights.value),
            inputs,
            targets,
            states,
            self._dropout_key(context, step),
            *(value / batch for value in scale),
        )
        if context.num_replicas_in_sync > 1:
            gradient, nats, characters = context.all_reduce(
                tf.distribute.ReduceOp.SUM, [gradient, nats, characters]
            )
        gradient, norm = clip(
            gradient / (scale[0] if scale else batch), training
        )
        skipped = tf.constant(False)
        if loss_scale is not None:
            skipped = loss_scale.skips(norm)
            norm = tf.where(skipped, 0.0, norm)
        self._updater.update(gradient, step, rate, skipped)
        return states, nats, characters, norm, tf.cast(skipped, tf.float32)

    @property
    def evaluation_weights(self) -> tf.Tensor:
        """The weights that are evaluated, sampled and exported, [P]."""
        return self._updater.evaluation_weights

    def snapshot(self) -> dict[str, np.ndarray]:
        """Returns all variables by name, arrays [P]."""
        return {
            name: variable.value.numpy()
            for name, variable in self._updater.variables().items()
        }

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `snapshot` returned.

        Averages that were not kept start from the weights, a loss scale
        and SGD's momentum from where they always start.

        Raises:
            UserError: Another one is not there, or of another size; then
                nothing has changed.
        """
        taken = []
        for name, variable in self._updater.variables().items():
            if name not in arrays and self._may_start(name):
                continue
            source = name
            if name not in arrays and name == "average":
                source = "weights"
            array, shape = arrays.get(source), tuple(variable.shape)
            if array is None or array.shape != shape:
                found = "none" if array is None else f"{array.shape}"
                raise UserError(
                    f"the array {source!r} must be of shape {shape}, and is "
                    f"{found}"
                )
            taken.append((variable, array))
        for variable, array in taken:
            variable.assign(array)

    def _may_start(self, name):
        """Whether a variable that was not kept may have its first value."""
        is_sgd = self.config.training.optimizer == "sgd"
        # Without momentum, SGD has no such variable.
        return name.startswith("loss_scale") or (
            is_sgd and name == "optimizer_momentum"
        )

    def _dropout_key(self, context, step):
        """Dropout is a function of (seed, step, stream), see `CharRNN`."""
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        seed = tf.constant(self.config.training.seed, tf.int64)
        return tf.stack([seed, step, replica * self._streams])

    def _signature(self):
        # Per-replica values have no public specification: TensorFlow finds
        # out by itself, at its second call, that N varies.
        if self.strategy.num_replicas_in_sync > 1:
            return None
        training = self.config.training
        batch = [None, training.batch_size, training.sequence_length]
        return [
            tf.TensorSpec(batch, tf.int32),
            tf.TensorSpec(batch, tf.int32),
            [
                tf.TensorSpec([training.batch_size, size])
                for size in state_sizes(self.config.model)
            ],
            tf.TensorSpec([], tf.int64),
            tf.TensorSpec([None]),
        ]

    def _run_steps(self, inputs, targets, states, first_step, rates):
        count = tf.shape(rates)[0]

        def body(index, states, records):
            step = first_step + tf.cast(index, tf.int64)
            self._updater.set_step(step)
            states, *values = self.strategy.run(
                self.replica_step,
                args=(
                    _at(inputs, index),
                    _at(targets, index),
                    states,
                    step,
                    rates[index],
                ),
            )
            records = [
                array.write(index, self._first_replica(value))
                for array, value in zip(records, values, strict=True)
            ]
            return index + 1, states, records

        records = [tf.TensorArray(tf.float32, size=count) for _ in range(4)]
        _, states, records = tf.while_loop(
            lambda index, *_: index < count,
            body,
            (0, states, records),
            parallel_iterations=1,
        )
        return states, [array.stack() for array in records]

    def _first_replica(self, value):
        return self.strategy.experimental_local_results(value)[0]


def _at(value, index):
    """One batch of N, a tensor or one for each replica.

    It is cut out here, so that N is no part of what a replica compiles.
    """
    return tf.nest.map_structure(
        lambda batches: batches[index], value, expand_composites=True
    )
