"""Tests of the local server's merging of calls, without TensorFlow."""

import contextlib
import dataclasses
import functools
import random
import threading
import time
from concurrent import futures

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from kerasrnn_serving.server import batching
from kerasrnn_serving.server.batching import Batcher
from kerasrnn_serving.server.batching import BatcherBySize
from kerasrnn_serving.server.limits import Batching
from kerasrnn_serving.server.rpc import StatusError
from kerasrnn_serving.server.work import Call

SIDE_BY_SIDE = batching._NUM_BATCH_THREADS
SECONDS = 60


class Manager:
    """Says whether it was told to end."""

    def __init__(self):
        self.ended = threading.Event()

    def start_cancel(self):
        """Notes it."""
        self.ended.set()


@dataclasses.dataclass
class Function:
    """Squares numbers, in calls that it notes and that can be held up.

    Attributes:
        calls: The first column of each call.
        managers: Of each call.
    """

    def __post_init__(self):
        self.calls, self.managers = [], []
        self.may_run = threading.Event()
        self.may_run.set()

    def __call__(self, arrays, manager):
        """Refuses negative numbers; returns squares, and rows' sums."""
        numbers, weights = arrays
        self.calls.append(numbers[:, 0].tolist())
        self.managers.append(manager)
        while not self.may_run.wait(0.01):
            if manager.ended.is_set():
                raise InterruptedError
        if (numbers < 0).any():
            raise ValueError(f"{numbers.min()} is negative")
        return [numbers**2, (numbers * weights[:, None]).sum(axis=1)]


class BatcherTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.function = Function()
        self.batcher = Batcher(self.function, Manager, Batching(8))
        self.pool = self.enterContext(futures.ThreadPoolExecutor(64))
        self.calls = {}

    def start(self, number, rows=1, columns=2, batcher=None):
        """Begins a call; returns its future."""
        call = self.calls[number] = Call()
        numbers = np.full([rows, columns], number)
        weights = np.arange(rows, dtype=np.float32)
        batcher = batcher or self.batcher
        return self.pool.submit(batcher, [numbers, weights], call)

    def check(self, number, future, rows=1, columns=2):
        squares, sums = future.result(SECONDS)
        np.testing.assert_array_equal(
            squares, np.full([rows, columns], number**2)
        )
        np.testing.assert_array_equal(
            sums, number * columns * np.arange(rows, dtype=np.float32)
        )

    @contextlib.contextmanager
    def held_up(self):
        """Has all that may run at once run, and not end in the block."""
        self.function.may_run.clear()
        numbers = range(1000, 1000 + SIDE_BY_SIDE)
        try:
            running = {n: self.start(n) for n in numbers}
            self.wait_for(lambda: len(self.function.calls) == SIDE_BY_SIDE)
            yield running
        finally:
            self.function.may_run.set()
        for number, future in running.items():
            self.check(number, future)

    def wait_for(self, condition):
        end = time.monotonic() + SECONDS
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.005)

    def wait_until_waiting(self, count):
        self.wait_for(lambda: len(self.batcher._waiting) == count)

    def test_who_finds_nobody_runs_at_once(self):
        for number in range(5):
            self.check(number, self.start(number))
        self.assertEqual(self.function.calls, [[n] for n in range(5)])

    def test_those_who_wait_go_together_as_many_as_fit(self):
        rows = [1, 3, 1, 2, 4, 1, 9, 1]
        with self.held_up() as running:
            started = []
            for number, count in enumerate(rows):
                started.append(self.start(number, count))
                self.wait_until_waiting(number + 1)
            # One of those who run makes room.
            self.calls[1000].cancel()
            with self.assertRaises(StatusError):
                running.pop(1000).result(SECONDS)
            self.wait_until_waiting(3)
        for number, future in enumerate(started):
            self.check(number, future, rows[number])
        merged = self.function.calls[SIDE_BY_SIDE:]
        self.assertEqual(merged[0], [0, 1, 1, 1, 2, 3, 3, 5])
        self.assertIn([6] * 9, merged)

    def test_unlike_calls_are_not_merged(self):
        widths = [2, 3, 4, 2]
        with self.held_up():
            started = []
            for number, columns in enumerate(widths):
                started.append(self.start(number, columns=columns))
                self.wait_until_waiting(number + 1)
        for number, future in enumerate(started):
            self.check(number, future, columns=widths[number])
        self.assertCountEqual(
            self.function.calls[SIDE_BY_SIDE:], [[0, 3], [1], [2]]
        )

    def test_sizes_do_not_wait_for_each_other(self):
        by_size = BatcherBySize(self.function, Manager, Batching(8))

        def start(number, size):
            batcher = functools.partial(by_size, size=size)
            return self.start(number, batcher=batcher)

        def wait_for_calls(count):
            self.wait_for(lambda: len(self.function.calls) == count)

        def wait_until_waiting(size, count):
            waiting = by_size._batchers[size]._waiting
            self.wait_for(lambda: len(waiting) == count)

        self.function.may_run.clear()
        try:
            started = {n: start(n, "long") for n in range(SIDE_BY_SIDE)}
            wait_for_calls(SIDE_BY_SIDE)
            long = range(100, 103)
            started |= {n: start(n, "long") for n in long}
            wait_until_waiting("long", len(long))
            # They run although long ones have come before them.
            short = range(200, 200 + SIDE_BY_SIDE)
            started |= {n: start(n, "short") for n in short}
            wait_for_calls(2 * SIDE_BY_SIDE)
            started[300] = start(300, "short")
            wait_until_waiting("short", 1)
        finally:
            self.function.may_run.set()
        for number, future in started.items():
            self.check(number, future)
        for numbers in self.function.calls:
            self.assertLen({number < 200 for number in numbers}, 1)

    def test_an_error_is_of_the_rows_that_cause_it(self):
        with self.held_up():
            started = {n: self.start(n) for n in (1, 2, -3, 4, -5, 6, 7)}
            self.wait_until_waiting(7)
        for number, future in started.items():
            if number < 0:
                with self.assertRaisesRegex(ValueError, f"{number} is"):
                    future.result(SECONDS)
            else:
                self.check(number, future)

    def test_who_is_ended_leaves_at_once_and_the_others_stay(self):
        with self.held_up():
            started = {n: self.start(n) for n in range(4)}
            self.wait_until_waiting(4)
            self.calls[2].cancel()
            with self.assertRaisesRegex(StatusError, "cancelled"):
                started.pop(2).result(SECONDS)
        for number, future in started.items():
            self.check(number, future)
        self.assertNotIn(2, sum(self.function.calls, []))

    def test_a_batch_ends_when_nobody_waits_for_it(self):
        with self.held_up() as running:
            started = {n: self.start(n) for n in range(4)}
            self.wait_until_waiting(4)
            # One of those who run makes room for the batch.
            self.calls[1000].cancel()
            with self.assertRaisesRegex(StatusError, "cancelled"):
                running.pop(1000).result(SECONDS)
            self.wait_for(lambda: len(self.function.calls) > SIDE_BY_SIDE)
            manager = self.function.managers[-1]
            for number in (0, 1, 2):
                self.calls[number].expire()
                self.assertFalse(manager.ended.is_set())
            self.calls[3].cancel()
            self.assertTrue(manager.ended.is_set())
            for future in started.values():
                with self.assertRaises(StatusError):
                    future.result(SECONDS)

    def test_outputs_of_other_rows_are_not_merged(self):
        def total(arrays, manager):
            return [arrays[0].sum()]

        self.batcher = Batcher(total, Manager, Batching(8))
        started = {n: self.start(n) for n in range(64)}
        for number, future in started.items():
            self.assertEqual(future.result(SECONDS), [2 * number])

    def test_a_batch_waits_for_more_rows_if_it_is_to(self):
        limits = Batching(4, batch_timeout_micros=SECONDS * 10**6)
        self.batcher = Batcher(self.function, Manager, limits)
        started = {0: self.start(0)}
        self.wait_for(lambda: self.batcher._gathering)
        # There is room to run, but the first is before them.
        started |= {number: self.start(number) for number in (1, 2, 3)}
        for number, future in started.items():
            self.check(number, future)
        ((first, *others),) = self.function.calls
        self.assertEqual(first, 0)
        self.assertCountEqual(others, [1, 2, 3])

    def test_a_batch_waits_no_longer_than_it_is_to(self):
        self.batcher = Batcher(
            self.function, Manager, Batching(4, batch_timeout_micros=1000)
        )
        for number in range(3):
            self.check(number, self.start(number))
        self.assertEqual(self.function.calls, [[0], [1], [2]])

    def test_any_mixture_comes_to_its_own_results(self):
        draws = random.Random(0)

        def one(number):
            time.sleep(draws.random() / 100)
            rows, columns = draws.choice([1, 1, 1, 2, 9]), draws.choice([2, 3])
            number = -1 if draws.random() < 0.05 else number
            future = self.start(number, rows, columns)
            if number < 0:
                self.assertRaises(ValueError, future.result, SECONDS)
            else:
                self.check(number, future, rows, columns)

        with futures.ThreadPoolExecutor(24) as pool:
            list(pool.map(one, range(400)))
        self.assertLess(len(self.function.calls), 460)
        self.assertEqual(self.batcher._free, SIDE_BY_SIDE)


if __name__ == "__main__":
    absltest.main()
