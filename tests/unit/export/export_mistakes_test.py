"""What cannot be exported is told in a sentence, and nothing is published."""

from pathlib import Path

from absl.testing import absltest
from absl.testing import parameterized
from helpers.exports.small_exports import make_model
from helpers.exports.small_exports import run_export
from helpers.exports.small_exports import write_workdir
from kerasrnn_export.exporter import export_model

from kerasrnn.config import Config
from kerasrnn.errors import UserError


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
