"""A SavedModel's graph, with its variables, to be computed in parts.

What `tf.compat.v1.saved_model.load` does is done here in its order: the graph
is read, its variables are restored and its initializers run.
"""

from collections.abc import Collection
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from kerasrnn_export.graph import operations
from tensorflow.python.eager.cancellation import CancellationManager
from tensorflow.python.saved_model import loader_impl

from kerasrnn.contract import messages
from kerasrnn_serving.server.graph_functions import GraphFunction
from kerasrnn_serving.server.graph_functions import GraphFunctions
from kerasrnn_serving.server.rpc import StatusError
from kerasrnn_serving.server.rpc import invalid


class SavedGraph:
    """The graph of a version, loaded.

    Args:
        directory: Of the SavedModel.
        allowed_operations: That it may have beside those of `allowed_ops`;
            "*" is any.

    Attributes:
        signatures: `messages.SignatureDef` by name.

    Raises:
        StatusError: It has other operations.
        Exception: Whatever TensorFlow raises at a file that it cannot load.
    """

    def __init__(self, directory: Path, allowed_operations: Collection[str]):
        _grow_memory()
        loader = loader_impl.SavedModelLoader(str(directory))
        _check_operations(loader.saved_model, allowed_operations)
        self._graph = tf.Graph()
        saver, _ = loader.load_graph(self._graph, [tf.saved_model.SERVING])
        self._functions = GraphFunctions(self._graph)
        try:
            meta_graph = loader.get_meta_graph_def_from_tags(
                [tf.saved_model.SERVING]
            )
            self._restore(saver, loader.variables_path)
            self._initialize(directory, meta_graph)
        except BaseException:
            self.close()
            raise
        self.signatures = {
            name: messages.SignatureDef.FromString(
                definition.SerializeToString()
            )
            for name, definition in meta_graph.signature_def.items()
        }

    def _restore(self, saver, path):
        if saver is None:
            # There are no variables.
            return
        definition = saver.as_saver_def()
        self._run_once(
            {definition.filename_tensor_name: path}, definition.restore_op_name
        )

    def _initialize(self, directory, meta_graph):
        with self._graph.as_default():
            operation = loader_impl.get_init_op(meta_graph)
        if operation is not None:
            assets = loader_impl.get_asset_tensors(str(directory), meta_graph)
            self._run_once(assets, operation.name)

    def _run_once(self, texts, target):
        function = self._functions.make(texts, [], [target])
        arrays = [np.array(text, object) for text in texts.values()]
        function(arrays, CancellationManager())

    def function(
        self, feeds: Collection[str], fetches: Collection[str]
    ) -> GraphFunction:
        """Returns the function of some tensors, as a session would run it.

        Args:
            feeds: Names of tensors.
            fetches: Names of tensors.

        Raises:
            StatusError: OUT_OF_RANGE, an operation lacks the output named;
                INVALID_ARGUMENT, something has no name, as it is no dense
                tensor.
            KeyError: The graph has no such operation.
        """
        for name in (*feeds, *fetches):
            self._check_tensor(name)
        return self._functions.make(feeds, fetches)

    def _check_tensor(self, name):
        if not name:
            raise invalid("The signature has tensors that are not dense.")
        operation_name, _, index = name.partition(":")
        operation = self._graph.get_operation_by_name(operation_name)
        count = len(operation.outputs)
        if int(index) >= count:
            # In the runtime's words.
            raise StatusError(
                grpc.StatusCode.OUT_OF_RANGE,
                f"Node '{operation_name}' (type: '{operation.type}', num of "
                f"outputs: {count}) does not have output {index}",
            )

    def close(self) -> None:
        """Frees the variables; no call may be running."""
        self._functions.close()


def _grow_memory():
    """Takes of a GPU's memory what is used, where it is not in use yet."""
    for device in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(device, True)
        except (RuntimeError, ValueError):
            # It is in use already, with whatever it was given.
            return


def _check_operations(saved_model, allowed):
    found = operations.not_allowed(saved_model, allowed)
    if found:
        names = ", ".join(found).encode("unicode_escape").decode()
        raise StatusError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "It has operations that an export of kerasrnn-export does not "
            f"have there: {names}. Operations "
            "can read and write files; if you trust whoever made it, allow "
            "them by name with --allow_operations.",
        )
