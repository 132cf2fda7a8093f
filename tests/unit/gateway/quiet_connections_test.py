"""Tests of who keeps a connection where there are too many."""

from absl.testing import absltest
from hypothesis import given
from hypothesis import strategies
from kerasrnn_serving.gateway.connections import SPARE
from kerasrnn_serving.gateway.connections import Connections


class ConnectionsTest(absltest.TestCase):
    def test_the_one_that_is_quiet_for_longest_gives_way(self):
        connections = Connections(SPARE)
        for one in range(SPARE):
            self.assertIsNone(connections.opened(one))
        self.assertTrue(connections.began(0))
        connections.ended(0)
        self.assertEqual(connections.opened("a"), 1)
        connections.began(2)
        # The one that asks is kept, and whoever may be about to.
        self.assertIsNone(connections.opened("b"))
        self.assertEqual(connections.opened("c"), 3)

    def test_so_many_may_ask(self):
        connections = Connections(2)
        for one in range(3):
            connections.opened(one)
            self.assertEqual(connections.began(one), one < 2)
        connections.closed(0)
        connections.ended(2)
        self.assertTrue(connections.began(2))

    @given(
        strategies.integers(1, 40),
        strategies.lists(
            strategies.tuples(
                strategies.sampled_from(("opened", "began", "ended", "closed")),
                strategies.integers(0, 200),
            ),
            max_size=400,
        ),
    )
    def test_never_many_more_than_the_limit(self, limit, events):
        connections = Connections(limit)
        alive = []
        for number, (event, choice) in enumerate(events):
            if event == "opened":
                alive.append(number)
                superfluous = connections.opened(number)
                if superfluous is not None:
                    alive.remove(superfluous)
            elif alive:
                one = alive[choice % len(alive)]
                getattr(connections, event)(one)
                if event == "closed":
                    alive.remove(one)
            self.assertEqual(connections.open, len(alive))
            self.assertLessEqual(connections.open, limit + 2 * SPARE)


if __name__ == "__main__":
    absltest.main()
