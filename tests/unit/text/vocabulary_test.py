"""Tests of kerasrnn.text.vocabulary."""

import json

import hypothesis
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import strategies

from kerasrnn.errors import UserError
from kerasrnn.text.vocabulary import Vocabulary

texts = strategies.text(min_size=1, max_size=60)
quick = hypothesis.settings(deadline=None, max_examples=100)


class VocabularyTest(parameterized.TestCase):
    @quick
    @hypothesis.given(texts)
    def test_characters_come_back(self, text):
        vocabulary = Vocabulary.from_text(text)
        ids = vocabulary.encode(text)
        self.assertEqual(ids.dtype, np.int32)
        self.assertLen(ids, len(text))
        self.assertGreater(ids.min(), 0)
        self.assertEqual(vocabulary.decode(ids), text)
        self.assertEqual(vocabulary.decode_bytes(ids), text.encode())

    @quick
    @hypothesis.given(strategies.binary(min_size=1))
    def test_bytes_come_back(self, data):
        vocabulary = Vocabulary.from_text(data, "bytes")
        ids = vocabulary.encode(data)
        self.assertLen(ids, len(data))
        self.assertEqual(vocabulary.decode_bytes(ids), data)
        self.assertEqual(
            vocabulary.decode(ids), data.decode("utf-8", "replace")
        )

    @quick
    @hypothesis.given(texts, texts)
    def test_ids_follow_a_dictionary(self, known, text):
        vocabulary = Vocabulary.from_text(known)
        ids = {c: i for i, c in enumerate(sorted(set(known)), start=1)}
        expected = [ids.get(c, 0) for c in text]
        self.assertEqual(vocabulary.encode(text).tolist(), expected)
        self.assertEqual(vocabulary.encode(text.encode()).tolist(), expected)
        self.assertEqual(
            vocabulary.decode(expected),
            "".join(c if c in ids else "\ufffd" for c in text),
        )

    @quick
    @hypothesis.given(texts, strategies.sampled_from(["characters", "bytes"]))
    def test_json_round_trip(self, text, kind):
        vocabulary = Vocabulary.from_text(text, kind)
        written = vocabulary.to_json()
        self.assertTrue(written.isascii())
        self.assertEqual(Vocabulary.from_json(written), vocabulary)
        self.assertEqual(Vocabulary.from_json(written.encode()), vocabulary)

    def test_order_and_size(self):
        vocabulary = Vocabulary.from_text("\U0001f600bañaあ")
        self.assertEqual(
            vocabulary.characters, ("a", "b", "ñ", "あ", "\U0001f600")
        )
        self.assertLen(vocabulary, 6)
        self.assertEqual(
            vocabulary.code_points.tolist(),
            [0x61, 0x62, 0xF1, 0x3042, 0x1F600],
        )

    def test_start_is_newline_or_the_most_frequent(self):
        vocabulary = Vocabulary.from_text("aabb\n")
        self.assertEqual(vocabulary.decode([vocabulary.start_id]), "\n")
        vocabulary = Vocabulary.from_text("cabcbb")
        self.assertEqual(vocabulary.decode([vocabulary.start_id]), "b")
        # A tie goes to the lower code point.
        vocabulary = Vocabulary.from_text("cbcb")
        self.assertEqual(vocabulary.decode([vocabulary.start_id]), "b")
        # A newline too rare to be kept is none.
        vocabulary = Vocabulary.from_text("aa\n", min_count=2)
        self.assertEqual(vocabulary.decode([vocabulary.start_id]), "a")

    def test_min_count_makes_unknown(self):
        vocabulary = Vocabulary.from_text("aaabbc", min_count=2)
        self.assertEqual(vocabulary.encode("abcd").tolist(), [1, 2, 0, 0])
        with self.assertRaisesRegex(UserError, "occurs 9 times.*min_count"):
            Vocabulary.from_text("aaabbc", min_count=9)

    def test_invalid_utf8_is_unknown(self):
        vocabulary = Vocabulary.from_text("ab")
        self.assertEqual(vocabulary.encode(b"a\xffb").tolist(), [1, 0, 2])
        self.assertEqual(vocabulary.encode("a\ud800b").tolist(), [1, 0, 2])

    def test_bytes_of_text_and_unknown_bytes(self):
        vocabulary = Vocabulary.from_text("é".encode(), "bytes")
        self.assertEqual(vocabulary.encode("éa").tolist(), [2, 1, 0])
        self.assertEqual(vocabulary.decode([2, 1, 0]), "é\ufffd")
        self.assertEqual(vocabulary.decode([2, 0]), "\ufffd\ufffd")

    @parameterized.parameters(-1, 3)
    def test_ids_outside_are_refused(self, number):
        vocabulary = Vocabulary.from_text("ab")
        with self.assertRaisesRegex(ValueError, r"\[0, 3\)"):
            vocabulary.decode([1, number])

    def test_empty(self):
        vocabulary = Vocabulary.from_text("ab")
        self.assertEqual(vocabulary.encode("").shape, (0,))
        self.assertEqual(vocabulary.decode([]), "")
        with self.assertRaises(UserError):
            Vocabulary.from_text("")


class HostileJsonTest(parameterized.TestCase):
    @parameterized.parameters(
        "",
        "[" * 100_000,
        "1" * 10_000,
        b"\xff\xfe\xfa",
        "null",
        "{}",
        "[]",
        '"characters"',
    )
    def test_what_is_no_vocabulary(self, text):
        with self.assertRaises(UserError):
            Vocabulary.from_json(text)

    @parameterized.parameters(
        {"kind": "words"},
        {"kind": ["bytes"]},
        {"version": 2},
        {"format": "other"},
        {"characters": ""},
        {"characters": "ba"},
        {"characters": "aab"},
        {"characters": ["a", "b", "c"]},
        {"characters": "ab\ud800"},
        {"characters": "ab\u0100", "kind": "bytes"},
        {"start_id": 0},
        {"start_id": 4},
        {"start_id": True},
        {"start_id": 1.0},
        {"start_id": "1"},
        {"start_id": 10**30},
        {"more": 1},
    )
    def test_one_field_is_wrong(self, **change):
        values = json.loads(Vocabulary.from_text("abc").to_json())
        Vocabulary.from_json(json.dumps(values))
        with self.assertRaises(UserError):
            Vocabulary.from_json(json.dumps(values | change))

    def test_a_missing_field(self):
        values = json.loads(Vocabulary.from_text("abc").to_json())
        for name in values:
            with self.assertRaisesRegex(UserError, name):
                Vocabulary.from_json(
                    json.dumps({k: v for k, v in values.items() if k != name})
                )

    def test_too_long_is_refused_unread(self):
        with self.assertRaisesRegex(UserError, "no vocabulary has more"):
            Vocabulary.from_json(" " * (2**24 + 1))

    @quick
    @hypothesis.given(strategies.text())
    def test_nothing_but_user_errors(self, text):
        with self.assertRaises(UserError):
            Vocabulary.from_json(text)


if __name__ == "__main__":
    absltest.main()
