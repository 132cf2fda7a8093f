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
_CAUGHT = """
try:
    import kerasrnn.layers
except ImportError as error:
    print(error, file=sys.stderr)
"""
_IMPORTS = (
    "import kerasrnn.layers",
    "from kerasrnn.layers import LSTM",
    "from kerasrnn import LSTM",
    "import kerasrnn; kerasrnn.CharRNN",
)


def python(code, **environment):
    """Returns a Python process's exit status and standard error."""
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
    return done.returncode, done.stderr


def last_line(code, **environment):
    """Returns the last line that a Python process that fails leaves."""
    status, errors = python(code, **environment)
    lines = errors.strip().splitlines() or [""]
    return "" if status == 0 else lines[-1]


class ImportTest(parameterized.TestCase):
    @parameterized.parameters(
        ("jax", _IMPORTS[1]),
        ("openvino", _IMPORTS[2]),
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
            # None that could be installed here.
            path.write_text(json.dumps({"backend": "nonsense"}))
            line = last_line(_IMPORTS[0], **{variable: home})
            self.assertIn(f"but {path} says 'nonsense'", line)

    def test_backend_that_is_installed(self):
        # The first fails, and leaves nothing that the second could find.
        status, errors = python(f"{_INSTALLED}{_CAUGHT}{_IMPORTS[3]}")
        self.assertEqual(status, 1)
        told = " needs Keras' TensorFlow backend, but Keras has been imported "
        for name in ("layers", "CharRNN"):
            self.assertIn(f"kerasrnn.{name}{told}with 'jax'", errors)

    def test_tensorflow_is_taken(self):
        for backend in ("tensorflow", ""):
            asked = "from kerasrnn import keras_backend\nimport sys\n"
            asked += "sys.exit(keras_backend.obstacle('it'))"
            self.assertEqual(last_line(asked, KERAS_BACKEND=backend), "")
        # Keras takes what is empty for nothing, too.
        self.assertEqual(last_line(_IMPORTS[1], KERAS_BACKEND=""), "")


if __name__ == "__main__":
    absltest.main()
