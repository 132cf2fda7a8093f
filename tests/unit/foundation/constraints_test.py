"""Settings are Python's own values, whatever kinds of values they are given."""

import dataclasses
import math
import os
import pathlib
import typing

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.errors import UserError
from kerasrnn.foundation import dataclass_json
from kerasrnn.training.step.schedule import Limits

CLASSES = (ModelConfig, DataConfig, TrainingConfig, Limits)
REQUIRED = {ModelConfig: {"vocabulary_size": 50}}
INTEGERS = (
    *(np.int8, np.int16, np.int32, np.int64),
    *(np.uint8, np.uint16, np.uint32, np.uint64),
)
FLOATS = (np.float16, np.float32, np.float64, np.longdouble)
WHOLE = (0, 1, 50, 255, 30_000, 2**32 - 1, 2**63 - 1)
FRACTIONS = (0.0, 1e-7, 0.1, 1.0, 2e38, math.inf, math.nan)


class BytesPath:
    def __fspath__(self):
        return b"text.txt"


def outcome(cls, **values):
    """Returns the settings, or None where they are refused."""
    try:
        return cls(**{**REQUIRED.get(cls, {}), **values})
    except UserError:
        return None


def numbers():
    """Yields each field for a number, and a NumPy number of each kind."""
    for cls in CLASSES:
        for name, hint in typing.get_type_hints(cls).items():
            if hint not in (int, float):
                continue
            for dtype in INTEGERS:
                for value in WHOLE:
                    if value <= np.iinfo(dtype).max:
                        yield cls, name, hint, dtype(value)
            for dtype in FLOATS:
                for value in FRACTIONS:
                    with np.errstate(over="ignore"):
                        yield cls, name, hint, dtype(value)


class NumbersTest(absltest.TestCase):
    def test_those_of_numpy_are_taken_for_pythons(self):
        made = refused = 0
        for cls, name, hint, value in numbers():
            said = f"{cls.__name__}({name}={value!r})"
            actual = outcome(cls, **{name: value})
            if isinstance(value, np.floating) and hint is int:
                self.assertIsNone(actual, said)
                continue
            expected = outcome(cls, **{name: hint(value)})
            self.assertEqual(actual, expected, said)
            if actual is None:
                refused += 1
                continue
            made += 1
            self.assertIs(type(getattr(actual, name)), hint, said)
            text = dataclass_json.to_json(actual)
            self.assertEqual(text, dataclass_json.to_json(expected), said)
            restored = dataclass_json.from_json(cls, text, "text")
            self.assertEqual(restored, actual, said)
        self.assertGreater(made, 1000)
        self.assertGreater(refused, 500)

    def test_a_whole_configuration(self):
        config = Config(
            model=ModelConfig(vocabulary_size=np.int64(5)),
            data=DataConfig(validation_fraction=np.float64(0.1)),
            training=TrainingConfig(
                seed=np.int64(5), learning_rate=np.float32(0.01)
            ),
        )
        self.assertEqual(Config.from_json(config.to_json()), config)
        self.assertEqual(config.training.learning_rate, np.float32(0.01))

    def test_numbers_that_no_float_holds(self):
        for value in (10**400, -(10**400)):
            with self.assertRaisesRegex(UserError, "learning_rate must be "):
                TrainingConfig(learning_rate=value)

    def test_neither_true_nor_false_is_a_number(self):
        for value in (True, np.True_):
            self.assertIsNone(outcome(TrainingConfig, seed=value))
            self.assertIsNone(outcome(TrainingConfig, learning_rate=value))
        for value in (1, "yes", None):
            with self.assertRaisesRegex(UserError, "must be True or False"):
                DataConfig(normalize_newlines=value)


class PathsTest(parameterized.TestCase):
    def test_each_path_may_be_an_object(self):
        path = pathlib.Path("a") / "b.txt"
        for data in ([path], (path,), [str(path)]):
            self.assertEqual(
                DataConfig(data=data), DataConfig(data=(str(path),))
            )
        self.assertEqual(
            TrainingConfig(init_from=path), TrainingConfig(init_from=str(path))
        )
        for entry in os.scandir():
            self.assertEqual(
                DataConfig(data=[entry, "b"]).data, (entry.path, "b")
            )

    @parameterized.parameters(3, None, b"text.txt", BytesPath(), (("a", "b"),))
    def test_what_is_no_path_is_refused(self, path):
        with self.assertRaisesRegex(UserError, "data must be a tuple of str"):
            DataConfig(data=[path])
        with self.assertRaisesRegex(UserError, "init_from must be a string"):
            TrainingConfig(init_from=path)

    def test_only_paths_may_be_path_objects(self):
        for field in dataclasses.fields(ModelConfig):
            with self.assertRaisesRegex(UserError, f"{field.name} must be"):
                values = {"vocabulary_size": 5, field.name: pathlib.Path("gru")}
                ModelConfig(**values)


if __name__ == "__main__":
    absltest.main()
