"""The manifest describes a version, and exporting tells what is wrong."""

import json
from pathlib import Path

from absl.testing import absltest
from absl.testing import parameterized
from helpers.servers.small_exports import config_of
from helpers.servers.small_exports import make_model
from helpers.servers.small_exports import published_exports
from helpers.servers.small_exports import run_export
from helpers.servers.small_exports import write_workdir
from kerasrnn_export.exporter import export_model
from kerasrnn_export.release import manifest

from kerasrnn.config import Config
from kerasrnn.errors import UserError


class ManifestTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        exports = published_exports()
        self.directory = exports.directory / "bytes"
        self.version = exports.versions["bytes"]
        self.model, self.vocabulary = exports.models["bytes"]

    def test_describes_a_version(self):
        described, intact = manifest.describe(self.directory)
        self.assertTrue(intact)
        for part in (
            str(self.version),
            "validation_loss",
            "1.25",
            "gru",
            "bytes",
            "all as published",
        ):
            self.assertIn(part, described)

    def test_it_holds_configuration_and_vocabulary(self):
        contents = manifest.read(self.version)
        self.assertEqual(
            Config.from_json(json.dumps(contents["config"])),
            config_of(self.model, self.vocabulary),
        )
        self.assertEqual(
            type(self.vocabulary).from_json(json.dumps(contents["vocabulary"])),
            self.vocabulary,
        )

    def test_every_file_is_listed_and_damage_is_told(self):
        contents = manifest.read(self.version)
        self.assertEqual(manifest.damaged_files(self.version, contents), [])
        variables = next(self.version.glob("variables/*data*"))
        data = variables.read_bytes()
        self.addCleanup(variables.write_bytes, data)
        extra = self.version / "extra"
        extra.touch()
        self.addCleanup(extra.unlink)
        variables.write_bytes(data[:-1] + b"?")
        name = variables.relative_to(self.version).as_posix()
        self.assertEqual(
            manifest.damaged_files(self.version, contents), ["extra", name]
        )
        run = run_export([f"--describe={self.directory}"])
        self.assertEqual(run.returncode, 1)
        self.assertIn(f"DAMAGED: extra, {name}", run.stdout)

    def test_what_is_no_manifest_is_told(self):
        directory = Path(self.create_tempdir().full_path)
        with self.assertRaisesRegex(UserError, "no assets.extra/manifest"):
            manifest.describe(directory)
        with self.assertRaisesRegex(UserError, "no directory"):
            manifest.describe(directory / "nothing")
        path = directory / manifest.FILE
        path.parent.mkdir()
        for text in ("{", "[]", '{"format": 99}', '{"format": 1}', ""):
            path.write_text(text)
            with self.assertRaises(UserError, msg=text):
                manifest.describe(directory)


class MistakesTest(parameterized.TestCase):
    def _assert_told(self, arguments, sentence):
        run = run_export(arguments)
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertStartsWith(run.stderr, "error: ")
        self.assertNotIn("Traceback", run.stderr)
        self.assertRegex(run.stderr, sentence)

    def test_mistakes_are_told_in_a_sentence(self):
        empty = self.create_tempdir().full_path
        for arguments, sentence in (
            ([], "--workdir"),
            ([f"--workdir={empty}"], "--export_dir"),
            (["--workdir=/nothing", "--export_dir=x"], "no directory"),
            ([f"--workdir={empty}", "--export_dir=x"], "no intact checkpoint"),
            (
                [f"--workdir={empty}", "--export_dir=x", "--max_length=100"],
                "--max_length=100: expected an integer from 512",
            ),
            (["--checkpoint=oldest"], "best.*latest"),
        ):
            with self.subTest(sentence):
                self._assert_told(arguments, sentence)

    def test_an_export_dir_that_cannot_be_written_is_told(self):
        workdir = Path(self.create_tempdir().full_path)
        write_workdir(workdir, *make_model("characters"))
        file = workdir / "file"
        file.touch()
        self._assert_told(
            [f"--workdir={workdir}", f"--export_dir={file}"],
            "is not a directory",
        )

    def test_a_model_and_a_vocabulary_that_do_not_fit_are_told(self):
        model, _ = make_model("characters")
        _, vocabulary = make_model("bytes")
        with self.assertRaisesRegex(UserError, "do not belong together"):
            export_model(
                model, vocabulary, Config(model=model.config), "/nothing"
            )


if __name__ == "__main__":
    absltest.main()
