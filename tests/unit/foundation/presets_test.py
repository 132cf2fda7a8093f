"""Tests of the presets: what they set, and that flags win over them."""

import dataclasses
import math

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models

from kerasrnn import train
from kerasrnn.command_line import presets
from kerasrnn.command_line.config_flags import CHOSEN_BY_RULE
from kerasrnn.command_line.config_flags import field_helps
from kerasrnn.command_line.config_flags import given_fields
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.errors import UserError

# What the post says: name, layers, units, dropout and parameters in millions;
# None where it says nothing. (It says "several layers" of LaTeX, and nothing
# of the names.)
POST = (
    ("essays", 2, 512, 0.5, "characters", 3.4),
    ("shakespeare", 3, 512, None, "characters", None),
    ("wikipedia", 3, 700, None, "bytes", None),
    ("latex", 3, 512, None, "characters", None),
    ("linux", 3, 700, None, "bytes", 10.1),
    ("names", 2, 128, None, "characters", None),
)


def parse(*arguments):
    """Returns the configuration of a command line."""
    values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "", flag_values=values)
    train.define_flags(values)
    values(presets.expand_presets(["kerasrnn-train", *arguments]))
    return (
        ModelConfig(vocabulary_size=66, **given_fields(values, ModelConfig)),
        DataConfig(**given_fields(values, DataConfig)),
        TrainingConfig(**given_fields(values, TrainingConfig)),
    )


class PresetsTest(parameterized.TestCase):
    def test_charrnn(self):
        model, data, training = parse("--preset=charrnn")
        self.assertEqual(
            (model.cell, model.units, model.num_layers, model.embedding_size),
            ("lstm", 128, 2, 0),
        )
        self.assertEqual((model.dropout, model.initializer), (0, "charrnn"))
        self.assertEqual(
            (data.split, data.split_streams, data.validation_fraction),
            ("interleaved", 50, 0.05),
        )
        self.assertEqual(
            (training.optimizer, training.learning_rate, training.beta_2),
            ("rmsprop", 2e-3, 0.95),
        )
        self.assertEqual(
            (training.schedule, training.decay_rate, training.decay_after),
            ("exponential", 0.97, 10),
        )
        # 5, on the gradient summed over the sequence.
        self.assertAlmostEqual(
            training.clip_value * training.sequence_length, 5
        )
        self.assertEqual((training.clip_norm, training.averaging), (0, 0))

    def test_torchrnn(self):
        model, data, training = parse("--preset=torchrnn")
        self.assertEqual(
            (model.embedding_size, model.initializer), (64, "torchrnn")
        )
        self.assertEqual(
            (data.split, data.validation_fraction, data.test_fraction),
            ("tail", 0.1, 0.1),
        )
        self.assertEqual(
            (training.optimizer, training.schedule, training.clip_value),
            ("adam", "step", 5),
        )

    @parameterized.parameters(
        (["--preset=charrnn", "--units=7"],),
        (["--units=7", "--preset=charrnn"],),
        (["--units=7", "--preset", "charrnn"],),
        (["--units", "7", "-preset=charrnn"],),
    )
    def test_flags_win_wherever_they_stand(self, arguments):
        model, _, _ = parse(*arguments)
        self.assertEqual((model.units, model.initializer), (7, "charrnn"))

    def test_unknown_preset_lists_the_known_ones(self):
        with self.assertRaisesRegex(
            UserError, "no preset 'nanogpt'; there are charrnn, essays, latex"
        ):
            presets.expand_presets(["train", "--preset=nanogpt"])
        with self.assertRaisesRegex(UserError, "needs a name: charrnn"):
            presets.expand_presets(["train", "--preset"])
        with self.assertRaises(UserError):
            presets.expand_presets(["train", "--preset=../../etc/passwd"])

    def test_other_arguments_stay(self):
        argv = ["train", "--data=a", "--", "--preset=charrnn"]
        self.assertEqual(presets.expand_presets(argv), argv)

    def test_every_preset_is_listed_and_parses(self):
        self.assertEqual(
            presets.names(),
            sorted(["charrnn", "torchrnn", *(row[0] for row in POST)]),
        )
        values = flags.FlagValues()
        train.define_flags(values)
        for name in presets.names():
            parse(f"--preset={name}")
            self.assertRegex(values["preset"].help, rf"\b{name} \(")

    @parameterized.parameters(*POST)
    def test_presets_of_the_post(
        self, name, layers, units, dropout, kind, parameters
    ):
        model, data, training = parse(f"--preset={name}")
        self.assertEqual(
            (model.cell, model.num_layers, model.units, data.vocabulary),
            ("lstm", layers, units, kind),
        )
        if dropout is not None:
            self.assertEqual(model.dropout, dropout)
        if units > 128:
            self.assertEqual(
                (training.batch_size, training.sequence_length), (100, 100)
            )
        if parameters is not None:
            shapes = small_models.weight_shapes(
                dataclasses.replace(model, vocabulary_size=97)
            )
            count = sum(math.prod(shape) for shape in shapes)
            self.assertAlmostEqual(count / 1e6, parameters, delta=0.2)

    def test_wikipedia_is_trained_on_the_first_96_of_100(self):
        _, data, _ = parse("--preset=wikipedia")
        self.assertEqual((data.split, data.validation_fraction), ("tail", 0.04))
        self.assertEqual(data.test_fraction, 0)

    def test_each_of_the_names_is_a_document(self):
        _, data, _ = parse("--preset=names")
        self.assertEqual(data.document_separator, "\n")


class ConfigFlagsTest(parameterized.TestCase):
    @parameterized.parameters(ModelConfig, DataConfig, TrainingConfig)
    def test_every_field_is_explained(self, cls):
        helps = field_helps(cls)
        self.assertEqual(list(helps), list(cls.__dataclass_fields__))
        for text in helps.values():
            self.assertGreater(len(text), 10)
            self.assertTrue(text.endswith("."), text)

    def test_defaults_are_those_of_the_classes(self):
        model, data, training = parse()
        self.assertEqual(model, ModelConfig(vocabulary_size=66))
        self.assertEqual(data, DataConfig())
        self.assertEqual(training, TrainingConfig())
        values = flags.FlagValues()
        train.define_flags(values)
        values(["train"])
        for cls in (ModelConfig, DataConfig, TrainingConfig):
            for name, field in cls.__dataclass_fields__.items():
                if name in ("vocabulary_size", "separator_id"):
                    continue
                default = values[name].value
                if name in CHOSEN_BY_RULE:
                    self.assertIsNone(default)
                    continue
                if name == "data":
                    default = tuple(default)
                self.assertEqual(default, field.default, name)

    def test_paths_become_absolute(self):
        _, data, _ = parse("--data=a.txt", "--data=b/*.txt")
        self.assertLen(data.data, 2)
        for path in data.data:
            self.assertTrue(path.startswith("/"))


if __name__ == "__main__":
    absltest.main()
