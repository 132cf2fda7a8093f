"""Notices that another worker is lost, and makes sure that this one ends.

A worker that is killed resets its connections, which aborts whatever waits
for it. One that hangs, or whose machine is gone, does not, and a worker that
is busy by itself waits for nobody: so a thread keeps asking all other workers
whether they are alive.
"""

import contextlib
import os
import re
import sys
import threading

import tensorflow as tf

from kerasrnn.errors import UserError
from kerasrnn.foundation import closed_outputs
from kerasrnn.training.multi_worker import tensorflow_internals
from kerasrnn.training.multi_worker.tf_config import Cluster
from kerasrnn.training.multi_worker.tf_config import Task

# Together they are what a survivor needs at most: below a minute.
_SECONDS_BETWEEN_QUESTIONS = 4.0
_SECONDS_TO_ANSWER = 8.0
_QUESTIONS = 3
_SECONDS_TO_END = 20.0

# All of them are there when they are asked to, see `rendezvous`.
_SECONDS_TO_REGISTER = 120.0

# What a question to a lost worker fails with.
LOST_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.FailedPreconditionError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
)


class WorkerLost(UserError):
    """Another worker is lost, so this one cannot continue."""

    def __init__(self, task: Task | None, reason: str = ""):
        who = "Another worker" if task is None else f"The {task}"
        reason = f" ({reason})" if reason else ""
        super().__init__(
            f"{who} is gone{reason}: it ended, hangs or cannot be reached; "
            "what it printed last may say why. Start all workers again with "
            "the same commands: they resume from the newest checkpoint."
        )


def configure_heartbeat(cluster: Cluster) -> None:
    """Makes TensorFlow notice a worker that hangs while all wait for it.

    Call it before the strategy is made.
    """
    tensorflow_internals.configure_coordination(
        cluster,
        register_seconds=_SECONDS_TO_REGISTER,
        heartbeat_seconds=_QUESTIONS * _SECONDS_TO_ANSWER,
    )


def wait_for_all(name: str, seconds: float) -> None:
    """Returns when all workers have called it, or after so many seconds.

    Args:
        name: Of this meeting; each name is used once.
        seconds: How long to wait.
    """
    # One may hang or be lost, and the chief keeps the barrier: this worker
    # continues in any case.
    with contextlib.suppress(Exception):
        tensorflow_internals.wait_at_barrier(name, seconds)


class WorkerWatch:
    """Asks all other workers whether they are alive, until it is stopped.

    It does so in a thread of its own.

    Args:
        cluster: The workers.

    Attributes:
        lost: None, or which worker is lost.
    """

    def __init__(self, cluster: Cluster):
        self._others = cluster.others
        self.lost: WorkerLost | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch: the other workers may leave."""
        self._stopped.set()

    def _watch(self):
        while not self._stopped.wait(_SECONDS_BETWEEN_QUESTIONS):
            for task in self._others:
                reason = self._reason_to_give_up(task)
                if reason and not self._stopped.is_set():
                    self._end(task, reason)
                    return

    def _reason_to_give_up(self, task):
        reason = ""
        for _ in range(_QUESTIONS):
            try:
                tensorflow_internals.check_health(task, _SECONDS_TO_ANSWER)
            except LOST_ERRORS as error:
                reason = first_line(error)
            else:
                return ""
        return reason

    def _end(self, task, reason):
        """Aborts what waits for the lost worker; if that fails, the process."""
        self.lost = WorkerLost(task, reason)
        tensorflow_internals.abort_collectives(str(self.lost))
        if not self._stopped.wait(_SECONDS_TO_END):
            end_process(self.lost)


def first_line(error: tf.errors.OpError) -> str:
    """Returns what an error of TensorFlow's says, in short."""
    message = re.sub(r"\{\{.*?\}\}\s*", "", str(error.message))
    return message.strip().split("\n")[0][:200]


def end_process(error: UserError) -> None:
    """Prints an error and ends the process at once, with status 1.

    TensorFlow's own exit waits for the other workers, and one is lost.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    closed_outputs.show_cursor()
    closed_outputs.tell(f"error: {error}")
    os._exit(1)
