"""Streaming equals one call, however text and prompt are cut.

The signatures run in a session over a SavedModel, as the server runs them.
"""

import random

from absl.testing import absltest
from absl.testing import parameterized
from helpers.exports import served_signatures
from helpers.full_counts import FULL

from kerasrnn.contract import signatures

# Random splits of the text, for every model.
SPLITS = 1000 if FULL else 25
LARGEST_CHUNK = 64
LARGEST_PIECE = 40


def _prompt(chance, kind):
    """Returns a prompt as a sequence whose elements are its characters."""
    text = served_signatures.random_text(chance, chance.choice([0, 9, 150]))
    if kind == "characters":
        return text
    # Between any bytes, of whole characters or not.
    return text.encode() + chance.choice([b"", b"\xff\xfe", b"\xe2\x82"])


def _request(chance, served, prompt):
    request = {
        "prompt": prompt,
        "length": chance.randint(1, chance.choice([70, 250])),
        "temperature": chance.choice([0.0, 0.5, 1.0, 1.0, 2.0]),
        "top_k": chance.choice([0, 0, 3, 1]),
        "top_p": chance.choice([1.0, 1.0, 0.8]),
        "seed": chance.randrange(-(2**63), 2**63),
        "stop": chance.choice(served_signatures.STOPS),
    }
    if chance.random() < 0.4:
        # One that comes, often across chunks, and may hold more than one.
        text = served.generate(**request)["text"].decode()
        start = chance.randint(0, max(0, len(text) - 3))
        request["stop"] = text[start : start + chance.choice([1, 3, 8])]
    return request


def _pieces(chance, prompt):
    """Yields the prompt in pieces, some of them empty; at least one."""
    start = 0
    while len(prompt) - start > LARGEST_PIECE or chance.random() < 0.5:
        stop = start + chance.randint(0, LARGEST_PIECE)
        yield prompt[start:stop]
        start = stop
    yield prompt[start:]


class StreamingTest(parameterized.TestCase):
    @parameterized.product(name=list(served_signatures.MODELS))
    def test_streaming_equals_one_call(self, name):
        served = served_signatures.Exported.of(name)
        chance = random.Random(name)
        stopped = multiple = 0
        for _ in range(SPLITS):
            prompt = _prompt(chance, served.vocabulary.kind)
            request = _request(chance, served, prompt)
            whole = served.generate(**request)
            self.assertEqual(whole["error"], b"")
            chunks = list(self._stream(chance, served, request))
            for chunk in chunks:
                self.assertEqual(chunk["error"], b"")
                chunk["text"].decode()  # Each is valid UTF-8 by itself.
            text = b"".join(chunk["text"] for chunk in chunks)
            self.assertEqual(text, whole["text"], request)
            for key in ("state_bytes", "finish"):
                self.assertEqual(chunks[-1][key], whole[key], request)
            for key in ("length", "unknown"):
                total = sum(int(chunk[key]) for chunk in chunks)
                self.assertEqual(total, whole[key], request)
            self.assertAlmostEqual(
                sum(float(chunk["log_prob"]) for chunk in chunks),
                whole["log_prob"],
                delta=1e-5 * max(1, whole["length"]),
            )
            stopped += whole["finish"] == signatures.FINISH_STOP.encode()
            multiple += len(text) > len(text.decode())
        print(
            f"\n{name}: {SPLITS} of {SPLITS} splits give the text of one call"
        )
        # Both kinds of ending, and characters of many bytes, were among them.
        self.assertBetween(stopped, 1, SPLITS - 1)
        self.assertGreater(multiple, 0)

    def _stream(self, chance, served, request):
        """Yields the answers to calls in a row: prompt, then chunks."""
        state, length = b"", request["length"]
        *pieces, prompt = _pieces(chance, request["prompt"])
        for piece in pieces:
            asked = {"prompt": piece, "length": 0, "state_bytes": state}
            row = served.generate(**{**request, **asked})
            state = row["state_bytes"]
            yield row
        while length:
            chunk = min(length, chance.randint(1, LARGEST_CHUNK))
            asked = {"prompt": prompt, "length": chunk, "state_bytes": state}
            row = served.generate(**{**request, **asked})
            yield row
            length -= chunk
            state, prompt = row["state_bytes"], type(prompt)()
            if row["finish"] == signatures.FINISH_STOP.encode():
                break


if __name__ == "__main__":
    absltest.main()
