"""Tests of what is known of the devices, and what is chosen for them."""

import os
import pathlib

from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.command_line import config_flags
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.training.defaults import choices
from kerasrnn.training.hardware import Hardware
from kerasrnn.training.hardware import of_this_machine
from kerasrnn.training.step.schedule import Limits

CORES = Hardware(cores=len(os.sched_getaffinity(0)))


def chosen(hardware, given=None, limits=None, units=128):
    """Returns the values chosen for a text of 1,000,000 characters, by name."""
    found = choices(
        ModelConfig(vocabulary_size=65, units=units),
        given or {},
        10**6,
        limits=limits or Limits(),
        hardware=hardware,
    )
    return {choice.name: choice.value for choice in found}


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


class AcceleratorsTest(parameterized.TestCase):
    def test_replicas_share_each_batch(self):
        for replicas in range(1, 200):
            found = chosen(Hardware(replicas=replicas))
            size = found.get("batch_size", TrainingConfig().batch_size)
            self.assertEqual(size % replicas, 0)
            self.assertBetween(size, 50, 49 + replicas)
            # 12 epochs of the steps that this size makes.
            steps = found["dropout_warmup_steps"]
            self.assertAlmostEqual(steps, 12e6 / (50 * size), delta=1)
            self.assertContainsSubset(found, config_flags.CHOSEN_BY_RULE)
            # What is given is the user's own choice.
            for name in ("batch_size", "accumulation_steps"):
                given = chosen(Hardware(replicas=replicas), {name: 50})
                self.assertNotIn("batch_size", given)

    @parameterized.product(minutes=(1, 5, 20), units=(128, 512))
    def test_an_accelerator_reads_more_in_the_same_minutes(
        self, minutes, units
    ):
        limits = Limits(minutes=minutes)
        of_cores, of_accelerator = (
            chosen(hardware, limits=limits, units=units)
            for hardware in (Hardware(cores=2), Hardware())
        )
        for name in ("dropout", "recurrent_kernel_dropout", "weight_decay"):
            self.assertGreaterEqual(of_accelerator[name], of_cores[name])
        # 1e12 operations a second, 6 * 206,017 a character: 12 epochs and more.
        if units == 128 and minutes > 1:
            without_limit = chosen(Hardware(), units=units)
            self.assertEqual(of_accelerator["dropout"], 0.07)
            self.assertEqual(
                of_accelerator["weight_decay"], without_limit["weight_decay"]
            )


if __name__ == "__main__":
    absltest.main()
