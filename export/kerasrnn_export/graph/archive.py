"""A sampler as a SavedModel on disk, with its signatures' defaults.

Nothing in the file names a device or asks for XLA, whatever machine writes
it: `kerasrnn_export.release.verify` checks what this module makes.
"""

import contextlib
import errno
import functools
import inspect
import os
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from kerasrnn.contract import signatures
from kerasrnn.foundation.paths import StrPath
from kerasrnn_export.graph import operations
from kerasrnn_export.graph.sampler import Sampler

# What an export offers.
EXPORTED = tuple(signatures.SIGNATURES.values())

GRAPH_FILE = "saved_model.pb"
# It belongs to the file as TensorFlow wrote it; loaders do without it.
_FINGERPRINT_FILE = "fingerprint.pb"
# How to differentiate a node, by names that hold in this process alone.
_GRADIENT_ATTRIBUTE = "_gradient_op_type"
_ERROR_NUMBERS = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.ENOSPC,
    errno.EPERM,
    errno.EROFS,
)


def write(sampler: Sampler, directory: StrPath) -> None:
    """Writes the SavedModel of a sampler.

    Args:
        sampler: What to write.
        directory: Made where it does not exist.

    Raises:
        OSError: It could not be written.
    """
    functions = {
        signature.name: signature_function(
            getattr(sampler, signature.name), signature
        )
        for signature in EXPORTED
        if signature != signatures.SERVING_DEFAULT
    }
    # It calls the other's graph, instead of having a copy.
    functions[signatures.SERVING_DEFAULT.name] = signature_function(
        functools.partial(
            sampler.serving_default,
            generate=functions[signatures.GENERATE.name],
        ),
        signatures.SERVING_DEFAULT,
    )
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with file_errors():
        tf.saved_model.save(
            sampler, str(directory), signatures=functions, options=options
        )
    directory = Path(directory)
    saved_model = read_graph(directory)
    for node in operations.nodes(saved_model):
        node.device = ""
        node.attr.pop(_GRADIENT_ATTRIBUTE, None)
    _name_units(saved_model, sampler.num_layers)
    path = directory / GRAPH_FILE
    path.write_bytes(saved_model.SerializeToString(deterministic=True))
    (directory / _FINGERPRINT_FILE).unlink(missing_ok=True)


def _name_units(saved_model, num_layers):
    inspect = saved_model.meta_graphs[0].signature_def[signatures.INSPECT.name]
    *_, units = inspect.outputs["activations"].tensor_shape.dim
    units.name = signatures.units_name(num_layers, units.size // num_layers)


def signature_function(
    function: Callable[..., dict[str, tf.Tensor]],
    signature: signatures.Signature,
) -> tf.types.experimental.PolymorphicFunction:
    """Returns a `tf.function` of `function` whose inputs have defaults.

    TensorFlow takes the defaults of a SavedModel's signature from those of
    a Python function, where they are tensors.

    Args:
        function: Called with tensors by the names of the inputs.
        signature: Names, dtypes and defaults.
    """

    def named(*args, **kwargs):
        return function(*args, **kwargs)

    named.__name__ = signature.name
    signature_of_inputs = inspect.Signature(
        [
            inspect.Parameter(
                entry.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=inspect.Parameter.empty
                if entry.default is None
                else tf.constant([entry.default], entry.dtype),
            )
            for entry in signature.inputs
        ]
    )
    named.__signature__ = signature_of_inputs  # type: ignore[attr-defined]
    specs = [
        tf.TensorSpec([None], entry.dtype, entry.name)
        for entry in signature.inputs
    ]
    return tf.function(named, input_signature=specs, autograph=False)


def read_graph(directory: StrPath) -> saved_model_pb2.SavedModel:
    """Returns the graph's file of a SavedModel."""
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((Path(directory) / GRAPH_FILE).read_bytes())
    return saved_model


@contextlib.contextmanager
def file_errors() -> Iterator[None]:
    """Turns TensorFlow's errors of the file system into OSErrors.

    They carry the text of an error number, not the number.
    """
    try:
        yield
    except tf.errors.OpError as error:
        for number in _ERROR_NUMBERS:
            text = os.strerror(number)
            if text in error.message:
                raise OSError(number, text) from error
        raise
