"""Tests of kerasrnn-sample and of the generator behind it."""

import contextlib
import io
import json
import pathlib
import re
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from absl import flags
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models
from helpers.models import trained_workdir

from kerasrnn import sample
from kerasrnn.errors import UserError
from kerasrnn.model.text_generator import TextGenerator
from kerasrnn.training.checkpoints.load_model import load_model

TEXT = "a bad cab.\nfeed ade a head, é €.\n" * 12


def run(*arguments):
    """Returns what the program prints: to stdout, to stderr."""
    values = flags.FlagValues()
    sample.define_flags(values)
    values(["kerasrnn-sample", *arguments])
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    errors = io.StringIO()
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        sample.execute(values)
    return output.buffer.getvalue().decode(), errors.getvalue()


class SampleTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.folder = pathlib.Path(folder)
        cls.workdir, cls.corpus, cls.config, cls.weights = (
            trained_workdir.make_workdir(cls.folder, TEXT)
        )
        cls.flag = f"--workdir={cls.workdir}"

    def test_same_seed_same_text(self):
        arguments = (self.flag, "--prompt=a bad", "--length=150", "--seed=7")
        first, errors = run(*arguments)
        second, _ = run(*arguments)
        self.assertEqual(first, second)
        self.assertStartsWith(first, "a bad")
        self.assertLen(first, len("a bad") + 150 + 1)
        self.assertIn("seed 7", errors)
        other, _ = run(*arguments[:-1], "--seed=8")
        self.assertNotEqual(first, other)
        plain, _ = run(*arguments, "--noecho")
        self.assertEqual("a bad" + plain, first)

    def test_seed_that_is_drawn_is_printed(self):
        text, errors = run(self.flag, "--length=40")
        # TensorFlow warns there too, of the graphs that a test process makes.
        seed = re.search(r"^seed (\d+)$", errors, re.MULTILINE)[1]
        again, _ = run(self.flag, "--length=40", f"--seed={seed}")
        self.assertEqual(text, again)

    def test_json(self):
        output, _ = run(
            self.flag,
            "--prompt=a é?",
            "--length=90",
            "--num_samples=2",
            "--seed=5",
            "--json",
        )
        records = [json.loads(line) for line in output.splitlines()]
        self.assertEqual([r["seed"] for r in records], [5, 6])
        for record in records:
            self.assertEqual(record["prompt"], "a é?")
            self.assertEqual(record["unknown"], 1)
            self.assertEqual(record["finish"], "length")
            self.assertEqual(record["length"], 90)
            self.assertLen(record["text"], 90)
            self.assertAlmostEqual(
                record["log_prob"],
                self.log_prob("a é?", record["text"]),
                delta=1e-3,
            )

    def log_prob(self, prompt, text):
        """Returns log p of a text after a prompt, by NumPy."""
        vocabulary = self.corpus.vocabulary
        model = small_models.NumpyModel(self.config.model, self.weights)
        for token in [vocabulary.start_id, *vocabulary.encode(prompt)]:
            model.read(token)
        total = 0.0
        for token in vocabulary.encode(text):
            total += model.log_probs()[token]
            model.read(token)
        return total

    def test_temperature_zero_takes_the_likeliest(self):
        output, _ = run(
            self.flag, "--length=130", "--temperature=0", "--noecho"
        )
        model = small_models.NumpyModel(self.config.model, self.weights)
        model.read(self.corpus.vocabulary.start_id)
        ids = []
        for _ in range(130):
            ids.append(int(np.argmax(model.log_probs())))
            model.read(ids[-1])
        self.assertEqual(output, self.corpus.vocabulary.decode(ids) + "\n")

    def test_stop(self):
        full, _ = run(self.flag, "--length=300", "--seed=3", "--noecho")
        # Across the border of two chunks.
        stop = full[62:66]
        output, _ = run(
            self.flag,
            "--length=300",
            "--seed=3",
            "--noecho",
            f"--stop={stop}",
        )
        expected = full[: full.index(stop) + len(stop)]
        self.assertEqual(output, expected + "\n")

    def test_prompt_from_a_file(self):
        path = self.folder / "prompt.txt"
        path.write_text("a cab")
        expected, _ = run(self.flag, "--prompt=a cab", "--seed=1")
        output, _ = run(self.flag, f"--prompt_file={path}", "--seed=1")
        self.assertEqual(output, expected)

    def test_long_prompt_is_read_in_pieces(self):
        model, vocabulary, config, _ = load_model(self.workdir)
        weights = [variable.value for variable in model.weights]
        generator = TextGenerator(config.model, vocabulary)
        text = "a bad cab.\n" * 900
        shares = []
        (chunk,) = generator.stream(
            weights,
            prompt=text,
            length=30,
            temperature=0,
            between_reads=shares.append,
        )
        # With the start character.
        self.assertEqual(shares, [4096 / 9901, 8192 / 9901, 1.0])
        self.assertAlmostEqual(
            chunk.log_prob, self.log_prob(text, chunk.text), delta=1e-3
        )

    def test_prompt_from_standard_input(self):
        with open(self.folder / "prompt.txt", "w+") as file:
            file.write("a cab")
            file.seek(0)
            with mock.patch("sys.stdin", file):
                output, _ = run(self.flag, "--seed=1")
        expected, _ = run(self.flag, "--prompt=a cab", "--seed=1")
        self.assertEqual(output, expected)

    def test_unknown_characters_are_told(self):
        _, errors = run(self.flag, "--prompt=ZZ", "--length=1")
        self.assertIn(
            "Unknown to the model: 2 characters of the prompt.", errors
        )

    def test_novel(self):
        arguments = (self.flag, "--length=400", "--num_samples=2", "--seed=1")
        text, _ = run(*arguments, "--noecho")
        known = set(TEXT.split("\n"))
        printed, errors = run(*arguments, "--novel")
        lines = [line for line in text.split("\n") if line]
        novel = list(dict.fromkeys(set(lines) - known))
        # The last line of each of the two may be cut short.
        self.assertGreater(len(novel), 10)
        self.assertContainsSubset(printed.splitlines(), novel)
        self.assertGreaterEqual(len(printed.splitlines()), len(novel) - 2)
        self.assertIn("% of ", errors)
        self.assertIn("seed 1\nseed 2\n", errors)
        result = json.loads(run(*arguments, "--novel", "--json")[0])
        self.assertEqual(result["novel"], printed.splitlines())
        self.assertEqual(result["seeds"], [1, 2])
        self.assertIn(f"{result['share']:.1%}", errors)

    def test_lines_that_were_learned_are_not_novel(self):
        # The prompt makes the line whole; what follows it is new.
        prompt = "--prompt=a bad cab.\nfeed ade a head, é €."
        printed, errors = run(
            self.flag, prompt, "--novel", "--stop=\\n", "--length=300"
        )
        self.assertNotIn("a bad cab.\n", printed)
        self.assertIn("Not in the training text: ", errors)

    def test_novel_needs_the_training_text(self):
        workdir, *_ = trained_workdir.make_workdir(
            self.create_tempdir().full_path, TEXT
        )
        for path in (workdir / "corpus").iterdir():
            path.unlink()
        with self.assertRaises(UserError):
            run(f"--workdir={workdir}", "--novel")

    def test_no_model(self):
        with self.assertRaisesRegex(UserError, "There is no directory"):
            run(f"--workdir={self.folder}/missing")


class GeneratorTest(parameterized.TestCase):
    @parameterized.parameters("characters", "bytes")
    def test_chunks_are_one_text(self, kind):
        vocabulary = small_models.make_vocabulary(kind)
        config = small_models.make_config(vocabulary)
        weights = list(map(tf.constant, small_models.random_weights(config)))
        generator = TextGenerator(config, vocabulary)
        options = {"seed": 3, "temperature": 1.3, "top_k": 12, "top_p": 0.95}
        texts = []
        for length in (1, 63, 64, 65, 200):
            chunks = list(
                generator.stream(weights, prompt="é", length=length, **options)
            )
            self.assertEqual(sum(chunk.length for chunk in chunks), length)
            self.assertEqual(chunks[-1].finish, "length")
            self.assertFalse(any(chunk.finish for chunk in chunks[:-1]))
            texts.append("".join(chunk.text for chunk in chunks))
        if kind == "characters":
            self.assertLen(texts[-1], 200)
        # An unfinished sequence at the end is left out.
        for text in texts:
            self.assertStartsWith(texts[-1], text)

    def test_nothing_to_generate(self):
        vocabulary = small_models.make_vocabulary("characters")
        config = small_models.make_config(vocabulary)
        weights = list(map(tf.constant, small_models.random_weights(config)))
        generator = TextGenerator(config, vocabulary)
        (chunk,) = generator.stream(weights, length=0)
        self.assertEqual((chunk.text, chunk.finish), ("", "length"))

    def test_long_stop_is_refused(self):
        vocabulary = small_models.make_vocabulary("bytes")
        config = small_models.make_config(vocabulary)
        weights = list(map(tf.constant, small_models.random_weights(config)))
        generator = TextGenerator(config, vocabulary)
        with self.assertRaisesRegex(UserError, "at most 32"):
            next(generator.stream(weights, length=3, stop="€" * 11))


if __name__ == "__main__":
    absltest.main()
