"""A signal at one worker is a signal at all of them.

Workers agree between two calls of steps, and that can be far away: the chief
may encode a text or validate for minutes, while the others wait for it. So a
worker tells of a signal by the key-value store of TensorFlow's coordination
service, where a thread of each worker listens, whatever its others are at.
"""

import json
import threading

import tensorflow as tf
from tensorflow.python.eager import context

from kerasrnn.foundation.signals import Interruption
from kerasrnn.training.multi_worker.health import wait_for_all
from kerasrnn.training.step.tf_config import Cluster

_KEY = "kerasrnn/signal"
_SECONDS_TO_HEAR = 5.0


class SharedInterruption:
    """Tells the other workers of a signal, and hears of theirs.

    To be made when all workers are there (see `workers.join`).

    Args:
        cluster: Who they are.
        interruption: Of this process.
    """

    def __init__(self, cluster: Cluster, interruption: Interruption):
        self._task = str(cluster.task)
        self._interruption = interruption
        interruption.share(self)
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, number: int, ends: bool) -> bool:
        """Tells the other workers of a signal, if it is the first one.

        Args:
            number: The signal's.
            ends: Whether all are to end at once.

        Returns:
            Whether it is. Otherwise they do as another one has told.
        """
        value = {"number": number, "ends": ends, "task": self._task}
        try:
            context.context().set_config_key_value(_KEY, json.dumps(value))
        except tf.errors.AlreadyExistsError:
            return False
        except Exception:
            # The chief, which keeps the store, is gone, or TensorFlow has it
            # no more. Here the signal counts, whatever is the matter.
            pass
        return True

    def meet(self) -> None:
        """Returns when all have heard, or a while after.

        Whoever goes before looks like a lost worker to them; and the chief's
        process keeps the store.
        """
        wait_for_all(_KEY, _SECONDS_TO_HEAR)

    def _listen(self):
        try:
            # Without a timeout, so until the process ends.
            text = context.context().get_config_key_value(_KEY)
        except tf.errors.OpError:
            return  # The chief is gone; see `peers`.
        value = json.loads(text)
        if value["task"] != self._task:
            self._interruption.hear(
                value["number"], value["ends"], value["task"]
            )
