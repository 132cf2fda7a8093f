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
from kerasrnn.training.hardware import Hardware
from kerasrnn.training.step.schedule import Limits

DROPOUTS = ("dropout", "recurrent_kernel_dropout")
# Fields of the model; all others that are chosen are of the training.
OF_THE_MODEL = (*DROPOUTS, "dropout_warmup_steps")


def chosen(
    given=None,
    characters=1_000_000,
    limits=None,
    cores=0,
    **model,
):
    """Returns the values chosen, by name."""
    config = ModelConfig(vocabulary_size=65, **model)
    found = choices(
        config,
        given or {},
        characters,
        limits=limits or Limits(),
        hardware=Hardware(cores),
    )
    return {choice.name: choice.value for choice in found}


class DefaultsTest(parameterized.TestCase):
    @hypothesis.settings(deadline=None, max_examples=100)
    @hypothesis.given(
        cell=strategies.sampled_from(CELLS),
        units=strategies.integers(1, 4096),
        characters=strategies.integers(0, 10**11),
        trained=strategies.booleans(),
    )
    def test_every_choice_is_a_setting(self, cell, units, characters, trained):
        given = {"init_from": "/model"} if trained else {}
        fields = chosen(given, characters, cell=cell, units=units)
        network = {name: fields.pop(name) for name in OF_THE_MODEL}
        rates = {name: network[name] for name in DROPOUTS}
        config = TrainingConfig(**fields)
        self.assertBetween(config.learning_rate, 1e-5, 0.02)
        self.assertBetween(config.epochs, 1, 50)
        self.assertBetween(config.patience, 5, 10)
        for rate in rates.values():
            self.assertBetween(rate, 0, 0.5)
        self.assertBetween(config.weight_decay, 0.01, 0.1)
        ModelConfig(vocabulary_size=65, **network)
        if not any(rates.values()):
            self.assertEqual(network["dropout_warmup_steps"], 0)
        # So much wider that the rates differ in their two digits.
        wider = chosen(given, characters, cell=cell, units=2 * units + 256)
        self.assertLess(wider["learning_rate"], config.learning_rate)
        longer = chosen(given, 10 * characters, cell=cell, units=units)
        self.assertLessEqual(longer["epochs"], config.epochs)
        rates["weight_decay"] = config.weight_decay
        for name, value in rates.items():
            self.assertGreaterEqual(wider[name], value)
            self.assertLessEqual(longer[name], value)

    def test_what_is_given_is_not_chosen(self):
        given = {
            "learning_rate": 0.1,
            "epochs": 3,
            "dropout": 0.0,
            "weight_decay": 0.0,
        }
        # Who sets one dropout sets both.
        self.assertEqual(chosen(given), {"patience": 5})
        self.assertEmpty(chosen({**given, "patience": 0}))
        # What a validation is worth is the user's own choice then.
        self.assertEmpty(chosen({**given, "evaluate_every": 1000}))
        self.assertNotIn("learning_rate", chosen({"optimizer": "rmsprop"}))
        self.assertIn("learning_rate", chosen({"optimizer": "adam"}))
        self.assertNotIn("weight_decay", chosen({"optimizer": "adam"}))

    def test_without_text_to_validate_on_there_is_no_patience(self):
        config = ModelConfig(vocabulary_size=65)
        names = [c.name for c in choices(config, {}, 10**6, validates=False)]
        self.assertEqual(
            names, ["learning_rate", "epochs", *OF_THE_MODEL, "weight_decay"]
        )

    @parameterized.parameters(
        # How it was trained, what is given anew, what is chosen.
        ({"epochs": 25, "patience": 5}, {"epochs": 100}, {"patience": 20}),
        ({"epochs": 100, "patience": 20}, {"epochs": 25}, {"patience": 5}),
        ({"epochs": 25, "patience": 5}, {"epochs": 25}, {}),
        ({"epochs": 25, "patience": 5}, {"learning_rate": 0.1}, {}),
        (
            {"epochs": 25, "patience": 5},
            {"epochs": 100, "patience": 5},
            {},
        ),
        (
            {"epochs": 25, "patience": 0, "evaluate_every": 10},
            {"epochs": 100},
            {},
        ),
        (
            {"epochs": 25, "patience": 0, "evaluate_every": 10},
            {"evaluate_every": 0},
            {"patience": 5},
        ),
        (
            {"epochs": 25, "patience": 5},
            {"epochs": 100, "evaluate_every": 10},
            {"patience": 0},
        ),
        (
            {"epochs": 25, "patience": 5},
            {"evaluate_every": 10},
            {"patience": 0},
        ),
    )
    def test_a_chosen_patience_follows_the_epochs(self, was, given, expected):
        was = TrainingConfig(**was)
        found = choices_of_resumed_run(was, {"patience"}, given)
        self.assertEqual({c.name: c.value for c in found}, expected)
        # One that was given stays, also if it is what the rule would choose.
        self.assertEmpty(choices_of_resumed_run(was, {"dropout"}, given))

    def test_a_trained_model_is_changed_by_smaller_steps(self):
        anew, trained = chosen(), chosen({"init_from": "/model"})
        self.assertEqual(trained["learning_rate"], anew["learning_rate"] / 2)

    @parameterized.parameters(
        # Units, limits; the learning rate.
        (128, {}, 0.012),
        (128, {"max_steps": 3000}, 0.012),
        (128, {"max_steps": 800}, 0.017),
        (128, {"max_steps": 1}, 0.017),
        (256, {}, 0.0085),
        (256, {"max_steps": 1700}, 0.0098),
        (256, {"max_steps": 240}, 0.012),
        # 32 streams on two cores, so this is for some 650 steps.
        (256, {"minutes": 1.5}, 0.012),
        (256, {"minutes": 60}, 0.0085),
    )
    def test_an_lstm_learns_faster_in_few_steps(self, units, limits, rate):
        limits = Limits(**limits)
        found = chosen(limits=limits, cores=2, units=units)
        self.assertEqual(found["learning_rate"], rate)
        for cell in ("gru", "simple_rnn"):
            self.assertEqual(
                chosen(limits=limits, cell=cell)["learning_rate"],
                chosen(cell=cell)["learning_rate"],
            )

    @parameterized.product(steps=("1 step", "800 steps"), replicas=(1, 3, 8))
    def test_the_reason_names_the_steps_of_the_run(self, steps, replicas):
        limits = Limits(max_steps=int(steps.split()[0]))
        model, hardware = ModelConfig(vocabulary_size=65), Hardware(0, replicas)
        rate, *_ = choices(model, {}, 10**6, True, limits, hardware)
        self.assertEqual(rate.reason, f"128 units of lstm, {steps}")

    def test_help_shows_no_default_of_what_is_chosen(self):
        self.assertCountEqual(chosen(cores=1), config_flags.CHOSEN_BY_RULE)

    def test_a_long_text_is_read_less_often(self):
        self.assertEqual(chosen()["epochs"], 50)
        self.assertEqual(chosen(characters=6_000_000)["epochs"], 10)
        self.assertEqual(chosen(characters=500_000_000)["epochs"], 1)

    def test_a_run_waits_for_a_fifth_of_its_epochs(self):
        for epochs, patience in ((1, 5), (25, 5), (50, 10), (200, 40)):
            self.assertEqual(chosen({"epochs": epochs})["patience"], patience)

    @hypothesis.settings(deadline=None, max_examples=100)
    @hypothesis.given(
        units=strategies.integers(1, 4096),
        characters=strategies.integers(2, 10**9),
        minutes=strategies.floats(0, 1e4),
        cores=strategies.integers(1, 100),
    )
    def test_a_short_run_has_a_smaller_batch(
        self, units, characters, minutes, cores
    ):
        def size(cores=cores, **given):
            limits = Limits(minutes=minutes)
            return chosen(given, characters, limits, cores, units=units)[
                "batch_size"
            ]

        found = size()
        TrainingConfig(batch_size=found)
        self.assertIn(found, (50, 32, 16))
        self.assertGreaterEqual(found, min(16 * cores, 50))
        # With so short sequences there are many more steps.
        self.assertGreaterEqual(size(sequence_length=10), found)
        self.assertLessEqual(size(cores=1), found)

    def test_batch_size_by_hand(self):
        def size(characters, given=None, cores=2, **limits):
            found = chosen(given, characters, Limits(**limits), cores)
            return found.get("batch_size")

        # 50 epochs; 3,000 steps with 50, 32 and 16 streams of 50 characters.
        self.assertEqual(size(150_000), 50)
        self.assertEqual(size(149_999), 32)
        self.assertEqual(size(10), 32)
        self.assertEqual(size(96_000, cores=1), 32)
        self.assertEqual(size(95_999, cores=1), 16)
        # 16 streams for each core.
        self.assertEqual(size(10, cores=3), 50)
        # 6e10 operations a second, 6 * 206,017 a character.
        self.assertEqual(size(10**8, minutes=3), 50)
        self.assertEqual(size(10**8, minutes=2), 32)
        self.assertEqual(size(10**8, minutes=1, cores=1), 16)
        # What a step is worth is the user's own choice then.
        self.assertIsNone(size(10, max_steps=100))
        self.assertIsNone(size(10, {"accumulation_steps": 25}))
        self.assertIsNone(size(10, {"batch_size": 50}))
        # An accelerator.
        self.assertIsNone(size(10, cores=0))

    def test_weight_decay_by_hand(self):
        # 0.01 for each epoch and weight per character; 239,297 weights.
        self.assertEqual(chosen()["weight_decay"], 0.1)
        self.assertEqual(chosen({"epochs": 25})["weight_decay"], 0.06)
        self.assertEqual(chosen({"epochs": 2})["weight_decay"], 0.01)
        self.assertEqual(chosen(characters=2_600_000)["weight_decay"], 0.021)
        limits = Limits(max_steps=10_000)  # of 2,500 characters
        self.assertEqual(chosen(limits=limits)["weight_decay"], 0.06)
        given = {"batch_size": 25}
        self.assertEqual(chosen(given, limits=limits)["weight_decay"], 0.03)

    def test_weight_decay_of_some_minutes(self):
        def decay(minutes, **model):
            found = chosen(limits=Limits(minutes=minutes), cores=2, **model)
            return found["weight_decay"]

        self.assertEqual([decay(1), decay(1000)], [0.01, 0.1])
        # 6e10 operations a second, 6 * 206,017 a character.
        self.assertEqual(decay(10), 0.07)
        # An embedding is a product more, and has weights of its own.
        self.assertBetween(decay(10, embedding_size=16), 0.06, 0.08)

    def test_dropout_by_hand(self):
        def rates(given=None, characters=1_000_000, **options):
            found = chosen(given, characters, **options)
            return tuple(map(found.get, DROPOUTS))

        # 2x128 over 65 characters has 239,297 weights.
        for characters, rate in (
            (1_000_000, 0.07),
            (100_000, 0.22),
            (10_000, 0.5),
            (5_000_000, 0.03),
            (8_000_000, 0.0),  # Not 0.016, which is not worth its time.
        ):
            self.assertEqual(rates(characters=characters), (rate, rate))
        # None in a run that is over before the warm-up has come to 0.02.
        for epochs, rate in ((50, 0.07), (4, 0.07), (3, 0.0), (1, 0.0)):
            self.assertEqual(rates({"epochs": epochs}), (rate, rate))
        for steps, rate in ((1500, 0.07), (1400, 0.0)):  # of 2,500 characters
            found = rates(limits=Limits(max_steps=steps))
            self.assertEqual(found, (rate, rate))
        # Without that of the kernels, that of the outputs is larger.
        for of_kernels, rate in ((0.0, 0.39), (0.1, 0.22)):
            given = {"recurrent_kernel_dropout": of_kernels}
            self.assertEqual(rates(given, 100_000), (rate, None))

    def test_dropout_warmup(self):
        def steps(given=None, characters=1_000_000, **options):
            return chosen(given, characters, **options)["dropout_warmup_steps"]

        self.assertEqual(steps(), 4800)  # of 2,500 characters, 12 epochs
        given = {"batch_size": 10, "sequence_length": 100}
        self.assertEqual(steps(given), 12000)
        limits = Limits(minutes=2)  # It chooses a batch of 32.
        self.assertEqual(steps(limits=limits, cores=2), 7500)
        self.assertEqual(steps(characters=10**10), 0)  # There is no dropout.
        given = {"recurrent_kernel_dropout": 0.0}
        self.assertEqual(steps(given), 4800)
        given = {"dropout_warmup_steps": 0}
        self.assertNotIn("dropout_warmup_steps", chosen(given))
        # The rates of a model to start from are given; the text is new.
        given = {"init_from": "/model", "dropout": 0.1}
        self.assertEqual(steps(given, dropout=0.1), 4800)
        self.assertEqual(steps(given, dropout=0.0), 0)

    def test_the_reason_is_told(self):
        model = ModelConfig(vocabulary_size=9, units=512)
        self.assertEqual(
            list(
                map(
                    str,
                    choices(model, {}, 10_000_000, hardware=Hardware(cores=1)),
                )
            ),
            [
                "--learning_rate=0.006 (512 units of lstm)",
                "--epochs=6 (10,000,000 characters to train on)",
                "--patience=5 (validations; 6 epochs)",
                "--batch_size=50 (24,000 steps, about)",
                "--dropout=0.08 (3,172,873 weights, 10,000,000 characters to "
                "train on, 6 epochs)",
                "--recurrent_kernel_dropout=0.08 (the same)",
                "--dropout_warmup_steps=48000 (12 epochs)",
                "--weight_decay=0.019 (3,172,873 weights, 6 epochs)",
            ],
        )


if __name__ == "__main__":
    absltest.main()
