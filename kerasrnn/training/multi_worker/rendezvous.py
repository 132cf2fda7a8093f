"""Workers wait for one another, at the chief's address.

TensorFlow would wait, too, but it holds Python's global lock meanwhile, so
that no signal is noticed, and a worker that is restarted while others wait for
a third one makes them all fail. So they meet here first, and TensorFlow
connects them when all are there.

A worker sends the line `kerasrnn INDEX` to the chief, and receives a dot every
second, and an exclamation mark when all are there.
"""

import contextlib
import socket
import time

from kerasrnn.errors import UserError
from kerasrnn.training.multi_worker.tf_config import Cluster
from kerasrnn.training.multi_worker.tf_config import Task

_SECONDS_BETWEEN_DOTS = 1.0
_SECONDS_TO_ANSWER = 10.0
_SECONDS_TO_COME = 3600.0


def meet(cluster: Cluster, seconds: float = _SECONDS_TO_COME) -> None:
    """Returns when all workers are there; one that leaves may come back.

    Args:
        cluster: The workers.
        seconds: How long to wait for them.

    Raises:
        UserError: They do not come, or the chief cannot listen at its
            address.
    """
    deadline = time.monotonic() + seconds
    if cluster.is_chief:
        _receive(cluster, deadline)
    else:
        _visit(cluster, deadline)


def cannot_listen(task: Task, reason: str) -> UserError:
    """Returns the error of a worker that cannot be reached."""
    return UserError(
        f"This worker cannot listen at {task.address} ({reason}). Does another "
        "process use the port? End it, or give another address in TF_CONFIG."
    )


def _receive(cluster, deadline):
    port = int(cluster.task.address.rpartition(":")[2])
    both = socket.has_dualstack_ipv6()
    try:
        server = socket.create_server(
            ("", port),
            family=socket.AF_INET6 if both else socket.AF_INET,
            dualstack_ipv6=both,
        )
    except OSError as error:
        raise cannot_listen(cluster.task, str(error.strerror)) from None
    visitors: dict[int, socket.socket] = {}
    with server:
        server.settimeout(_SECONDS_BETWEEN_DOTS)
        while len(visitors) < len(cluster.others):
            if time.monotonic() > deadline:
                missing = set(range(1, len(cluster.tasks))) - set(visitors)
                raise _missing(cluster.tasks[index] for index in missing)
            _accept(server, len(cluster.tasks), visitors)
            for index, visitor in list(visitors.items()):
                if not _is_told(visitor, b"."):
                    visitor.close()
                    del visitors[index]
    for visitor in visitors.values():
        _is_told(visitor, b"!")
        visitor.close()


def _accept(server, size, visitors):
    """Takes one more visitor in, if one comes and is a worker."""
    try:
        visitor, _ = server.accept()
    except OSError:  # none has come, or it is gone already
        return
    try:
        # A worker says its line at once, and the others wait for their dots.
        visitor.settimeout(_SECONDS_BETWEEN_DOTS)
        line = visitor.recv(100)
        name, _, index = line.partition(b" ")
        is_whole = name == b"kerasrnn" and line.endswith(b"\n")
        if is_whole and 0 < int(index) < size:
            visitor.setblocking(False)
            if int(index) in visitors:
                visitors[int(index)].close()
            visitors[int(index)] = visitor
            return
    except (OSError, ValueError):
        pass
    visitor.close()


def _is_told(visitor, what):
    """Sends a byte; whether the visitor is still there."""
    try:
        visitor.sendall(what)
        # A visitor says no more, so all that can be read is its end.
        return bool(visitor.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _visit(cluster, deadline):
    host, _, port = cluster.tasks[0].address.rpartition(":")
    hello = f"kerasrnn {cluster.index}\n".encode()
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            with socket.create_connection(
                (host.strip("[]"), int(port)), _SECONDS_TO_ANSWER
            ) as chief:
                chief.sendall(hello)
                while (heard := chief.recv(1)) == b".":
                    pass
                if heard == b"!":
                    return
        # It is not there yet, or is gone again, or something else is there.
        time.sleep(_SECONDS_BETWEEN_DOTS / 2)
    raise _missing(cluster.tasks[:1])


def _missing(tasks):
    names = ", ".join(f"the {task}" for task in tasks)
    return UserError(
        f"Not all workers have joined: {names} cannot be reached or was not "
        "started. Start all of them, with the same TF_CONFIG but for the "
        "index."
    )
