"""Tokens carry the state whole, and damaged ones fail nothing but a row."""

import random

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from kerasrnn_export.graph.row_errors import no_errors
from kerasrnn_export.graph.state_token import Carried
from kerasrnn_export.graph.state_token import TokenCodec

from kerasrnn.sampling.generate import HISTORY

UNITS = (3, 3, 2)
VOCABULARY_SIZE = 40
FINGERPRINT = "0123456789abcdef"


def _codec(fingerprint=FINGERPRINT, units=UNITS, start=0.5):
    starts = [np.full(size, start, np.float32) for size in units]
    bounds = [3e38] * len(units)
    return TokenCodec(fingerprint, starts, bounds, VOCABULARY_SIZE)


def _carried(rows, seed=0, units=UNITS):
    chance = np.random.default_rng(seed)
    return Carried(
        tf.constant(chance.integers(0, 2**62, rows), tf.int64),
        tf.constant(
            chance.integers(0, VOCABULARY_SIZE, (rows, HISTORY)), tf.int32
        ),
        tf.constant(chance.integers(0, 4, rows), tf.int32),
        [
            tf.constant(chance.normal(size=(rows, size)), tf.float32)
            for size in units
        ],
    )


class StateTokenTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.codec = _codec()
        self.decode = tf.function(
            lambda tokens: self.codec.decode(
                tokens, no_errors(tf.shape(tokens)[0])
            ),
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )

    def _assert_carries(self, received, expected):
        tf.nest.map_structure(
            self.assertAllEqual, tuple(received), tuple(expected)
        )

    def test_round_trip(self):
        for rows in (1, 5):
            carried = _carried(rows)
            received, errors = self.decode(self.codec.encode(carried))
            self._assert_carries(received, carried)
            self.assertAllEqual(errors, [b""] * rows)

    def test_extremes_and_special_values_survive(self):
        carried = _carried(4)._replace(
            draws=tf.constant([0, 2**63 - 1, -(2**63), 1], tf.int64)
        )
        states = carried.states
        extremes = [0.0, -0.0, 2e38, -2e38]
        states[0] = tf.constant([[value] * 3 for value in extremes])
        received, errors = self.decode(self.codec.encode(carried))
        self._assert_carries(received, carried)
        self.assertAllEqual(errors, [b""] * 4)

    def test_no_rows(self):
        tokens = self.codec.encode(_carried(0))
        self.assertEqual(tokens.shape, [0])
        received, errors = self.decode(tokens)
        self.assertEqual(errors.shape, [0])
        self.assertEqual(received.history.shape, [0, HISTORY])

    def test_the_empty_token_is_the_start(self):
        received, errors = self.decode(tf.constant(["", ""]))
        self.assertAllEqual(errors, [b"", b""])
        self.assertAllEqual(received.draws, [0, 0])
        self.assertAllEqual(received.history, np.zeros([2, HISTORY]))
        self.assertAllEqual(received.unfinished, [0, 0])
        for state in received.states:
            self.assertAllEqual(state, np.full(state.shape, 0.5))

    def test_every_damaged_byte_is_noticed(self):
        (token,) = self.codec.encode(_carried(1)).numpy()
        chance = random.Random(0)
        damaged = []
        for position in range(len(token)):
            other = bytearray(token)
            other[position] ^= 1 << chance.randrange(8)
            damaged.append(bytes(other))
        _, errors = self.decode(tf.constant(damaged))
        self.assertNotIn(b"", errors.numpy().tolist())

    def test_every_other_length_is_noticed(self):
        (token,) = self.codec.encode(_carried(1)).numpy()
        damaged = [token[:length] for length in range(1, len(token))]
        damaged += [token + b"\0" * length for length in (1, 4, 1000)]
        damaged += [b"\0", b"\xff" * len(token), "é".encode() * 50]
        _, errors = self.decode(tf.constant(damaged))
        self.assertNotIn(b"", errors.numpy().tolist())

    def test_a_foreign_token_is_named_as_such(self):
        same_shape = _codec("f" * 16).encode(_carried(1))
        other_shape = _codec("f" * 16, (7,)).encode(_carried(1, units=(7,)))
        _, errors = self.decode(tf.concat([same_shape, other_shape], 0))
        for error in errors.numpy():
            self.assertIn(b"another model", error)

    def test_numbers_that_no_state_has_are_refused(self):
        for value in (np.nan, np.inf, -np.inf, 3.1e38):
            carried = _carried(2)
            states = carried.states
            states[2] = tf.constant([[1.0, value], [1.0, 1.0]])
            received, errors = self.decode(self.codec.encode(carried))
            self.assertIn(b"not finite", errors.numpy()[0])
            self.assertEqual(errors.numpy()[1], b"")
            self.assertAllInRange(received.states[2], -9, 9)

    def test_what_a_forged_checksum_carries_stays_in_range(self):
        carried = _carried(2)._replace(
            history=tf.constant([[2**31 - 1] * 31, [-(2**31)] * 31]),
            unfinished=tf.constant([2**31 - 1, -5]),
        )
        received, errors = self.decode(self.codec.encode(carried))
        self.assertAllEqual(errors, [b"", b""])
        self.assertAllInRange(received.history, 0, VOCABULARY_SIZE - 1)
        self.assertAllEqual(received.unfinished, [3, 0])

    def test_neighbours_of_bad_tokens_carry_the_same(self):
        carried = _carried(4)
        tokens = self.codec.encode(carried).numpy().tolist()
        bad = [b"x", tokens[0][:-1], tokens[1] + b"x"]
        for token in bad:
            received, errors = self.decode(
                tf.constant([token, *tokens[1:3], token])
            )
            self.assertEqual(
                [bool(error) for error in errors.numpy()], [1, 0, 0, 1]
            )
            inner = tf.nest.map_structure(lambda v: v[1:3], tuple(received))
            expected = tf.nest.map_structure(lambda v: v[1:3], tuple(carried))
            self._assert_carries(inner, expected)
            for state in received.states:
                self.assertAllEqual(state[0], np.full(state.shape[1], 0.5))

    def test_a_fingerprint_of_another_length_is_a_mistake(self):
        with self.assertRaisesRegex(ValueError, "16 characters"):
            _codec("short")


if __name__ == "__main__":
    absltest.main()
