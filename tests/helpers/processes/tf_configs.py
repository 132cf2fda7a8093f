"""Workers on this machine, and the `TF_CONFIG` of each of them."""

import json
import socket

from kerasrnn.training.multi_worker.tf_config import Cluster
from kerasrnn.training.multi_worker.tf_config import parse_tf_config


def tf_configs(count: int) -> list[str]:
    """Returns the `TF_CONFIG` of each of some workers, at free ports."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    finally:
        for one in sockets:
            one.close()
    return [
        json.dumps(
            {
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": index},
            }
        )
        for index in range(count)
    ]


def clusters(count: int) -> list[Cluster]:
    """Returns the same, as each worker reads it."""
    return [parse_tf_config(text) for text in tf_configs(count)]
