"""Documents: no state goes from one to the next, wherever text is read.

The oracle is the model in NumPy that is made anew at each separator.
"""

import functools
import itertools
import json
import os
import pathlib
import random
import re
import subprocess
import sys

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.exports import served_signatures
from helpers.models import small_models
from helpers.servers import serving_process
from helpers.sources.repository import ROOT
from kerasrnn_serving.client import Client

from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.model.char_rnn import sequence_logits
from kerasrnn.model.char_rnn import step_model
from kerasrnn.model.text_generator import TextGenerator
from kerasrnn.text.corpus import build_corpus
from kerasrnn.text.dataset import TextDataset
from kerasrnn.training.checkpoints import finding
from kerasrnn.training.evaluation.evaluator import Evaluator
from kerasrnn.training.step.flat_weights import layout
from kerasrnn.training.step.gradients import make_loss_gradient

PATHS = (ROOT, ROOT / "export", ROOT / "serving")
SEPARATOR = "\n"
VOCABULARY = small_models.make_vocabulary("characters")
SEPARATOR_ID = VOCABULARY.start_id
NETWORKS = (
    {"cell": "lstm"},
    {"cell": "gru", "embedding_size": 5},
    {"cell": "simple_rnn", "num_layers": 1},
)


def make_config(**options):
    """Returns the configuration of a small model of documents."""
    return small_models.make_config(
        VOCABULARY, separator_id=SEPARATOR_ID, dropout=0.2, **options
    )


class DocumentsModel:
    """The oracle: a new `NumpyModel` at each separator."""

    def __init__(self, config, weights):
        self._new = functools.partial(small_models.NumpyModel, config, weights)
        self._model = self._new()

    def read(self, token, start=False):
        if start or token == SEPARATOR_ID:
            self._model = self._new()
        self._model.read(token)

    def log_probs(self):
        return self._model.log_probs()


def random_states(config, rows, seed=0):
    """Returns states as reading some text may have left them."""
    chance = np.random.default_rng(seed)
    count = config.num_layers * (2 if config.cell == "lstm" else 1)
    shape = (rows, config.units)
    return [
        tf.constant(chance.normal(size=shape), tf.float32) for _ in range(count)
    ]


def random_ids(chance, length):
    """Returns ids of which every fifth or so is a separator."""
    ids = chance.integers(1, len(VOCABULARY), length)
    return np.where(chance.random(length) < 0.2, SEPARATOR_ID, ids)


def score(config, weights, ids):
    """Returns log p of each id from the start state on, by the oracle."""
    oracle, values = DocumentsModel(config, weights), []
    oracle.read(SEPARATOR_ID)
    for token in ids:
        values.append(oracle.log_probs()[token] if token else 0.0)
        oracle.read(token)
    return np.array(values)


def random_document(chance, longest=12):
    """Returns known characters without a separator, one or more."""
    characters = sorted(set(small_models.ALPHABET) - {SEPARATOR})
    return "".join(chance.choices(characters, k=chance.randint(1, longest)))


class ModelTest(parameterized.TestCase):
    @parameterized.parameters(*NETWORKS)
    def test_logits_after_a_separator_are_those_of_a_fresh_start(self, **net):
        config = make_config(**net)
        weights = small_models.random_weights(config)
        chance = np.random.default_rng(0)
        ids = np.stack([random_ids(chance, 40) for _ in range(5)])
        marks = chance.random(ids.shape) < 0.1
        tokens = np.where(marks, ~ids, ids).astype(np.int32)
        states = random_states(config, 5)
        logits, _ = sequence_logits(config, weights, tokens, states)
        actual = tf.nn.log_softmax(logits).numpy()
        for row in range(5):
            oracle, known = DocumentsModel(config, weights), False
            for time, token in enumerate(ids[row]):
                oracle.read(token, marks[row, time])
                known |= marks[row, time] or token == SEPARATOR_ID
                if known:
                    np.testing.assert_allclose(
                        actual[row, time, 1:],
                        oracle.log_probs()[1:],
                        atol=2e-5,
                    )

    @parameterized.parameters(*NETWORKS)
    def test_a_step_forgets_at_a_separator_and_only_there(self, **net):
        config = make_config(**net)
        weights = small_models.random_weights(config)
        model = step_model(config, weights)
        separator = tf.constant([SEPARATOR_ID, 3])
        first, second = (
            model.read(separator, random_states(config, 2, seed))
            for seed in (0, 1)
        )
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            self.assertGreater(np.abs(one[1] - other[1]).max(), 1e-3)

    def test_without_separators_nothing_is_reset(self):
        config = small_models.make_config(VOCABULARY)
        weights = small_models.random_weights(config)
        tokens = np.array([[2, SEPARATOR_ID, 3]], np.int32)
        one, other = (
            sequence_logits(
                config, weights, tokens, random_states(config, 1, s)
            )[0].numpy()
            for s in (0, 1)
        )
        self.assertGreater(np.abs(one[0, 2] - other[0, 2]).max(), 1e-3)


class TrainingTest(parameterized.TestCase):
    @parameterized.product(
        network=NETWORKS[:2],
        jit_compile=("off", "auto"),
    )
    def test_changing_a_document_never_changes_the_next(
        self, network, jit_compile
    ):
        """Losses and gradients of document 2, whatever document 1 is."""
        config = make_config(**network)
        names = layout(config)
        weights = small_models.random_weights(config)
        flat = np.concatenate([weight.ravel() for weight in weights])
        step = tf.function(
            make_loss_gradient(config, names, jit_compile), autograph=False
        )
        rows = 32  # two parts, where the batch is cut
        chance = np.random.default_rng(0)
        second = chance.integers(2, len(VOCABULARY), [rows, 8])
        results = []
        for seed in range(3):
            first = chance.integers(2, len(VOCABULARY), [rows, 6])
            separators = np.full([rows, 1], SEPARATOR_ID)
            text = np.concatenate([first, separators, second], axis=1)
            targets = text[:, 1:].copy()
            targets[:, :6] = 0  # only document 2 is scored
            nats, characters, gradient, states = step(
                tf.constant(flat),
                tf.constant(text[:, :-1], tf.int32),
                tf.constant(targets, tf.int32),
                random_states(config, rows, seed),
                tf.constant([1, 5, 0], tf.int64),  # with dropout
            )
            self.assertEqual(characters, rows * 8)
            results.append([nats, gradient, *states])
        for other in results[1:]:
            for value, expected in zip(other, results[0], strict=True):
                np.testing.assert_array_equal(value, expected)

    def test_loss_of_documents_is_the_oracles(self):
        config = make_config()
        weights = small_models.random_weights(config)
        names = layout(config)
        chance = np.random.default_rng(1)
        text = np.stack([random_ids(chance, 31) for _ in range(3)])
        expected = 0.0
        for row in text:
            expected -= score(config, weights, row[1:]).sum()
        # A zero state, and a separator first.
        text[:, 0] = SEPARATOR_ID
        nats, *_ = make_loss_gradient(
            small_models.make_config(
                VOCABULARY, separator_id=SEPARATOR_ID, dropout=0.0
            ),
            names,
            "off",
        )(
            tf.constant(np.concatenate([w.ravel() for w in weights])),
            tf.constant(text[:, :-1], tf.int32),
            tf.constant(text[:, 1:], tf.int32),
            random_states(config, 3),
            tf.constant([0, 0, 0], tf.int64),
        )
        self.assertAlmostEqual(float(nats) / expected, 1.0, places=5)


class DatasetTest(absltest.TestCase):
    def test_streams_and_joined_ranges_begin_afresh(self):
        ids = np.arange(100, 140)
        ranges = [(0, 17), (20, 39)]
        plain = TextDataset(ids, ranges, 3, 4)
        dataset = TextDataset(ids, ranges, 3, 4, documents=True)
        self.assertEqual(dataset.steps_per_epoch, 3)
        begun = set()
        for step in range(6):
            expected, actual = plain.batch(step), dataset.batch(step)
            marked = actual.inputs < 0
            inputs = np.where(marked, ~actual.inputs, actual.inputs)
            np.testing.assert_array_equal(inputs, expected.inputs)
            begun |= set(inputs[marked].tolist())
            # 120 follows 116: it is read afresh, and predicted by nobody.
            jump = expected.targets == 120
            np.testing.assert_array_equal(
                actual.targets, np.where(jump, 0, expected.targets)
            )
            self.assertEqual(marked[:, 0].all(), step % 3 == 0)
        self.assertEqual(begun, {100, 112, 120, 127})

    def test_a_stream_a_range(self):
        ids = np.arange(100, 140)
        dataset = TextDataset(ids, [(0, 9), (20, 29)], 2, 4, documents=True)
        batches = dataset.batches(0, 4)
        marked = batches.inputs < 0
        self.assertEqual(marked.sum(), 4)
        self.assertTrue(marked[::2, :, 0].all())
        self.assertTrue((batches.targets > 0).all())


class EvaluationTest(parameterized.TestCase):
    def evaluate(self, ids, ranges=None, streams=1, start=True, length=7):
        config = make_config()
        weights = small_models.random_weights(config)
        names = layout(config)
        return Evaluator(config, names, length)(
            tf.constant(np.concatenate([w.ravel() for w in weights])),
            np.asarray(ids),
            ranges or [(0, len(ids))],
            streams,
            start_id=SEPARATOR_ID if start else None,
        )

    def test_the_order_of_documents_does_not_matter(self):
        chance = random.Random(0)
        config = make_config()
        weights = small_models.random_weights(config)
        documents = [
            VOCABULARY.encode(random_document(chance) + SEPARATOR)
            for _ in range(12)
        ]
        expected = sum(
            -score(config, weights, document).sum() for document in documents
        )
        for _ in range(3):
            chance.shuffle(documents)
            ids = np.concatenate(documents)
            result = self.evaluate(ids)
            self.assertEqual(result.characters, len(ids))
            self.assertAlmostEqual(result.nats / expected, 1.0, places=6)

    def test_joined_ranges_begin_afresh(self):
        ids = random_ids(np.random.default_rng(3), 60)
        ids[[0, 31]] = 3
        ranges = [(0, 20), (31, 60)]
        joined = self.evaluate(ids, ranges, start=False)
        apart = [
            self.evaluate(ids[a:b], start=False, length=5) for a, b in ranges
        ]
        self.assertEqual(joined.characters, sum(r.characters for r in apart))
        expected = sum(result.nats for result in apart)
        self.assertAlmostEqual(joined.nats, expected, places=3)


class ServedTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.served = served_signatures.Exported.of("documents")
        self.oracle = functools.partial(
            score, self.served.config, self.served.weights
        )

    def test_score_of_a_document_is_that_of_it_alone(self):
        chance = random.Random(0)
        for _ in range(20):
            first, second = (random_document(chance) for _ in range(2))
            alone = self.served.score(second)
            whole = self.served.score(first + SEPARATOR + second)
            np.testing.assert_allclose(
                whole["character_log_probs"][-len(second) :],
                alone["character_log_probs"],
                atol=2e-5,
            )
            expected = self.oracle(VOCABULARY.encode(second))
            np.testing.assert_allclose(
                alone["character_log_probs"], expected, atol=2e-5
            )
            # Whatever was read before, to the bit.
            another = random_document(chance, 1) * len(first)
            other = self.served.score(another + SEPARATOR + second)
            self.assertEqual(whole["state_bytes"], other["state_bytes"])
            np.testing.assert_array_equal(
                whole["character_log_probs"][-len(second) :],
                other["character_log_probs"][-len(second) :],
            )

    def test_generating_goes_on_afresh_after_a_separator_it_wrote(self):
        separators = 0
        for seed in range(30):
            row = self.served.generate("ab", length=60, seed=seed)
            text = row["text"].decode()
            separators += text.count(SEPARATOR)
            # Its probability is that of documents that know no other.
            expected = self.oracle(VOCABULARY.encode("ab" + text))[2:].sum()
            self.assertAlmostEqual(row["log_prob"], expected, places=2)
            stopped = self.served.generate(
                "ab", length=512, seed=seed, stop=SEPARATOR
            )
            if stopped["finish"] != b"stop":
                continue
            after = self.served.score("cde", stopped["state_bytes"])
            fresh = self.served.score("cde")
            np.testing.assert_array_equal(
                after["character_log_probs"], fresh["character_log_probs"]
            )
        self.assertGreater(separators, 30)

    def test_inspect_shows_a_fresh_start(self):
        fresh = self.served.inspect(SEPARATOR + "abc")
        later = self.served.inspect("hgf" + SEPARATOR + "abc")
        np.testing.assert_array_equal(
            fresh["activations"], later["activations"][3:]
        )

    def test_in_process_the_same_text(self):
        generator = TextGenerator(self.served.config, VOCABULARY)
        weights = [tf.constant(weight) for weight in self.served.weights]
        documents = 0
        for seed in range(5):
            prompt = f"ab{SEPARATOR}c"
            row = self.served.generate(prompt, length=100, seed=seed)
            documents += row["text"].count(SEPARATOR.encode())
            text = "".join(
                chunk.text
                for chunk in generator.stream(
                    weights, prompt=prompt, length=100, seed=seed
                )
            )
            self.assertEqual(text, row["text"].decode())
        self.assertGreater(documents, 5)


class CorpusTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def build(self, *texts, **options):
        for index, text in enumerate(texts):
            (self.folder / f"{index}.txt").write_text(text)
        config = DataConfig(data=(str(self.folder / "*.txt"),), **options)
        return build_corpus(config, self.folder / "corpus")

    def text(self, corpus):
        return corpus.vocabulary.decode(corpus.ids)

    def test_every_file_ends_a_document(self):
        texts = ["one", "two;", "", "three", ""]
        for kind in ("characters", "bytes"):
            corpus = self.build(
                *texts, document_separator=";", vocabulary=kind, min_count=2
            )
            text = self.text(corpus)
            self.assertEqual(re.sub("[^;]", "x", text), "xxx;xxx;xxxxx;")
            separator = corpus.vocabulary.decode([corpus.separator_id])
            self.assertEqual(separator, ";")
            self.assertEqual(corpus.separator_id, corpus.vocabulary.start_id)
        # The text is another one without.
        corpus = self.build(*texts)
        self.assertEqual(self.text(corpus), "onetwo;three")
        self.assertEqual(corpus.separator_id, 0)

    def test_no_separator_in_the_text(self):
        with self.assertRaisesRegex(UserError, "does not occur"):
            self.build("one text", document_separator=";")
        corpus = self.build("one", "two", document_separator="\0")
        self.assertEqual(self.text(corpus), "one\0two")


class ProgramTest(absltest.TestCase):
    def test_from_text_to_evaluation(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        chance = random.Random(0)
        lines = [random_document(chance) + ";" for _ in range(100)]
        (folder / "text.txt").write_text("".join(lines))
        run_program(
            "kerasrnn.train",
            f"--data={folder}/text.txt",
            f"--workdir={folder}/workdir",
            "--document_separator=\\x3b",
            "--units=8",
            "--batch_size=4",
            "--sequence_length=9",
            "--max_steps=20",
            "--sample_length=0",
            "--jit_compile=off",
        )
        saved = finding.find(folder / "workdir").checkpoint
        self.assertEqual(saved.config.data.document_separator, ";")
        separator = saved.config.model.separator_id
        self.assertEqual(saved.vocabulary.decode([separator]), ";")
        result = json.loads(
            run_program(
                "kerasrnn.evaluate",
                f"--workdir={folder}/workdir",
                f"--file={folder}/text.txt",
                "--start_state=start_character",
                "--json",
            )
        )
        nats = 0.0
        for line in lines:
            model = small_models.NumpyModel(
                saved.config.model, saved.weights.values()
            )
            for before, token in itertools.pairwise(
                saved.vocabulary.encode(";" + line)
            ):
                model.read(before)
                nats -= model.log_probs()[token]
        self.assertAlmostEqual(result["nats"] / nats, 1.0, places=5)
        self.check_served(folder, lines)

    def check_served(self, folder, lines):
        """Exports the model, serves it, and looks for a state that leaks."""
        run_program(
            "kerasrnn_export.program",
            f"--workdir={folder}/workdir",
            f"--export_dir={folder}/export",
        )
        server = serving_process.ServerProcess(folder / "export")
        self.addCleanup(server.close)
        with Client(server.target) as client:
            # A document is as likely after any other as alone.
            whole = client.score("".join(lines[:30]))[0].character_log_probs
            alone = [
                score.character_log_probs for score in client.score(lines[:30])
            ]
            np.testing.assert_allclose(whole, np.concatenate(alone), atol=2e-5)
            # It goes on as if it were the first, whatever was read before,
            # in chunks and in one call, and from the token at its start.
            first, second = lines[0] + "ab", lines[1] + lines[2] + "ab"
            options = {"length": 40, "seed": 3}
            (expected,) = client.generate("ab", **options)
            for prompt in (first, second):
                (other,) = client.generate(prompt, **options)
                self.assertEqual(other.text, expected.text)
            chunks = list(client.stream(first, chunk=7, **options))
            self.assertEqual(
                "".join(chunk.text for chunk in chunks), expected.text
            )
            tokens = [
                client.generate(prompt, length=0, seed=0)[0].state_bytes
                for prompt in (lines[0], lines[1] + lines[2], "")
            ]
            inspections = client.inspect(["ab"] * 3, state_bytes=tokens)
            for inspection in inspections[1:]:
                np.testing.assert_array_equal(
                    inspection.activations, inspections[0].activations
                )


def run_program(module, *flags):
    """Runs a program to its end; returns what it prints."""
    process = subprocess.run(
        [sys.executable, "-m", module, *flags],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS))},
    )
    if process.returncode:
        raise AssertionError(process.stderr)
    return process.stdout


class ConfigTest(absltest.TestCase):
    def test_separators_that_are_none_are_refused(self):
        with self.assertRaisesRegex(UserError, "one character"):
            DataConfig(document_separator="\n\n")
        with self.assertRaisesRegex(UserError, "one byte"):
            DataConfig(document_separator="€", vocabulary="bytes")
        with self.assertRaisesRegex(UserError, "separator_id"):
            ModelConfig(vocabulary_size=3, separator_id=3)
        with self.assertRaisesRegex(UserError, "separator_id"):
            Config(
                model=ModelConfig(vocabulary_size=3),
                data=DataConfig(document_separator="\n"),
            )


if __name__ == "__main__":
    absltest.main()
