"""Tests of the shape of replies: offsets, bytes, states and usage."""

from absl.testing import absltest
from kerasrnn_serving.gateway.completions.log_probs import LogProbs
from kerasrnn_serving.gateway.completions.request import encode_state
from kerasrnn_serving.gateway.completions.request import parse_request
from kerasrnn_serving.gateway.completions.response import Reply
from kerasrnn_serving.gateway.completions.writer import Piece
from kerasrnn_serving.gateway.settings import Settings


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
        choice = reply.whole([pieces])["choices"][0]
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
        whole = reply.whole(choices)
        self.assertEqual(
            [choice["state"] for choice in whole["choices"]],
            [encode_state(bytes([index])) for index in range(4)],
        )
        self.assertEqual(
            whole["usage"],
            {"prompt_tokens": 4, "completion_tokens": 12, "total_tokens": 16},
        )
        self.assertEqual(whole["system_fingerprint"], "version-7")


if __name__ == "__main__":
    absltest.main()
