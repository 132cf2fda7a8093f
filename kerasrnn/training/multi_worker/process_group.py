"""The processes that train together, and how they agree.

See `kerasrnn.training.step.workers` for what they agree on. All communication
is a sum over the workers, to which only those add that have something to say.
"""

import contextlib
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kerasrnn.errors import UserError
from kerasrnn.foundation.signals import Interrupted
from kerasrnn.foundation.signals import Interruption
from kerasrnn.training.multi_worker.health import LOST_ERRORS
from kerasrnn.training.multi_worker.health import WorkerLost
from kerasrnn.training.multi_worker.health import WorkerWatch
from kerasrnn.training.multi_worker.health import configure_heartbeat
from kerasrnn.training.multi_worker.health import end_process
from kerasrnn.training.multi_worker.health import first_line
from kerasrnn.training.multi_worker.health import wait_for_all
from kerasrnn.training.multi_worker.rendezvous import cannot_listen
from kerasrnn.training.multi_worker.rendezvous import meet
from kerasrnn.training.multi_worker.signal_broadcast import SignalBroadcast
from kerasrnn.training.multi_worker.tf_config import Cluster
from kerasrnn.training.step.workers import Workers

# What a collective operation fails with when a worker is lost.
_FAILURES = (*LOST_ERRORS, tf.errors.CancelledError)

# All end at about the same time; a worker that is late may be lost.
_SECONDS_TO_LEAVE = 10.0


class WorkerGroup(Workers):
    """Several processes, one of them the chief.

    Args:
        cluster: The workers.
        strategy: A `tf.distribute.MultiWorkerMirroredStrategy`.
    """

    def __init__(self, cluster: Cluster, strategy: tf.distribute.Strategy):
        super().__init__(strategy)
        self.is_chief = cluster.is_chief
        self.size = len(cluster.tasks)
        self._index = cluster.index
        self._replicas = strategy.num_replicas_in_sync // self.size
        self._sum = tf.function(
            lambda value: strategy.reduce(
                tf.distribute.ReduceOp.SUM, value, axis=None
            ),
            autograph=False,
            reduce_retracing=True,
        )
        self._watch = WorkerWatch(cluster)

    def broadcast(self, values: Sequence[float]) -> list[float]:
        """See `Workers.broadcast`."""
        array = np.asarray(values, np.float64)
        if not self.is_chief:
            array = np.zeros_like(array)
        return self._add_up(array).tolist()

    def broadcast_bytes(self, data: bytes) -> bytes:
        """Returns the chief's bytes; all workers call it together."""
        (length,) = self.broadcast([len(data)])
        if not length:
            return b""  # TensorFlow crashes when it adds up nothing.
        values = np.zeros([int(length)], np.float64)
        if self.is_chief:
            values[:] = np.frombuffer(data, np.uint8)
        return self._add_up(values).astype(np.uint8).tobytes()

    def any(self, value: int) -> int:
        """See `Workers.any`."""
        values = np.zeros([self.size], np.float64)
        values[self._index] = value
        values = self._add_up(values)
        return int(values[np.argmax(values != 0)])

    def check(self) -> None:
        """See `Workers.check`."""
        if self._watch.lost is not None:
            raise self._watch.lost

    def finish(self) -> None:
        """See `Workers.finish`."""
        self.any(0)
        self._watch.stop()
        # A sum is ready here while another worker may still be reading its
        # last part from this process, which must not end before.
        wait_for_all("kerasrnn/finish", _SECONDS_TO_LEAVE)

    @contextlib.contextmanager
    def naming_the_lost(self) -> Iterator[None]:
        """Turns errors of the block that a lost worker causes into its name.

        Raises:
            WorkerLost: An operation failed because a worker is lost.
        """
        try:
            yield
        except (tf.errors.OpError, WorkerLost) as error:
            lost = self._watch.lost
            if lost is None and isinstance(error, _FAILURES):
                lost = WorkerLost(None, first_line(error))
            if lost is None:
                raise
            raise lost from None

    def _add_up(self, values):
        """The sum of all workers' arrays; each adds that of one replica."""

        def value(replica):
            is_first = replica.replica_id_in_sync_group % self._replicas == 0
            return tf.constant(values if is_first else np.zeros_like(values))

        strategy = self.strategy
        return self._sum(
            strategy.experimental_distribute_values_from_function(value)
        ).numpy()


@contextlib.contextmanager
def joined(
    cluster: Cluster, interruption: Interruption
) -> Iterator[WorkerGroup]:
    """Joins the other workers for a block, at whose end all meet again.

    A user's mistake or a lost worker ends the process in the block, with a
    message and status 1, at once.

    Args:
        cluster: The workers.
        interruption: This process's; a signal to one worker reaches all.

    Yields:
        The workers, this one among them.
    """
    try:
        meet(cluster)
        interruption.expect_broadcast()
        workers = join(cluster)
        SignalBroadcast(cluster, interruption)
        with workers.naming_the_lost():
            try:
                yield workers
            except Interrupted:
                workers.finish()
                raise
            workers.finish()
    except UserError as error:
        interruption.end_if_ending()
        end_process(error)
    except tf.errors.OpError:
        interruption.end_if_ending()
        raise


def join(cluster: Cluster) -> WorkerGroup:
    """Joins the other workers; returns when all of them are connected.

    No signal is noticed meanwhile, so they should `meet` before.

    Raises:
        WorkerLost: One left meanwhile, or did not come.
        UserError: This worker cannot be reached at its address.
    """
    configure_heartbeat(cluster)
    # It logs a line or two about every collective operation.
    tf.get_logger().setLevel("WARNING")
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.UnknownError as error:
        raise cannot_listen(cluster.task, first_line(error)) from None
    except (*_FAILURES, tf.errors.InternalError) as error:
        raise WorkerLost(None, first_line(error)) from None
    return WorkerGroup(cluster, strategy)
