"""A session's `run` for calls that are all alike.

`tf.compat.v1.Session.run` looks its tensors up by name and checks what it is
fed, in Python and anew in each call: a third of a millisecond, where a call
that writes 64 characters with a small model takes three. Here that is done
once, and what `run` comes to in the end is called by itself. It is TensorFlow's
own way, but not a public one: where a release has it no more, `run` is called.
"""

import inspect
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

try:
    from tensorflow.python.client import pywrap_tf_session
except ImportError:
    pywrap_tf_session = None

_NEEDED = ("TF_NewBufferFromString", "TF_DeleteBuffer")
_PARAMETERS = [
    "options",
    "feed_dict",
    "fetch_list",
    "target_list",
    "run_metadata",
]


class SessionCall:
    """Runs a session from some tensors to others, from many threads.

    Args:
        session: A `tf.compat.v1.Session` whose graph is complete.
        names: Of the tensors that will be fed or fetched.
        public: Whether to go by `run` alone.
    """

    def __init__(self, session, names, public: bool = False):
        self._session = session
        # A signature that only initializes names an operation instead.
        self._tensors = {
            name: session.graph.get_tensor_by_name(name)
            for name in names
            if ":" in name
        }
        self._is_direct = not public and _has_what_is_needed(
            session, self._tensors.values()
        )
        if self._is_direct:
            # As `run` does each time: the graph is complete.
            session._extend_graph()
            self._outputs = {
                name: tensor._as_tf_output()
                for name, tensor in self._tensors.items()
            }

    def __call__(
        self,
        fetches: list[str],
        feeds: Mapping[str, np.ndarray],
        timeout_seconds: float | None = None,
    ) -> list:
        """Returns the values of `fetches`, arrays; of scalars, maybe scalars.

        Args:
            fetches: Names of tensors.
            feeds: Arrays by the names of tensors, of their dtypes.
            timeout_seconds: The computation is stopped after this; None
                never stops it.

        Raises:
            ValueError: A name is none of a tensor, or an array cannot have
                the tensor's shape.
            tf.errors.OpError: The computation failed.
        """
        options = None
        if timeout_seconds is not None:
            # 0 would be no limit at all.
            milliseconds = max(1, int(timeout_seconds * 1000))
            options = tf.compat.v1.RunOptions(timeout_in_ms=milliseconds)
        self._check_names([*fetches, *feeds])
        if not self._is_direct:
            arrays = {self._tensors[name]: a for name, a in feeds.items()}
            tensors = [self._tensors[name] for name in fetches]
            return self._session.run(tensors, arrays, options=options)
        arrays = {self._outputs[name]: a for name, a in feeds.items()}
        return self._run(
            [self._outputs[name] for name in fetches], arrays, options
        )

    def _check_names(self, names):
        for name in names:
            if name not in self._tensors:
                raise ValueError(f"{name} is no tensor, so it has no value.")

    def _run(self, outputs, arrays, options):
        run = self._session._call_tf_sessionrun
        if options is None:
            return run(None, arrays, outputs, [], None)
        buffer = pywrap_tf_session.TF_NewBufferFromString(
            options.SerializeToString()
        )
        try:
            return run(buffer, arrays, outputs, [], None)
        finally:
            pywrap_tf_session.TF_DeleteBuffer(buffer)


def _has_what_is_needed(session, tensors):
    run = getattr(session, "_call_tf_sessionrun", None)
    return (
        callable(run)
        and list(inspect.signature(run).parameters) == _PARAMETERS
        and hasattr(session, "_extend_graph")
        and all(hasattr(tensor, "_as_tf_output") for tensor in tensors)
        and all(hasattr(pywrap_tf_session, name) for name in _NEEDED)
    )
