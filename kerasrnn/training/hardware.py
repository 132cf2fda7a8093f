"""What will train, as far as it is known before TensorFlow starts.

TensorFlow takes seconds to start, and a run's settings are chosen before.
"""

import itertools
import os
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

# Of a TPU host; nobody knows before TensorFlow has asked the TPU.
_TPU_CORES = 8


class Hardware(NamedTuple):
    """What trains.

    Attributes:
        cores: Of the processor that trains; 0 if accelerators or several
            workers do, whose steps take the same time whatever the batch.
        replicas: How many devices share each batch.
    """

    cores: int = 0
    replicas: int = 1


def of_this_machine(
    strategy: str,
    tpu: str,
    environment: Mapping[str, str],
    devices: pathlib.Path = pathlib.Path("/dev"),
) -> Hardware:
    """Returns what of this machine would train.

    Args:
        strategy: The value of `--strategy`, but not "multi_worker".
        tpu: That of `--tpu`.
        environment: The process's variables.
        devices: Where the system lists its devices.
    """
    gpus = _num_gpus(environment, devices)
    has_tpu = bool(tpu or environment.get("TPU_NAME"))
    if has_tpu and strategy in ("auto", "tpu"):
        return Hardware(replicas=_TPU_CORES)
    if gpus:
        return Hardware(replicas=1 if strategy == "one_device" else gpus)
    if strategy in ("auto", "one_device"):
        return Hardware(cores=len(os.sched_getaffinity(0)))
    return Hardware()


def _num_gpus(environment, devices):
    found = len(list(devices.glob("nvidia[0-9]*")))
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    # CUDA ignores what follows a number of no device.
    named = itertools.takewhile(lambda name: name != "-1", visible.split(","))
    return min(found, sum(1 for name in named if name))
