"""Functions of parts of a graph, against a session of the same graph."""

import threading

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from kerasrnn_serving.server.graph_functions import GraphFunctions
from tensorflow.python.eager.cancellation import CancellationManager

# Far more than it takes, for a machine that is busy.
_TIMEOUT = 120


def _graph():
    v1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default():
        text = v1.placeholder(tf.string, [None], "text")
        pairs = v1.placeholder(tf.float32, [None, 2], "pairs")
        free = v1.placeholder(tf.int64, None, "free")
        tf.strings.join([text, "!"], name="joined")
        tf.reduce_sum(pairs, axis=1, name="sums")
        more = tf.add(free, 1, name="more")
        tf.multiply(more, 10, name="tenfold")
        with tf.control_dependencies([free]):
            tf.constant(5, name="after")
        tf.unstack(tf.constant([3, 4]), name="two")
        tf.gather(tf.constant([1, 2]), free, name="gathered")
        function = tf.function(
            lambda index: tf.gather(tf.constant([1, 2]), index, name="inner")
        )
        tf.identity(function(free), name="called")
        tf.while_loop(
            lambda i: i >= 0,
            lambda i: tf.abs(i),
            [tf.cast(free, tf.int64)],
            name="endless",
        )
        variable = tf.raw_ops.VarHandleOp(
            dtype=tf.int64, shape=[], shared_name="x", name="variable"
        )
        with tf.control_dependencies(
            [tf.raw_ops.AssignAddVariableOp(resource=variable, value=free)]
        ):
            tf.raw_ops.ReadVariableOp(
                resource=variable, dtype=tf.int64, name="added"
            )
        tf.raw_ops.AssignVariableOp(
            resource=variable, value=tf.constant(0, tf.int64), name="reset"
        )
        _add_table(free)
    return graph


def _add_table(free):
    # It has no name that is shared, and is one nevertheless.
    table = tf.raw_ops.MutableHashTableV2(
        key_dtype=tf.int64, value_dtype=tf.int64, name="table"
    )
    tf.raw_ops.LookupTableInsertV2(
        table_handle=table, keys=free, values=free + 1, name="insert"
    )
    tf.raw_ops.LookupTableFindV2(
        table_handle=table,
        keys=free,
        default_value=tf.constant(-1, tf.int64),
        name="find",
    )


class GraphFunctionsTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.graph = _graph()
        self.session = tf.compat.v1.Session(graph=self.graph)
        self.addCleanup(self.session.close)
        self.functions = self._functions()
        self.endless = next(
            operation.outputs[0].name
            for operation in self.graph.get_operations()
            if operation.name.startswith("endless")
            and operation.type in ("While", "StatelessWhile", "Exit")
        )

    def _functions(self):
        functions = GraphFunctions(self.graph)
        self.addCleanup(functions.close)
        return functions

    def _run(self, functions, fetches, feeds, targets=(), manager=None):
        function = functions.make(feeds, fetches, targets)
        return function([*feeds.values()], manager or CancellationManager())

    @parameterized.parameters(
        ("joined:0", "text:0", np.array([b"a", b"\0\xff", b""], object)),
        ("joined:0", "text:0", np.array([], object)),
        ("sums:0", "pairs:0", np.float32([[1, 2], [3, -4]])),
        ("sums:0", "pairs:0", np.zeros([0, 2], np.float32)),
        ("more:0", "free:0", np.int64(3)),
        ("more:0", "free:0", np.int64([[3], [2**62]])),
        # What is fed in the middle, to an operation of two outputs, and to
        # one that is only waited for.
        ("tenfold:0", "more:0", np.int64([7])),
        ("two:1", "two:0", np.int32(1)),
        ("after:0", "free:0", np.int64(3)),
        ("free:0", "free:0", np.int64([3])),
    )
    def test_values_are_those_of_a_session(self, fetch, feed, value):
        expected = self.session.run(fetch, {feed: value})
        (result,) = self._run(self.functions, [fetch], {feed: value})
        self.assertEqual(type(result), type(expected))
        np.testing.assert_array_equal(result, expected)

    def test_several_values_one_of_them_twice(self):
        feeds = {"free:0": np.int64([1, 2])}
        fetches = ["tenfold:0", "more:0", "tenfold:0", "two:1"]
        results = self._run(self.functions, fetches, feeds)
        for result, expected in zip(
            results, self.session.run(fetches, feeds), strict=True
        ):
            np.testing.assert_array_equal(result, expected)

    def test_what_is_not_there(self):
        for feeds, fetches, targets in (
            (["nothing:0"], ["more:0"], []),
            ([], ["nothing:0"], []),
            ([], [], ["nothing"]),
        ):
            with self.assertRaisesRegex((KeyError, ValueError), "nothing"):
                self.functions.make(feeds, fetches, targets)

    def test_functions_share_variables_and_two_graphs_do_not(self):
        one, other = self.functions, self._functions()
        for functions in (one, other):
            self._run(functions, [], {}, ["reset"])
        for functions, expected in ((one, 5), (one, 10), (other, 5)):
            feeds = {"free:0": np.int64(5)}
            self.assertEqual(
                self._run(functions, ["added:0"], feeds), [expected]
            )
        self._run(one, [], {"free:0": np.int64([5])}, ["insert"])
        for functions, expected in ((one, 6), (other, -1)):
            feeds = {"free:0": np.int64([5])}
            (found,) = self._run(functions, ["find:0"], feeds)
            self.assertEqual(found.tolist(), [expected])

    def test_nothing_runs_that_is_not_asked_for(self):
        self._run(self.functions, [], {}, ["reset"])
        self._run(self.functions, ["more:0"], {"free:0": np.int64(5)})
        feeds = {"free:0": np.int64(0)}
        self.assertEqual(self._run(self.functions, ["added:0"], feeds), [0])

    def test_shapes_are_the_graph_s_to_refuse(self):
        """As with the server, which does not look at them."""
        feeds = {"pairs:0": np.ones([2, 3], np.float32)}
        (result,) = self._run(self.functions, ["sums:0"], feeds)
        self.assertEqual(result.tolist(), [3.0, 3.0])
        feeds = {"pairs:0": np.zeros([2], np.float32)}
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "sums"):
            self._run(self.functions, ["sums:0"], feeds)

    @parameterized.parameters("gathered:0", "called:0")
    def test_errors_are_those_of_a_session(self, fetch):
        feeds = {"free:0": np.int64(7)}
        messages = []
        for call in (
            lambda: self.session.run(fetch, feeds),
            lambda: self._run(self.functions, [fetch], feeds),
        ):
            with self.assertRaises(tf.errors.InvalidArgumentError) as raised:
                call()
            messages.append(raised.exception.message)
        # Around that Python says where the graph was made.
        self.assertIn(f"\n{messages[1]}\n", f"\n{messages[0]}\n")
        self.assertEndsWith(messages[1], "}}]]")

    def test_many_loops_that_run_are_cancelled(self):
        """More than there are threads for them; the others run on."""
        function = self.functions.make(["free:0"], [self.endless])
        managers = [CancellationManager() for _ in range(20)]
        errors = []

        def run(manager):
            try:
                function([np.int64(0)], manager)
            except tf.errors.CancelledError as error:
                errors.append(error)

        threads = [
            threading.Thread(target=run, args=[manager], daemon=True)
            for manager in managers
        ]
        for thread in threads:
            thread.start()
        first, *others = zip(managers, threads, strict=True)
        for manager, _ in others:
            manager.start_cancel()
        for _, thread in others:
            thread.join(_TIMEOUT)
        self.assertLen(errors, len(others))
        manager, thread = first
        self.assertTrue(thread.is_alive())
        manager.start_cancel()
        thread.join(_TIMEOUT)
        self.assertLen(errors, len(managers))

    def test_what_is_cancelled_before_does_not_begin(self):
        self._run(self.functions, [], {}, ["reset"])
        manager = CancellationManager()
        manager.start_cancel()
        feeds = {"free:0": np.int64(5)}
        with self.assertRaises(tf.errors.CancelledError):
            self._run(self.functions, ["added:0"], feeds, manager=manager)
        feeds = {"free:0": np.int64(0)}
        self.assertEqual(self._run(self.functions, ["added:0"], feeds), [0])


if __name__ == "__main__":
    absltest.main()
