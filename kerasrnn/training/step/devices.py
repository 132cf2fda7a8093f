"""Turns `--strategy` into a `tf.distribute.Strategy`, the only one to do so.

Each of R replicas reads B / R of the B streams of text, in the order of the
replicas, and carries their recurrent states. The replicas belong to one
process, or to several (see `kerasrnn.training.step.workers`).
"""

import functools
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kerasrnn.config import STRATEGIES
from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted


def make_strategy(name: str = "auto", tpu: str = "") -> tf.distribute.Strategy:
    """Returns the strategy that a value of `--strategy` stands for.

    Args:
        name: One of `STRATEGIES`, but "multi_worker", which takes several
            processes (see `multi_worker.process_group.joined`). "auto" takes a
            TPU that is named, all GPUs if there are several, or else one
            device.
        tpu: Name or address of the TPU; "local" is the one of this machine.
            (Never run on a TPU by those who wrote it.)

    Raises:
        UserError: The name is unknown, or what it asks for is not there.
    """
    if name not in STRATEGIES:
        raise UserError(
            f"strategy must be one of {', '.join(STRATEGIES)}, not {name!r}."
        )
    if name == "multi_worker":
        raise UserError(
            "strategy multi_worker is made by joining the other processes, "
            "with kerasrnn.training.multi_worker.process_group.joined."
        )
    gpus = tf.config.list_logical_devices("GPU")
    if name == "auto":
        if tpu or os.environ.get("TPU_NAME"):
            name = "tpu"
        else:
            name = "mirrored" if len(gpus) > 1 else "one_device"
    if name == "tpu":
        return _tpu_strategy(tpu)
    devices = gpus or tf.config.list_logical_devices("CPU")
    if name == "mirrored":
        return tf.distribute.MirroredStrategy([d.name for d in devices])
    return tf.distribute.OneDeviceStrategy(devices[0].name)


def streams_per_replica(
    strategy: tf.distribute.Strategy,
    batch_size: int,
    accumulation_steps: int = 1,
) -> int:
    """Returns how many of the batch's streams each replica reads.

    Raises:
        UserError: The replicas cannot share the streams evenly, or their
            shares cannot be cut into `accumulation_steps` pieces.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(
            f"batch_size {batch_size} cannot be shared by {replicas} "
            f"replicas: choose a multiple of {replicas}, or, for a run that "
            "has begun, fewer devices (--strategy=one_device, or "
            "CUDA_VISIBLE_DEVICES)."
        )
    streams = batch_size // replicas
    if streams % accumulation_steps:
        raise UserError(
            f"A replica reads {counted(streams, 'stream')} (batch_size "
            f"{batch_size}, {counted(replicas, 'replica')}), which cannot be "
            f"divided into accumulation_steps {accumulation_steps} equal "
            f"parts: choose a divisor of {streams}."
        )
    return streams


def distribute(
    strategy: tf.distribute.Strategy,
    arrays: Sequence[np.ndarray],
    axis: int,
) -> list[tf.Tensor]:
    """Cuts arrays into one piece per replica.

    Of several processes each passes the whole arrays, and keeps the pieces
    of its own replicas.

    Args:
        strategy: Says how many replicas there are.
        arrays: Arrays with all streams in dimension `axis`.
        axis: The dimension of the streams.

    Returns:
        Tensors; with several replicas, per-replica values.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return [tf.convert_to_tensor(array) for array in arrays]

    def piece(array):
        size = array.shape[axis] // replicas

        def cut(context):
            start = context.replica_id_in_sync_group * size
            selection = [slice(None)] * axis + [slice(start, start + size)]
            return tf.convert_to_tensor(array[tuple(selection)])

        pieces = strategy.experimental_distribute_values_from_function(cut)
        local = strategy.experimental_local_results(pieces)
        # One replica of this process: as a step returns it, so that a loop
        # over steps can carry it on.
        return local[0] if len(local) == 1 else pieces

    return [piece(array) for array in arrays]


def collect(
    strategy: tf.distribute.Strategy, values: Sequence[tf.Tensor], axis: int
) -> list[np.ndarray]:
    """Joins the pieces again: the inverse of `distribute`.

    Several processes all call it together, and each receives all values.
    """
    if strategy.num_replicas_in_sync == 1:
        return [value.numpy() for value in values]
    gathered = _gatherer(strategy, axis)(list(values))
    return [value.numpy() for value in gathered]


@functools.lru_cache(maxsize=4)
def _gatherer(strategy, axis):
    # Traced once: by itself `gather` makes a new function at each call.
    return tf.function(
        lambda values: [strategy.gather(value, axis=axis) for value in values],
        autograph=False,
    )


def _tpu_strategy(tpu):
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, tf.errors.OpError, OSError) as error:
        first_line = str(error).split("\n")[0]
        raise UserError(
            f"The TPU {tpu or os.environ.get('TPU_NAME', '')!r} cannot be "
            f"used ({first_line}). Check --tpu, or use --strategy=auto."
        ) from None
