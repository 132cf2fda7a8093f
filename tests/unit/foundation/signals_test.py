"""Ctrl-C in a process that others wrote: nothing is lost, nothing is left."""

import contextlib
import itertools
import signal
import sys
import threading

from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.foundation import signals
from kerasrnn.foundation.signals import Interrupted
from kerasrnn.foundation.signals import interruption_by_keyboard

FILES = (signals.__file__, contextlib.__file__)


class Fault(Exception):
    """Ends a block for a reason of its own."""


def with_signal_at_line(number, block):
    """Calls a function that is interrupted at one line of our modules.

    Returns:
        `(has_come, end)`: whether it has so many lines, and the type of the
        exception that it ended with.
    """
    lines = itertools.count(1)
    has_come = False

    def trace(frame, event, argument):
        nonlocal has_come
        del event, argument
        if frame.f_code.co_filename not in FILES:
            return None
        if next(lines) == number:
            has_come = True
            signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    end = None
    try:
        sys.settrace(trace)
        block()
    except (Fault, KeyboardInterrupt) as error:
        end = type(error)
    finally:
        sys.settrace(before)
    return has_come, end


class KeyboardTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        before = signal.getsignal(signal.SIGINT)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def assert_handler_is_back(self):
        self.assertIs(
            signal.getsignal(signal.SIGINT), signal.default_int_handler
        )

    def test_what_is_unsaved_is_not_interrupted(self):
        done = []
        with self.assertRaises(KeyboardInterrupt):
            with interruption_by_keyboard() as interruption:
                interruption.set_unsaved(True)
                # The second follows within a second, so that it is the same.
                for _ in range(2):
                    signal.raise_signal(signal.SIGINT)
                done.append("step")
                self.assertEqual(interruption.signal, signal.SIGINT)
                try:
                    interruption.check()
                except Interrupted:
                    done.append("saved")
                    raise
        self.assertEqual(done, ["step", "saved"])
        self.assert_handler_is_back()

    def test_a_block_that_never_asks_is_interrupted_at_its_end(self):
        done = []
        with self.assertRaises(KeyboardInterrupt):
            with interruption_by_keyboard() as interruption:
                interruption.set_unsaved(True)
                signal.raise_signal(signal.SIGINT)
                done.append("finished")
        self.assertEqual(done, ["finished"])
        self.assert_handler_is_back()

    def test_where_nothing_is_unsaved_it_does_not_wait(self):
        with self.assertRaises(KeyboardInterrupt):
            with interruption_by_keyboard() as interruption:
                interruption.set_unsaved(True)
                interruption.set_unsaved(False)
                signal.raise_signal(signal.SIGINT)
                self.fail("it waited")
        self.assert_handler_is_back()

    @parameterized.parameters(Fault, KeyboardInterrupt, SystemExit)
    def test_other_ends_are_the_blocks_own(self, error):
        with self.assertRaises(error):
            with interruption_by_keyboard() as interruption:
                interruption.set_unsaved(True)
                raise error
        with self.assertRaises(error):
            with interruption_by_keyboard() as interruption:
                interruption.set_unsaved(True)
                signal.raise_signal(signal.SIGINT)
                raise error
        self.assert_handler_is_back()
        with interruption_by_keyboard():
            pass
        self.assert_handler_is_back()

    @parameterized.product(unsaved=(False, True), error=(None, Fault))
    def test_at_any_line_it_is_neither_lost_nor_leaves_a_handler(
        self, unsaved, error
    ):
        def block():
            with interruption_by_keyboard() as interruption:
                interruption.set_unsaved(unsaved)
                if error:
                    raise error

        ends = []
        for line in range(1, 1000):
            has_come, end = with_signal_at_line(line, block)
            if not has_come:
                break
            ends.append(end)
            self.assert_handler_is_back()
        self.assertBetween(len(ends), 10, 900)
        # A fault that comes while the signal waits is what is reported.
        expected = {KeyboardInterrupt}
        if unsaved and error:
            expected.add(error)
        self.assertEqual(set(ends), expected)

    def test_another_handler_and_other_threads_are_left_alone(self):
        seen = []

        def block():
            with interruption_by_keyboard() as interruption:
                interruption.set_unsaved(True)
                seen.append(signal.getsignal(signal.SIGINT))
                self.assertIsNone(interruption.signal)

        thread = threading.Thread(target=block)
        thread.start()
        thread.join()
        for handler in (signal.SIG_IGN, lambda *_: None):
            signal.signal(signal.SIGINT, handler)
            block()
            seen.append(signal.getsignal(signal.SIGINT))
            self.assertEqual(seen[-2:], [handler, handler])
        self.assertEqual(seen[0], signal.default_int_handler)


if __name__ == "__main__":
    absltest.main()
