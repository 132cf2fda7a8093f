"""TensorFlow's threads are set where that pays, and only there."""

import os
import platform
import subprocess
import sys
from unittest import mock

import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.sources.source_tree import ROOT

from kerasrnn.layers import configure_threads

_BEFORE_THE_START = """
import tensorflow as tf
from kerasrnn.layers import configure_threads

threading = tf.config.threading
for units in (128, 512):
    print(
        configure_threads(units),
        threading.get_intra_op_parallelism_threads(),
        threading.get_inter_op_parallelism_threads() >= 1,
    )
"""


class ConfigureThreadsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("1", ["False 0 False", "True 1 True"]),
        ("0", ["False 0 False", "False 0 False"]),
    )
    def test_before_tensorflow_starts(self, onednn, lines):
        if platform.machine() != "x86_64":
            self.skipTest("TF_ENABLE_ONEDNN_OPTS decides on x86 alone")
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("TF_NUM_")
        }
        environment["TF_ENABLE_ONEDNN_OPTS"] = onednn
        result = subprocess.run(
            [sys.executable, "-c", _BEFORE_THE_START],
            env={**environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        self.assertEqual(result.stdout.splitlines(), lines, result.stderr)

    def test_what_the_environment_says_stays(self):
        with mock.patch.dict(os.environ, {"TF_NUM_INTRAOP_THREADS": "2"}):
            self.assertFalse(configure_threads(512))

    def test_after_tensorflow_has_started(self):
        tf.zeros([1])
        self.assertFalse(configure_threads(512))


if __name__ == "__main__":
    absltest.main()
