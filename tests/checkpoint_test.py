"""Tests of checkpoints: whole, verified, and trusting nobody."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.config import Config
from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.text.vocabulary import Vocabulary
from kerasrnn.training import checkpoint
from kerasrnn.training import files
from kerasrnn.training import retention

FULL = bool(os.environ.get("KERASRNN_FULL"))
ROOT = pathlib.Path(__file__).resolve().parent.parent

FILES = (
    "config.json",
    "info.json",
    "manifest.json",
    "training.npz",
    "vocabulary.json",
    "weights.npz",
)


def make_checkpoint(step, size=1000):
    """Returns a checkpoint with random arrays, a function of the step."""
    draws = np.random.default_rng(step)
    vocabulary = Vocabulary.from_text("to be or not to be\n é")
    return checkpoint.Checkpoint(
        step=step,
        config=Config(
            model=ModelConfig(vocabulary_size=len(vocabulary), units=3)
        ),
        vocabulary=vocabulary,
        weights={
            "lstm_0/lstm_cell/kernel": draws.normal(size=(7, 3)).astype("f4"),
            "logits/bias": np.array([np.nan, -0.0, np.inf, 1e-45], "f4"),
        },
        training={"weights": draws.normal(size=size).astype(np.float32)},
        info={"best_loss": 1.25, "pending": [[1.5, 2.0, 3.0, 4.0]]},
    )


class CheckpointTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def test_round_trip_is_exact(self):
        saved = make_checkpoint(17)
        path = checkpoint.save(self.folder, saved)
        self.assertEqual(path, self.folder / "17")
        self.assertCountEqual(os.listdir(path), FILES)
        loaded = checkpoint.load(path)
        for field in ("step", "config", "vocabulary", "info"):
            self.assertEqual(getattr(loaded, field), getattr(saved, field))
        for field in ("weights", "training"):
            expected, actual = getattr(saved, field), getattr(loaded, field)
            self.assertEqual(list(expected), list(actual))
            for name, array in expected.items():
                self.assertEqual(array.tobytes(), actual[name].tobytes())
                self.assertEqual(array.shape, actual[name].shape)

    def test_latest_is_the_largest_number(self):
        for step in (9, 100, 20):
            checkpoint.save(self.folder, make_checkpoint(step))
        (self.folder / "0101").mkdir()
        (self.folder / ".tmp-200-1").mkdir()
        self.assertEqual(checkpoint.latest(self.folder).name, "100")
        retention.keep_newest(self.folder, 2)
        self.assertEqual(checkpoint.steps(self.folder), [20, 100])
        retention.keep_only(self.folder, 20)
        self.assertEqual(checkpoint.steps(self.folder), [20])

    def test_nothing_there(self):
        self.assertIsNone(checkpoint.latest(self.folder))
        self.assertIsNone(checkpoint.latest(self.folder / "missing"))

    def test_saving_again_replaces(self):
        checkpoint.save(self.folder, make_checkpoint(5, size=3))
        checkpoint.save(self.folder, make_checkpoint(5, size=4))
        loaded = checkpoint.load(self.folder / "5")
        self.assertLen(loaded.training["weights"], 4)
        self.assertEqual(os.listdir(self.folder), ["5"])

    def test_damaged_ones_are_passed_over(self):
        checkpoint.save(self.folder, make_checkpoint(1))
        whole = checkpoint.save(self.folder / "whole", make_checkpoint(2))
        draws = random.Random(0)
        for trial in range(200 if FULL else 60):
            with self.subTest(trial):
                victim = self.folder / "2"
                shutil.rmtree(victim, ignore_errors=True)
                shutil.copytree(whole, victim)
                _damage(victim, draws)
                with self.assertLogs(level="WARNING") as logs:
                    latest = checkpoint.latest(self.folder)
                self.assertEqual(latest.name, "1")
                self.assertIn("damaged checkpoint", logs.output[0])

    def test_kill_while_saving_loses_nothing(self):
        program = textwrap.dedent(
            f"""
            import sys
            sys.path[:0] = [{str(ROOT / "tests")!r}, {str(ROOT)!r}]
            from checkpoint_test import checkpoint, make_checkpoint, retention
            step = 0
            while True:
                step += 1
                checkpoint.save(sys.argv[1], make_checkpoint(step, 300_000))
                print(step, flush=True)
                retention.keep_newest(sys.argv[1], 2)
            """
        )
        draws = random.Random(0)
        for trial in range(100 if FULL else 4):
            folder = self.folder / str(trial)
            process = subprocess.Popen(
                [sys.executable, "-c", program, str(folder)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(draws.randrange(1, 4)):
                finished = int(process.stdout.readline())
            # Somewhere in the writing of the next one.
            while draws.random() < 0.7 and process.poll() is None:
                if any(folder.glob(".tmp-*/*.npz")):
                    break
            process.send_signal(signal.SIGKILL)
            rest = process.communicate()[0].split()
            finished = max([finished, *map(int, rest)])
            latest = checkpoint.latest(folder)
            self.assertGreaterEqual(int(latest.name), finished)
            files.sweep(folder)
            self.assertLessEqual(len(os.listdir(folder)), 3)

    def test_full_disk_leaves_earlier_checkpoints_intact(self):
        checkpoint.save(self.folder, make_checkpoint(1))
        program = textwrap.dedent(
            f"""
            import resource, signal, sys
            sys.path[:0] = [{str(ROOT / "tests")!r}, {str(ROOT)!r}]
            from checkpoint_test import checkpoint, make_checkpoint
            big = make_checkpoint(2, 300_000)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
            try:
                checkpoint.save(sys.argv[1], big)
            except checkpoint.UserError as error:
                print(error)
            """
        )
        output = subprocess.run(
            [sys.executable, "-c", program, str(self.folder)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        self.assertIn("Could not write the checkpoint", output)
        self.assertIn("Earlier checkpoints are intact", output)
        self.assertEqual(os.listdir(self.folder), ["1"])
        checkpoint.load(self.folder / "1")

    def test_directory_that_cannot_be_written(self):
        (self.folder / "file").write_text("")
        with self.assertRaisesRegex(UserError, "Could not write"):
            checkpoint.save(self.folder / "file", make_checkpoint(1))

    def test_other_format_is_refused(self):
        path = checkpoint.save(self.folder, make_checkpoint(1))
        _edit_manifest(path, format=2)
        with self.assertRaisesRegex(UserError, "another version of kerasrnn"):
            checkpoint.load(path)

    def test_other_names_in_the_manifest_are_refused(self):
        path = checkpoint.save(self.folder, make_checkpoint(1))
        manifest = json.loads((path / "manifest.json").read_text())
        entry = manifest["files"].pop("info.json")
        _edit_manifest(path, files={**manifest["files"], "../../secret": entry})
        with self.assertRaisesRegex(UserError, "must list exactly"):
            checkpoint.load(path)

    def test_links_are_refused(self):
        path = checkpoint.save(self.folder, make_checkpoint(1))
        info = path / "info.json"
        info.rename(self.folder / "elsewhere.json")
        info.symlink_to(self.folder / "elsewhere.json")
        with self.assertRaisesRegex(UserError, "not a plain file"):
            checkpoint.load(path)

    def test_pickles_are_refused(self):
        path = checkpoint.save(self.folder, make_checkpoint(1))
        mark = self.folder / "executed"

        class Attack:
            def __reduce__(self):
                return os.mkdir, (str(mark),)

        with open(path / "weights.npz", "wb") as file:
            np.savez(file, kernel=np.array([Attack()], object))
        _sign(path)
        with self.assertRaisesRegex(UserError, "not a file of arrays"):
            checkpoint.load(path)
        self.assertFalse(mark.exists())

    def test_compressed_arrays_are_refused(self):
        path = checkpoint.save(self.folder, make_checkpoint(1))
        np.savez_compressed(path / "weights.npz", kernel=np.zeros(10**6))
        _sign(path)
        with self.assertRaisesRegex(UserError, "kernel.npy is compressed"):
            checkpoint.load(path)

    def test_array_that_claims_to_be_huge_is_refused(self):
        path = checkpoint.save(self.folder, make_checkpoint(1))
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d,)}"
        header = (header % 10**15).ljust(117) + b"\n"
        content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
        with zipfile.ZipFile(path / "weights.npz", "w") as archive:
            archive.writestr("kernel.npy", content + header)
        _sign(path)
        with self.assertRaisesRegex(UserError, "not a file of arrays"):
            checkpoint.load(path)

    @parameterized.parameters(
        ("config.json", "x" * 2**21, "larger than"),
        ("config.json", "{", "not JSON"),
        ("config.json", "[" * 100_000, "not JSON"),
        ("config.json", "{}", "incomplete"),
        ("vocabulary.json", '{"kind": "pickle"}', "vocabulary"),
        ("info.json", "[]", "not an object"),
        ("info.json", "\udcff", "not UTF-8"),
    )
    def test_strange_text_is_refused(self, name, text, message):
        path = checkpoint.save(self.folder, make_checkpoint(1))
        (path / name).write_bytes(text.encode(errors="surrogateescape"))
        _sign(path)
        with self.assertRaisesRegex(UserError, message):
            checkpoint.load(path)

    def test_model_is_loaded_with_its_weights(self):
        from kerasrnn.training.weights import initial_weights

        sample = make_checkpoint(3)
        layout, weights = initial_weights(sample.config.model, seed=5)
        saved = checkpoint.Checkpoint(
            step=3,
            config=sample.config,
            vocabulary=sample.vocabulary,
            weights=layout.unpack(weights),
            info={"best_loss": 1.5},
        )
        checkpoint.save(self.folder / "checkpoints", saved)
        for which in ("best", "latest"):
            model, vocabulary, config, info = checkpoint.load_model(
                self.folder, which
            )
            self.assertEqual(vocabulary, sample.vocabulary)
            self.assertEqual(config, sample.config)
            self.assertEqual(info, {"step": 3, "best_loss": 1.5})
            flat = np.concatenate([v.numpy().ravel() for v in model.weights])
            np.testing.assert_array_equal(flat, weights)

    def test_weights_that_do_not_fit_are_refused(self):
        checkpoint.save(self.folder / "best", make_checkpoint(1))
        with self.assertRaisesRegex(UserError, "do not fit the model"):
            checkpoint.load_model(self.folder)

    def test_no_checkpoint(self):
        with self.assertRaisesRegex(UserError, "no intact checkpoint"):
            checkpoint.load_model(self.folder)
        with self.assertRaisesRegex(UserError, "There is no directory"):
            checkpoint.load_model(self.folder / "missing")
        with self.assertRaisesRegex(UserError, "must be best or latest"):
            checkpoint.load_model(self.folder, "newest")


def _damage(path, draws):
    """Deletes, cuts or changes one file of a checkpoint."""
    victim = path / draws.choice(FILES)
    data = bytearray(victim.read_bytes())
    how = draws.choice(("delete", "cut", "flip"))
    if how == "delete":
        victim.unlink()
    elif how == "cut":
        victim.write_bytes(data[: draws.randrange(len(data))])
    else:
        data[draws.randrange(len(data))] ^= 1 << draws.randrange(8)
        victim.write_bytes(data)


def _edit_manifest(path, **values):
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, **values}))


def _sign(path):
    """Makes the manifest fit the files, as a stranger would."""
    import hashlib

    entries = {
        file.name: {
            "bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in path.iterdir()
        if file.name != "manifest.json"
    }
    _edit_manifest(path, files=entries)


if __name__ == "__main__":
    absltest.main()
