"""Tests that the number of replicas changes nothing.

The replicas are logical CPUs of one process, or two processes that talk over
loopback. Both have to be asked for before TensorFlow is used, so each number
of replicas runs in processes of its own.
"""

import multiprocessing
import os

import numpy as np
from absl.testing import absltest
from helpers.processes.forked_trainer import start_call
from helpers.processes.tf_configs import tf_configs

from kerasrnn.errors import UserError
from kerasrnn.training.step import devices

STEPS = 200
B, T, V, UNITS = 8, 8, 12, 8


def train(connection, replicas, tf_config=""):
    """Trains on some replicas; sends losses and where it ended."""
    from kerasrnn.training.multi_worker.process_group import join
    from kerasrnn.training.multi_worker.tf_config import parse_tf_config
    from kerasrnn.training.step.devices import make_strategy
    from kerasrnn.training.step.workers import Workers

    if tf_config:
        os.environ["TF_CONFIG"] = tf_config
        workers = join(parse_tf_config(tf_config))
    else:
        _make_logical_devices(replicas)
        name = "mirrored" if replicas > 1 else "one_device"
        workers = Workers(make_strategy(name))
    result = _train(workers)
    if tf_config:
        workers.finish()
    if workers.is_chief:
        connection.send(result)
    connection.close()


def _make_logical_devices(count):
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_visible_devices([], "GPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * count
    )


def _train(workers):
    from kerasrnn.config import Config
    from kerasrnn.config import ModelConfig
    from kerasrnn.config import TrainingConfig
    from kerasrnn.training.step.devices import collect
    from kerasrnn.training.step.devices import distribute
    from kerasrnn.training.step.flat_weights import initial_weights
    from kerasrnn.training.step.trainer import Trainer

    strategy = workers.strategy
    config = Config(
        model=ModelConfig(
            vocabulary_size=V,
            units=UNITS,
            dropout=0.3,
            recurrent_kernel_dropout=0.3,
            dropout_warmup_steps=2,
        ),
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
        arrays[0, ::3, ::2, 0] = ~arrays[0, ::3, ::2, 0]  # They begin anew.
        inputs, targets = distribute(strategy, list(arrays), 1)
        states, records = trainer.run(
            inputs, targets, states, step, [5e-3] * count
        )
        losses += (records.nats / records.characters).tolist()
        step += count
    return {
        "replicas": strategy.num_replicas_in_sync,
        "losses": losses,
        "states": collect(strategy, states, 0),
        "weights": trainer.snapshot()["weights"],
    }


class DistributionTest(absltest.TestCase):
    def start(self, *arguments):
        """Starts a process; returns where its result comes from."""
        reader, writer = multiprocessing.Pipe(duplex=False)
        process = start_call(train, writer, *arguments)
        self.addCleanup(process.join)
        self.addCleanup(process.kill)
        writer.close()
        return reader

    def test_replicas_compute_what_one_does(self):
        results = {"one device": self.start(1).recv()}
        for replicas in (2, 4):
            name = f"{replicas} logical devices"
            results[name] = self.start(replicas).recv()
            self.assertEqual(results[name]["replicas"], replicas)
        readers = [self.start(2, text) for text in tf_configs(2)]
        results["2 processes"] = readers[0].recv()
        self.assertEqual(results["2 processes"]["replicas"], 2)
        expected = results["one device"]
        self.assertLen(expected["losses"], STEPS)
        for name, result in results.items():
            np.testing.assert_allclose(
                result["losses"], expected["losses"], atol=1e-4, err_msg=name
            )
            for part in ("states", "weights"):
                np.testing.assert_allclose(
                    result[part],
                    expected[part],
                    atol=1e-3,
                    err_msg=f"{name}: {part}",
                )

    def test_unknown_word_and_missing_devices(self):
        with self.assertRaisesRegex(UserError, "strategy must be one of"):
            devices.make_strategy("horovod")
        with self.assertRaisesRegex(UserError, "joining the other processes"):
            devices.make_strategy("multi_worker")
        self.assertEqual(
            devices.make_strategy("one_device").num_replicas_in_sync, 1
        )


if __name__ == "__main__":
    absltest.main()
