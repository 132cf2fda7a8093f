"""A signal to one worker is a signal to all of them.

Workers agree between two calls of steps, which can be minutes apart: the chief
may be encoding a text or validating while the others wait for it. So a worker
announces a signal in the key-value store of TensorFlow's coordination service,
where a thread of each worker listens, whatever its other threads do.
"""

import json
import threading

import tensorflow as tf

from kerasrnn.foundation.signals import Interruption
from kerasrnn.training.multi_worker import tensorflow_internals
from kerasrnn.training.multi_worker.health import wait_for_all
from kerasrnn.training.multi_worker.tf_config import Cluster

_KEY = "kerasrnn/signal"
_SECONDS_TO_HEAR = 5.0


class SignalBroadcast:
    """Tells the other workers of a signal, and listens for theirs.

    Make it when all workers are connected (see `process_group.joined`).

    Args:
        cluster: The workers.
        interruption: This process's.
    """

    def __init__(self, cluster: Cluster, interruption: Interruption):
        self._task = str(cluster.task)
        self._interruption = interruption
        interruption.use_broadcast(self)
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, number: int, ends: bool) -> bool:
        """Tells the other workers of a signal, if it is the first one.

        Args:
            number: The signal's.
            ends: Whether all workers should end at once.

        Returns:
            Whether it is the first. If not, the workers do what the first
            one says.
        """
        value = {"number": number, "ends": ends, "task": self._task}
        try:
            tensorflow_internals.set_value(_KEY, json.dumps(value))
        except tf.errors.AlreadyExistsError:
            return False
        except Exception:
            # The chief, which keeps the store, is lost, or TensorFlow has
            # closed it. In this process the signal counts in any case.
            pass
        return True

    def meet(self) -> None:
        """Returns when all workers have heard, or after some seconds.

        A worker that leaves before looks like a lost one to the others; and
        the chief's process keeps the store.
        """
        wait_for_all(_KEY, _SECONDS_TO_HEAR)

    def _listen(self):
        try:
            text = tensorflow_internals.wait_for_value(_KEY)
        except tf.errors.OpError:
            return  # The chief is lost; see `health`.
        value = json.loads(text)
        if value["task"] != self._task:
            self._interruption.receive(
                value["number"], value["ends"], value["task"]
            )
