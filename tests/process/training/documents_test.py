"""Documents: evaluated, served and generated as if each were alone.

The oracle is the model in NumPy that is made anew at each separator.
"""

import functools
import itertools
import json
import pathlib
import random

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.exports import served_signatures
from helpers.models import small_models
from helpers.models.documents import SEPARATOR
from helpers.models.documents import SEPARATOR_ID
from helpers.models.documents import VOCABULARY
from helpers.models.documents import make_config
from helpers.models.documents import random_document
from helpers.models.documents import random_ids
from helpers.models.documents import score
from helpers.processes.forked_trainer import run_forked
from helpers.servers import serving_process
from kerasrnn_serving.client import Client

from kerasrnn.model.text_generator import TextGenerator
from kerasrnn.training.checkpoints import finding
from kerasrnn.training.evaluation.evaluator import Evaluator
from kerasrnn.training.step.flat_weights import layout


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


class ProgramTest(absltest.TestCase):
    def test_from_text_to_evaluation(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        chance = random.Random(0)
        lines = [random_document(chance) + ";" for _ in range(100)]
        (folder / "text.txt").write_text("".join(lines))
        run_forked(
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
            run_forked(
                "kerasrnn.evaluate",
                f"--workdir={folder}/workdir",
                f"--file={folder}/text.txt",
                "--start_state=start_character",
                "--json",
            ).stdout
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
        run_forked(
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


if __name__ == "__main__":
    absltest.main()
