"""Finds out when another worker is gone, and sees to it that this one ends.

A worker that is killed resets its connections, which aborts whatever waits
for it. One that hangs, or whose machine is gone, does not, and a worker that
is busy by itself waits for nobody: so a thread asks all peers again and again
whether they live.
"""

import collections
import contextlib
import os
import re
import sys
import threading

import tensorflow as tf
from tensorflow.python.eager import context

from kerasrnn.errors import UserError
from kerasrnn.foundation import closed_outputs
from kerasrnn.training.step.tf_config import Cluster
from kerasrnn.training.step.tf_config import Task

# Together they are what a survivor needs at most: below a minute.
_SECONDS_BETWEEN_QUESTIONS = 4.0
_SECONDS_TO_ANSWER = 8.0
_QUESTIONS = 3
_SECONDS_TO_END = 20.0

# All of them are there when they are asked to, see `rendezvous`.
_SECONDS_TO_REGISTER = 120.0

_GONE = (
    tf.errors.UnavailableError,
    tf.errors.FailedPreconditionError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
)


class PeerLost(UserError):
    """Another worker is gone, so this one cannot go on."""

    def __init__(self, peer: Task | None, reason: str = ""):
        who = "Another worker" if peer is None else f"The {peer}"
        reason = f" ({reason})" if reason else ""
        super().__init__(
            f"{who} is gone{reason}: it ended, hangs or cannot be reached; "
            "what it printed last may say why. Start all workers again with "
            "the same commands: they go on from the newest checkpoint."
        )


def configure_heartbeat(cluster: Cluster) -> None:
    """Makes TensorFlow notice a peer that hangs while all wait for it.

    To be called before the strategy is made. By itself TensorFlow takes
    more than a minute.
    """
    chief = cluster.tasks[0]
    sizes = collections.Counter(task.job for task in cluster.tasks)
    jobs = tf.compat.v1.ConfigProto().experimental.coordination_config
    for job, size in sizes.items():
        jobs.coordinated_job_list.add(name=job, num_tasks=size)
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{chief.job}/replica:0/task:{chief.index}",
        cluster_register_timeout_in_ms=int(1000 * _SECONDS_TO_REGISTER),
        heartbeat_timeout_in_ms=int(1000 * _QUESTIONS * _SECONDS_TO_ANSWER),
        coordinated_jobs=list(jobs.coordinated_job_list),
    )


def wait_for_all(name: str, seconds: float) -> None:
    """Returns when all workers have come here, or a while after.

    Args:
        name: Of the place; each is for one meeting.
        seconds: The while.
    """
    # One may hang or be gone, and the chief keeps the place: this worker goes
    # on in any case.
    with contextlib.suppress(Exception):
        context.context().wait_at_barrier(name, int(1000 * seconds))


class PeerWatch:
    """Asks all peers whether they live, in a thread, until it is stopped.

    Args:
        cluster: Names the peers.

    Attributes:
        lost: None, or which peer is gone.
    """

    def __init__(self, cluster: Cluster):
        self._peers = cluster.peers
        self.lost: PeerLost | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch: the peers may leave."""
        self._stopped.set()

    def _watch(self):
        while not self._stopped.wait(_SECONDS_BETWEEN_QUESTIONS):
            for peer in self._peers:
                reason = self._reason_to_give_up(peer)
                if reason and not self._stopped.is_set():
                    self._end(peer, reason)
                    return

    def _reason_to_give_up(self, peer):
        name = f"/job:{peer.job}/replica:0/task:{peer.index}"
        reason = ""
        for _ in range(_QUESTIONS):
            try:
                context.context().check_collective_ops_peer_health(
                    name, timeout_in_ms=int(1000 * _SECONDS_TO_ANSWER)
                )
            except _GONE as error:
                reason = first_line(error)
            else:
                return ""
        return reason

    def _end(self, peer, reason):
        """Aborts what waits for the peer; if that is no use, the process."""
        self.lost = PeerLost(peer, reason)
        context.context().abort_collective_ops(
            tf.errors.UNAVAILABLE, str(self.lost)
        )
        if not self._stopped.wait(_SECONDS_TO_END):
            end_process(self.lost)


def first_line(error: tf.errors.OpError) -> str:
    """Returns what an error of TensorFlow's says, in short."""
    message = re.sub(r"\{\{.*?\}\}\s*", "", str(error.message))
    return message.strip().split("\n")[0][:200]


def end_process(error: UserError) -> None:
    """Says an error and ends the process at once, with status 1.

    TensorFlow's own way out waits for peers, and a peer is gone.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    closed_outputs.show_cursor()
    closed_outputs.tell(f"error: {error}")
    os._exit(1)
