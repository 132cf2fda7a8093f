"""The processes that train together, and what they must agree on.

Every worker runs the same loop on its own share of the streams. Whatever the
loop decides by a clock, by a signal, by a file or by a computation that only
the chief does is the chief's word, and comes to all by an exchange between
two calls of steps.
"""

import contextlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kerasrnn.errors import UserError
from kerasrnn.foundation.signals import Interrupted
from kerasrnn.foundation.signals import Interruption
from kerasrnn.training.multi_worker.health import PeerLost
from kerasrnn.training.multi_worker.health import PeerWatch
from kerasrnn.training.multi_worker.health import configure_heartbeat
from kerasrnn.training.multi_worker.health import end_process
from kerasrnn.training.multi_worker.health import first_line
from kerasrnn.training.multi_worker.health import wait_for_all
from kerasrnn.training.multi_worker.rendezvous import cannot_listen
from kerasrnn.training.multi_worker.rendezvous import meet
from kerasrnn.training.multi_worker.signal_broadcast import SharedInterruption
from kerasrnn.training.step.tf_config import Cluster

# All are here at about the same time; whoever is late may be gone.
_SECONDS_TO_LEAVE = 10.0


class Workers:
    """One process alone: there is nothing to agree on.

    Attributes:
        strategy: Where the replicas are.
        is_chief: Whether this process writes.
        size: Number of processes.
    """

    is_chief = True
    size = 1

    def __init__(self, strategy: tf.distribute.Strategy):
        self.strategy = strategy

    def agree(self, values: Sequence[float]) -> list[float]:
        """Returns the chief's values; all workers call it together."""
        return list(values)

    def any(self, value: int) -> int:
        """Returns a value that is not 0, if a worker has one."""
        return value

    def share(self, data: bytes) -> bytes:
        """Returns the chief's bytes; all workers call it together."""
        return data

    def check(self) -> None:
        """Raises `PeerLost` if a worker is known to be gone."""

    def finish(self) -> None:
        """Waits until all workers have come here; then they may leave."""

    @contextlib.contextmanager
    def guarded(self):
        """Makes errors inside the block say if a peer is their cause."""
        yield


class ManyWorkers(Workers):
    """Several processes, one of them the chief.

    Args:
        cluster: Who they are.
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
        self._watch = PeerWatch(cluster)

    def agree(self, values):
        """See `Workers.agree`."""
        values = np.asarray(values, np.float64)
        if not self.is_chief:
            values = np.zeros_like(values)
        return self._add_up(values).tolist()

    def any(self, value):
        """See `Workers.any`."""
        values = np.zeros([self.size], np.float64)
        values[self._index] = value
        values = self._add_up(values)
        return int(values[np.argmax(values != 0)])

    def share(self, data):
        """See `Workers.share`."""
        (length,) = self.agree([len(data)])
        if not length:
            return b""  # TensorFlow dies of adding up nothing.
        values = np.zeros([int(length)], np.float64)
        if self.is_chief:
            values[:] = np.frombuffer(data, np.uint8)
        return self._add_up(values).astype(np.uint8).tobytes()

    def check(self):
        """See `Workers.check`."""
        if self._watch.lost is not None:
            raise self._watch.lost

    def finish(self):
        """See `Workers.finish`."""
        self.any(0)
        self._watch.stop()
        # A sum is ready here while another worker may still be reading its
        # last part from this process, which must not end under it.
        wait_for_all("kerasrnn/finish", _SECONDS_TO_LEAVE)

    @contextlib.contextmanager
    def guarded(self):
        """See `Workers.guarded`."""
        try:
            yield
        except (tf.errors.OpError, PeerLost) as error:
            lost = self._watch.lost
            if lost is None and isinstance(error, _GONE):
                lost = PeerLost(None, first_line(error))
            if lost is None:
                raise
            raise lost from None

    def _add_up(self, values):
        """The sum of all workers' arrays, of which each has one replica's."""

        def value(replica):
            is_first = replica.replica_id_in_sync_group % self._replicas == 0
            return tf.constant(values if is_first else np.zeros_like(values))

        strategy = self.strategy
        return self._sum(
            strategy.experimental_distribute_values_from_function(value)
        ).numpy()


# What a collective operation fails with when a peer is gone.
_GONE = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.FailedPreconditionError,
)


@contextlib.contextmanager
def joined(cluster: Cluster, interruption: Interruption):
    """Joins the other workers for a block, at whose end all meet again.

    Args:
        cluster: Who they are.
        interruption: Of this process; a signal at one is one at all.

    Yields:
        A `ManyWorkers`.

    Whatever of the user's or of a peer's ends the block ends the process
    with a message and status 1, at once.
    """
    try:
        meet(cluster)
        interruption.wait_to_share()
        workers = join(cluster)
        SharedInterruption(cluster, interruption)
        with workers.guarded():
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


def join(cluster: Cluster) -> ManyWorkers:
    """Joins the other workers; returns when all of them are there.

    A signal is not heard meanwhile, so they should `meet` before.

    Raises:
        PeerLost: One went away meanwhile, or did not come.
        UserError: This worker cannot be reached at its address.
    """
    configure_heartbeat(cluster)
    # It says a line or two about every collective operation.
    tf.get_logger().setLevel("WARNING")
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.UnknownError as error:
        raise cannot_listen(cluster.task, first_line(error)) from None
    except (*_GONE, tf.errors.InternalError) as error:
        raise PeerLost(None, first_line(error)) from None
    return ManyWorkers(cluster, strategy)
