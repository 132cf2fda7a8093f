"""An export runs in any stock server, and in those of other releases.

`make compat` names the Python of an environment that has nothing but another
TensorFlow in `KERASRNN_SESSION_PYTHON`; without it, its test is skipped.
"""

import os
import random

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.exports import served_signatures
from helpers.servers import session_runner
from kerasrnn_export.graph import archive
from kerasrnn_export.graph import state_token
from kerasrnn_export.graph.allowed_ops import ALLOWED_OPS
from tensorflow.python.framework import op_def_registry

# Parts of names of what a stock server has not, or not everywhere.
FOREIGN = ("pyfunc", "eagerpy", "cudnn", "xla", "onednn", "mkl", "tpu")
SIZE = "2x128"
SAMPLED = 100
GREEDY = 20
LENGTH = 200


class Scan:
    """All that the signatures of a SavedModel reach, function by function.

    Attributes:
        nodes: The nodes reached, of the graph and of functions.
        functions: Names of the functions reached.
    """

    def __init__(self, directory):
        (meta_graph,) = archive.read_graph(directory).meta_graphs
        self._library = {
            function.signature.name: function
            for function in meta_graph.graph_def.library.function
        }
        by_name = {node.name: node for node in meta_graph.graph_def.node}
        self.nodes, self.functions = [], set()
        seen, queue = (
            set(),
            [
                info.name.partition(":")[0]
                for signature in meta_graph.signature_def.values()
                for info in (
                    *signature.inputs.values(),
                    *signature.outputs.values(),
                )
            ],
        )
        while queue:
            name = queue.pop()
            if name in seen:
                continue
            seen.add(name)
            node = by_name[name]
            self._visit(node)
            queue += [i.lstrip("^").partition(":")[0] for i in node.input]

    def _visit(self, node):
        self.nodes.append(node)
        called = [node.op] if node.op in self._library else []
        for value in node.attr.values():
            called += [value.func.name] if value.func.name else []
            called += [entry.name for entry in value.list.func]
        for name in called:
            if name not in self.functions:
                self.functions.add(name)
                for inner in self._library[name].node_def:
                    self._visit(inner)

    def attributes(self):
        """Yields name and value of each attribute, of functions too."""
        for node in self.nodes:
            yield from node.attr.items()
        for name in self.functions:
            yield from self._library[name].attr.items()


class GraphTest(parameterized.TestCase):
    @parameterized.product(name=[*served_signatures.MODELS, "1x512"])
    def test_no_signature_asks_for_what_a_stock_server_lacks(self, name):
        scan = Scan(served_signatures.Exported.of(name).directory)
        # The loops and branches are functions: the scan has entered them.
        self.assertGreater(len(scan.functions), 10)
        ops = {node.op for node in scan.nodes}
        self.assertIn("MatMul", ops)
        self.assertLessEqual(ops, ALLOWED_OPS)
        for op in ops:
            self.assertFalse(any(part in op.lower() for part in FOREIGN), op)
        self.assertEqual({node.device for node in scan.nodes}, {""})
        for key, value in scan.attributes():
            if any(part in key.lower() for part in ("xla", "jit_compile")):
                self.assertFalse(value.b or value.s, key)
            self.assertNotIn("_gradient_op_type", key)

    @parameterized.product(name=list(served_signatures.MODELS))
    def test_every_resource_is_a_variable_that_is_restored(self, name):
        """No table, queue, iterator or variable that the file does not fill."""
        exported = served_signatures.Exported.of(name)
        makers = {
            node.op
            for node in Scan(exported.directory).nodes
            # These hand on what they are given.
            if node.op not in ("Placeholder", "StatefulPartitionedCall")
            and _makes_a_resource(node)
        }
        self.assertEqual(makers, {"VarHandleOp"})
        (meta_graph,) = archive.read_graph(exported.directory).meta_graphs
        handles = [
            node
            for node in meta_graph.graph_def.node
            if node.op == "VarHandleOp"
        ]
        restored = tf.train.list_variables(
            str(exported.directory / "variables" / "variables")
        )
        restored = [key for key, _ in restored if "VARIABLE_VALUE" in key]
        self.assertLen(handles, len(exported.weights))
        self.assertLen(restored, len(exported.weights))

    def test_a_python_function_would_be_found(self):
        """The scan enters branches of functions of signatures."""

        class Module(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
            def call(self, x):
                def inner():
                    return tf.numpy_function(np.copy, [x], tf.float32)

                return {"y": tf.cond(x[0] > 0, inner, lambda: x)}

        module = Module()
        directory = self.create_tempdir().full_path
        tf.saved_model.save(module, directory, signatures=module.call)
        ops = {node.op for node in Scan(directory).nodes}
        self.assertIn("PyFunc", ops)


class OtherTensorFlowTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.python = os.environ.get("KERASRNN_SESSION_PYTHON")
        if not self.python:
            self.skipTest("no other TensorFlow here: make compat has one")
        self.exported = served_signatures.Exported.of(SIZE)
        chance = random.Random(0)
        self.rows = [
            {
                "prompt": served_signatures.random_text(chance, 20).encode(),
                "length": LENGTH,
                "temperature": float(index >= GREEDY),
                "seed": index,
            }
            for index in range(GREEDY + SAMPLED)
        ]
        batch = self.exported.batch
        self.calls = [("generate", batch("generate", [r])) for r in self.rows]
        texts = [{"text": row["prompt"] * 9} for row in self.rows[:8]]
        for name in ("score", "inspect"):
            self.calls.append((name, batch(name, texts)))
        self.calls.append(("serving_default", {"prompt": [b"", b"abc"]}))

    def test_another_tensorflows_session_loader_says_the_same(self):
        """Greedy texts, 99 of 100 sampled ones, states to 1e-5."""
        expected = session_runner.run(self.exported.directory, self.calls)
        received = session_runner.run_elsewhere(
            self.python, self.exported.directory, self.calls
        )
        texts = [
            [answer["text"][0] for answer in answers[: len(self.rows)]]
            for answers in (expected, received)
        ]
        self.assertEqual(texts[0][:GREEDY], texts[1][:GREEDY])
        pairs = list(zip(*texts, strict=True))
        same = [mine == theirs for mine, theirs in pairs]
        print(f"\n{sum(same[GREEDY:])} of {SAMPLED} sampled texts are the same")
        self.assertGreaterEqual(sum(same[GREEDY:]), SAMPLED - 1)
        for index, (mine, theirs) in enumerate(
            zip(expected, received, strict=True)
        ):
            if index >= len(self.rows) or same[index]:
                self._assert_close(mine, theirs)

    def _assert_close(self, expected, received):
        self.assertEqual(expected.keys(), received.keys())
        for name, values in expected.items():
            values, others = np.array(values), np.array(received[name])
            if name == "state_bytes":
                for value, other in zip(values, others, strict=True):
                    np.testing.assert_allclose(
                        _states(other), _states(value), atol=1e-5
                    )
            elif values.dtype.kind == "f":
                np.testing.assert_allclose(
                    others, values, rtol=1e-5, atol=1e-3, err_msg=name
                )
            elif name != "top_characters":  # Two may be all but equal.
                np.testing.assert_array_equal(others, values, err_msg=name)


def _makes_a_resource(node):
    resource = tf.resource.as_datatype_enum
    return any(
        resource in (argument.type, node.attr[argument.type_attr].type)
        for argument in op_def_registry.get(node.op).output_arg
    )


def _states(token):
    start = state_token.HEADER_LENGTH + 4 * state_token.FIXED_WORDS
    return np.frombuffer(token[start:], "<f4")


if __name__ == "__main__":
    absltest.main()
