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
        self._name = MAGIC + fingerprint
        self._sizes = [len(state) for state in start_states]
        self._bounds = np.repeat(
            np.array(bounds, np.float32), self._sizes
        )  # [S]
        self._vocabulary_size = vocabulary_size
        self._payload_length = 4 * (FIXED_WORDS + sum(self._sizes))
        start = Carried(
            tf.zeros([1], tf.int64),
            tf.zeros([1, HISTORY], tf.int32),
            tf.zeros([1], tf.int32),
            [tf.constant(state[None], tf.float32) for state in start_states],
        )
        self._start: bytes = self.encode(start)[0].numpy()
        self._start_words = np.frombuffer(
            self._start[HEADER_LENGTH:], "<i4"
        )  # [W]

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
        return tf.strings.join([self._header(payload), payload])

    def decode(
        self, tokens: tf.Tensor, errors: tf.Tensor
    ) -> tuple[Carried, tf.Tensor]:
        """Reads tokens.

        Args:
            tokens: string [N].
            errors: string [N], see `row_errors`.

        Returns:
            `(Carried, errors)`; a row whose token is refused carries the
            start.
        """
        complete = tf.strings.length(tokens) == len(self._start)
        # No work on more bytes than a token has; and what is not complete may
        # have no payload to cut out.
        whole = tf.where(complete, tokens, self._start)
        payload = tf.strings.substr(whole, HEADER_LENGTH, self._payload_length)
        header = tf.strings.substr(whole, 0, HEADER_LENGTH)
        intact = header == self._header(payload)
        words = tf.io.decode_raw(
            payload,
            tf.int32,
            little_endian=True,
            fixed_length=self._payload_length,
        )  # [N, W]
        states = tf.bitcast(words[:, FIXED_WORDS:], tf.float32)  # [N, S]
        # Every comparison with NaN is false.
        possible = tf.reduce_all(tf.abs(states) <= self._bounds, axis=1)
        usable = intact & possible
        errors = refuse(
            errors,
            ~((tokens == "") | (complete & usable)),
            self._why(tokens, complete & intact),
        )
        return self._carried(
            tf.where(usable[:, None], words, self._start_words)
        ), errors

    def _carried(self, words):
        """Returns what words [N, W] are, within what can be carried."""
        history_end = 2 + HISTORY
        # A token with a forged checksum gives odd text, but raises nothing.
        return Carried(
            tf.bitcast(words[:, :2], tf.int64),
            tf.clip_by_value(
                words[:, 2:history_end], 0, self._vocabulary_size - 1
            ),
            tf.clip_by_value(words[:, history_end], 0, MAX_UNFINISHED),
            tf.split(
                tf.bitcast(words[:, FIXED_WORDS:], tf.float32),
                self._sizes,
                axis=1,
            ),
        )

    def _why(self, tokens, is_whole):
        """Returns why tokens are refused, string [N], if they are."""
        return tf.where(
            tf.strings.substr(tokens, 0, len(MAGIC)) != MAGIC,
            "state_bytes is not a state: send what an earlier call returned, "
            "unchanged.",
            tf.where(
                tf.strings.substr(tokens, 0, len(self._name)) != self._name,
                "state_bytes comes from another model: start again with an "
                "empty one, or ask for the version that it came from.",
                tf.where(
                    is_whole,
                    "state_bytes holds numbers that are not finite, or that "
                    "no state has: start again with an empty one.",
                    "state_bytes is damaged: send what an earlier call "
                    "returned, unchanged.",
                ),
            ),
        )

    def _header(self, payload):
        """Returns what stands before payloads, string [N].

        The checksum is FarmHash's Fingerprint64.
        """
        signed = tf.strings.join([self._name[len(MAGIC) :], payload])
        number = tf.strings.to_hash_bucket_fast(signed, 2**63 - 1)
        return tf.strings.join(
            [
                self._name,
                tf.strings.as_string(number, width=CHECKSUM_LENGTH, fill="0"),
            ]
        )

    def _to_bytes(self, words):
        """Returns the bytes [N] of int32 words [N, W]."""
        serialized = tf.map_fn(
            tf.io.serialize_tensor,
            words,
            fn_output_signature=tf.TensorSpec([], tf.string),
        )
        # A TensorProto ends with the tensor's bytes.
        size = self._payload_length
        position = tf.strings.length(serialized) - size
        return tf.strings.substr(
            serialized, position, tf.fill(tf.shape(position), size)
        )
