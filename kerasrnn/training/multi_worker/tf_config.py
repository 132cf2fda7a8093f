"""Which processes train together: what `TF_CONFIG` says.

Nothing here needs TensorFlow, so a worker knows which one it is before
TensorFlow is imported.
"""

import dataclasses
from collections.abc import Mapping

from kerasrnn.errors import UserError
from kerasrnn.foundation import dataclass_json

_EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True)
class Task:
    """One of the processes.

    Attributes:
        job: "chief" or "worker".
        index: Its number within the job.
        address: Its "host:port".
    """

    job: str
    index: int
    address: str

    def __str__(self) -> str:
        return f"{self.job} {self.index} ({self.address})"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes that train together, and which of them this one is.

    Attributes:
        tasks: All of them, the chief first.
        index: Of this process's task in `tasks`.
    """

    tasks: tuple[Task, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process locks, encodes, validates and saves."""
        return self.index == 0

    @property
    def task(self) -> Task:
        """This process's task."""
        return self.tasks[self.index]

    @property
    def others(self) -> list[Task]:
        """The tasks of all other processes."""
        return [task for task in self.tasks if task != self.task]


def wanted_cluster(
    strategy: str, tpu: str, environment: Mapping[str, str]
) -> Cluster | None:
    """Returns the cluster to join, or None to train in this process alone.

    Args:
        strategy: The word of `--strategy`.
        tpu: The TPU that is named, or "".
        environment: The process's variables.

    Raises:
        UserError: The strategy needs a cluster and there is none, or
            `TF_CONFIG` cannot be understood.
    """
    text = environment.get("TF_CONFIG", "")
    if strategy == "auto" and (tpu or environment.get("TPU_NAME")):
        return None
    if strategy not in ("auto", "multi_worker"):
        return None
    cluster = parse_tf_config(text) if text.strip() else None
    if cluster is None and strategy == "multi_worker":
        raise UserError(
            "--strategy=multi_worker reads the workers' addresses from the "
            "environment variable TF_CONFIG, which lists none. Set it for "
            f"each worker, as in TF_CONFIG='{_EXAMPLE}'."
        )
    return cluster


def parse_tf_config(text: str) -> Cluster | None:
    """Returns the cluster that a value of `TF_CONFIG` describes.

    None where it lists fewer than two processes that train.

    Raises:
        UserError: It is not JSON of that kind, this task is not among those
            that it lists, or a job is of no use here.
    """
    try:
        values = dataclass_json.loads(text)
        jobs = values.get("cluster", {})
        tasks = tuple(
            Task(job, index, _address(address))
            for job in ("chief", "worker")
            for index, address in enumerate(list(jobs.get(job, [])))
        )
        other = sorted(set(jobs) - {"chief", "worker"})
        task = values.get("task", {})
        job, number = task.get("type"), _index(task.get("index", -1))
    except (ValueError, TypeError, AttributeError):
        raise _error("cannot be understood", text) from None
    if other:
        raise _error(f"has jobs {other}; only chief and worker train", text)
    if len(tasks) < 2:
        return None
    for index, task in enumerate(tasks):
        if (task.job, task.index) == (job, number):
            return Cluster(tasks, index)
    raise _error(f"has no address for this task, {job} {number}", text)


def _index(value):
    # Some write it as a string; 0.5 and true are no index.
    if type(value) not in (int, str):
        raise TypeError(value)
    return int(value)


def _address(address):
    host, separator, port = address.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and len(port) < 6
    if not (host and separator and is_port and 0 < int(port) < 2**16):
        raise ValueError(address)
    # As Python looks it up; a ValueError where that cannot be done.
    host.encode("idna")
    return address


def _error(what, text):
    if len(text) > 200:
        text = f"{text[:200]}..."
    return UserError(
        f"TF_CONFIG {what}: it is {text!r}; expected is something like "
        f"'{_EXAMPLE}'."
    )
