"""Tests of what is chosen where no flag says it."""

import hypothesis
from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import strategies

from kerasrnn.command_line import config_flags
from kerasrnn.config import CELLS
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.training.defaults import choices
from kerasrnn.training.defaults import choices_of_resumed_run


def chosen(given=None, characters=1_000_000, **model):
    """Returns the values chosen, by name."""
    config = ModelConfig(vocabulary_size=65, **model)
    found = choices(config, given or {}, characters)
    return {choice.name: choice.value for choice in found}


class DefaultsTest(parameterized.TestCase):
    @hypothesis.settings(deadline=None, max_examples=100)
    @hypothesis.given(
        cell=strategies.sampled_from(CELLS),
        units=strategies.integers(1, 4096),
        characters=strategies.integers(2, 10**11),
        trained=strategies.booleans(),
    )
    def test_every_choice_is_a_setting(self, cell, units, characters, trained):
        given = {"init_from": "/model"} if trained else {}
        fields = chosen(given, characters, cell=cell, units=units)
        dropout = fields.pop("dropout", None)
        config = TrainingConfig(**fields)
        self.assertBetween(config.learning_rate, 1e-5, 0.02)
        self.assertBetween(config.epochs, 1, 50)
        self.assertBetween(config.patience, 5, 10)
        self.assertBetween(dropout, 0, 0.5)
        ModelConfig(vocabulary_size=65, dropout=dropout)
        # So much wider that the rates differ in their two digits.
        wider = chosen(given, characters, cell=cell, units=2 * units + 256)
        self.assertLess(wider["learning_rate"], config.learning_rate)
        longer = chosen(given, 10 * characters, cell=cell, units=units)
        self.assertLessEqual(longer["epochs"], config.epochs)
        self.assertGreaterEqual(wider["dropout"], dropout)
        self.assertLessEqual(longer["dropout"], dropout)

    def test_what_is_given_is_not_chosen(self):
        given = {"learning_rate": 0.1, "epochs": 3, "dropout": 0.0}
        self.assertEqual(chosen(given), {"patience": 5})
        self.assertEmpty(chosen({**given, "patience": 0}))
        # What a validation is worth is the user's own choice then.
        self.assertEmpty(chosen({**given, "evaluate_every": 1000}))
        self.assertNotIn("learning_rate", chosen({"optimizer": "rmsprop"}))

    def test_without_text_to_validate_on_there_is_no_patience(self):
        config = ModelConfig(vocabulary_size=65)
        names = [c.name for c in choices(config, {}, 10**6, validates=False)]
        self.assertEqual(names, ["dropout", "learning_rate", "epochs"])

    @parameterized.parameters(
        # How it was trained, what is given anew, what is chosen.
        ({"epochs": 25, "patience": 5}, {"epochs": 100}, {"patience": 20}),
        ({"epochs": 100, "patience": 20}, {"epochs": 25}, {"patience": 5}),
        ({"epochs": 25, "patience": 6}, {"epochs": 100}, {}),
        ({"epochs": 25, "patience": 0}, {"epochs": 100}, {}),
        ({"epochs": 25, "patience": 5}, {"epochs": 25}, {}),
        ({"epochs": 25, "patience": 5}, {"learning_rate": 0.1}, {}),
        (
            {"epochs": 25, "patience": 5},
            {"epochs": 100, "patience": 5},
            {},
        ),
        (
            {"epochs": 25, "patience": 5, "evaluate_every": 10},
            {"epochs": 100},
            {},
        ),
        (
            {"epochs": 25, "patience": 5},
            {"epochs": 100, "evaluate_every": 10},
            {},
        ),
    )
    def test_a_chosen_patience_follows_the_epochs(self, was, given, expected):
        found = choices_of_resumed_run(TrainingConfig(**was), given)
        self.assertEqual({c.name: c.value for c in found}, expected)

    def test_a_trained_model_is_changed_by_smaller_steps(self):
        anew, trained = chosen(), chosen({"init_from": "/model"})
        self.assertEqual(trained["learning_rate"], anew["learning_rate"] / 2)

    def test_help_shows_no_default_of_what_is_chosen(self):
        self.assertCountEqual(chosen(), config_flags.CHOSEN_BY_RULE)

    def test_a_long_text_is_read_less_often(self):
        self.assertEqual(chosen()["epochs"], 50)
        self.assertEqual(chosen(characters=6_000_000)["epochs"], 10)
        self.assertEqual(chosen(characters=500_000_000)["epochs"], 1)

    def test_a_run_waits_for_a_fifth_of_its_epochs(self):
        for epochs, patience in ((1, 5), (25, 5), (50, 10), (200, 40)):
            self.assertEqual(chosen({"epochs": epochs})["patience"], patience)

    def test_dropout_by_hand(self):
        # 2x128 over 65 characters has 239,297 weights.
        self.assertEqual(chosen()["dropout"], 0.12)
        self.assertEqual(chosen(characters=100_000)["dropout"], 0.39)
        self.assertEqual(chosen(characters=10_000)["dropout"], 0.5)
        self.assertEqual(chosen(characters=10**10)["dropout"], 0.0)

    def test_the_reason_is_told(self):
        model = ModelConfig(vocabulary_size=9, units=512)
        dropout, rate, epochs, patience = map(
            str, choices(model, {}, 10_000_000)
        )
        self.assertEqual(
            dropout,
            "--dropout=0.14 (3,172,873 weights, 10,000,000 characters to "
            "train on)",
        )
        self.assertEqual(rate, "--learning_rate=0.006 (512 units of lstm)")
        self.assertEqual(
            epochs, "--epochs=6 (10,000,000 characters to train on)"
        )
        self.assertEqual(patience, "--patience=5 (validations; 6 epochs)")


if __name__ == "__main__":
    absltest.main()
