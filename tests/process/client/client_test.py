"""What the client generates, against a server whose answers are known."""

from concurrent import futures

import numpy as np
from absl.testing import absltest
from helpers.servers import serving_process
from helpers.servers.client_cases import ClientTestCase
from helpers.servers.clients import AsyncInThread
from helpers.servers.fake_servable import expected
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from kerasrnn_serving.client import Client
from kerasrnn_serving.client._call_sizes import split_text
from kerasrnn_serving.client.errors import ServingError

from kerasrnn.contract import signatures
from kerasrnn.errors import UserError


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


class AsyncGenerateTest(GenerateTest):
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
