"""Keras' own shipped RNN tests, run with our classes in place of Keras'.

The test modules lie inside the installed Keras package. Each is loaded under
another name, with a `layers` namespace in which the recurrent layers and
cells are ours, and every test whose source names one of these is run. They
use constant weights, so they see contracts (shapes, masks, statefulness,
saving, dtypes), not gates: for those see `layers_parity_test.py`.
"""

import importlib.util
import inspect
import re
import types
import unittest
import warnings
from pathlib import Path

import keras
from absl.testing import absltest
from keras.src import layers as keras_layers

from kerasrnn import layers

REPLACED = {
    name: getattr(layers, name)
    for name in layers.__all__
    if hasattr(keras_layers, name)
}
_NAMED = re.compile(rf"\blayers\.({'|'.join(REPLACED)})\b")

# Modules of tests and how many of each name a replaced class and apply to it,
# in Keras 3.15; `rnn_test`, `time_distributed_test` and
# `dropout_rnn_cell_test` have none: they test `keras.layers.RNN` and the
# wrappers with cells of their own.
MODULES = {
    "layers.rnn.simple_rnn_test": 5,
    "layers.rnn.lstm_test": 6,
    "layers.rnn.gru_test": 8,
    "layers.rnn.rnn_test": 0,
    "layers.rnn.stacked_rnn_cells_test": 3,
    "layers.rnn.bidirectional_test": 8,
    "layers.rnn.time_distributed_test": 0,
    "layers.rnn.dropout_rnn_cell_test": 0,
    "layers.core.masking_test": 1,
    "saving.saving_lib_test": 1,
}

_FUSED = "tests a private method that asks for the very class of Keras"
_TORCH = "tests the PyTorch backend"
NOT_APPLICABLE = {
    "test_fused_lstm_eligibility": _FUSED,
    "test_fused_gru_eligibility": _FUSED,
    "test_torch_cudnn_dispatch_fires": _TORCH,
    "test_torch_cudnn_bidirectional_gru_dispatch_fires": _TORCH,
}


class _Namespace(types.SimpleNamespace):
    """`original`, with some names replaced."""

    def __init__(self, original, **replaced):
        super().__init__(**replaced)
        self._original = original

    def __getattr__(self, name):
        return getattr(self._original, name)


def _path(name):
    package = Path(keras.src.__file__).parent
    return package.joinpath(*name.split(".")).with_suffix(".py")


def _load(name):
    """Returns the Keras test module `name`, with our layers in it."""
    path = _path(name)
    specification = importlib.util.spec_from_file_location(
        f"conformance_{path.stem}", path
    )
    module = importlib.util.module_from_spec(specification)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pytest marks unknown here
        specification.loader.exec_module(module)
    replaced = _Namespace(keras_layers, **REPLACED)
    if hasattr(module, "layers"):
        module.layers = replaced
    if hasattr(module, "keras"):
        module.keras = _Namespace(keras, layers=replaced)
    return module


def _test_cases(module):
    for case in vars(module).values():
        if (
            inspect.isclass(case)
            and issubclass(case, unittest.TestCase)
            and case.__module__ == module.__name__
        ):
            yield case


def _names_replaced_class(method):
    return _NAMED.search(inspect.getsource(inspect.unwrap(method))) is not None


def _selected(case):
    """Returns the tests of `case` that name a replaced class."""
    return {
        name: method
        for name, method in vars(case).items()
        if name.startswith("test")
        and callable(method)
        and _names_replaced_class(method)
    }


def _conforming(case, selected):
    """Returns a subclass of `case` with only the `selected` tests."""
    members = {
        name: None for name in dir(case) if name.startswith("test")
    } | selected
    for name, reason in NOT_APPLICABLE.items():
        if name in selected:
            members[name] = unittest.skip(reason)(selected[name])
    return type(case)(case.__name__, (case,), members)


COUNTS = {}


def _add_test_cases():
    for name in MODULES:
        COUNTS[name] = 0
        short = name.rsplit(".", 1)[-1]
        for case in _test_cases(_load(name)):
            selected = _selected(case)
            COUNTS[name] += len(set(selected) - set(NOT_APPLICABLE))
            if selected:
                case = _conforming(case, selected)
                case.__name__ = f"{case.__name__}_{short}"
                case.__module__ = __name__
                globals()[case.__name__] = case


# Not every wheel of Keras holds its tests: 3.12's does not.
SHIPPED = all(_path(name).exists() for name in MODULES)
if SHIPPED:
    _add_test_cases()


class CountTest(absltest.TestCase):
    @unittest.skipUnless(SHIPPED, "this Keras does not ship its tests")
    def test_no_test_is_lost(self):
        print("Keras tests run with our classes:", COUNTS)
        for name, minimum in MODULES.items():
            self.assertGreaterEqual(COUNTS[name], minimum, name)


if __name__ == "__main__":
    absltest.main()
