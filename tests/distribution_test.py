"""Tests that the number of replicas changes nothing.

The replicas are logical CPUs, which a process must ask for before it uses
TensorFlow, so each number of them runs in a process of its own.
"""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from absl.testing import absltest

ROOT = pathlib.Path(__file__).resolve().parent.parent
FULL = bool(os.environ.get("KERASRNN_FULL"))
STEPS = 200 if FULL else 30
B, T, V, UNITS = 8, 10, 12, 8


def main(replicas):
    """Trains on some replicas; prints losses and where it ended, as JSON."""
    import tensorflow as tf

    from kerasrnn.config import Config
    from kerasrnn.config import ModelConfig
    from kerasrnn.config import TrainingConfig
    from kerasrnn.training.distribution import collect
    from kerasrnn.training.distribution import distribute
    from kerasrnn.training.distribution import make_strategy
    from kerasrnn.training.steps import Trainer
    from kerasrnn.training.weights import initial_weights

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_visible_devices([], "GPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * replicas
    )
    strategy = make_strategy("mirrored" if replicas > 1 else "one_device")
    config = Config(
        model=ModelConfig(vocabulary_size=V, units=UNITS, dropout=0.3),
        training=TrainingConfig(
            batch_size=B, sequence_length=T, jit_compile="off"
        ),
    )
    trainer = Trainer(config, strategy, *initial_weights(config.model, 1))
    states = distribute(strategy, [np.zeros([B, UNITS], np.float32)] * 4, 0)
    draws = np.random.default_rng(0)
    losses, step = [], 0
    for count in (1, 9, STEPS - 10):
        arrays = draws.integers(0, V, (2, count, B, T), dtype=np.int32)
        inputs, targets = distribute(strategy, list(arrays), 1)
        states, records = trainer.run(
            inputs, targets, states, step, [1e-2] * count
        )
        losses += (records.nats / records.characters).tolist()
        step += count
    print(
        json.dumps(
            {
                "replicas": strategy.num_replicas_in_sync,
                "losses": losses,
                "states": [s.tolist() for s in collect(strategy, states, 0)],
                "weights": trainer.snapshot()["weights"].tolist(),
            }
        )
    )


class DistributionTest(absltest.TestCase):
    def test_replicas_compute_what_one_does(self):
        numbers = (1, 2, 4) if FULL else (1, 2)
        results = {replicas: _run_replicas(replicas) for replicas in numbers}
        self.assertLen(results[1]["losses"], STEPS)
        for replicas, result in results.items():
            self.assertEqual(result["replicas"], replicas)
            for name in ("losses", "states", "weights"):
                np.testing.assert_allclose(
                    result[name], results[1][name], atol=1e-4, err_msg=name
                )

    def test_unknown_word_and_missing_devices(self):
        from kerasrnn.errors import UserError
        from kerasrnn.training import distribution

        with self.assertRaisesRegex(UserError, "strategy must be one of"):
            distribution.make_strategy("horovod")
        self.assertEqual(
            distribution.make_strategy("one_device").num_replicas_in_sync, 1
        )


def _run_replicas(replicas):
    process = subprocess.run(
        [sys.executable, __file__, str(replicas)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return json.loads(process.stdout.splitlines()[-1])


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].isdecimal():
        main(int(sys.argv[1]))
    else:
        absltest.main()
