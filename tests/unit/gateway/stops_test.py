"""Tests of stop strings in texts that come in pieces."""

from absl.testing import absltest
from hypothesis import given
from hypothesis import strategies
from kerasrnn_serving.gateway.completions.stops import Stopped
from kerasrnn_serving.gateway.completions.stops import StopScanner

# So few letters that stop strings come, overlap and begin in vain.
LETTERS = strategies.text("ab\n", max_size=12)
STOPS = strategies.lists(
    strategies.text("ab\n", min_size=1, max_size=4), max_size=4
)


def scan(pieces, stops):
    """Returns the text that is given out, and the stop string or None."""
    scanner, text = StopScanner(stops), ""
    for piece in pieces:
        found = scanner.add(piece)
        if isinstance(found, Stopped):
            return text + found.text, found.stop
        text += found
    return text + scanner.rest(), None


class StopScannerTest(absltest.TestCase):
    @given(strategies.lists(LETTERS, max_size=6), STOPS)
    def test_ends_with_the_stop_string_that_is_complete_first(
        self, pieces, stops
    ):
        whole = "".join(pieces)
        text, stop = scan(pieces, stops)
        ends = [
            end
            for end in range(len(whole) + 1)
            if any(whole[:end].endswith(other) for other in stops)
        ]
        if not ends:
            self.assertEqual((text, stop), (whole, None))
            return
        self.assertEqual(text + stop, whole[: ends[0]])
        # Of several that end there, the longest is taken off.
        self.assertEqual(
            len(stop),
            max(len(s) for s in stops if whole[: ends[0]].endswith(s)),
        )

    @given(strategies.lists(LETTERS, max_size=6), STOPS)
    def test_no_more_is_held_back_than_may_become_a_stop_string(
        self, pieces, stops
    ):
        scanner = StopScanner(stops)
        for piece in pieces:
            if isinstance(scanner.add(piece), Stopped):
                return
            self.assertTrue(
                not scanner.held
                or any(
                    stop.startswith(scanner.held) and stop != scanner.held
                    for stop in stops
                )
            )

    def test_without_stop_strings_nothing_is_held_back(self):
        scanner = StopScanner(())
        self.assertEqual(scanner.add("text"), "text")
        self.assertEqual(scanner.rest(), "")


if __name__ == "__main__":
    absltest.main()
