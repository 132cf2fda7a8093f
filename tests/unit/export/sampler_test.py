"""The promises of the signatures: equalities, scores, errors."""

import math
import random

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.exports import served_signatures
from helpers.full_counts import FULL
from helpers.models import small_models
from kerasrnn_export.graph.options import SamplerOptions
from kerasrnn_export.graph.sampler import Sampler

from kerasrnn.contract import signatures
from kerasrnn.errors import UserError
from kerasrnn.sampling.generate import HISTORY


class HistoryTest(absltest.TestCase):
    def test_a_stop_string_may_straddle_calls(self):
        # All but its last character may have come in calls before.
        self.assertEqual(HISTORY, signatures.MAX_STOP - 1)


class EqualitiesTest(parameterized.TestCase):
    def test_a_prompt_clears_what_a_stop_string_could_match(self):
        served = served_signatures.Served.of("lstm")
        first = served.generate(length=1, seed=5)
        for prompt, finish in (("", b"stop"), ("a", b"length")):
            token = served.generate(
                prompt, length=0, state_bytes=first["state_bytes"]
            )["state_bytes"]
            second = served.generate(length=1, state_bytes=token)
            row = served.generate(
                length=1,
                state_bytes=token,
                stop=first["text"] + second["text"],
            )
            self.assertEqual(row["text"], second["text"])
            self.assertEqual(row["finish"], finish)

    def test_a_prompt_ends_an_unfinished_sequence(self):
        served = served_signatures.Served.of("gru_bytes")
        seed = 0
        while True:
            row = served.generate(length=1, seed=seed)
            if not row["text"]:
                break
            seed += 1
        row = served.generate(
            "a", length=0, seed=seed, state_bytes=row["state_bytes"]
        )
        self.assertEqual(row["text"].decode(), "\ufffd")
        row = served.generate(length=0, state_bytes=row["state_bytes"])
        self.assertEqual(row["text"], b"")

    @parameterized.parameters(*served_signatures.MODELS)
    def test_stop_ends_the_text_where_it_first_comes(self, name):
        served = served_signatures.Served.of(name)
        for seed in range(5):
            free = served.generate(length=100, seed=seed)["text"].decode()
            for stop in ("a", "é", free[20:22], free[30:34]):
                row = served.generate(length=100, seed=seed, stop=stop)
                end = free.find(stop)
                if end < 0 or "\ufffd" in free[: end + len(stop)]:
                    continue
                self.assertEqual(row["text"].decode(), free[: end + len(stop)])
                self.assertEqual(row["finish"], b"stop")

    def test_an_unknown_stop_character_matches_nothing(self):
        served = served_signatures.Served.of("lstm")
        free = served.generate(length=50)
        first = free["text"].decode()[0]
        for stop in ("z", "z" + first, "zz" + first, b"\xff"):
            row = served.generate(length=50, stop=stop)
            self.assertEqual(row["text"], free["text"])

    def test_stop_strings_of_the_greatest_length(self):
        served = served_signatures.Served.of("lstm")
        free = served.generate(length=60, seed=3)["text"].decode()
        row = served.generate(length=60, seed=3, stop=free[8:40])
        self.assertEqual(row["text"].decode(), free[:40])
        row = served.generate(length=60, seed=3, stop=free[8:41])
        self.assertIn(b"32 characters", row["error"])


class SamenessTest(parameterized.TestCase):
    @parameterized.parameters(*served_signatures.MODELS)
    def test_a_rows_text_depends_on_no_place_nor_batch(self, name):
        served = served_signatures.Served.of(name)
        chance = random.Random(name)
        requests = [served_signatures.random_request(chance) for _ in range(32)]
        alone = [served.generate(**request) for request in requests]
        for rows in (2, 7, 32):
            order = chance.sample(range(32), rows)
            batch = served("generate", [requests[index] for index in order])
            for index, row in zip(order, batch, strict=True):
                for key in ("text", "finish", "length", "unknown", "error"):
                    self.assertEqual(row[key], alone[index][key])
                self.assertAlmostEqual(
                    row["log_prob"], alone[index]["log_prob"], places=3
                )


class ErrorsTest(parameterized.TestCase):
    @parameterized.parameters(
        ({"length": -7}, "length must be 0 to 512, not -7"),
        ({"length": 513}, "length must be 0 to 512, not 513"),
        ({"temperature": -2.5}, "temperature must be 0 or more, not -2.5"),
        ({"temperature": math.nan}, "temperature must be .*, not -?nan"),
        ({"top_k": -3}, "top_k must be 0 .off. or more, not -3"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1 .* not 1.5"),
        ({"stop": "a" * 33}, "stop has more than 32 characters"),
        ({"prompt": "a" * 4097}, "prompt has more than 4096 characters"),
        ({"state_bytes": "x"}, "state_bytes is not a state"),
    )
    def test_sentences(self, request, sentence):
        row = served_signatures.Served.of("lstm").generate(
            **{"prompt": "", **request}
        )
        self.assertRegex(row["error"].decode(), sentence)

    def test_at_the_limits_nothing_is_refused(self):
        row = served_signatures.Served.of("lstm").generate(
            prompt="🙂" * 4096, length=512, stop="a" * 32, top_p=1.0
        )
        self.assertEqual(row["error"], b"")
        self.assertEqual(len(row["text"].decode()), 512)

    @parameterized.parameters(*signatures.SIGNATURES)
    def test_no_rows(self, name):
        self.assertEqual(served_signatures.Served.of("lstm")(name, []), [])

    def test_a_parameter_of_one_row_counts_for_all(self):
        served = served_signatures.Served.of("lstm")
        function = served.functions["generate"]
        texts = function(prompt=tf.constant(["a", "b"]))["text"].numpy()
        self.assertEqual(texts[1], served.generate("b")["text"])

    def test_other_numbers_of_rows_fail_the_call(self):
        function = served_signatures.Served.of("lstm").functions["generate"]
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "seed"):
            function(
                prompt=tf.constant(["a", "b", "c"]),
                seed=tf.constant([1, 2], tf.int64),
            )


class ScoreTest(parameterized.TestCase):
    @parameterized.parameters(*served_signatures.MODELS)
    def test_numpy_gives_the_same_scores(self, name):
        served = served_signatures.Served.of(name)
        chance = random.Random(name)
        rows = [
            {"text": served_signatures.random_text(chance, longest)}
            for longest in (0, 1, 9, 100, 200, 300)
        ]
        for request, row in zip(
            rows, served("score", rows, state_bytes=""), strict=True
        ):
            ids = served.vocabulary.encode(request["text"]).tolist()
            model = small_models.NumpyModel(served.config, served.weights)
            model.read(served.vocabulary.start_id)
            expected = []
            for token in ids:
                log_probs = model.log_probs()
                expected.append(log_probs[token] if token else 0.0)
                model.read(token)
            received = row["character_log_probs"]
            np.testing.assert_allclose(
                received[: len(ids)], expected, atol=2e-4
            )
            self.assertFalse(received[len(ids) :].any())
            known = len(ids) - ids.count(0)
            self.assertEqual(row["length"], known)
            self.assertEqual(row["unknown"], ids.count(0))
            self.assertAlmostEqual(
                row["log_prob"], sum(expected), delta=1e-4 * max(known, 1)
            )
            bits = -sum(expected) / math.log(2) / max(known, 1)
            self.assertAlmostEqual(row["bits_per_character"], bits, places=3)

    @parameterized.parameters(*served_signatures.MODELS)
    def test_a_text_in_pieces_is_the_text_at_once(self, name):
        served = served_signatures.Served.of(name)
        chance = random.Random(name)
        for _ in range(100 if FULL else 4):
            text = served_signatures.random_text(chance, 500)
            whole = served.score(text)
            state, start, totals, counts = b"", 0, [], []
            while start < len(text):
                stop = start + chance.choice([1, 5, 70, 200])
                row = served.score(text[start:stop], state)
                state, start = row["state_bytes"], stop
                totals.append(row["log_prob"])
                counts.append(row["length"])
            self.assertAlmostEqual(
                sum(totals), whole["log_prob"], delta=1e-5 * len(text)
            )
            self.assertEqual(sum(counts), whole["length"])

    @parameterized.parameters(*served_signatures.MODELS)
    def test_scores_are_the_log_probs_of_generating(self, name):
        served = served_signatures.Served.of(name)
        for seed in range(3):
            row = served.generate("a", length=150, seed=seed)
            if "\ufffd" in row["text"].decode():
                continue  # The bytes that were generated are not shown.
            start = served.score("a")
            scored = served.score(row["text"], start["state_bytes"])
            self.assertAlmostEqual(
                scored["log_prob"], row["log_prob"], delta=2e-3
            )


class ConstructionTest(absltest.TestCase):
    def test_weights_that_are_not_finite_are_refused(self):
        vocabulary = small_models.make_vocabulary("characters")
        config = small_models.make_config(vocabulary)
        weights = small_models.random_weights(config)
        weights[1][0, 0] = np.nan
        with self.assertRaisesRegex(UserError, "diverged"):
            Sampler(config, weights, vocabulary)

    def test_limits_may_only_be_raised(self):
        for options in (
            {"max_length": 511},
            {"max_prompt": 4095},
            {"max_length": 2**40},
            {"default_length": 513},
            {"default_length": -1},
            {"default_temperature": math.nan},
            {"default_temperature": -1.0},
            {"default_seed": 2**63},
        ):
            with self.assertRaises(UserError, msg=options):
                SamplerOptions(**options)
        SamplerOptions(max_length=1000, default_length=1000)

    def test_serving_default_generates_as_the_options_say(self):
        served = served_signatures.Served.of("lstm")
        sampler = Sampler(
            served.config,
            served.weights,
            served.vocabulary,
            SamplerOptions(
                default_length=30, default_temperature=0.5, default_seed=4
            ),
        )
        received = sampler.serving_default(tf.constant(["a", "b"]))
        self.assertEqual(list(received), ["text"])
        for prompt, text in zip("ab", received["text"].numpy(), strict=True):
            row = served.generate(prompt, length=30, temperature=0.5, seed=4)
            self.assertEqual(text, row["text"])


if __name__ == "__main__":
    absltest.main()
