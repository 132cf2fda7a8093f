"""The client against a server in this process, whose answers are known."""

import tempfile
import threading
from concurrent import futures
from pathlib import Path

import numpy as np
from absl.testing import absltest
from helpers.servers import serving_process
from helpers.servers.clients import AsyncInThread
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from kerasrnn_serving.client import Client
from kerasrnn_serving.client import Tls
from kerasrnn_serving.client._call_sizes import split_text
from kerasrnn_serving.client.errors import ServingError

from kerasrnn.contract import messages
from kerasrnn.contract import signatures
from kerasrnn.contract import tensors
from kerasrnn.errors import UserError


class ClientTestCase(absltest.TestCase):
    client_class = Client

    def setUp(self):
        super().setUp()
        directory = self.enter_context(tempfile.TemporaryDirectory())
        self.server = FakeServer(Path(directory))
        self.addCleanup(self.server.stop)
        self.client = self.enter_context(self.client_class(self.server.target))

    def assert_serving_error(self, code, text, function, *arguments, **options):
        with self.assertRaises(ServingError) as raised:
            function(*arguments, **options)
        self.assertEqual(raised.exception.code, code)
        self.assertIn(text, str(raised.exception))
        return raised.exception


class GenerateTest(ClientTestCase):
    def test_one_prompt(self):
        (result,) = self.client.generate("a?b", length=5, seed=3)
        self.assertEqual(result.text, expected(1, 3, 5))
        self.assertEqual(result.length, 5)
        self.assertEqual(result.log_prob, -5.0)
        self.assertEqual(result.unknown, 1)
        self.assertEqual(result.finish, "length")
        self.assertEqual(result.state_bytes, b"fake:5")
        self.assertEqual(result.seed, 3)
        self.assertEqual(result.version, 1)

    def test_every_input_is_sent_for_every_row(self):
        self.client.generate(
            ["a", b"b"],
            length=[1, 2],
            temperature=[0, 0.5],
            top_k=3,
            top_p=np.float32(0.5),
            seed=np.int64([7, -7]),
            stop=["x", b"y"],
            state_bytes=b"fake:1",
        )
        (inputs,) = self.server.requests
        self.assertEqual(
            {name: array.tolist() for name, array in inputs.items()},
            {
                "prompt": [b"a", b"b"],
                "state_bytes": [b"fake:1", b"fake:1"],
                "length": [1, 2],
                "temperature": [0.0, 0.5],
                "top_k": [3, 3],
                "top_p": [0.5, 0.5],
                "seed": [7, -7],
                "stop": [b"x", b"y"],
            },
        )
        for entry in signatures.GENERATE.inputs:
            dtype = "object" if entry.dtype == "string" else entry.dtype
            self.assertEqual(inputs[entry.name].dtype, dtype)

    def test_no_prompts(self):
        self.assertEqual(self.client.generate([]), [])

    def test_a_seed_is_drawn_for_each_row_and_told(self):
        results = self.client.generate(["a"] * 8, length=4)
        seeds = [result.seed for result in results]
        self.assertLen(set(seeds), 8)
        for result in results:
            self.assertEqual(result.text, expected(1, result.seed, 4))

    def test_more_rows_than_a_call_takes(self):
        lengths = [index % 7 for index in range(70)]
        results = self.client.generate(
            ["a"] * 70, length=lengths, seed=range(70)
        )
        self.assertEqual(
            [result.text for result in results],
            [expected(1, seed, lengths[seed]) for seed in range(70)],
        )
        sizes = [len(inputs["prompt"]) for inputs in self.server.requests]
        self.assertEqual(sizes, [32, 32, 6])

    def test_texts_longer_than_a_call_takes(self):
        lengths = [1300, 0, 512, 513]
        results = self.client.generate(["a?"] * 4, length=lengths, seed=0)
        for result, length in zip(results, lengths, strict=True):
            self.assertEqual(result.text, expected(1, 0, length))
            self.assertEqual(result.length, length)
            self.assertEqual(result.log_prob, -length)
            self.assertEqual(result.unknown, 1)
            self.assertEqual(result.state_bytes, b"fake:%d" % length)
        asked = [inputs["length"].tolist() for inputs in self.server.requests]
        self.assertEqual(asked, [[512, 0, 512, 512], [512, 1], [276]])

    def test_prompts_longer_than_a_call_takes(self):
        prompt = "?é" * 5000
        (result, _) = self.client.generate([prompt, "b"], length=3, seed=0)
        self.assertEqual(result.text, expected(1, 0, 3))
        self.assertEqual(result.unknown, 5000)
        first = [inputs["prompt"][0] for inputs in self.server.requests]
        self.assertEqual(b"".join(first).decode(), prompt)
        for piece in first:
            piece.decode()
            self.assertLessEqual(len(piece), signatures.MAX_PROMPT)
        asked = [inputs["length"][0] for inputs in self.server.requests]
        self.assertEqual(asked, [0, 0, 0, 3])

    def test_stop(self):
        (result,) = self.client.generate("a", length=2000, seed=0, stop="ef")
        self.assertEqual(result.text, "bcdef")
        self.assertEqual(result.finish, "stop")
        self.assertLen(self.server.requests, 1)

    def test_a_refused_row_is_named(self):
        temperature = [1.0] * 40
        temperature[35] = -1.0
        error = self.assert_serving_error(
            "INVALID_ARGUMENT",
            "The model refused row 35: temperature is below 0.",
            self.client.generate,
            ["a"] * 40,
            temperature=temperature,
        )
        self.assertEqual(error.row, 35)
        self.assertEqual(error.said, "temperature is below 0.")

    def test_parameters_that_cannot_be_sent(self):
        for options, text in (
            ({"length": -1}, "length must be 0 to"),
            ({"length": 1.5}, "length must be a whole number"),
            ({"length": [1]}, "length has 1 value for 2 texts"),
            ({"top_k": 2**31}, "top_k must be"),
            ({"seed": 2**63}, "seed must be"),
            ({"temperature": "hot"}, "temperature must be a number"),
            ({"stop": 3}, "stop must be text"),
            ({"prompts": ["a", 3]}, "prompts must be text"),
            ({"prompts": ["a", "\ud800"]}, "which is no character"),
            ({"prompts": 5}, "prompts must be text, or a list of texts"),
            ({"prompts": None}, "prompts must be text, or a list of texts"),
        ):
            options = {"prompts": ["a", "b"], **options}
            with self.assertRaisesRegex(UserError, text):
                self.client.generate(**options)
        self.assertEqual(self.server.requests, [])

    def test_calls_from_many_threads(self):
        def work(seed):
            (result,) = self.client.generate("a", length=600, seed=seed)
            return result.text == expected(1, seed, 600)

        with futures.ThreadPoolExecutor(8) as pool:
            self.assertTrue(all(pool.map(work, range(100))))


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


class ErrorsTest(ClientTestCase):
    def test_no_server(self):
        with self.client_class("127.0.0.1:1") as client:
            error = self.assert_serving_error(
                "UNAVAILABLE",
                "No server answers at 127.0.0.1:1",
                client.generate,
                "a",
            )
        self.assertIn("kerasrnn-serve", error.advice)

    def test_no_such_model_or_version(self):
        with self.client_class(self.server.target, "m") as client:
            self.assert_serving_error(
                "NOT_FOUND", "Latest(m)", client.generate, "a"
            )
            self.assert_serving_error(
                "NOT_FOUND", "any versions of model m", client.versions
            )
        with self.client_class(self.server.target, version=7) as client:
            self.assert_serving_error(
                "NOT_FOUND", "Specific(kerasrnn, 7)", client.generate, "a"
            )

    def test_a_model_that_is_not_ours(self):
        servable = self.server.loaded[1]
        for break_it, text in (
            (lambda s: s.pop("generate"), "no signature 'generate'"),
            (lambda s: s["generate"].inputs.pop("stop"), "no input 'stop'"),
            (
                lambda s: s["generate"].outputs.pop("error"),
                "no output 'error'",
            ),
            (_retype_seed, "'seed' is float32, expected int64"),
            (_add_input, "its input 'new' is unknown here"),
        ):
            before = {
                name: messages.SignatureDef.FromString(d.SerializeToString())
                for name, d in servable.signatures.items()
            }
            break_it(servable.signatures)
            with self.client_class(self.server.target) as client:
                self.assert_serving_error(
                    "FAILED_PRECONDITION", text, client.generate, "a"
                )
            servable.signatures = before
        self.assertEqual(servable.requests, [])

    def test_a_model_with_an_input_of_later(self):
        definition = self.server.loaded[1].signatures["generate"]
        _add_input({"generate": definition})
        definition.defaults["new"].CopyFrom(tensors.to_tensor([2.5], "float32"))
        self.client.generate(["a", "b"], length=3)
        (inputs,) = self.server.requests
        self.assertEqual(inputs["new"].tolist(), [2.5, 2.5])
        self.assertEqual(inputs["new"].dtype, np.float32)

    def test_answers_that_break_the_contract(self):
        servable = self.server.loaded[1]
        predict = servable.predict
        for break_it, text in (
            (lambda outputs: outputs.pop("text"), "'text' is missing"),
            (
                lambda outputs: outputs["text"].CopyFrom(
                    tensors.to_tensor([b"a", b"b"], "string")
                ),
                "'text' has 2 rows, expected 1",
            ),
            (
                lambda outputs: outputs["length"].CopyFrom(
                    tensors.to_tensor([1.0], "float32")
                ),
                "'length' is float32",
            ),
            (
                lambda outputs: outputs["length"].CopyFrom(
                    tensors.to_tensor([0], "int32")
                ),
                "nothing was generated",
            ),
            (
                lambda outputs: outputs["text"].tensor_shape.dim.add(size=-1),
                "definite shape",
            ),
        ):

            def broken(request, call, break_it=break_it):
                response = predict(request, call)
                break_it(response.outputs)
                return response

            servable.predict = broken
            self.assert_serving_error(
                "INTERNAL", text, self.client.generate, "a"
            )

    def test_settings_that_cannot_work(self):
        for options, text in (
            ({"timeout": 0}, "timeout must be a number above 0"),
            ({"timeout": None}, "timeout must be .*, not None"),
            ({"timeout": "60"}, "timeout must be .*, not '60'"),
            ({"timeout": float("nan")}, "timeout must be .*, not nan"),
            ({"timeout": float("inf")}, "timeout must be .*, not inf"),
            ({"version": "1"}, "version must be a whole number, not '1'"),
            ({"version": -1}, "version must be 0 to"),
            ({"model": None}, "model must be text, not None"),
            ({"max_message_bytes": "1"}, "max_message_bytes must be .*'1'"),
            ({"token": b"secret"}, "token must be text"),
            ({"token": "secret"}, "over TLS only"),
            ({"tls": Tls(ca="/nowhere.pem")}, "Cannot read /nowhere.pem"),
        ):
            with self.assertRaisesRegex(UserError, text):
                self.client_class(self.server.target, **options)
        for target in ("http://localhost:8500", "localhost:99999", None):
            with self.assertRaisesRegex(UserError, "as in localhost:8500"):
                self.client_class(target)
        with self.assertRaisesRegex(UserError, "certificate and its key"):
            Tls(certificate="client.pem")

    def test_deadline(self):
        release = threading.Event()
        self.addCleanup(release.set)
        with self.client_class(self.server.target, timeout=2) as client:
            client.versions()
            self.server.loaded[1].predict = lambda *_: release.wait(60)
            self.assert_serving_error(
                "DEADLINE_EXCEEDED",
                "did not answer within 2 seconds",
                client.generate,
                "a",
            )


def _retype_seed(definitions):
    definitions["generate"].inputs["seed"].dtype = 1


def _add_input(definitions):
    definitions["generate"].inputs["new"].dtype = 1


class AsyncGenerateTest(GenerateTest):
    client_class = AsyncInThread


class AsyncStreamTest(StreamTest):
    client_class = AsyncInThread


class AsyncReadingTest(ReadingTest):
    client_class = AsyncInThread


class AsyncErrorsTest(ErrorsTest):
    client_class = AsyncInThread


class PiecesTest(absltest.TestCase):
    @settings(deadline=None)
    @given(st.text() | st.binary(), st.integers(4, 9))
    def test_pieces_are_the_text_cut_between_characters(self, text, size):
        content = text if isinstance(text, bytes) else text.encode()
        pieces = split_text(content, size)
        self.assertEqual(b"".join(pieces), content)
        for piece in pieces:
            self.assertLessEqual(len(piece), size)
        if isinstance(text, str):
            self.assertEqual("".join(p.decode() for p in pieces), text)
        # Invalid bytes are as many unknown characters as uncut.
        replaced = "".join(p.decode("utf-8", "replace") for p in pieces)
        self.assertEqual(replaced, content.decode("utf-8", "replace"))


class EndToEndTest(absltest.TestCase):
    def test_against_tensorflow_in_another_process(self):
        server = serving_process.shared_server()
        with Client(server.target) as client:
            results = client.generate(
                ["a?", "b"], length=[600, 3], seed=[1, 2], stop=["", "e"]
            )
            self.assertEqual(results[0].text, expected(1, 1, 600))
            self.assertEqual(results[1].text, "de")
            chunks = list(client.stream("?" * 5000, length=50, seed=1))
            text = "".join(chunk.text for chunk in chunks)
            self.assertEqual(text, expected(1, 1, 50))
            (score,) = client.score(["é?" * 3000])
            self.assertEqual((score.length, score.unknown), (3000, 3000))
            (inspection,) = client.inspect(["aé"])
            self.assertEqual(inspection.characters, ("a", "é"))
            self.assertEqual(client.versions(), [(1, "AVAILABLE", "")])
            with self.assertRaisesRegex(ServingError, "row 0: temperature"):
                client.generate("a", temperature=-1)


if __name__ == "__main__":
    absltest.main()
