"""A real export behind the local server, and the client in front of it.

What it says is held against the model in this process.
"""

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.exports import served_signatures
from kerasrnn_serving.client import Client
from kerasrnn_serving.server.local_server import LocalServer
from kerasrnn_serving.server.local_server import open_versions

from kerasrnn.model.text_generator import TextGenerator

# The last has characters outside the vocabulary.
PROMPTS = ("", "abc.é€", "Ж🙂\n", "ab" * 3000, "a?🙃b")
MODELS = {"characters": "lstm", "bytes": "gru_bytes"}


class Served:
    """A small model behind a server, and the same model in this process."""

    def __init__(self, kind):
        exported = served_signatures.Exported.of(MODELS[kind])
        directory = exported.directory.parent
        self._server = LocalServer(open_versions("kerasrnn", directory))
        port = self._server.start("127.0.0.1", 0)
        self.client = Client(f"127.0.0.1:{port}")
        self._weights = [tf.constant(weight) for weight in exported.weights]
        self._generator = TextGenerator(exported.config, exported.vocabulary)

    def stream(self, **options):
        """Returns the chunks of a text without the server."""
        return list(self._generator.stream(self._weights, **options))

    def live(self, **options):
        """Returns the text and its log probability without the server."""
        chunks = self.stream(**options)
        text = "".join(chunk.text for chunk in chunks)
        return text, sum(chunk.log_prob for chunk in chunks)

    def close(self):
        self.client.close()
        self._server.stop(0)


class ServedModelTest(parameterized.TestCase):
    served = {}

    def _serve(self, kind):
        # An export takes a while; both tests of a kind share one.
        if kind not in self.served:
            self.served[kind] = Served(kind)
            self.addClassCleanup(self.served[kind].close)
        return self.served[kind].client, self.served[kind].live

    @parameterized.parameters("characters", "bytes")
    def test_the_served_text_is_the_live_text(self, kind):
        client, live = self._serve(kind)
        for seed, prompt in enumerate(PROMPTS):
            options = {
                "length": 700 if not seed else 200,
                "temperature": [1.0, 0.7, 1.5][seed % 3],
                "top_k": 5 * (seed % 2),
                "seed": seed,
                "stop": "" if seed % 2 else "ag",
            }
            text, log_prob = live(prompt=prompt, **options)
            (result,) = client.generate(prompt, **options)
            self.assertEqual(result.text, text)
            np.testing.assert_allclose(result.log_prob, log_prob, rtol=1e-4)
            chunks = list(client.stream(prompt, **options, chunk=37))
            self.assertEqual("".join(c.text for c in chunks), text)
            self.assertEqual(chunks[-1].state_bytes, result.state_bytes)
            self.assertEqual(chunks[-1].finish, result.finish)
            self.assertEqual(
                sum(chunk.unknown for chunk in chunks), result.unknown
            )

    @parameterized.parameters("characters", "bytes")
    def test_the_served_text_continues_as_the_live_text(self, kind):
        client, _ = self._serve(kind)
        state, token = None, b""
        for prompt, length in (("a", 7), ("", 0), ("", 30), ("é", 9)):
            *_, last = chunks = self.served[kind].stream(
                prompt=prompt, length=length, seed=5, state=state
            )
            (result,) = client.generate(
                prompt, length=length, seed=5, state_bytes=token
            )
            text = "".join(chunk.text for chunk in chunks)
            self.assertEqual(result.text, text)
            state, token = last.state, result.state_bytes

    def test_a_stream_gives_nothing_out_before_its_prompt_is_read(self):
        """Not even the rest of a character that the text before broke off."""
        client, _ = self._serve("bytes")
        for length in range(1, 200):
            (before,) = client.generate("a", length=length, seed=3)
            token = before.state_bytes
            (read,) = client.generate("b", length=0, state_bytes=token)
            if read.text:
                break
        self.assertEqual(read.text, "\ufffd")
        options = {"length": 20, "seed": 4, "state_bytes": token}
        prompt = "ab" * 2500
        (whole,) = client.generate(prompt, **options)
        self.assertStartsWith(whole.text, read.text)
        shares = []
        stream = client.stream(prompt, **options, between_reads=shares.append)
        first = next(stream)
        self.assertEqual(shares[-1], 1)
        self.assertEqual(first.length, 8)
        chunks = [first, *stream]
        self.assertEqual("".join(c.text for c in chunks), whole.text)
        self.assertEqual(chunks[-1].state_bytes, whole.state_bytes)

    @parameterized.parameters("characters", "bytes")
    def test_the_score_of_a_text_is_its_probability(self, kind):
        client, _ = self._serve(kind)
        (result,) = client.generate("", length=600, seed=1)
        (score,) = client.score(result.text)
        if kind == "characters":
            self.assertEqual(score.length, 600)
            np.testing.assert_allclose(
                score.log_prob, result.log_prob, rtol=1e-4
            )
        np.testing.assert_allclose(
            score.character_log_probs.sum(), score.log_prob, rtol=1e-4
        )
        # A text longer than a call takes: pieces join as if there were none.
        text = result.text * 8
        (whole,) = client.score(text)
        half = len(text) // 2
        (first,) = client.score(text[:half])
        (second,) = client.score(text[half:], state_bytes=first.state_bytes)
        np.testing.assert_allclose(
            np.concatenate(
                [first.character_log_probs, second.character_log_probs]
            ),
            whole.character_log_probs,
            atol=1e-5,
        )
        self.assertEqual(second.state_bytes, whole.state_bytes)


if __name__ == "__main__":
    absltest.main()
