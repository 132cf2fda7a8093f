"""Checkpoints and vocabularies from strangers: refused, nothing executed.

Their manifests are as they should be, since whoever makes a file can hash it.
"""

import dataclasses
import json
import os
import pathlib
import random
import shutil
import zipfile

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from helpers.full_counts import FULL
from helpers.models.small_checkpoints import edit_manifest
from helpers.models.small_checkpoints import make_checkpoint
from helpers.models.small_checkpoints import sign
from helpers.processes.forked_trainer import ForkedTrainer

from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.text.vocabulary import Vocabulary
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints.run_status import RunStatus
from kerasrnn.training.step.schedule import Limits

SEED = int(os.environ.get("KERASRNN_SEED", "0"))
MUTATIONS = 5000 if FULL else 300

# What stands in the place of a value that was something else.
STRANGE = (
    None,
    True,
    -1,
    0,
    1e308,
    10**30,
    float("nan"),
    "",
    "../../../etc/passwd",
    "\x00",
    [],
    {},
    [[[]]],
    {"__class__": "os.system"},
    "x" * 10_000,
)


class StrangerTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        position = RunStatus(
            step=1, best_loss=1.5, pending=[[9.0, 4.0, 1.0, 0.0, 0.1]]
        )
        info = {**position.to_dict(), "limits": {"minutes": 0.5}}
        self.path = checkpoint.save(
            self.folder / "checkpoints",
            dataclasses.replace(make_checkpoint(1), info=info),
        )

    def assert_refused(self, message):
        with self.assertRaisesRegex(UserError, message):
            checkpoint.load(self.path)

    def test_other_names_in_the_manifest_are_refused(self):
        path = self.path
        manifest = json.loads((path / "manifest.json").read_text())
        entry = manifest["files"].pop("info.json")
        edit_manifest(path, files={**manifest["files"], "../../secret": entry})
        self.assert_refused("must list exactly")

    def test_links_are_refused(self):
        path = self.path
        info = path / "info.json"
        info.rename(self.folder / "elsewhere.json")
        info.symlink_to(self.folder / "elsewhere.json")
        self.assert_refused("not a plain file")

    def test_pickles_are_refused(self):
        path = self.path
        mark = self.folder / "executed"

        class Attack:
            def __reduce__(self):
                return os.mkdir, (str(mark),)

        with open(path / "weights.npz", "wb") as file:
            np.savez(file, kernel=np.array([Attack()], object))
        sign(path)
        self.assert_refused("not a file of arrays")
        self.assertFalse(mark.exists())

    def test_compressed_arrays_are_refused(self):
        path = self.path
        np.savez_compressed(path / "weights.npz", kernel=np.zeros(10**6))
        sign(path)
        self.assert_refused("kernel.npy is compressed")

    def test_array_that_claims_to_be_huge_is_refused(self):
        path = self.path
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d,)}"
        header = (header % 10**15).ljust(117) + b"\n"
        content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
        with zipfile.ZipFile(path / "weights.npz", "w") as archive:
            archive.writestr("kernel.npy", content + header)
        sign(path)
        self.assert_refused("not a file of arrays")

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
        path = self.path
        (path / name).write_bytes(text.encode(errors="surrogateescape"))
        sign(path)
        self.assert_refused(message)

    def test_wrong_hash_is_refused(self):
        with open(self.path / "weights.npz", "ab") as file:
            file.write(b"\0")
        self.assert_refused("damaged: its SHA-256 does not match")

    def test_names_in_an_archive_lead_nowhere(self):
        outside = self.folder / "outside.npy"
        np.save(outside, np.zeros(3))
        with zipfile.ZipFile(self.path / "weights.npz", "w") as archive:
            archive.write(outside, "../../outside.npy")
        outside.unlink()
        sign(self.path)
        self.assert_refused("do not fit the model")
        self.assertFalse(outside.exists())

    def test_pipes_and_directories_are_refused(self):
        for name in ("manifest.json", "info.json", "weights.npz"):
            path = self.path / name
            data = path.read_bytes()
            for make in (os.mkfifo, os.mkdir):
                path.unlink()
                make(path)
                with self.subTest(name):
                    self.assert_refused("not a plain file")
                (os.rmdir if make is os.mkdir else os.unlink)(path)
                path.write_bytes(data)

    def test_model_too_large_for_its_weights_takes_no_memory(self):
        whole = (self.path / "config.json").read_text()
        for change, message in (
            ({"units": 10**4}, "do not fit the model"),
            ({"num_layers": 50}, "do not fit the model"),
            ({"embedding_size": 10**6}, "do not fit the model"),
            ({"units": 10**6}, "The model would have [0-9,]+ weights"),
            ({"units": 10**9}, "units must be from 1 to 1,048,576"),
            ({"num_layers": 10**9}, "num_layers must be from 1 to"),
            ({"embedding_size": 10**12}, "embedding_size must be from 0 to"),
        ):
            values = json.loads(whole)
            values["model"] |= change
            (self.path / "config.json").write_text(json.dumps(values))
            sign(self.path)
            self.assert_refused(message)

    def test_vocabulary_of_another_model_is_refused(self):
        text = Vocabulary.from_text("abc").to_json()
        (self.path / "vocabulary.json").write_text(text)
        sign(self.path)
        self.assert_refused("and its vocabulary has 4")

    def test_any_change_of_a_value_is_taken_or_refused_in_words(self):
        whole = self.folder / "whole"
        shutil.copytree(self.path, whole)
        draws = random.Random(SEED)
        refused = 0
        for trial in range(MUTATIONS):
            shutil.rmtree(self.path)
            shutil.copytree(whole, self.path)
            name = draws.choice(("config", "info", "vocabulary", "manifest"))
            path = self.path / f"{name}.json"
            values = json.loads(path.read_text())
            _change(values, draws)
            path.write_text(json.dumps(values))
            if name != "manifest":
                sign(self.path)
            with self.subTest(f"{trial}: {name} {path.read_text()[:500]}"):
                try:
                    loaded = checkpoint.load(self.path)
                    RunStatus.from_dict(loaded.info)
                    Limits.from_info(loaded.info)
                except UserError:
                    refused += 1
        print(f"{refused} of {MUTATIONS} changes refused, the others harmless.")
        self.assertGreater(refused, MUTATIONS // 4)

    def test_any_bytes_in_an_archive_are_taken_or_refused_in_words(self):
        whole = (self.path / "weights.npz").read_bytes()
        draws = random.Random(SEED)
        for trial in range(MUTATIONS):
            data = bytearray(whole)
            for _ in range(draws.randrange(1, 6)):
                # The parts that say what follows are at both ends.
                place = draws.choice((draws.randrange(200), -1))
                if place == -1:
                    place = len(data) - 1 - draws.randrange(300)
                data[place] = draws.randrange(256)
            (self.path / "weights.npz").write_bytes(data)
            sign(self.path)
            with self.subTest(trial):
                try:
                    checkpoint.load(self.path)
                except UserError:
                    pass

    def test_program_refuses_in_a_sentence(self):
        text = "to be or not to be\n é" * 100
        (self.folder / "text.txt").write_text(text)
        for name, text, pattern in (
            ("config.json", "[" * 100_000, "not JSON"),
            ("info.json", '{"step": "now"}', "does not say where it stands"),
        ):
            shutil.rmtree(self.path)
            checkpoint.save(self.folder / "checkpoints", make_checkpoint(1))
            (self.path / name).write_text(text)
            sign(self.path)
            trainer = ForkedTrainer(
                ["--workdir=.", "--data=text.txt"], self.folder
            )
            self.addCleanup(trainer.close)
            self.assertEqual(trainer.finish(), 1)
            self.assertRegex(trainer.text, pattern)
            self.assertNotIn("Traceback", trainer.text)


class SizeTest(parameterized.TestCase):
    @parameterized.product(
        cell=["simple_rnn", "lstm", "gru"],
        num_layers=[1, 3],
        embedding_size=[0, 5],
    )
    def test_number_of_weights(self, **options):
        from kerasrnn.training.step.flat_weights import layout

        config = ModelConfig(vocabulary_size=11, units=7, **options)
        self.assertEqual(config.num_weights, layout(config).size)


def _change(values, draws):
    """Puts something strange into an object, somewhere, or takes a part."""
    while True:
        name = draws.choice(list(values))
        inner = values[name]
        if isinstance(inner, dict) and inner and draws.random() < 0.8:
            values = inner
        elif draws.random() < 0.1:
            del values[name]
            return
        elif draws.random() < 0.1:
            values[f"_{name}"] = inner
            return
        else:
            values[name] = draws.choice(STRANGE)
            return


if __name__ == "__main__":
    absltest.main()
