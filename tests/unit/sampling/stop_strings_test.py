"""Stop strings end a row where they end, within a call or across calls."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.sampling.known_models import count_from
from helpers.sampling.known_models import counting_model
from helpers.sampling.known_models import generate_ids

from kerasrnn.sampling.generate import HISTORY


def _stop(*rows):
    """Returns the arguments for these stop strings, lists of ids."""
    padded = [[0] * (HISTORY + 1 - len(row)) + list(row) for row in rows]
    return {
        "stop": tf.constant(padded, tf.int32, [len(rows), HISTORY + 1]),
        "stop_length": tf.constant([len(row) for row in rows], tf.int32),
    }


class StopTest(parameterized.TestCase):
    def test_ends_the_row(self):
        result = generate_ids(
            counting_model(),
            count_from(0, 0, 0, 0),
            length=9,
            **_stop([4], [2, 3], [], [3, 2]),
        )
        np.testing.assert_array_equal(
            result.ids,
            [
                [1, 2, 3, 4, 0, 0, 0, 0, 0],
                [1, 2, 3, 0, 0, 0, 0, 0, 0],
                [1, 2, 3, 4, 5, 6, 1, 2, 3],
                [1, 2, 3, 4, 5, 6, 1, 2, 3],
            ],
        )
        np.testing.assert_array_equal(result.length, [4, 3, 9, 9])
        np.testing.assert_array_equal(
            result.stopped, [True, True, False, False]
        )
        np.testing.assert_array_equal(result.states[0][:, 0], [4, 3, 3, 3])
        np.testing.assert_array_equal(result.draws, [4, 3, 9, 9])

    def test_all_rows_stop_early(self):
        result = generate_ids(
            counting_model(), count_from(0, 1), length=50, **_stop([3], [3])
        )
        np.testing.assert_array_equal(result.length, [3, 2])
        np.testing.assert_array_equal(result.ids[:, 3:], np.zeros([2, 47]))

    def test_longest(self):
        longest = [index % 6 + 1 for index in range(HISTORY + 1)]
        result = generate_ids(
            counting_model(), count_from(0), length=60, **_stop(longest)
        )
        np.testing.assert_array_equal(result.length, [HISTORY + 1])
        self.assertTrue(result.stopped[0])

    @parameterized.parameters(range(1, 5))
    def test_straddles_calls(self, first):
        stop = _stop([2, 3, 4, 5])
        head = generate_ids(
            counting_model(), count_from(0), length=first, **stop
        )
        self.assertFalse(head.stopped[0])
        tail = generate_ids(
            counting_model(),
            head.states,
            length=9,
            history=head.history,
            **stop,
        )
        self.assertTrue(tail.stopped[0])
        np.testing.assert_array_equal(tail.length, [5 - first])

    def test_straddles_many_calls(self):
        longest = [index % 6 + 1 for index in range(HISTORY + 1)]
        states, history = count_from(0), tf.zeros([1, HISTORY], tf.int32)
        for call in range(HISTORY + 1):
            result = generate_ids(
                counting_model(),
                states,
                length=1,
                history=history,
                **_stop(longest),
            )
            states, history = result.states, result.history
            self.assertEqual(bool(result.stopped[0]), call == HISTORY)

    def test_without_its_history_it_does_not_straddle(self):
        stop = _stop([2, 3])
        result = generate_ids(counting_model(), count_from(2), length=4, **stop)
        self.assertFalse(result.stopped[0])

    def test_a_finished_stop_does_not_stop_the_next_call(self):
        stop = _stop([2, 3])
        head = generate_ids(counting_model(), count_from(0), length=9, **stop)
        tail = generate_ids(
            counting_model(),
            head.states,
            length=4,
            history=head.history,
            **stop,
        )
        np.testing.assert_array_equal(tail.ids, [[4, 5, 6, 1]])

    def test_unknown_characters_never_match(self):
        # Neither what was generated nor the empty history is unknown.
        result = generate_ids(
            counting_model(),
            count_from(0, 0),
            length=5,
            **_stop([0, 1], [0]),
        )
        np.testing.assert_array_equal(result.length, [5, 5])

    def test_a_length_of_zero_does_not_stop(self):
        head = generate_ids(counting_model(), count_from(0), length=3)
        result = generate_ids(
            counting_model(),
            head.states,
            length=0,
            history=head.history,
            **_stop([2, 3]),
        )
        self.assertFalse(result.stopped[0])


if __name__ == "__main__":
    absltest.main()
