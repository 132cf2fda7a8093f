"""What users get wrong: one clear sentence, no traceback, nothing lost."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from absl.testing import absltest
from helpers.processes.forked_trainer import run_forked
from helpers.processes.refusals import BadInputTestCase
from helpers.processes.refusals import run

SMALL = (
    "--units=4",
    "--num_layers=1",
    "--batch_size=4",
    "--sequence_length=8",
)


def fingerprint(directory):
    """Returns the SHA-256 of all files below a directory, but its lock."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(Path(directory).rglob("*"))
        if path.is_file() and "lock" not in path.name
    }


class TextTest(BadInputTestCase):
    def train(self, *arguments, **options):
        return run(
            "train",
            "--workdir=work",
            *SMALL,
            *arguments,
            cwd=self.directory,
            **options,
        )

    def test_missing_file(self):
        result = self.train("--data=nowhere.txt")
        self.assert_refused(result, r"no file .*nowhere\.txt")

    def test_pattern_without_a_file(self):
        result = self.train("--data=*.txt")
        self.assert_refused(result, r"No file matches .*\*\.txt")

    def test_empty_file(self):
        (self.directory / "empty.txt").touch()
        result = self.train("--data=empty.txt")
        self.assert_refused(result, r"empty\.txt is empty")

    def test_unreadable_file(self):
        self.need_file_modes()
        path = self.directory / "secret.txt"
        path.write_text("not for you" * 100)
        path.chmod(0)
        result = self.train("--data=secret.txt", restricted=True)
        self.assert_refused(result, r"secret\.txt.*[Pp]ermission")

    def test_directory(self):
        (self.directory / "books").mkdir()
        result = self.train("--data=books")
        self.assert_refused(result, r"books is a directory; .*books/")

    def test_invalid_utf8_says_where_and_names_the_way_out(self):
        (self.directory / "latin.txt").write_bytes(b"caf\xe9 " * 1000)
        result = self.train("--data=latin.txt")
        self.assert_refused(
            result, r"latin\.txt .*byte offset 3 .*--vocabulary=bytes"
        )

    def test_unknown_flag_and_values(self):
        for argument, pattern in (
            ("--unitz=3", "no flag --unitz; did you mean --units?"),
            ("--units=many", "--units=many: expected an integer"),
            ("--units=0", "--units=0: expected an integer from 1 to"),
            ("--cell=lsmt", "--cell=lsmt: .* did you mean lstm?"),
            (
                "--dropout=1",
                "--dropout=1: expected .* at least 0 and below 1",
            ),
            ("--preset=charnn", "charnn.*charrnn.*torchrnn"),
            ("--output=page.html", "--output names the file that --report"),
            ("--max_steps=-1", "--max_steps=-1: expected an integer from 0"),
        ):
            with self.subTest(argument):
                self.assert_refused(self.train(argument), pattern)

    def test_nothing_is_left_where_nothing_was_trained(self):
        (self.directory / "latin.txt").write_bytes(b"caf\xe9 " * 1000)
        (self.directory / "short.txt").write_text("x")
        (self.directory / "mine").mkdir()
        (self.directory / "other" / "place").mkdir(parents=True)
        before = sorted(self.directory.rglob("*"))
        for arguments in (
            ["--data=mistyped.txt", "--workdir=new"],
            ["--data=mistyped.txt", "--workdir=new/one"],
            ["--data=mistyped.txt", "--workdir=other/place/new"],
            ["--data=latin.txt", "--workdir=new"],
            ["--data=short.txt", "--workdir=new"],
            ["--data=latin.txt", "--units=0", "--workdir=new"],
            ["--data=latin.txt", "--init_from=mine", "--workdir=new"],
        ):
            with self.subTest(arguments):
                result = run("train", *SMALL, *arguments, cwd=self.directory)
                self.assert_refused(result, "")
                self.assertEqual(sorted(self.directory.rglob("*")), before)
        # A directory that was there stays, whatever it holds.
        result = run(
            "train", "--data=latin.txt", "--workdir=mine", cwd=self.directory
        )
        self.assert_refused(result, "latin")
        self.assertTrue((self.directory / "mine").is_dir())

    def test_text_that_is_too_short_says_what_would_fit(self):
        (self.directory / "short.txt").write_text("to be or not to be\n" * 40)
        result = self.train("--data=short.txt", "--batch_size=500")
        self.assertRegex(
            result.stderr,
            r"^error: .* 722 characters .* needs 4,000; at most "
            r"--batch_size=\d+ or --sequence_length=1 fits; .*\.\n$",
        )
        self.assertEqual(result.returncode, 1)

    def test_working_directory_that_is_a_file(self):
        (self.directory / "work").write_text("mine")
        result = self.train("--data=work")
        self.assert_refused(result, "work.*--workdir")
        self.assertEqual((self.directory / "work").read_text(), "mine")


class TrainedTest(BadInputTestCase):
    """Mistakes beside a trained model, which must survive them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.home = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.home)
        (cls.home / "text.txt").write_text("to be or not to be\n" * 400)
        run_forked(
            "kerasrnn.train",
            "--data=text.txt",
            "--workdir=work",
            "--max_steps=2",
            *SMALL,
            cwd=cls.home,
        )
        cls.work = cls.home / "work"

    def setUp(self):
        super().setUp()
        self.before = fingerprint(self.work)

    def tearDown(self):
        self.assertEqual(fingerprint(self.work), self.before)
        super().tearDown()

    def test_resume_with_another_model_shows_the_difference(self):
        result = run(
            "train", "--workdir=work", "--units=5", "--cell=gru", cwd=self.home
        )
        self.assert_refused(result, "cell.*lstm.*gru.*units.*4.*5")

    def test_resume_with_another_vocabulary(self):
        result = run(
            "train", "--workdir=work", "--vocabulary=bytes", cwd=self.home
        )
        self.assert_refused(result, "vocabulary.*characters.*bytes")

    def test_resume_with_another_text(self):
        (self.home / "other.txt").write_text("something else\n" * 400)
        result = run(
            "train", "--workdir=work", "--data=other.txt", cwd=self.home
        )
        self.assert_refused(result, "(data|text)")

    def test_programs_without_a_trained_model(self):
        (self.directory / "empty").mkdir()
        for program in ("export", "evaluate", "sample"):
            for workdir in ("empty", "nowhere"):
                with self.subTest(f"{program} {workdir}"):
                    arguments = [f"--workdir={workdir}"]
                    if program == "export":
                        arguments.append("--export_dir=models")
                    result = run(program, *arguments, cwd=self.directory)
                    self.assert_refused(result, f"{workdir}.*kerasrnn-train")
        self.assertEqual(os.listdir(self.directory), ["empty"])

    def test_pages_of_a_directory_that_is_not_writable(self):
        self.need_file_modes()
        folders = [self.work, *filter(Path.is_dir, self.work.rglob("*"))]
        for folder in folders:
            self.addCleanup(folder.chmod, folder.stat().st_mode)
            folder.chmod(0o555)

        def run_restricted(program, *arguments):
            return run(
                program,
                "--workdir=work",
                *arguments,
                cwd=self.home,
                restricted=True,
            )

        result = run_restricted("train", "--report")
        self.assert_refused(result, "work/report.html.*[Pp]ermission.*--output")
        result = run_restricted("inspect", "--output=work/page.html")
        self.assert_refused(result, "work/page.html.*[Pp]ermission.*--output")
        for program in ("train --report", "inspect"):
            page = self.directory / "page.html"
            result = run_restricted(*program.split(), f"--output={page}")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(f"Wrote {page}", result.stdout)
            self.assertStartsWith(page.read_text(), "<!DOCTYPE html>")
            page.unlink()

    def test_export_to_a_directory_that_is_not_writable(self):
        self.need_file_modes()
        models = self.directory / "models"
        models.mkdir()
        models.chmod(0o555)
        result = run(
            "export",
            "--workdir=work",
            f"--export_dir={models}",
            cwd=self.home,
            restricted=True,
        )
        self.assert_refused(result, "models.*[Pp]ermission")
        self.assertEqual(os.listdir(models), [])

    def test_sample_with_bad_parameters(self):
        for argument, pattern in (
            ("--temperature=-1", "--temperature=.*: expected .* from 0"),
            ("--temperature=nan", "--temperature=.*: expected .* from 0"),
            (
                "--top_p=0",
                "--top_p=.*: expected .* above 0 and at most 1",
            ),
            ("--top_k=-1", "--top_k=-1: expected an integer from 0"),
            ("--length=-1", "--length=-1: expected an integer from 0"),
            (f"--stop={'x' * 33}", "stop may have at most 32"),
            ("--prompt_file=nowhere.txt", r"nowhere\.txt"),
        ):
            with self.subTest(argument):
                result = run(
                    "sample", "--workdir=work", argument, cwd=self.home
                )
                self.assert_refused(result, pattern)


if __name__ == "__main__":
    absltest.main()
