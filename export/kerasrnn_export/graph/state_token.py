"""The state of a row as bytes, inside the graph.

A token is opaque to clients. It is, in this order,

    magic         3 bytes
    fingerprint  16 hexadecimal digits: which model it belongs to
    checksum     19 decimal digits, of fingerprint and payload
    payload       4 * W bytes: W words of 32 bits, little-endian

and the payload's words are

    draws         2, an int64: random numbers drawn so far
    history      31 ids: the last ones generated, 0 before the first
    unfinished    1: how many of those are not yet text, 0 to 3
    states        S float32: the states, layer by layer

The empty token is the start. Any other is checked before it is read, so that
a damaged or foreign one is an error of its row and of no other.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kerasrnn.config import CELL_SIZES
from kerasrnn.config import ModelConfig
from kerasrnn.sampling.generate import HISTORY
from kerasrnn_export.graph.row_errors import refuse
from kerasrnn_export.graph.text_ops import MAX_UNFINISHED

MAGIC = "kr1"
FINGERPRINT_LENGTH = 16
CHECKSUM_LENGTH = 19
HEADER_LENGTH = len(MAGIC) + FINGERPRINT_LENGTH + CHECKSUM_LENGTH
# Words before the states.
FIXED_WORDS = 2 + HISTORY + 1
# Larger states could give logits that are not finite.
_LARGEST_H = 1.001
_LARGEST_C = 1e30


class Carried(NamedTuple):
    """What a row carries from call to call.

    Attributes:
        draws: int64 [N], random numbers drawn so far.
        history: int32 [N, H], the last ids generated, right-aligned.
        unfinished: int32 [N], how many of those are not yet text.
        states: List of float32 [N, U].
    """

    draws: tf.Tensor
    history: tf.Tensor
    unfinished: tf.Tensor
    states: list


def state_bounds(config: ModelConfig) -> list[float]:
    """Returns for each state the largest magnitude that reading gives it.

    h is a tanh, times a gate or mixed with others. An LSTM's c gains at most
    1 a character, and each forget gate takes from it.
    """
    others = CELL_SIZES[config.cell].states - 1
    return [_LARGEST_H, *[_LARGEST_C] * others] * config.num_layers


class TokenCodec:
    """Turns what rows carry into tokens and back.

    Args:
        fingerprint: Of the model, `FINGERPRINT_LENGTH` characters.
        start_states: List of float32 arrays [U], what the empty token means.
        bounds: For each state, the largest magnitude that it can have.
        vocabulary_size: V.
    """

    def __init__(
        self,
        fingerprint: str,
        start_states: Sequence[np.ndarray],
        bounds: list[float],
        vocabulary_size: int,
    ):
        if len(fingerprint) != FINGERPRINT_LENGTH:
            raise ValueError(
                f"Expected {FINGERPRINT_LENGTH} characters as fingerprint, "
                f"received {fingerprint!r}."
            )
        self._fingerprint = fingerprint
        self._start_states = list(start_states)
        self._sizes = [len(state) for state in self._start_states]
        self._bounds = np.repeat(
            np.array(bounds, np.float32), self._sizes
        )  # [S]
        self._vocabulary_size = vocabulary_size
        self._num_words = FIXED_WORDS + sum(self._sizes)

    def encode(self, carried: Carried) -> tf.Tensor:
        """Returns the tokens, string [N]."""
        words = tf.concat(
            [
                tf.bitcast(carried.draws, tf.int32),
                carried.history,
                carried.unfinished[:, None],
                tf.bitcast(tf.concat(carried.states, axis=1), tf.int32),
            ],
            axis=1,
        )  # [N, W]
        payload = self._to_bytes(words)
        return tf.strings.join(
            [MAGIC, self._fingerprint, self._checksum(payload), payload]
        )

    def decode(
        self, tokens: tf.Tensor, errors: tf.Tensor
    ) -> tuple[Carried, tf.Tensor]:
        """Reads tokens.

        Args:
            tokens: string [N].
            errors: string [N], see `row_errors`.

        Returns:
            `(Carried, errors)`; a refused row carries the start.
        """
        start = tokens == ""
        errors, payload = self._check(tokens, start, errors)
        words = tf.io.decode_raw(
            payload,
            tf.int32,
            little_endian=True,
            fixed_length=4 * self._num_words,
        )  # [N, W]
        history_end = 2 + HISTORY
        states = tf.bitcast(words[:, FIXED_WORDS:], tf.float32)  # [N, S]
        # Every comparison with NaN is false.
        possible = tf.reduce_all(tf.abs(states) <= self._bounds, axis=1)
        errors = refuse(
            errors,
            ~possible,
            "state_bytes holds numbers that are not finite, or that no state "
            "has: start again with an empty one.",
        )
        start |= errors != ""
        words = tf.where(start[:, None], 0, words)
        states = [
            tf.where(start[:, None], start_state[None], state)
            for start_state, state in zip(
                self._start_states,
                tf.split(states, self._sizes, axis=1),
                strict=True,
            )
        ]
        # A token with a forged checksum gives odd text, but raises nothing.
        history = tf.clip_by_value(
            words[:, 2:history_end], 0, self._vocabulary_size - 1
        )
        unfinished = tf.clip_by_value(words[:, history_end], 0, MAX_UNFINISHED)
        draws = tf.bitcast(words[:, :2], tf.int64)
        return Carried(draws, history, unfinished, states), errors

    def _check(self, tokens, start, errors):
        """Returns errors, and payloads [N] that are empty in bad rows."""
        length = tf.strings.length(tokens)
        # Cutting a string where it has ended raises.
        whole = length >= HEADER_LENGTH
        padded = tf.where(whole, tokens, "-" * HEADER_LENGTH)
        position = 0

        def field(size):
            nonlocal position
            value = tf.strings.substr(padded, position, size)
            position += size
            return value

        magic = field(len(MAGIC))
        fingerprint = field(FINGERPRINT_LENGTH)
        checksum = field(CHECKSUM_LENGTH)
        complete = length == HEADER_LENGTH + 4 * self._num_words
        # No work on more bytes than a token has.
        payload = field(4 * self._num_words)
        payload = tf.where(complete, payload, "")
        errors = refuse(
            errors,
            ~start & (magic != MAGIC),
            "state_bytes is not a state: send what an earlier call returned, "
            "unchanged.",
        )
        errors = refuse(
            errors,
            ~start & (fingerprint != self._fingerprint),
            "state_bytes comes from another model: start again with an empty "
            "one, or ask for the version that it came from.",
        )
        errors = refuse(
            errors,
            ~start & (~complete | (checksum != self._checksum(payload))),
            "state_bytes is damaged: send what an earlier call returned, "
            "unchanged.",
        )
        return errors, tf.where(errors == "", payload, "")

    def _checksum(self, payload):
        """Returns decimal digits [N]: FarmHash's Fingerprint64."""
        signed = tf.strings.join([self._fingerprint, payload])
        number = tf.strings.to_hash_bucket_fast(signed, 2**63 - 1)
        return tf.strings.as_string(number, width=CHECKSUM_LENGTH, fill="0")

    def _to_bytes(self, words):
        """Returns the bytes [N] of int32 words [N, W]."""
        serialized = tf.map_fn(
            tf.io.serialize_tensor,
            words,
            fn_output_signature=tf.TensorSpec([], tf.string),
        )
        # A TensorProto ends with the tensor's bytes.
        size = 4 * self._num_words
        position = tf.strings.length(serialized) - size
        return tf.strings.substr(
            serialized, position, tf.fill(tf.shape(position), size)
        )
