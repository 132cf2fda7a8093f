"""Which operations of a SavedModel are not on the list of allowed ones.

A SavedModel is a program, and TensorFlow has operations that read and write
files. Those by which a SavedModel saves and restores its variables are in
each one; they are allowed there and nowhere else.
"""

from collections.abc import Collection
from collections.abc import Iterator
from typing import Any

from kerasrnn_export.graph.allowed_ops import ALLOWED_OPS

ANY = "*"
_INITIALIZING_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
_READING = frozenset({"RestoreV2"})
_WRITING = frozenset({"SaveV2", "MergeV2Checkpoints"})


def nodes(saved_model: Any) -> Iterator[Any]:
    """Yields every node of a `SavedModel`'s graphs and of their functions."""
    for meta_graph in saved_model.meta_graphs:
        yield from _nodes(meta_graph)


def not_allowed(saved_model: Any, others: Collection[str] = ()) -> list[str]:
    """Returns the names of the operations that are not allowed, sorted.

    Args:
        saved_model: The `SavedModel` message.
        others: Operations that are allowed as well; "*" is any.
    """
    if ANY in others:
        return []
    found = set()
    for meta_graph in saved_model.meta_graphs:
        functions = {
            function.signature.name
            for function in meta_graph.graph_def.library.function
        }
        operations = {node.op for node in _nodes(meta_graph)}
        found |= operations - functions - ALLOWED_OPS
        # Loading and serving must not run what only a saver may.
        served = _reached(meta_graph, _served_names(meta_graph))
        found |= served & (_READING | _WRITING)
        restore = [meta_graph.saver_def.restore_op_name]
        found |= _reached(meta_graph, restore) & _WRITING
    return sorted(found.difference(others))


def _nodes(meta_graph):
    yield from meta_graph.graph_def.node
    for function in meta_graph.graph_def.library.function:
        yield from function.node_def


def _served_names(meta_graph):
    """Yields the tensors and operations that loading and calls ask for."""
    for signature in meta_graph.signature_def.values():
        for info in signature.outputs.values():
            yield info.name
    for name in _INITIALIZING_COLLECTIONS:
        if name in meta_graph.collection_def:
            yield from meta_graph.collection_def[name].node_list.value


def _reached(meta_graph, names):
    """Returns the operations that run where `names` are asked for.

    A function that is called counts with all operations that it has.
    """
    by_name = {node.name: node for node in meta_graph.graph_def.node}
    library = {
        function.signature.name: function.node_def
        for function in meta_graph.graph_def.library.function
    }
    operations, waiting = set(), []
    names = [_node_name(name) for name in names]
    while names:
        # A node that is taken out is not visited again.
        node = by_name.pop(names.pop(), None)
        if node is not None:
            waiting.append(node)
            names += map(_node_name, node.input)
    while waiting:
        node = waiting.pop()
        operations.add(node.op)
        for name in _called(node):
            waiting += library.pop(name, ())
    return operations


def _called(node):
    yield node.op
    for value in node.attr.values():
        yield value.func.name
        yield from (function.name for function in value.list.func)


def _node_name(name):
    return name.removeprefix("^").partition(":")[0]
