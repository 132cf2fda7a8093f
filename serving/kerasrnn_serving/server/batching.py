"""Merges waiting calls of one function into one call with more rows.

It does as TensorFlow Serving's `BatchingSession` does, with its names: while
some calls run, others wait, and then as many as fit are computed together.
Unlike there, no separate thread runs a batch: the first call that waits runs it
for all, so a call that need not wait runs at once, in its own thread. A call
that is ended leaves its batch, the others stay, and an error fails only the
calls whose rows cause it.

Short calls do not wait for long ones: each size has its own batches, and those
of one size leave a core to the rest. TensorFlow has as many threads for loops
as there are cores, and a loop keeps its thread until it ends.
"""

import collections
import functools
import math
import os
import threading
from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Sequence
from typing import Any
from typing import Protocol

import numpy as np

from kerasrnn_serving.server.limits import Batching
from kerasrnn_serving.server.work import Call

# Batches of one function and size that run side by side.
_NUM_BATCH_THREADS = max((os.cpu_count() or 1) - 1, 1)


class Manager(Protocol):
    """What ends a computation."""

    def start_cancel(self) -> None:
        """Ends it."""


class BatcherBySize:
    """Merges calls of about the same size, of each size by themselves.

    Args:
        function: As `Batcher` takes it.
        new_manager: The same.
        limits: The same.
    """

    def __init__(
        self,
        function: Callable[[Sequence[np.ndarray], Any], list],
        new_manager: Callable[[], Manager],
        limits: Batching,
    ):
        self._new_batcher = functools.partial(
            Batcher, function, new_manager, limits
        )
        self._batchers: dict[Hashable, Batcher] = {}

    def __call__(
        self, arrays: Sequence[np.ndarray], call: Call, size: Hashable
    ) -> list:
        """Returns what the function does, for these arrays.

        Args:
            arrays: What to compute on.
            call: Whose end stops it.
            size: Calls of different sizes are not merged, nor do they wait
                for each other. There should be few, as none is forgotten.

        Raises:
            StatusError: The call was ended.
            Exception: What the function raises for these arrays.
        """
        batcher = self._batchers.get(size)
        if batcher is None:
            batcher = self._batchers.setdefault(size, self._new_batcher())
        return batcher(arrays, call)


class Batcher:
    """Merges calls of a function of arrays; calls come from many threads.

    Args:
        function: Takes arrays with a row for each of N, and a manager that
            can end it; returns arrays with N rows.
        new_manager: Returns a manager.
        limits: How many rows go together, and how long one waits for others.
    """

    def __init__(
        self,
        function: Callable[[Sequence[np.ndarray], Any], list],
        new_manager: Callable[[], Manager],
        limits: Batching,
    ):
        self._function = function
        self._new_manager = new_manager
        self._limits = limits
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._free = _NUM_BATCH_THREADS
        self._waiting: collections.deque[_Entry] = collections.deque()
        self._gathering = 0  # Batches that wait for more rows.
        # Until an output turns out not to have the inputs' rows.
        self._merges = True

    def __call__(self, arrays: Sequence[np.ndarray], call: Call) -> list:
        """Returns what the function does, for these arrays.

        Args:
            arrays: What to compute on; other dtypes and shapes (but for the
                first dimension) are not merged with it.
            call: Whose end stops it.

        Raises:
            StatusError: The call was ended.
            Exception: What the function raises for these arrays.
        """
        entry = _Entry(arrays, call, self._merges)
        if not self._may_run_at_once(entry):
            call.on_end(entry.decided.set)
            entry.decided.wait()
        with self._lock:
            if not entry.leads:
                if entry in self._waiting:
                    self._waiting.remove(entry)
                return entry.outcome()
            entries = self._take(entry)
        try:
            self._run(entries)
        finally:
            self._hand_on()
        return entry.outcome()

    def _may_run_at_once(self, entry):
        """Returns whether it may; else it waits from now on."""
        with self._lock:
            # No call overtakes those that wait.
            if self._free and not self._waiting and not self._gathering:
                self._free -= 1
                entry.leads = True
            else:
                self._waiting.append(entry)
                self._arrived.notify_all()
            return entry.leads

    def _hand_on(self):
        """Lets the first that waits run the next batch."""
        with self._lock:
            self._free += 1
            self._appoint()

    def _appoint(self):
        """Lets as many waiting calls run as may; the lock is held."""
        while self._free and self._waiting and not self._gathering:
            self._free -= 1
            entry = self._waiting.popleft()
            entry.leads = True
            entry.decided.set()

    def _take(self, first):
        """Returns what goes with the first; the lock is held."""
        most = self._limits.max_batch_size
        if self._limits.batch_timeout_micros:
            self._gathering += 1
            self._arrived.wait_for(
                lambda: sum(e.rows for e in self._like(first)) >= most,
                self._limits.batch_timeout_micros / 1e6,
            )
            self._gathering -= 1
        if not self._waiting:
            return [first]
        entries: list[_Entry] = []
        rows = 0
        for entry in self._like(first):
            if not entries or rows + entry.rows <= most:
                entries.append(entry)
                rows += entry.rows
        for entry in entries[1:]:
            self._waiting.remove(entry)
        self._appoint()
        return entries

    def _like(self, first):
        return [first, *(e for e in self._waiting if e.kind == first.kind)]

    def _run(self, entries):
        """Computes for all of them whose clients still wait."""
        entries = [entry for entry in entries if entry.call.error is None]
        if not entries:
            return
        manager = self._new_manager()
        audience = _Audience(entries, manager.start_cancel)
        for entry in entries:
            entry.call.on_end(functools.partial(audience.leave, entry))
        try:
            if len(entries) == 1:
                outputs = [self._function(entries[0].arrays, manager)]
            else:
                outputs = self._merged(entries, manager)
        except Exception as error:
            if len(entries) == 1:
                entries[0].finish(error=error)
                return
            outputs = None
        if outputs is None:
            # One of them may have caused it: the others must not suffer.
            half = len(entries) // 2
            self._run(entries[:half])
            self._run(entries[half:])
            return
        for entry, own in zip(entries, outputs, strict=True):
            entry.finish(own)

    def _merged(self, entries, manager):
        """Returns the outputs of each entry; None if they cannot be told."""
        arrays = [
            np.concatenate(pieces)
            for pieces in zip(*(entry.arrays for entry in entries), strict=True)
        ]
        outputs = self._function(arrays, manager)
        stops = np.cumsum([entry.rows for entry in entries])
        if any(np.shape(output)[:1] != (stops[-1],) for output in outputs):
            self._merges = False
            return None
        pieces = [np.split(output, stops[:-1]) for output in outputs]
        return [list(own) for own in zip(*pieces, strict=True)]


class _Entry:
    """A call that waits, or whose rows are computed.

    Attributes:
        leads: Whether its thread runs a batch.
        decided: Set when its thread should look at the outcome.
    """

    def __init__(self, arrays, call, is_merged):
        self.arrays = arrays
        self.call = call
        self._is_merged = is_merged
        self.leads = False
        self.decided = threading.Event()
        self._outputs = None
        self._error: Exception | None = None

    # A call that is alone is never asked for these.
    @functools.cached_property
    def rows(self) -> float:
        """How many rows all of its arrays have; infinity if they differ."""
        rows = {np.shape(array)[:1] for array in self.arrays}
        number = rows.pop() if len(rows) == 1 else ()
        return number[0] if number and number[0] else math.inf

    @functools.cached_property
    def kind(self) -> Hashable:
        """Equal for calls that may be merged."""
        if not self._is_merged or self.rows == math.inf:
            return object()  # Like no other.
        return tuple((array.dtype, array.shape[1:]) for array in self.arrays)

    def finish(self, outputs=None, error=None):
        """Records its outcome."""
        self._outputs, self._error = outputs, error
        self.decided.set()

    def outcome(self):
        """Returns its outputs, or raises why there are none."""
        if self._outputs is not None:
            return self._outputs
        error = self.call.error or self._error
        if error is None:
            raise RuntimeError("A call has neither outputs nor an error.")
        raise error


class _Audience:
    """The calls that wait for a computation; it ends once all have left."""

    def __init__(self, entries, end):
        self._lock = threading.Lock()
        self._entries = set(entries)
        self._end = end

    def leave(self, entry):
        with self._lock:
            self._entries.discard(entry)
            if self._entries:
                return
        self._end()
