"""Tests of whose call comes next."""

import asyncio
import collections
import contextlib
import random
import time
from unittest import mock

from absl.testing import absltest
from kerasrnn_serving.gateway.access.turns import Turns


async def settle():
    """Lets all tasks run until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


class CountedFuture(asyncio.Future):
    """One that counts how often any of its kind is looked at."""

    looks = 0

    @classmethod
    def look(cls):
        cls.looks += 1

    def cancelled(self):
        self.look()
        return super().cancelled()

    def done(self):
        self.look()
        return super().done()

    def __eq__(self, other):
        self.look()
        return self is other

    def __hash__(self):
        self.look()
        return id(self)


@contextlib.contextmanager
def looks_at_futures():
    """Gives what returns the looks at futures since it was last asked."""
    loop = asyncio.get_running_loop()

    def looks():
        count, CountedFuture.looks = CountedFuture.looks, 0
        return count

    looks()
    with mock.patch.object(
        loop, "create_future", lambda: CountedFuture(loop=loop)
    ):
        yield looks


class Calls:
    """Calls that last until they are told to end."""

    def __init__(self, turns):
        self.turns = turns
        self.running = []
        self.tasks = set()

    async def begin(self, caller):
        task = asyncio.create_task(self._call(caller), name=caller)
        self.tasks.add(task)
        await settle()
        return task

    async def _call(self, caller):
        async with self.turns.turn(caller):
            end = asyncio.Event()
            entry = (caller, end)
            self.running.append(entry)
            try:
                await end.wait()
            finally:
                self.running.remove(entry)

    async def end(self, index=0):
        self.running[index][1].set()
        await settle()

    def waiting(self):
        there = [task.get_name() for task in self.tasks if not task.done()]
        return collections.Counter(there) - collections.Counter(self.callers())

    def callers(self):
        return [caller for caller, _ in self.running]


class TurnsTest(absltest.TestCase):
    def test_one_caller_leaves_room_for_others(self):
        async def run():
            calls = Calls(Turns(4))
            for _ in range(10):
                await calls.begin("greedy")
            self.assertEqual(calls.callers(), ["greedy"] * 3)
            await calls.begin("other")
            self.assertEqual(calls.callers(), ["greedy"] * 3 + ["other"])
            self.assertEqual(calls.turns.waiting, 7)
            while calls.running:
                await calls.end()
            self.assertEqual((calls.turns.running, calls.turns.waiting), (0, 0))

        asyncio.run(run())

    def test_callers_that_asked_of_late_have_equal_shares(self):
        async def run(others, share):
            calls = Calls(Turns(16))
            for other in range(others):
                await calls.begin(str(other))
                await calls.end()
            for _ in range(20):
                await calls.begin("greedy")
            self.assertLen(calls.running, share)
            with mock.patch.object(
                asyncio.get_running_loop(),
                "time",
                lambda: time.monotonic() + 11,
            ):
                await calls.begin("greedy")
            self.assertLen(calls.running, 12)

        for others, share in ((0, 12), (1, 8), (2, 5), (6, 2), (20, 2)):
            asyncio.run(run(others, share))

    def test_callers_that_wait_take_turns(self):
        async def run():
            calls = Calls(Turns(1))
            await calls.begin("a")
            for caller in "aaabbbccc":
                await calls.begin(caller)
            order = []
            while calls.running:
                order += calls.callers()
                await calls.end()
            self.assertEqual("".join(order), "a" + "abcabcabc")

        asyncio.run(run())

    def test_those_that_run_least_come_first(self):
        async def run():
            calls = Calls(Turns(4))
            for caller in "aaab" + "abb":
                await calls.begin(caller)
            self.assertEqual(calls.callers(), list("aaab"))
            await calls.end()
            self.assertEqual(calls.callers(), list("aabb"))
            await calls.end()
            self.assertEqual(sorted(calls.callers()), list("aabb"))

        asyncio.run(run())

    def test_no_turn_is_lost_whoever_gives_up(self):
        async def run(seed):
            chance = random.Random(seed)
            calls, asked = Calls(Turns(3)), set()
            for _ in range(300):
                deed = chance.random()
                if deed < 0.5:
                    asked.add(caller := chance.choice("abc"))
                    await calls.begin(caller)
                elif deed < 0.7 and calls.running:
                    await calls.end(chance.randrange(len(calls.running)))
                elif calls.tasks:
                    # Some just as their turn comes.
                    if calls.running and chance.random() < 0.5:
                        calls.running[0][1].set()
                        await asyncio.sleep(0)
                    chance.choice(sorted(calls.tasks, key=id)).cancel()
                    await settle()
                self.assertEqual(calls.turns.running, len(calls.running))
                self.assertLessEqual(len(calls.running), 3)
                if calls.turns.waiting and len(calls.running) < 3:
                    # Whoever waits has its share.
                    share = 2 if len(asked) == 1 else 3 // len(asked)
                    for caller in calls.waiting():
                        running = calls.callers().count(caller)
                        self.assertGreaterEqual(running, share)
            for task in calls.tasks:
                task.cancel()
            await settle()
            self.assertEqual((calls.turns.running, calls.turns.waiting), (0, 0))

        for seed in range(5):
            asyncio.run(run(seed))

    def test_who_gives_up_at_the_last_moment_keeps_its_caller_s_place(self):
        async def run():
            calls = Calls(Turns(1))
            await calls.begin("x")
            first = await calls.begin("a")
            for caller in "ba":
                await calls.begin(caller)
            # The turn is given back before the task that gave up has run.
            calls.running[0][1].set()
            first.cancel()
            await settle()
            order = []
            while calls.running:
                order += calls.callers()
                await calls.end()
            self.assertEqual(order, ["a", "b"])

        asyncio.run(run())

    def test_a_turn_costs_the_same_however_many_wait(self):
        async def run(count):
            """Returns the looks at futures while calls come, leave and end."""
            calls, costs = Calls(Turns(4)), []
            with looks_at_futures() as looks:
                tasks = [await calls.begin(caller) for caller in "ab" * count]
                costs.append(looks())
                # Some from the middle of a queue, then many at once.
                for task in tasks[count:][:5]:
                    task.cancel()
                    await settle()
                costs.append(looks())
                for task in tasks[count:]:
                    task.cancel()
                await settle()
                costs.append(looks())
                while calls.running:
                    await calls.end()
                costs.append(looks())
            self.assertEqual(calls.turns.waiting, 0)
            return costs

        for count in (20, 500):
            come, leave, leave_at_once, end = asyncio.run(run(count))
            # asyncio looks at a future a few times by itself.
            self.assertLess(come, 10 * 2 * count)
            self.assertLess(leave, 10 * 5)
            self.assertLess(leave_at_once, 10 * count)
            self.assertLess(end, 10 * count)


if __name__ == "__main__":
    absltest.main()
