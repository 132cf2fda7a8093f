"""A session called directly, against the same session's public `run`."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from kerasrnn_serving.server.session_call import SessionCall


class SessionCallTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        graph = tf.Graph()
        with graph.as_default():
            text = tf.compat.v1.placeholder(tf.string, [None], "text")
            pairs = tf.compat.v1.placeholder(tf.float32, [None, 2], "pairs")
            free = tf.compat.v1.placeholder(tf.int64, None, "free")
            tf.strings.join([text, "!"], name="joined")
            tf.reduce_sum(pairs, axis=1, name="sums")
            tf.add(free, 1, name="more")
            tf.no_op(name="nothing")
            index = tf.cast(free, tf.int64)
            tf.while_loop(
                lambda i: i >= 0, lambda i: i + 1, [index], name="endless"
            )
        self.session = tf.compat.v1.Session(graph=graph)
        self.addCleanup(self.session.close)
        self.endless = next(
            operation.outputs[0].name
            for operation in graph.get_operations()
            if operation.name.startswith("endless")
            and operation.type in ("While", "StatelessWhile", "Exit")
        )

    def _call(self, public):
        names = ["text:0", "pairs:0", "free:0", "joined:0", "sums:0", "more:0"]
        return SessionCall(
            self.session, [*names, "nothing", self.endless], public
        )

    def test_the_direct_way_is_there(self):
        # Without it all is as before, and a third of a millisecond slower.
        self.assertTrue(self._call(public=False)._is_direct)
        self.assertFalse(self._call(public=True)._is_direct)

    def test_another_release_without_it_is_called_by_run(self):
        class OfAnotherRelease:
            """A session whose private method takes something else."""

            def __init__(self, session):
                self.graph, self.run = session.graph, session.run
                self._extend_graph = session._extend_graph

            def _call_tf_sessionrun(self, feeds, fetches):
                raise AssertionError("must not be called")

        names = ["free:0", "more:0"]
        call = SessionCall(OfAnotherRelease(self.session), names)
        self.assertEqual(call(["more:0"], {"free:0": np.int64(3)}), [4])

    def test_only_tensors_are_fed_and_fetched(self):
        for public in (False, True):
            call = self._call(public)
            for fetch, feeds in (
                ("nothing", {}),
                ("nothing", {"free:0": np.int64(3)}),
                ("more:0", {"nothing": np.int64(3)}),
            ):
                with self.assertRaisesRegex(ValueError, "nothing is no tensor"):
                    call([fetch], feeds)

    @parameterized.parameters(
        ("joined:0", "text:0", np.array([b"a", b"\0\xff", b""], object)),
        ("joined:0", "text:0", np.array([], object)),
        ("sums:0", "pairs:0", np.float32([[1, 2], [3, -4]])),
        ("sums:0", "pairs:0", np.zeros([0, 2], np.float32)),
        ("more:0", "free:0", np.int64(3)),
        ("more:0", "free:0", np.int64([[3], [2**62]])),
    )
    def test_values_are_those_of_run(self, fetch, feed, value):
        expected = self.session.run(fetch, {feed: value})
        for public in (False, True):
            for seconds in (None, 60.0):
                call = self._call(public)
                (result,) = call([fetch], {feed: value}, seconds)
                self.assertEqual(type(result), type(expected))
                np.testing.assert_array_equal(result, expected)

    def test_shapes_are_the_graph_s_to_refuse(self):
        """As with the server, which does not look at them."""
        call = self._call(False)
        (result,) = call(["sums:0"], {"pairs:0": np.ones([2, 3], np.float32)})
        self.assertEqual(result.tolist(), [3.0, 3.0])
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "sums"):
            call(["sums:0"], {"pairs:0": np.zeros([2], np.float32)})

    def test_a_deadline_ends_the_work(self):
        for public in (False, True):
            with self.assertRaises(tf.errors.DeadlineExceededError):
                self._call(public)([self.endless], {"free:0": np.int64(0)}, 0.2)

    def test_errors_of_the_graph_are_those_of_run(self):
        for public in (False, True):
            with self.assertRaises(tf.errors.InvalidArgumentError) as raised:
                self._call(public)(["joined:0"], {})
            self.assertIn("{{node text}}", raised.exception.message)


if __name__ == "__main__":
    absltest.main()
