"""Tests of the shape of replies: offsets, bytes, states and usage."""

import json

from absl.testing import absltest
from hypothesis import given
from hypothesis import strategies
from kerasrnn_serving.gateway.completions.log_probs import LogProbs
from kerasrnn_serving.gateway.completions.request import encode_state
from kerasrnn_serving.gateway.completions.request import parse_request
from kerasrnn_serving.gateway.completions.response import Reply
from kerasrnn_serving.gateway.completions.response import json_parts
from kerasrnn_serving.gateway.completions.response import to_json
from kerasrnn_serving.gateway.completions.writer import Piece
from kerasrnn_serving.gateway.settings import Settings

VALUES = strategies.recursive(
    strategies.none() | strategies.integers() | strategies.text(max_size=5),
    lambda inner: (
        strategies.lists(inner, max_size=4)
        | strategies.dictionaries(strategies.text(max_size=5), inner)
    ),
    max_leaves=10,
)


def byte_tokens(text):
    """Returns a text's bytes as OpenAI's API spells them."""
    return [
        chr(byte) if byte < 0x80 else f"bytes:\\x{byte:02x}"
        for byte in text.encode()
    ]


def log_probs(tokens):
    return LogProbs(tokens, [-1.0] * len(tokens), [None] * len(tokens))


class ReplyTest(absltest.TestCase):
    def reply(self, **fields):
        fields = {"prompt": "ab"} | fields
        return Reply(parse_request(fields, "m", Settings()), "m")

    def test_a_character_s_bytes_have_its_offset(self):
        reply = self.reply()
        (completion,) = reply.request.completions
        pieces = [
            Piece(
                completion=completion,
                text=text,
                log_probs=log_probs(byte_tokens(text)),
                generated=len(text.encode()),
                version=3,
            )
            for text in ("aé", "", "中🙂\n", "b")
        ]
        choice = json.loads(b"".join(reply.whole([pieces])))["choices"][0]
        text = choice["text"]
        expected = [
            index for index, one in enumerate(text) for _ in one.encode()
        ]
        self.assertEqual(choice["logprobs"]["text_offset"], expected)
        self.assertEqual(choice["logprobs"]["tokens"], byte_tokens(text))

    def test_the_state_is_the_last_one_and_usage_adds_up(self):
        reply = self.reply(prompt=["abc", "d"], n=2)
        choices = [
            [
                Piece(completion=one, text="x", generated=1, state=b"1"),
                Piece(
                    completion=one,
                    text="yz",
                    generated=2,
                    finish="length",
                    state=bytes([one.index]),
                    version=7,
                ),
            ]
            for one in reply.request.completions
        ]
        whole = json.loads(b"".join(reply.whole(choices)))
        self.assertEqual(
            [choice["state"] for choice in whole["choices"]],
            [encode_state(bytes([index])) for index in range(4)],
        )
        self.assertEqual(
            whole["usage"],
            {"prompt_tokens": 4, "completion_tokens": 12, "total_tokens": 16},
        )
        self.assertEqual(whole["system_fingerprint"], "version-7")

    def test_large_replies_are_made_in_parts(self):
        """None holds up the event loop, and joined they are plain JSON."""
        text = 'a"\ud800' * 2000
        reply = self.reply(n=2, echo=True, logprobs=5, stream=True)
        pieces = [
            Piece(
                completion=one,
                text=text,
                log_probs=LogProbs(
                    list(text), [-1.0] * 6000, [{"a": -1.0}] * 6000
                ),
                version=1,
            )
            for one in reply.request.completions
        ]
        whole = list(reply.whole([[piece] for piece in pieces]))
        event = list(reply.event(pieces[0]))
        for parts in (whole, event):
            self.assertLess(max(map(len, parts)), 2**15)
        choices = json.loads(b"".join(whole))["choices"]
        self.assertEqual([one["text"] for one in choices], [text] * 2)
        for choice in choices:
            self.assertLen(choice["logprobs"]["top_logprobs"], 6000)
            self.assertEqual(choice["logprobs"]["tokens"], list(text))
        (line, *others) = b"".join(event).split(b"\n")
        self.assertEqual(others, [b"", b""])
        (choice,) = json.loads(line.removeprefix(b"data: "))["choices"]
        self.assertEqual(choice["logprobs"]["tokens"], list(text))

    @given(VALUES)
    def test_parts_are_the_json(self, value):
        self.assertEqual(b"".join(json_parts(value)), to_json(value))
        entries = iter([value, value])
        self.assertEqual(b"".join(json_parts(entries)), to_json([value] * 2))


if __name__ == "__main__":
    absltest.main()
