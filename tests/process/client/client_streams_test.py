"""The client's streams are what one call gives, whatever comes between."""

from absl.testing import absltest
from helpers.servers.client_cases import ClientTestCase
from helpers.servers.clients import AsyncInThread
from helpers.servers.fake_servable import expected

from kerasrnn.errors import UserError


class StreamTest(ClientTestCase):
    def test_chunks_are_what_one_call_gives(self):
        chunks = list(self.client.stream("a?", length=700, seed=2, chunk=100))
        text = "".join(chunk.text for chunk in chunks)
        self.assertEqual(text, expected(1, 2, 700))
        self.assertEqual(
            [chunk.length for chunk in chunks],
            [8, 16, 32, 64, 100, 100, 100, 100, 100, 80],
        )
        self.assertEqual(sum(chunk.log_prob for chunk in chunks), -700.0)
        self.assertEqual(sum(chunk.unknown for chunk in chunks), 1)
        finishes = [chunk.finish for chunk in chunks]
        self.assertEqual(finishes, [""] * 9 + ["length"])

    def test_a_chunk_is_asked_for_when_it_is_wanted(self):
        stream = self.client.stream("a", length=700, seed=2)
        self.assertEmpty(self.server.requests)
        next(stream)
        self.assertLen(self.server.requests, 1)

    def test_a_long_prompt_is_read_first(self):
        chunks = list(self.client.stream("x?" * 3000, length=5, seed=0))
        self.assertEqual(chunks[0].text, expected(1, 0, 5))
        self.assertEqual(chunks[0].unknown, 3000)
        self.assertLen(chunks, 1)

    def test_stop_and_nothing_to_generate(self):
        chunks = list(self.client.stream("a", length=99, seed=0, stop="k"))
        self.assertEqual(chunks[-1].finish, "stop")
        self.assertEqual("".join(c.text for c in chunks), "bcdefghijk")
        (chunk,) = self.client.stream("a", length=0)
        self.assertEqual((chunk.text, chunk.finish), ("", "length"))

    def test_goes_on_from_a_token(self):
        *_, last = self.client.stream("a", length=30, seed=4)
        (rest,) = self.client.generate(
            "", length=10, seed=4, state_bytes=last.state_bytes
        )
        self.assertEqual(rest.text, expected(1, 4, 10, draws=30))

    def test_a_stream_that_outlives_its_version_goes_on_from_the_text(self):
        stream = self.client.stream("a?", length=100, seed=5)
        first = next(stream)
        self.assertEqual(first.text, expected(1, 5, 8))
        self.server.publish(2)
        rest = list(stream)
        # Version 2 has read the prompt and what version 1 had written.
        self.assertEqual(
            self.server.requests[0]["prompt"].tolist(),
            [b"a?" + first.text.encode()],
        )
        self.assertEqual(
            "".join(chunk.text for chunk in rest), expected(2, 5, 92)
        )
        self.assertEqual({chunk.version for chunk in rest}, {2})
        self.assertFalse(first.restarted)
        self.assertTrue(all(chunk.restarted for chunk in rest))
        self.assertEqual(rest[-1].finish, "length")
        # The prompt's unknown character is counted once.
        unknown = first.unknown + sum(chunk.unknown for chunk in rest)
        self.assertEqual(unknown, 1)

    def test_a_long_prompt_is_read_again_by_a_new_version(self):
        self._publish_after(1, 2)
        chunks = list(self.client.stream("x?" * 6000, length=5, seed=0))
        self.assertEqual(chunks[0].text, expected(2, 0, 5))
        self.assertEqual(chunks[0].unknown, 6000)
        # Nothing had been given out: the seed gives this text again.
        self.assertFalse(chunks[0].restarted)

    def test_a_stream_from_a_token_ends_with_its_version(self):
        stream = self.client.stream(
            "a", length=100, seed=0, state_bytes=b"fake:3"
        )
        next(stream)
        self.server.publish(2)
        error = self.assert_serving_error(
            "NOT_FOUND", "version 1", list, stream
        )
        self.assertIn("start again", error.advice.lower())
        (result,) = self.client.generate("a", length=3, seed=0)
        self.assertEqual(result.version, 2)

    def test_a_version_that_the_user_chose_is_not_left(self):
        with self.client_class(self.server.target, version=1) as client:
            stream = client.stream("a", length=100, seed=0)
            next(stream)
            self.server.publish(2)
            self.assert_serving_error(
                "NOT_FOUND", "Specific(kerasrnn, 1)", list, stream
            )

    def test_versions_that_never_agree_end_it(self):
        # As of replicas that serve different ones: each second call fails.
        self._publish_after(1, 2, 3, 4, 5, 6, 7, 8)
        self.assert_serving_error(
            "NOT_FOUND", "version", list, self.client.stream("x" * 9000)
        )

    def _publish_after(self, calls, *versions):
        """Publishes the next version whenever one has had so many calls."""
        versions = list(versions)

        def watch(servable):
            predict, count = servable.predict, 0

            def counting(request, call):
                nonlocal count
                response = predict(request, call)
                count += 1
                if count == calls and versions:
                    self.server.publish(versions.pop(0))
                    watch(self.server.loaded[self.server.versions.version])
                return response

            servable.predict = counting

        watch(self.server.loaded[1])

    def test_sizes_of_chunks_are_checked_at_once(self):
        with self.assertRaisesRegex(UserError, "chunk must be 1 to 512"):
            self.client.stream("a", chunk=513)
        with self.assertRaisesRegex(UserError, "first_chunk"):
            self.client.stream("a", first_chunk=0)
        for size in ("8", 2.5, None):
            for name in ("chunk", "first_chunk"):
                with self.assertRaisesRegex(
                    UserError, f"^{name} must be a whole number, not {size!r}"
                ):
                    self.client.stream("a", **{name: size})


class AsyncStreamTest(StreamTest):
    client_class = AsyncInThread


if __name__ == "__main__":
    absltest.main()
