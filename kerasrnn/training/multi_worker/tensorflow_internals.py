"""All of TensorFlow's private API that several workers need, in one place.

The coordination service, the health of collective operations and a barrier
are parts of TensorFlow that every multi-worker strategy uses, but only
`tensorflow.python.eager.context` gives access to them. Whoever moves to
another TensorFlow looks here first.
"""

import collections

import tensorflow as tf
from tensorflow.python.eager import context

from kerasrnn.training.multi_worker.tf_config import Cluster
from kerasrnn.training.multi_worker.tf_config import Task


def configure_coordination(
    cluster: Cluster, register_seconds: float, heartbeat_seconds: float
) -> None:
    """Configures the service by which the workers know of one another.

    Call it before the strategy is made.

    Args:
        cluster: The workers; the chief runs the service.
        register_seconds: How long to wait for all workers to register.
        heartbeat_seconds: After how much silence a worker counts as lost.
            TensorFlow's own default is more than a minute.
    """
    sizes = collections.Counter(task.job for task in cluster.tasks)
    jobs = tf.compat.v1.ConfigProto().experimental.coordination_config
    for job, size in sizes.items():
        jobs.coordinated_job_list.add(name=job, num_tasks=size)
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=_name(cluster.tasks[0]),
        cluster_register_timeout_in_ms=_milliseconds(register_seconds),
        heartbeat_timeout_in_ms=_milliseconds(heartbeat_seconds),
        coordinated_jobs=list(jobs.coordinated_job_list),
    )


def wait_at_barrier(name: str, seconds: float) -> None:
    """Waits until all workers have called this with the same name.

    Raises:
        tf.errors.OpError: They have not within so many seconds.
    """
    context.context().wait_at_barrier(name, _milliseconds(seconds))


def check_health(task: Task, seconds: float) -> None:
    """Checks that another worker answers.

    Raises:
        tf.errors.OpError: It does not within so many seconds.
    """
    context.context().check_collective_ops_peer_health(
        _name(task), timeout_in_ms=_milliseconds(seconds)
    )


def abort_collectives(message: str) -> None:
    """Makes collective operations fail that wait for a lost worker."""
    context.context().abort_collective_ops(tf.errors.UNAVAILABLE, message)


def set_value(key: str, value: str) -> None:
    """Stores a value, which all workers can read, under a key.

    Raises:
        tf.errors.AlreadyExistsError: The key has one.
        tf.errors.OpError: The chief, which keeps the store, is gone.
    """
    context.context().set_config_key_value(key, value)


def wait_for_value(key: str) -> str:
    """Returns the value of a key, as soon as there is one, without a timeout.

    Raises:
        tf.errors.OpError: The chief, which keeps the store, is gone.
    """
    return context.context().get_config_key_value(key)


def _name(task):
    return f"/job:{task.job}/replica:0/task:{task.index}"


def _milliseconds(seconds):
    return int(1000 * seconds)
