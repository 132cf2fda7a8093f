"""Configurations: what is accepted, and that JSON brings the same back."""

import dataclasses
import json

from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import given
from hypothesis import strategies

from kerasrnn import config as config_module
from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.errors import UserError
from kerasrnn.foundation.paths import complaint_about

_paths = strategies.text().filter(lambda text: not complaint_about(text))
_fractions = strategies.floats(0, 0.49)

_configs = strategies.builds(
    Config,
    model=strategies.builds(
        ModelConfig,
        vocabulary_size=strategies.integers(2, 10**6),
        cell=strategies.sampled_from(config_module.CELLS),
        units=strategies.integers(1, 500),
        dropout=_fractions,
        recurrent_kernel_dropout=_fractions,
        dropout_warmup_steps=strategies.integers(0, 10**6),
        initializer=strategies.sampled_from(config_module.INITIALIZERS),
        dtype_policy=strategies.sampled_from(config_module.DTYPE_POLICIES),
    ),
    data=strategies.builds(
        DataConfig,
        data=strategies.lists(_paths).map(tuple),
        vocabulary=strategies.sampled_from(config_module.VOCABULARIES),
        split=strategies.sampled_from(config_module.SPLITS),
        validation_fraction=_fractions,
        test_fraction=_fractions,
    ),
    training=strategies.builds(
        TrainingConfig,
        optimizer=strategies.sampled_from(config_module.OPTIMIZERS),
        schedule=strategies.sampled_from(config_module.SCHEDULES),
        learning_rate=strategies.floats(0, 1e3),
        seed=strategies.integers(0, 2**31 - 1),
    ),
)


class RoundTripTest(absltest.TestCase):
    @given(_configs)
    def test_json_brings_the_same_configuration_back(self, config):
        self.assertEqual(Config.from_json(config.to_json()), config)

    def test_integers_are_taken_for_floats(self):
        config = Config(model=ModelConfig(vocabulary_size=5))
        values = json.loads(config.to_json())
        values["training"]["learning_rate"] = 1
        restored = Config.from_json(json.dumps(values))
        self.assertIs(type(restored.training.learning_rate), float)

    def test_a_field_that_is_left_out_has_its_default(self):
        text = '{"model": {"vocabulary_size": 7}}'
        expected = Config(model=ModelConfig(vocabulary_size=7))
        self.assertEqual(Config.from_json(text), expected)

    def test_a_configuration_cannot_be_changed(self):
        model = ModelConfig(vocabulary_size=5)
        with self.assertRaises(dataclasses.FrozenInstanceError):
            model.units = 3


class BadJsonTest(parameterized.TestCase):
    @parameterized.parameters(
        ("", "is not JSON"),
        ("[" * 100_000, "JSON|nested"),
        ("[]", "Expected an object at configuration, received list"),
        ("{}", "incomplete.*model"),
        ('{"model": 3}', "configuration.model, received int"),
        ('{"model": {}}', "incomplete.*vocabulary_size"),
        ('{"model": {"vocabulary_size": "5"}}', "vocabulary_size.*'5'"),
        ('{"model": {"vocabulary_size": true}}', "vocabulary_size.*True"),
        ('{"model": {"vocabulary_size": 1}}', "from 2 to 2,147,483,647, not 1"),
        (
            '{"model": {"vocabulary_size": 5, "unit": 3}}',
            r"unknown fields \['unit'\].*another version",
        ),
        (
            '{"model": {"vocabulary_size": 5}, "data": {"data": "x"}}',
            "data.data, received 'x'",
        ),
        (
            '{"model": {"vocabulary_size": 5, "dropout": NaN}}',
            r"JSON: it has NaN for a number",
        ),
        *(
            (
                f'{{"model": {{"vocabulary_size": 5, "{name}": {number}}}}}',
                f"JSON: it has {message}",
            )
            for name in ("dropout", "units")
            for number, message in (
                ("Infinity", "Infinity for a number"),
                ("-Infinity", "-Infinity for a number"),
                ("1e999", "1e999 for a number"),
                ("9" * 5000, "a number of 5000 digits"),
                (f"{2**63}", "a number of 19 digits"),
            )
        ),
        (
            '{"model": {"vocabulary_size": 5},'
            ' "training": {"learning_rate": NaN}}',
            "JSON: it has NaN for a number",
        ),
    )
    def test_bad_json_is_refused(self, text, expected):
        with self.assertRaisesRegex(UserError, expected):
            Config.from_json(text)


class BadValueTest(parameterized.TestCase):
    @parameterized.parameters(
        ("vocabulary_size", 1, "from 2 to 2,147,483,647, not 1"),
        ("units", 0, "from 1 to [0-9,]+, not 0"),
        ("num_layers", 0, "from 1 to [0-9,]+, not 0"),
        ("embedding_size", -1, "from 0 to 1,048,576, not -1"),
        ("dropout", 1.0, "at least 0 and below 1, not 1.0"),
        ("dropout", float("nan"), "at least 0 and below 1, not nan"),
        ("cell", "rnn", "one of simple_rnn, lstm, gru, not 'rnn'"),
        ("initializer", "zeros", "one of keras"),
        ("dtype_policy", "int8", "one of float32"),
    )
    def test_model(self, name, value, expected):
        values = {"vocabulary_size": 5, name: value}
        with self.assertRaisesRegex(UserError, f"{name} must be {expected}"):
            ModelConfig(**values)

    @parameterized.parameters(
        ({"vocabulary": "words"}, "vocabulary must be one of"),
        ({"split": "random"}, "split must be one of tail, interleaved"),
        ({"min_count": 0}, "min_count must be from 1 to"),
        ({"split_streams": 0}, "split_streams must be from 1 to"),
        (
            {"validation_fraction": -0.1},
            "validation_fraction must be at",
        ),
        ({"test_fraction": 1}, "test_fraction must be at least 0 and below"),
        (
            {"validation_fraction": 0.5, "test_fraction": 0.5},
            "No text is left to train on",
        ),
        ({"data": "a.txt"}, "data must be a tuple of strings, not 'a.txt'"),
    )
    def test_data(self, values, expected):
        with self.assertRaisesRegex(UserError, expected):
            DataConfig(**values)

    @parameterized.parameters(
        ("batch_size", 0),
        ("sequence_length", 0),
        ("epochs", 0),
        ("keep", 0),
        ("learning_rate", -1e-3),
        ("learning_rate", float("nan")),
        ("warmup_steps", -1),
        ("clip_norm", -1.0),
        ("beta_2", 1.0),
        ("averaging", -0.5),
        ("optimizer", "lion"),
        ("schedule", "linear"),
        ("jit_compile", "yes"),
    )
    def test_training(self, name, value):
        with self.assertRaisesRegex(UserError, f"{name} must be"):
            TrainingConfig(**{name: value})


if __name__ == "__main__":
    absltest.main()
