"""Parts of a graph as functions that can be cancelled while they run.

A part is what `tf.compat.v1.Session.run` computes of a graph: some tensors,
from others. A session can end a run at a time limit, but not when its client
has gone; a function of the same part computes the same, and ends whenever its
`CancellationManager` says so. TensorFlow's Python API allows that for one
thread at a time. So the call underneath it is made here directly, from many
threads. That call is not public: `pyproject.toml` allows the releases that have
it.
"""

import itertools
import re
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.eager import context as eager_context
from tensorflow.python.eager.cancellation import CancellationManager
from tensorflow.python.framework import op_def_registry

_HOST = "/job:localhost/replica:0/task:0/device:CPU:0"
_PLACEHOLDERS = ("Placeholder", "PlaceholderV2")
_numbers = itertools.count()
# The names that are given here, where they get into messages.
_OUTER = re.compile(r"^\{\{function_node __[^}]*\}\} | \[Op:__\w+\]$")
_PREFIX = re.compile(r"(?<=\{\{function_node )kerasrnn_\d+_")


class GraphFunctions:
    """Makes functions of one graph, which share its variables and tables.

    Nobody else shares them: of two graphs alike, each has its own.

    Args:
        graph: A complete `tf.Graph`.
    """

    def __init__(self, graph: tf.Graph):
        prefix = f"kerasrnn_{next(_numbers)}_"
        self._graph = graph
        self._graph_def = _renamed(graph.as_graph_def(), prefix)
        self._nodes = {node.name: node for node in self._graph_def.node}
        # Made once: each function might have them on another device.
        self._resources = {
            operation.outputs[0].name: _create(operation, prefix)
            for operation in graph.get_operations()
            if _creates_resource(operation)
        }

    def make(
        self,
        feeds: Iterable[str],
        fetches: Iterable[str],
        targets: Iterable[str] = (),
    ) -> "GraphFunction":
        """Returns a function of some tensors.

        Args:
            feeds: Names of the tensors that it takes, of whatever shape.
            fetches: Names of the tensors that it returns.
            targets: Names of the operations that it runs as well.

        Raises:
            KeyError: The graph has no such tensor or operation.
        """
        feeds, fetches, targets = list(feeds), list(fetches), list(targets)
        # What is fed and fetched alike is not in the part.
        inside = [name for name in fetches if name not in feeds]
        part, borders = self._part(feeds, inside, targets)
        resources = sorted(borders & self._resources.keys())
        names = [*feeds, *resources]
        dtypes = [self._graph.get_tensor_by_name(name).dtype for name in names]

        def body(*arguments):
            sources = dict(zip(names, arguments, strict=True))
            returned = tf.graph_util.import_graph_def(
                part,
                input_map={b: sources[_tensor_name(b)] for b in borders},
                return_elements=[*inside, *targets],
                name="",
            )
            values = sources | dict(zip(inside, returned, strict=False))
            with tf.control_dependencies(returned[len(inside) :]):
                outputs = [tf.identity(values[name]) for name in fetches]
                # What returns nothing is not run.
                return outputs or [tf.constant(0)]

        function = tf.compat.v1.wrap_function(
            body, [tf.TensorSpec(None, dtype) for dtype in dtypes]
        )
        handles = [self._resources[name] for name in resources]
        return GraphFunction(function, dtypes[: len(feeds)], handles)

    def _part(self, feeds, fetches, targets):
        """Returns the nodes between tensors, and the inputs where they end.

        Only these: whatever is stateful in a function runs.
        """
        part = tf.compat.v1.GraphDef()
        part.versions.CopyFrom(self._graph_def.versions)
        part.library.CopyFrom(self._graph_def.library)
        waiting = [*fetches, *(f"^{target}" for target in targets)]
        borders, seen = set(), set()
        while waiting:
            name = waiting.pop()
            node = self._nodes[_node_name(name)]
            if self._is_border(name, node, feeds):
                borders.add(name)
            elif node.name not in seen:
                seen.add(node.name)
                part.node.append(node)
                waiting += map(_input_name, node.input)
        return part, borders

    def _is_border(self, name, node, feeds):
        if not name.startswith("^"):
            return name in feeds or name in self._resources
        # As in a session, whoever waits for a placeholder does not, where it
        # is fed.
        return node.op in _PLACEHOLDERS and _tensor_name(name) in feeds

    def close(self) -> None:
        """Frees what it has; none of the functions may be running."""
        context = eager_context.context()
        for function in self._graph_def.library.function:
            name = function.signature.name
            # By each function that calls it there once more.
            while context.has_function(name):
                context.remove_function(name)
        for handle in self._resources.values():
            tf.raw_ops.DestroyResourceOp(
                resource=handle, ignore_lookup_error=True
            )
        self._resources.clear()


class GraphFunction:
    """A function of tensors; calls may come from many threads at once."""

    def __init__(
        self,
        function: Any,
        dtypes: Iterable[tf.DType],
        handles: Sequence[Any],
    ):
        context = eager_context.context()
        context.ensure_initialized()
        self._context = context._handle
        # It lives in the context for as long as this is there.
        self._function = function
        self._name = function.name.decode()
        self._types = [dtype.as_datatype_enum for dtype in dtypes]
        self._handles = handles
        self._outputs = len(function.outputs)
        options = context.function_call_options.as_attrs()
        self._attributes = tuple(itertools.chain(*options.items()))

    def __call__(
        self, arrays: Sequence[np.ndarray], manager: CancellationManager
    ) -> list:
        """Returns the values fetched, arrays; of scalars, maybe scalars.

        Args:
            arrays: One for each tensor that is fed, of its dtype.
            manager: Ends the computation, or does not let it begin.

        Raises:
            tf.errors.OpError: The computation failed, or was cancelled.
        """
        tensors = [
            tf.__internal__.EagerTensor(array, _HOST, dtype)
            for array, dtype in zip(arrays, self._types, strict=True)
        ]
        try:
            outputs = pywrap_tfe.TFE_Py_ExecuteCancelable(
                self._context,
                None,  # where the function's operations belong
                self._name,
                [*tensors, *self._handles],
                self._attributes,
                manager._impl,
                self._outputs,
            )
            return [output._numpy() for output in outputs]
        except tf.errors.OpError as error:
            message = _PREFIX.sub("", _OUTER.sub("", error.message))
            raise type(error)(None, None, message) from None


def _renamed(graph_def, prefix):
    """Has no name that another graph may have in the same process."""
    functions = {f.signature.name for f in graph_def.library.function}
    graph_def.library.ClearField("gradient")
    nodes = list(graph_def.node)
    for function in graph_def.library.function:
        function.signature.name = prefix + function.signature.name
        nodes += function.node_def
    for node in nodes:
        if _has_shared_name(node.op):
            node.attr["shared_name"].s = _shared_name(node, prefix)
        if node.op in functions:
            node.op = prefix + node.op
        for value in node.attr.values():
            for called in (value.func, *value.list.func):
                if called.name in functions:
                    called.name = prefix + called.name
    return graph_def


def _has_shared_name(op):
    definition = op_def_registry.get(op)
    return definition is not None and any(
        attribute.name == "shared_name" for attribute in definition.attr
    )


def _shared_name(node, prefix):
    name = node.attr["shared_name"].s or node.name.encode()
    return prefix.encode() + name


def _creates_resource(operation):
    return (
        not operation.inputs
        and not operation.control_inputs
        and [output.dtype for output in operation.outputs] == [tf.resource]
        and _has_shared_name(operation.type)
    )


def _create(operation, prefix):
    attributes = {
        attribute.name: operation.get_attr(attribute.name)
        for attribute in operation.op_def.attr
    }
    attributes["shared_name"] = _shared_name(operation.node_def, prefix)
    return getattr(tf.raw_ops, operation.type)(**attributes)


def _node_name(name):
    return name.removeprefix("^").partition(":")[0]


def _tensor_name(name):
    """Returns the tensor; of an operation that is waited for, the first."""
    return f"{name[1:]}:0" if name.startswith("^") else name


def _input_name(name):
    """Returns a node's input as tensors are called, with an index."""
    return name if ":" in name or name.startswith("^") else f"{name}:0"
