"""Tests of what is known of the devices before TensorFlow starts."""

import os
import pathlib

from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.training.hardware import Hardware
from kerasrnn.training.hardware import of_this_machine

CORES = Hardware(cores=len(os.sched_getaffinity(0)))


class HardwareTest(parameterized.TestCase):
    @parameterized.parameters(
        # GPUs, variables, --strategy, --tpu; what trains.
        (0, {}, "auto", "", CORES),
        (0, {}, "one_device", "", CORES),
        (0, {}, "mirrored", "", Hardware()),
        (0, {"CUDA_VISIBLE_DEVICES": "0,1"}, "auto", "", CORES),
        (1, {}, "auto", "", Hardware()),
        (4, {}, "auto", "", Hardware(replicas=4)),
        (12, {}, "mirrored", "", Hardware(replicas=12)),
        (4, {}, "one_device", "", Hardware()),
        (4, {"CUDA_VISIBLE_DEVICES": "0,2,3"}, "auto", "", Hardware(0, 3)),
        (4, {"CUDA_VISIBLE_DEVICES": "GPU-8932f937"}, "auto", "", Hardware()),
        (4, {"CUDA_VISIBLE_DEVICES": "1,-1,2"}, "auto", "", Hardware()),
        (4, {"CUDA_VISIBLE_DEVICES": ""}, "auto", "", CORES),
        (4, {"CUDA_VISIBLE_DEVICES": "-1"}, "auto", "", CORES),
        (0, {}, "auto", "local", Hardware(replicas=8)),
        (0, {"TPU_NAME": "local"}, "auto", "", Hardware(replicas=8)),
        (0, {"TPU_NAME": "local"}, "one_device", "", CORES),
        (4, {}, "tpu", "local", Hardware(replicas=8)),
    )
    def test_what_trains(self, gpus, environment, strategy, tpu, expected):
        devices = self.create_tempdir()
        # A driver has more devices than those of its GPUs.
        for name in ("null", "nvidiactl", "nvidia-uvm"):
            devices.create_file(name)
        for number in range(gpus):
            devices.create_file(f"nvidia{number}")
        found = of_this_machine(
            strategy, tpu, environment, pathlib.Path(devices.full_path)
        )
        self.assertEqual(found, expected)


if __name__ == "__main__":
    absltest.main()
