"""Text to ids and ids to text, inside the graph.

What `kerasrnn.text.vocabulary.Vocabulary` does in Python, in operations that
the stock server has and that no text can make fail. There is no table
resource: characters are found by binary search among sorted code points.

Glossary of shapes: N rows, P characters of the longest text, L ids of the
longest row, V vocabulary size.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# The longest character in UTF-8, in bytes.
_LONGEST_CHARACTER = 4
# An unfinished UTF-8 sequence has at most this many bytes.
MAX_UNFINISHED = 3

_REPLACEMENT = 0xFFFD


class Encoded(NamedTuple):
    """Texts as ids.

    Attributes:
        ids: int32 [N, P]; 0 is an unknown character, or past the end.
        length: int32 [N], characters; above the limit given where the text
            is longer than that.
        unknown: int32 [N], characters outside the vocabulary.
    """

    ids: tf.Tensor
    length: tf.Tensor
    unknown: tf.Tensor


class CharacterCodec:
    """A vocabulary of Unicode characters.

    Args:
        characters: The characters of the ids from 1 on, sorted.

    Attributes:
        labels: What stands for each id [V] where single ones are shown.
    """

    def __init__(self, characters: Sequence[str]):
        code_points = [ord(character) for character in characters]
        self._code_points = np.array(code_points, np.int32)  # [V - 1]
        self._strings = ["", *characters]  # [V]
        self.labels = self._strings
        # Stands for invalid UTF-8, so it must not be in the vocabulary.
        taken = set(code_points)
        self._invalid = next(
            value for value in range(0x10FFFF, 0, -1) if value not in taken
        )

    def encode(self, text: tf.Tensor, limit: int) -> Encoded:
        """Returns texts [N] as ids, and no more than `limit` of them."""
        # Whatever is cut off, more than `limit` characters remain.
        text = tf.strings.substr(text, 0, _LONGEST_CHARACTER * (limit + 1))
        code_points = tf.strings.unicode_decode(
            text,
            "UTF-8",
            errors="replace",
            replacement_char=self._invalid,
        )
        values = code_points.flat_values
        index = tf.searchsorted(self._code_points, values)
        index = tf.minimum(index, len(self._code_points) - 1)
        known = tf.gather(self._code_points, index) == values
        ids = code_points.with_flat_values(tf.where(known, index + 1, 0))
        length = tf.cast(ids.row_lengths(), tf.int32)
        return _encoded(ids.to_tensor(), length, limit)

    def split(self, text: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        """Returns the characters [N, width] of texts [N], "" past the end.

        Args:
            text: string [N].
            width: int32 scalar, characters of the longest text.
        """
        characters = tf.strings.unicode_split(
            text, "UTF-8", errors="replace", replacement_char=_REPLACEMENT
        )
        return characters.to_tensor("")[:, :width]

    def decode(
        self, ids: tf.Tensor, history: tf.Tensor, unfinished: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the ids' text and what is unfinished of it: nothing.

        Args:
            ids: int32 [N, L]; 0 is nothing.
            history: int32 [N, H], the ids before.
            unfinished: int32 [N], how many of those are not yet text.

        Returns:
            `(text [N], unfinished [N])`.
        """
        return _join(self._strings, ids), tf.zeros_like(unfinished)

    def replacement(
        self, history: tf.Tensor, unfinished: tf.Tensor
    ) -> tf.Tensor:
        """Returns the text [N] of what can no longer be finished."""
        return tf.fill(tf.shape(unfinished), "")


class ByteCodec:
    """A vocabulary of bytes.

    Args:
        characters: `chr(byte)` of the ids from 1 on, sorted.

    Attributes:
        labels: What stands for each id [V] where single ones are shown.
    """

    def __init__(self, characters: Sequence[str]):
        values = [ord(character) for character in characters]
        self._ids = np.zeros(256, np.int32)
        self._ids[values] = np.arange(1, len(values) + 1)
        self._strings = [b"", *(bytes([value]) for value in values)]  # [V]
        self.labels = ["", *(_byte_label(value) for value in values)]

    def encode(self, text: tf.Tensor, limit: int) -> Encoded:
        """Returns texts [N] as ids, and no more than `limit` of them."""
        length = tf.strings.length(text)
        # The operation that takes a width pads and cuts where the one that
        # takes none raises.
        width = tf.clip_by_value(_largest(length), 1, limit)
        values = tf.io.decode_raw(text, tf.uint8, fixed_length=width)
        ids = tf.gather(self._ids, tf.cast(values, tf.int32))  # [N, P]
        return _encoded(ids, length, limit)

    def split(self, text: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        """Returns the bytes [N, width] of texts [N], "" past the end.

        Args:
            text: string [N].
            width: int32 scalar, bytes of the longest text.
        """
        values = tf.io.decode_raw(
            text, tf.uint8, fixed_length=tf.maximum(width, 1)
        )[:, :width]
        labels = tf.constant([_byte_label(value) for value in range(256)])
        shown = tf.gather(labels, tf.cast(values, tf.int32))
        inside = tf.range(width)[None] < tf.strings.length(text)[:, None]
        return tf.where(inside, shown, "")

    def decode(
        self, ids: tf.Tensor, history: tf.Tensor, unfinished: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the ids' text, valid UTF-8, and what is unfinished of it.

        A sequence at the end that more bytes could finish is held back;
        any other invalid one becomes U+FFFD. So texts of calls in a row,
        joined, are the text of one call.

        Args:
            ids: int32 [N, L]; 0 is nothing.
            history: int32 [N, H], the ids before.
            unfinished: int32 [N], how many of those are not yet text.

        Returns:
            `(text [N], unfinished [N])`.
        """
        text = tf.strings.join(
            [self._held(history, unfinished), _join(self._strings, ids)]
        )
        length = tf.strings.length(text)
        held = unfinished_length(text)
        finished = tf.strings.substr(text, tf.zeros_like(held), length - held)
        return valid(finished), held

    def replacement(
        self, history: tf.Tensor, unfinished: tf.Tensor
    ) -> tf.Tensor:
        """Returns the text [N] of what can no longer be finished."""
        return valid(self._held(history, unfinished))

    def _held(self, history, unfinished):
        last = history[:, -MAX_UNFINISHED:]  # [N, 3]
        position = tf.range(MAX_UNFINISHED, 0, -1)[None]
        held = tf.where(position <= unfinished[:, None], last, 0)
        return _join(self._strings, held)


def _byte_label(value):
    r"""A byte alone, as text: from 0x80 on it is \xNN."""
    return chr(value) if value < 0x80 else f"\\x{value:02x}"


def make_codec(
    kind: str, characters: Sequence[str]
) -> CharacterCodec | ByteCodec:
    """Returns the codec of a vocabulary.

    Args:
        kind: `Vocabulary.kind`, "characters" or "bytes".
        characters: `Vocabulary.characters`.
    """
    codecs: dict[str, type[CharacterCodec] | type[ByteCodec]] = {
        "characters": CharacterCodec,
        "bytes": ByteCodec,
    }
    return codecs[kind](characters)


def valid(text: tf.Tensor) -> tf.Tensor:
    """Returns texts [N] with invalid UTF-8 as U+FFFD."""
    return tf.strings.unicode_transcode(
        text,
        "UTF-8",
        "UTF-8",
        errors="replace",
        replacement_char=_REPLACEMENT,
    )


def unfinished_length(text: tf.Tensor) -> tf.Tensor:
    """Returns how many bytes of an unfinished sequence end each text.

    These are the beginnings of the well-formed sequences of the Unicode
    Standard's table 3-7.

    Args:
        text: string [N].

    Returns:
        int32 [N], from 0 to 3.
    """
    padded = tf.strings.join(["\0\0\0", text])
    last = tf.strings.substr(
        padded, tf.strings.length(text), tf.fill(tf.shape(text), 3)
    )
    last = tf.io.decode_raw(last, tf.uint8, fixed_length=3)
    first, second, third = tf.unstack(tf.cast(last, tf.int32), axis=1)

    def between(value, low, high):
        return (value >= low) & (value <= high)

    def continues(lead, value):
        """Whether `value` may follow `lead`, of three bytes or of four."""
        low = tf.where(lead == 0xE0, 0xA0, tf.where(lead == 0xF0, 0x90, 0x80))
        high = tf.where(lead == 0xED, 0x9F, tf.where(lead == 0xF4, 0x8F, 0xBF))
        return between(value, low, high)

    three = (
        between(first, 0xF0, 0xF4)
        & continues(first, second)
        & between(third, 0x80, 0xBF)
    )
    two = between(second, 0xE0, 0xF4) & continues(second, third)
    one = between(third, 0xC2, 0xF4)
    # No two of them hold: each asks for another kind of last byte.
    return tf.cast(one, tf.int32) + tf.where(two, 2, 0) + tf.where(three, 3, 0)


def _encoded(ids, length, limit):
    ids = ids[:, :limit]
    position = tf.range(tf.shape(ids)[1])[None]
    outside = (ids == 0) & (position < length[:, None])
    unknown = tf.reduce_sum(tf.cast(outside, tf.int32), axis=1)
    return Encoded(ids, length, unknown)


def _join(strings, ids):
    return tf.strings.reduce_join(tf.gather(tf.constant(strings), ids), axis=-1)


def _largest(values):
    return tf.maximum(tf.reduce_max(values), 0)  # of no rows: the minimum
