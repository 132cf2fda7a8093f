"""Keras set to another backend: one sentence on import, whoever imports."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from absl.testing import absltest
from absl.testing import parameterized

# Stands in for a backend that is installed: what is asked of it here is only
# that Keras can be imported with it.
_INSTALLED = """
import os, sys, types
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
keras.config.backend = lambda: "jax"
"""
_IMPORTS = (
    "import kerasrnn.layers",
    "from kerasrnn.layers import LSTM",
    "from kerasrnn import LSTM",
    "import kerasrnn; kerasrnn.CharRNN",
)


def last_line(code, **environment):
    """Returns the last line that a Python process leaves on standard error."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("KERAS_")
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = done.stderr.strip().splitlines() or [""]
    return "" if done.returncode == 0 else lines[-1]


class ImportTest(parameterized.TestCase):
    @parameterized.parameters(
        ("jax", _IMPORTS[1]),
        ("torch", _IMPORTS[2]),
        ("numpy", _IMPORTS[3]),
        ("nonsense", _IMPORTS[3]),
    )
    def test_variable(self, backend, code):
        line = last_line(code, KERAS_BACKEND=backend)
        self.assertRegex(
            line,
            r"^ImportError: kerasrnn\.\w+ needs Keras' TensorFlow backend, but "
            rf"the variable KERAS_BACKEND says '{backend}'\. Set "
            "KERAS_BACKEND=tensorflow before Keras is imported",
        )

    @parameterized.parameters("HOME", "KERAS_HOME")
    def test_file(self, variable):
        with tempfile.TemporaryDirectory() as home:
            directory = Path(home)
            if variable == "HOME":
                directory /= ".keras"
                directory.mkdir()
            path = directory / "keras.json"
            path.write_text(json.dumps({"backend": "torch"}))
            line = last_line(_IMPORTS[0], **{variable: home})
            self.assertIn(f"but {path} says 'torch'", line)

    @parameterized.parameters(_IMPORTS[0], _IMPORTS[3])
    def test_backend_that_is_installed(self, code):
        line = last_line(_INSTALLED + code)
        self.assertIn("but Keras has been imported with 'jax'", line)

    @parameterized.parameters("tensorflow", "")
    def test_tensorflow_is_taken(self, backend):
        self.assertEqual(last_line(_IMPORTS[1], KERAS_BACKEND=backend), "")


if __name__ == "__main__":
    absltest.main()
