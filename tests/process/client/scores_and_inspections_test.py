"""What the client scores and inspects, in pieces and under new versions."""

import tempfile
from pathlib import Path

import numpy as np
from absl.testing import absltest
from helpers.servers.client_cases import ClientTestCase
from helpers.servers.client_cases import GrowingServable
from helpers.servers.clients import AsyncInThread
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import OwnTokensServable
from helpers.servers.fake_servable import expected
from kerasrnn_serving.client.errors import VersionGone

from kerasrnn.errors import UserError


class GrowingTest(ClientTestCase):
    """Inspections while versions with more units come."""

    servable_class = GrowingServable

    def _check(self, inspection, version, length):
        self.assertEqual(inspection.version, version)
        self.assertEqual(inspection.num_layers, version)
        units = self.server.loaded[version].units
        self.assertEqual(
            inspection.activations.shape, (length, version * units)
        )

    def test_layers_are_those_of_the_version_that_answers(self):
        for version in (1, 2, 3):
            if version > 1:
                self.server.publish(version)
            (inspection,) = self.client.inspect("abc")
            self._check(inspection, version, 3)

    def test_layers_after_beginning_again(self):
        self.client.inspect("abc")
        self.server.publish_after(1, "inspect")
        (inspection,) = self.client.inspect("c" * 9000)
        self._check(inspection, 2, 9000)

    def test_calls_are_cut_by_the_units_of_the_version_that_answers(self):
        limit = 200_000
        options = {"max_message_bytes": limit}
        with self.client_class(self.server.target, **options) as client:
            client.inspect("abc")
            self.server.publish(3)
            (inspection,) = client.inspect("c" * 700)
            self._check(inspection, 3, 700)
            lengths = [len(r["text"][0]) for r in self.server.requests]
            # The first was cut for version 1.
            self.assertGreater(lengths[0] * 12_000, limit)
            self.assertLess(max(lengths[1:]) * 12_000, limit)


class AsyncGrowingTest(GrowingTest):
    client_class = AsyncInThread


class ReadingTest(ClientTestCase):
    def test_work_of_several_calls_begins_again_under_a_new_version(self):
        for work, check in (
            (
                lambda: self.client.generate("a", length=1500, seed=1),
                lambda result: self.assertEqual(
                    result.text, expected(result.version, 1, 1500)
                ),
            ),
            (
                lambda: self.client.score("b?" * 4000),
                lambda result: self.assertEqual(
                    (result.length, result.unknown), (4000, 4000)
                ),
            ),
            (
                lambda: self.client.inspect("c" * 9000),
                lambda result: self.assertLen(result.characters, 9000),
            ),
        ):
            old = self.server.versions.version
            servable = self.server.loaded[old]
            predict = servable.predict

            def publishing(request, call, predict=predict, old=old):
                response = predict(request, call)
                if self.server.versions.version == old:
                    self.server.publish(old + 1)
                return response

            servable.predict = publishing
            (result,) = work()
            self.assertEqual(result.version, old + 1)
            check(result)

    def test_a_version_that_is_asked_for_is_kept_to(self):
        kept = FakeServer(
            Path(self.enter_context(tempfile.TemporaryDirectory())),
            servable_class=OwnTokensServable,
            keeps_versions=True,
        )
        self.addCleanup(kept.stop)
        with self.client_class(kept.target) as client:
            (first,) = client.generate("a", length=3, seed=1)
            kept.publish(2)
            options = {"state_bytes": first.state_bytes, "version": 1}
            (rest,) = client.generate("", length=900, seed=1, **options)
            self.assertEqual(rest.text, expected(1, 1, 900, draws=3))
            for results in (
                [rest],
                client.score("b" * 9000, **options),
                client.inspect("b" * 9000, **options),
            ):
                self.assertEqual(results[0].version, 1)
                self.assertTrue(
                    results[0].state_bytes.startswith(b"version 1, ")
                )
            (newest,) = client.score("b")
            self.assertEqual(newest.version, 2)

    def test_no_other_version_takes_the_place_of_one_asked_for(self):
        self.client.generate("a", length=1, seed=0)
        self.server.publish(2)
        for work in (
            lambda version: self.client.generate("a", version=version),
            lambda version: self.client.score("a", version=version),
            lambda version: self.client.inspect("a", version=version),
        ):
            for version in (1, 9):
                error = self.assert_serving_error(
                    "NOT_FOUND", f"serve version {version},", work, version
                )
                self.assertIsInstance(error, VersionGone)
            for version in (-1, 2**63, "1"):
                with self.assertRaisesRegex(UserError, "^version must be"):
                    work(version)

    def test_a_version_asked_for_that_goes_meanwhile(self):
        self.server.publish_after(1)
        error = self.assert_serving_error(
            "NOT_FOUND",
            "serve version 1,",
            lambda: self.client.generate("a", length=900, version=1),
        )
        self.assertIsInstance(error, VersionGone)

    def test_score(self):
        first, second = self.client.score(["abc?d", ""])
        self.assertEqual(first.log_prob, -2.0)
        self.assertEqual((first.length, first.unknown), (4, 1))
        self.assertEqual(
            first.character_log_probs.tolist(), [-0.5, -0.5, -0.5, 0, -0.5]
        )
        self.assertEqual(first.nats_per_character, 0.5)
        self.assertAlmostEqual(first.bits_per_character, 0.5 / np.log(2))
        self.assertEqual(first.state_bytes, b"fake:4")
        self.assertEqual(second.length, 0)
        self.assertEqual(second.bits_per_character, 0.0)
        self.assertEmpty(second.character_log_probs)

    def test_long_texts_are_read_in_pieces(self):
        text = "aé?" * 4000
        (score,) = self.client.score([text])
        self.assertEqual((score.length, score.unknown), (8000, 4000))
        self.assertLen(score.character_log_probs, 12000)
        self.assertEqual(score.log_prob, -4000.0)
        self.assertEqual(score.state_bytes, b"fake:8000")
        pieces = [inputs["text"][0] for inputs in self.server.requests]
        self.assertEqual(b"".join(pieces).decode(), text)

    def test_a_refused_row_is_named(self):
        self.assert_serving_error(
            "INVALID_ARGUMENT",
            "row 1: state_bytes is damaged",
            self.client.score,
            ["a", "b"],
            state_bytes=[b"", b"damaged"],
        )

    def test_inspect(self):
        first, second = self.client.inspect(["aé", "b" * 9000])
        self.assertEqual(first.characters, ("a", "é"))
        self.assertEqual(first.activations.shape, (2, 3))
        self.assertEqual(first.top_characters[1], ("é",) * 5)
        self.assertEqual(
            first.top_log_probs.tolist(), [[0.0, -1, -2, -3, -4]] * 2
        )
        self.assertLen(second.characters, 9000)
        self.assertEqual(second.state_bytes, b"fake:9000")


class AsyncReadingTest(ReadingTest):
    client_class = AsyncInThread


if __name__ == "__main__":
    absltest.main()
