"""A cell is one file: changed there it changes everywhere, and so it is added.

The package is copied, a cell is changed or added in the copy, and programs
run with that.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl.testing import absltest
from helpers.models import score_every_way
from helpers.models import small_models

_TESTS = Path(__file__).absolute().parents[2]
_ROOT = _TESTS.parent

# One sign of each cell's equations.
_SIGNS = {
    "lstm": ("new_c = f * c + i * g", "new_c = f * c - i * g"),
    "gru": ("activation(x_g + r * a_g)", "activation(x_g - r * a_g)"),
    "simple_rnn": ("h = activation(z)", "h = activation(-z)"),
}


class _Changed(small_models.NumpyModel):
    """The equations with those signs."""

    def _simple_rnn(self, *arguments):
        return -super()._simple_rnn(*arguments)

    def _lstm(self, index, x, kernel, recurrent_kernel, bias):
        # -i * g is i * tanh of the negated sum.
        flip = np.repeat([1, 1, -1, 1], len(bias) // 4)
        return super()._lstm(
            index, x, kernel * flip, recurrent_kernel * flip, bias * flip
        )

    def _gru(self, index, x, kernel, recurrent_kernel, bias):
        flip = np.repeat([1, 1, -1], bias.shape[1] // 3)
        bias = np.stack([bias[0], bias[1] * flip])
        return super()._gru(index, x, kernel, recurrent_kernel * flip, bias)


def _nats(model_class, cell):
    config, weights, vocabulary = score_every_way.model_of(cell)
    model = model_class(config, weights)
    model.read(vocabulary.start_id)
    nats = 0.0
    for token in vocabulary.encode(score_every_way.TEXT):
        nats += model.log_probs()[token]
        model.read(token)
    return nats


def _replace(path, old, new):
    text = path.read_text()
    if text.count(old) != 1:
        raise AssertionError(f"{old!r} is {text.count(old)} times in {path}.")
    path.write_text(text.replace(old, new))


class CellKindsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        copies = tempfile.TemporaryDirectory()
        self.addCleanup(copies.cleanup)
        self.folder = Path(copies.name)
        self.package = self.folder / "kerasrnn"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_ROOT / "kerasrnn", self.package, ignore=ignored)

    def run_python(self, *arguments):
        """Runs Python with the copy; returns what it prints."""
        path = [self.folder, _TESTS, _ROOT / "export"]
        result = subprocess.run(
            [sys.executable, *map(str, arguments)],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(map(str, path)),
                "TF_CPP_MIN_LOG_LEVEL": "2",
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        self.assertEqual(result.returncode, 0, result.stderr[-4000:])
        return result.stdout

    def test_a_sign_changed_in_the_equation_changes_everything(self):
        for cell, (old, new) in _SIGNS.items():
            _replace(self.package / "layers" / f"{cell}.py", old, new)
        program = ["-m", "helpers.models.score_every_way", *_SIGNS]
        results = json.loads(self.run_python(*program).splitlines()[-1])
        self.assertEqual(set(results), set(_SIGNS))
        for cell, by_way in results.items():
            self.assertLen(by_way, 6)
            expected = _nats(_Changed, cell)
            before = _nats(small_models.NumpyModel, cell)
            self.assertGreater(abs(expected - before), 1)
            for way, nats in by_way.items():
                self.assertAlmostEqual(
                    nats, expected, delta=1e-3, msg=f"{cell}, {way}"
                )

    def test_a_cell_is_added_by_one_file_and_one_entry(self):
        shutil.copy(
            _TESTS / "helpers" / "models" / "minimal_gated_unit.py",
            self.package / "layers",
        )
        _replace(
            self.package / "config.py",
            "CELL_SIZES = {\n",
            "CELL_SIZES = {\n"
            '    "minimal_gated_unit": CellSizes(gates=2, biases=2),\n',
        )
        text = self.folder / "text.txt"
        text.write_text("The quick brown fox jumps over the lazy dog.\n" * 80)
        workdir, exports = self.folder / "workdir", self.folder / "exports"
        self.run_python(
            *("-m", "kerasrnn.train", f"--data={text}"),
            *("--cell=minimal_gated_unit", "--units=32", "--num_layers=1"),
            *(f"--workdir={workdir}", "--epochs=20", "--learning_rate=0.02"),
            *("--initializer=charrnn", "--sequence_length=20"),
            "--weight_decay=0.01",  # It is to learn the text by heart.
        )
        history = (workdir / "history.jsonl").read_text().splitlines()
        losses = [json.loads(line).get("validation_loss") for line in history]
        losses = [loss for loss in losses if loss is not None]
        self.assertLess(losses[-1], 0.5)  # nats; 3.3 at the start
        # This compares what a session generates, scores and inspects with
        # what the model says.
        self.run_python(
            *("-m", "kerasrnn_export.program", f"--workdir={workdir}"),
            f"--export_dir={exports}",
        )
        self.assertTrue((exports / "1" / "saved_model.pb").exists())


if __name__ == "__main__":
    absltest.main()
