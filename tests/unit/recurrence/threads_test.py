"""TensorFlow's threads are set where that pays, and only there."""

import os
import subprocess
import sys
from unittest import mock

import tensorflow as tf
from absl.testing import absltest
from helpers.sources.source_tree import ROOT

from kerasrnn.layers import configure_threads

_BEFORE_THE_START = """
import tensorflow as tf
from kerasrnn.layers import configure_threads

threading = tf.config.threading
assert not configure_threads(128)
assert threading.get_intra_op_parallelism_threads() == 0
assert configure_threads(512)
assert threading.get_intra_op_parallelism_threads() == 1
assert threading.get_inter_op_parallelism_threads() >= 1
print("done")
"""


class ConfigureThreadsTest(absltest.TestCase):
    def test_before_tensorflow_starts(self):
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("TF_NUM_")
        }
        result = subprocess.run(
            [sys.executable, "-c", _BEFORE_THE_START],
            env={**environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        self.assertIn("done", result.stdout, result.stderr)

    def test_what_the_environment_says_stays(self):
        with mock.patch.dict(os.environ, {"TF_NUM_INTRAOP_THREADS": "2"}):
            self.assertFalse(configure_threads(512))

    def test_after_tensorflow_has_started(self):
        tf.zeros([1])
        self.assertFalse(configure_threads(512))


if __name__ == "__main__":
    absltest.main()
