"""Calls of the fake model that wait until a test lets them go on."""

import threading

_SECONDS = 60


class HeldCalls:
    """Holds back a `FakeServable`'s calls of generate, from now on.

    Attributes:
        prompts: Of the calls that have come, in their order.
    """

    def __init__(self, servable):
        self.prompts = []
        self._servable = servable
        self._generate = servable._generate
        self._come = threading.Semaphore(0)
        self._may_go = threading.Semaphore(0)
        self._free = threading.Event()
        servable._generate = self._call

    def _call(self, **inputs):
        self.prompts.append(inputs["prompt"])
        self._come.release()
        if not self._free.is_set():
            self._may_go.acquire(timeout=_SECONDS)
        return self._generate(**inputs)

    def wait_for_calls(self, count):
        """Waits until so many more calls have come."""
        for _ in range(count):
            if not self._come.acquire(timeout=_SECONDS):
                raise AssertionError("no call came")

    def let_through(self, count):
        """Lets calls go on, one after the other, each followed by another."""
        for _ in range(count):
            self._may_go.release()
            self.wait_for_calls(1)

    def release(self):
        """Holds no more calls back."""
        self._free.set()
        self._servable._generate = self._generate
        for _ in range(1000):
            self._may_go.release()
