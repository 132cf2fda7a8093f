"""Text in the graph is what the vocabulary makes of it in Python."""

import itertools
import random

import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models
from kerasrnn_export.graph import text_ops

from kerasrnn.text.vocabulary import Vocabulary

# First, last and neighbouring bytes of each role in UTF-8.
EDGE_BYTES = (
    *(0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1),
    *(0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3),
    *(0xF4, 0xF5, 0xFF),
)
KINDS = ("characters", "bytes")
NO_HISTORY = [[0] * 31]


def _codec(vocabulary):
    return text_ops.make_codec(vocabulary.kind, vocabulary.characters)


def _random_bytes(seed, count, longest):
    chance = random.Random(seed)
    pieces = [*map(bytes, zip(EDGE_BYTES)), *map(str.encode, "aéЖ€🙂\ufeff\n")]
    return [
        b"".join(chance.choices(pieces, k=chance.randint(0, longest)))
        for _ in range(count)
    ]


class EncodeTest(parameterized.TestCase):
    @parameterized.parameters(*KINDS)
    def test_ids_are_the_vocabularys(self, kind):
        vocabulary = small_models.make_vocabulary(kind)
        texts = _random_bytes(seed=1, count=2000, longest=12)
        encoded = _codec(vocabulary).encode(tf.constant(texts), limit=100)
        for text, ids, length, unknown in zip(
            texts, *(part.numpy() for part in encoded), strict=True
        ):
            expected = vocabulary.encode(text).tolist()
            self.assertEqual(ids[:length].tolist(), expected, text)
            self.assertFalse(ids[length:].any())
            self.assertEqual(unknown, expected.count(0))

    def test_invalid_utf8_is_unknown_whatever_the_vocabulary(self):
        vocabulary = Vocabulary.from_text("a\ufffd\U0010ffff")
        encoded = _codec(vocabulary).encode(
            tf.constant([b"\xffa", "\ufffd\U0010ffff".encode()]), limit=9
        )
        self.assertEqual(encoded.ids.numpy().tolist(), [[0, 1], [2, 3]])
        self.assertEqual(encoded.unknown.numpy().tolist(), [1, 0])

    @parameterized.parameters(*KINDS)
    def test_more_than_the_limit_is_seen_and_not_read(self, kind):
        codec = _codec(small_models.make_vocabulary(kind))
        texts = ["a" * 3, "a" * 4, "a" * 1000, "\U0010ffff" * 1000]
        encoded = codec.encode(tf.constant(texts), limit=3)
        lengths = encoded.length.numpy().tolist()
        self.assertEqual([length > 3 for length in lengths], [0, 1, 1, 1])
        self.assertLessEqual(encoded.ids.shape[1], 3)

    @parameterized.parameters(*KINDS)
    def test_no_rows_and_empty_rows(self, kind):
        codec = _codec(small_models.make_vocabulary(kind))
        encoded = codec.encode(tf.constant([], tf.string), limit=3)
        self.assertEqual(encoded.length.shape, [0])
        encoded = codec.encode(tf.constant(["", ""]), limit=3)
        self.assertEqual(encoded.length.numpy().tolist(), [0, 0])


class DecodeTest(parameterized.TestCase):
    def test_characters(self):
        vocabulary = small_models.make_vocabulary("characters")
        ids = list(range(1, len(vocabulary)))
        text, unfinished = _codec(vocabulary).decode(
            tf.constant([[*ids, 0], [0] * len(vocabulary)]),
            tf.constant(NO_HISTORY * 2),
            tf.constant([0, 0]),
        )
        self.assertEqual(text[0].numpy().decode(), vocabulary.decode(ids))
        self.assertEqual(text[1].numpy(), b"")
        self.assertEqual(unfinished.numpy().tolist(), [0, 0])

    def test_bytes_in_pieces_are_the_bytes_at_once(self):
        vocabulary = Vocabulary.from_text(bytes(range(256)), "bytes")
        codec = _codec(vocabulary)
        chance = random.Random(2)
        texts = _random_bytes(seed=3, count=300, longest=40)
        history = tf.constant(NO_HISTORY * len(texts))
        unfinished = tf.zeros([len(texts)], tf.int32)
        ids = [vocabulary.encode(text).tolist() for text in texts]
        joined = [b""] * len(texts)
        while any(ids):
            # Rows get pieces of their own lengths, as strangers' rows do.
            pieces = [row[: chance.randint(0, 5)] for row in ids]
            ids = [
                row[len(piece) :]
                for row, piece in zip(ids, pieces, strict=True)
            ]
            padded = [piece + [0] * (5 - len(piece)) for piece in pieces]
            text, unfinished = codec.decode(
                tf.constant(padded), history, unfinished
            )
            history = tf.constant(
                [
                    (row + piece)[-31:]
                    for row, piece in zip(
                        history.numpy().tolist(), pieces, strict=True
                    )
                ]
            )
            for row, piece in enumerate(text.numpy()):
                piece.decode()  # Each piece is valid UTF-8.
                joined[row] += piece
        rest = codec.replacement(history, unfinished).numpy()
        for text, piece, end in zip(texts, joined, rest, strict=True):
            self.assertEqual(
                (piece + end).decode(), text.decode("utf-8", "replace"), text
            )

    def test_unfinished_length_of_every_ending(self):
        endings = [
            bytes(ending)
            for length in range(4)
            for ending in itertools.product(EDGE_BYTES, repeat=length)
        ]
        prefixes = _prefixes()
        received = text_ops.unfinished_length(tf.constant(endings)).numpy()
        for ending, length in zip(endings, received.tolist(), strict=True):
            expected = max(
                n
                for n in range(len(ending) + 1)
                if n == 0 or ending[-n:] in prefixes
            )
            self.assertEqual(length, expected, ending)


def _prefixes():
    """All that is the beginning of some character and none itself."""
    code_points = itertools.chain(
        range(0x80, 0xD800, 64), range(0xE000, 0x110000, 64)
    )
    characters = [chr(code_point).encode() for code_point in code_points]
    return {
        character[:length]
        for character in characters
        for length in range(1, len(character))
    }


if __name__ == "__main__":
    absltest.main()
