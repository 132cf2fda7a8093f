"""Tests of kerasrnn-evaluate."""

import contextlib
import io
import json
import pathlib

import numpy as np
from absl import flags
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models
from helpers.models import trained_workdir

from kerasrnn import evaluate
from kerasrnn.errors import UserError

TEXT = "a bad cab.\nfeed ade a head, é €.\n" * 12


def run(*arguments):
    """Returns what the program prints."""
    values = flags.FlagValues()
    evaluate.define_flags(values)
    values(["kerasrnn-evaluate", *arguments])
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = evaluate.execute(values)
    if status:
        raise AssertionError(f"status {status}")
    return output.getvalue()


class EvaluateTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.workdir, self.corpus, self.config, self.weights = (
            trained_workdir.make_workdir(
                self.folder, TEXT, validation_fraction=0.2, test_fraction=0.1
            )
        )
        self.flag = f"--workdir={self.workdir}"

    def log_probs(self, ids, start_id=None):
        """Returns log p of each character, by NumPy.

        Without a start character that of the first is left out.
        """
        model = small_models.NumpyModel(self.config.model, self.weights)
        ids = list(ids) if start_id is None else [start_id, *ids]
        log_probs = []
        for token, target in zip(ids, ids[1:], strict=False):
            model.read(token)
            log_probs.append(model.log_probs()[target])
        return log_probs

    @parameterized.parameters("train", "validation", "test")
    def test_split_as_a_server_scores_it(self, split):
        ((start, stop),) = self.corpus.split_ranges(split)
        expected = self.log_probs(
            self.corpus.ids[start:stop], self.corpus.vocabulary.start_id
        )
        record = json.loads(
            run(
                self.flag,
                f"--split={split}",
                "--streams=1",
                "--start_state=start_character",
                "--json",
            )
        )
        self.assertEqual(record["characters"], stop - start)
        self.assertAlmostEqual(record["loss"], -np.mean(expected), delta=1e-5)
        self.assertAlmostEqual(
            record["bits"], record["loss"] / np.log(2), delta=1e-9
        )
        self.assertEqual(record["step"], 12)

    def test_default_is_the_validation_loss_of_training(self):
        ((start, stop),) = self.corpus.split_ranges("validation")
        size, context = stop - start, 256
        log_probs = self.log_probs(self.corpus.ids[start - context : stop])
        output = run(self.flag)
        self.assertIn(f"{-np.mean(log_probs[-size:]):.4f}", output)
        self.assertIn("validation split (tail)", output)
        self.assertIn("1 stream after 256 characters of context", output)
        self.assertIn(f"over {size} characters", output)

    def test_what_precedes_the_first_stream_is_told(self):
        path = self.folder / "other.txt"
        path.write_text(TEXT)
        file = f"--file={path}"
        for arguments, said, state, context in (
            ((file,), "1 stream from the zero state", "zero", 0),
            (
                (file, "--streams=2"),
                f"2 streams after {len(TEXT) // 2} characters of context, the "
                "first from the zero state",
                "context",
                len(TEXT) // 2,
            ),
            (
                (file, "--streams=3"),
                "3 streams after up to 256 characters of context, the first "
                "from the zero state",
                "context",
                256,
            ),
            (
                ("--split=test", "--streams=2"),
                "2 streams after 256 characters of context\n",
                "context",
                256,
            ),
        ):
            with self.subTest(arguments):
                self.assertIn(said, run(self.flag, *arguments))
                record = json.loads(run(self.flag, *arguments, "--json"))
                self.assertEqual(record["start_state"], state)
                self.assertEqual(record["context"], context)
                # Of a stream from the zero state the first is only read.
                if state == "zero":
                    self.assertEqual(record["characters"], len(TEXT) - 1)

    def test_from_the_zero_state_as_char_rnn_validates(self):
        ((start, stop),) = self.corpus.split_ranges("validation")
        size = stop - start
        log_probs = []
        for index in range(3):
            first = start + size * index // 3
            last = start + size * (index + 1) // 3
            log_probs += self.log_probs(self.corpus.ids[first:last])
        output = run(self.flag, "--start_state=zero")
        self.assertIn(f"{-np.mean(log_probs):.4f}", output)
        self.assertIn("3 streams from the zero state", output)
        self.assertIn(f"over {size - 3} characters", output)

    def test_file(self):
        path = self.folder / "other.txt"
        path.write_text("a bad é€! deed\n")
        ids = self.corpus.vocabulary.encode("a bad é€! deed\n")
        log_probs = np.array(self.log_probs(ids))
        known = ids[1:] != 0
        self.assertEqual(known.sum(), len(known) - 1)
        record = json.loads(run(self.flag, f"--file={path}", "--json"))
        self.assertEqual(record["characters"], known.sum())
        self.assertAlmostEqual(
            record["loss"], -log_probs[known].mean(), delta=1e-5
        )

        self.assertEqual(record["unknown"], 1)

    def test_unknown_characters_are_told(self):
        path = self.folder / "other.txt"
        path.write_text("a bad é€! deed ??\n" * 100)
        unknown, length = 300, 1800
        output = run(self.flag, f"--file={path}")
        self.assertIn(
            f"Unknown to the model and not scored: {unknown:,} of {length:,} "
            "characters read (16.7%).",
            output,
        )
        record = json.loads(run(self.flag, f"--file={path}", "--json"))
        self.assertEqual(record["unknown"], unknown)
        # The first character is only read.
        self.assertEqual(record["characters"], length - unknown - 1)
        self.assertNotIn("unknown", run(self.flag))

    def test_unknown_characters_of_a_split(self):
        folder = self.create_tempdir().full_path
        workdir, corpus, *_ = trained_workdir.make_workdir(
            folder, TEXT, min_count=20, validation_fraction=0.2
        )
        ((start, stop),) = corpus.split_ranges("validation")
        unknown = int((corpus.ids[start:stop] == 0).sum())
        self.assertGreater(unknown, 0)
        self.assertIn(
            f"{unknown} of {stop - start} characters read",
            run(f"--workdir={workdir}"),
        )

    def test_newlines_are_normalized_as_in_training(self):
        text = "a bad cab.\r\nfeed a\rhead\r\n"
        path = self.folder / "other.txt"
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
        for normalize, unknown in ((False, 4), (True, 0)):
            workdir, *_ = trained_workdir.make_workdir(
                self.create_tempdir().full_path,
                TEXT,
                normalize_newlines=normalize,
            )
            record = json.loads(
                run(f"--workdir={workdir}", f"--file={path}", "--json")
            )
            self.assertEqual(record["unknown"], unknown)

    def test_mistakes(self):
        with self.assertRaisesRegex(UserError, "There is no directory"):
            run(f"--workdir={self.folder}/missing")
        with self.assertRaisesRegex(UserError, "There is no file"):
            run(self.flag, f"--file={self.folder}/missing")
        (self.folder / "one.txt").write_text("a")
        with self.assertRaisesRegex(UserError, "no character to score"):
            run(self.flag, f"--file={self.folder}/one.txt")
        (self.folder / "latin.txt").write_bytes(b"caf\xe9 " * 100)
        # No flag here reads it otherwise.
        with self.assertRaisesRegex(
            UserError, r"offset 3 .* Convert it to UTF-8: `iconv [^`]*`\.$"
        ):
            run(self.flag, f"--file={self.folder}/latin.txt")

    def test_empty_split(self):
        workdir, *_ = trained_workdir.make_workdir(
            self.create_tempdir().full_path, TEXT
        )
        with self.assertRaisesRegex(UserError, "The test split is empty"):
            run(f"--workdir={workdir}", "--split=test")

    def test_corpus_of_another_text(self):
        folder = self.create_tempdir().full_path
        other, *_ = trained_workdir.make_workdir(folder, TEXT + "more")
        corpus = self.workdir / "corpus"
        corpus.rename(self.folder / "moved")
        (other / "corpus").rename(corpus)
        with self.assertRaisesRegex(UserError, "not the one that the model"):
            run(self.flag)


if __name__ == "__main__":
    absltest.main()
