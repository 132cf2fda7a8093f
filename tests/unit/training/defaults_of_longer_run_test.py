"""Tests of what is chosen anew for a run that goes on longer."""

import dataclasses
import itertools
import pathlib

from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.config import Config
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.training.checkpoints.checkpoint import Checkpoint
from kerasrnn.training.checkpoints.run_status import RunStatus
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.defaults import choices
from kerasrnn.training.defaults import choices_of_longer_run
from kerasrnn.training.hardware import Hardware
from kerasrnn.training.records.observers import Observer
from kerasrnn.training.settings import Request
from kerasrnn.training.settings import settings_of_new_run
from kerasrnn.training.settings import settings_of_resumed_run
from kerasrnn.training.step.schedule import Limits

TWO_CORES = Hardware(cores=2)
DROPOUTS = ("dropout", "recurrent_kernel_dropout")
OF_THE_MODEL = (*DROPOUTS, "dropout_warmup_steps")


class LongerRunTest(parameterized.TestCase):
    @parameterized.parameters(
        # What is given anew, how it stops now; what is chosen. (So short a run
        # has 32 streams, which make 7,500 steps of 12 epochs.)
        ({}, {}, (None, None, None, None)),
        ({}, {"minutes": 0.2}, (None, None, None, None)),
        ({}, {"minutes": 10}, (0.07, 0.07, 7500, 0.07)),
        ({"dropout": 0.3}, {"minutes": 10}, (None, None, None, 0.07)),
        (
            {"dropout": 0.3, "weight_decay": 0.2},
            {"minutes": 10},
            (None, None, None, None),
        ),
        ({"epochs": 4}, {"minutes": 10}, (0.07, 0.07, 7500, None)),
        ({"epochs": 1}, {"minutes": 10}, (None, None, None, None)),
    )
    def test_a_run_that_goes_on_longer(self, given, limits, values):
        before = Limits(minutes=0.2)
        limits = Limits(**{"minutes": 0.2, **limits})
        all_names = (*OF_THE_MODEL, "weight_decay")
        expected = dict(zip(all_names, values, strict=True))
        # What was given stays, also if it is what the rule would choose.
        for count in range(5):
            for names in itertools.combinations(all_names, count):
                if expected["dropout"] and names[:1] == ("dropout",):
                    # The other one was 0; if it stays, this has to be larger.
                    both = DROPOUTS[1] in names
                    expected["dropout"] = 0.07 if both else 0.12
                found = choices_of_longer_run(
                    self._config_of_a_short_run(),
                    names,
                    before,
                    given,
                    10**6,
                    limits,
                    TWO_CORES,
                )
                self.assertEqual(
                    {choice.name: choice.value for choice in found},
                    {
                        name: value
                        for name, value in expected.items()
                        if name in names and value is not None
                    },
                )

    def test_a_run_of_an_older_version_keeps_to_one_dropout(self):
        was = self._config_of_a_short_run(recurrent_kernel_dropout=0.0)
        found = choices_of_longer_run(
            was,
            {"dropout"},
            Limits(minutes=0.2),
            {},
            10**6,
            Limits(minutes=10),
            TWO_CORES,
        )
        values = {choice.name: choice.value for choice in found}
        self.assertEqual(values, {"dropout": 0.12})

    @parameterized.parameters(
        # Steps before, and now; the learning rate, if another one.
        (800, 800, {}, None),
        (800, 400, {}, None),
        (800, 3000, {}, 0.012),
        (800, 10_000, {}, 0.012),
        (10_000, 800, {}, 0.017),
        (800, 10_000, {"learning_rate": 0.017}, None),
    )
    def test_a_longer_run_has_its_own_learning_rate(
        self, before, now, given, rate
    ):
        before = Limits(max_steps=before)
        (first,) = (
            choice.value
            for choice in choices(
                ModelConfig(vocabulary_size=65), {}, 10**6, limits=before
            )
            if choice.name == "learning_rate"
        )
        found = choices_of_longer_run(
            Config(
                model=ModelConfig(vocabulary_size=65),
                training=TrainingConfig(learning_rate=first),
            ),
            {"learning_rate"},
            before,
            given,
            10**6,
            Limits(max_steps=now),
        )
        values = [choice.value for choice in found]
        self.assertEqual(values, [rate] if rate else [])

    @parameterized.product(
        before=(0.2, 1, 10), now=(0.2, 1, 10), rate=(0.0, 0.2)
    )
    def test_rates_of_a_model_to_start_from_rise_as_before(
        self, before, now, rate
    ):
        model = ModelConfig(
            vocabulary_size=65,
            dropout=rate,
            dropout_warmup_steps=4800 if rate else 0,
        )
        was = Config(model=model, training=TrainingConfig(init_from="/model"))
        found = choices_of_longer_run(
            was,
            {"dropout_warmup_steps"},
            Limits(minutes=before),
            {},
            10**6,
            Limits(minutes=now),
            TWO_CORES,
        )
        self.assertEqual(found, [])

    def test_a_run_that_moves_to_an_accelerator(self):
        # All of the text would be read there in the minutes of before.
        found = choices_of_longer_run(
            self._config_of_a_short_run(),
            {"learning_rate", *OF_THE_MODEL, "weight_decay"},
            Limits(minutes=0.2),
            {},
            10**6,
            Limits(minutes=60),
            Hardware(),
        )
        values = {choice.name: choice.value for choice in found}
        self.assertEqual(values["learning_rate"], 0.012)
        for name in DROPOUTS:
            self.assertEqual(values[name], 0.07)

    @parameterized.parameters((0, 0.012), (2, 0.017))
    def test_a_rate_that_rollbacks_lowered_stays(self, rollbacks, rate):
        folder = self.create_tempdir()
        text = folder.create_file("text.txt", "A truth acknowledged. \n" * 1500)
        workdir = Workdir(pathlib.Path(folder, "workdir"))
        request = Request(
            workdir=str(workdir.path),
            data={"data": (text.full_path,)},
            model={},
            training={"on_nan": "rollback", "epochs": 1000},
            limits={"max_steps": 800},
        )
        new = settings_of_new_run(request, workdir, "", Observer(), TWO_CORES)
        self.assertEqual(new.config.training.learning_rate, 0.017)
        saved = Checkpoint(
            step=400,
            config=new.config,
            weights={},
            vocabulary=new.text().vocabulary,
            info={
                **RunStatus(step=400, rollbacks=rollbacks).to_dict(),
                "limits": request.limits,
                "chosen": sorted(new.chosen),
                "corpus_sha256": new.text().sha256,
            },
        )
        longer = dataclasses.replace(request, limits={"max_steps": 5000})
        found = settings_of_resumed_run(
            longer, workdir, saved, Observer(), TWO_CORES
        )
        self.assertEqual(found.config.training.learning_rate, rate)

    def _config_of_a_short_run(self, **options):
        model = ModelConfig(vocabulary_size=65)
        found = choices(
            model,
            {},
            10**6,
            limits=Limits(minutes=0.2),
            hardware=TWO_CORES,
        )
        values = {choice.name: choice.value for choice in found}
        rates = {name: values.pop(name) for name in OF_THE_MODEL}
        return Config(
            model=ModelConfig(vocabulary_size=65, **{**rates, **options}),
            training=TrainingConfig(**values),
        )


if __name__ == "__main__":
    absltest.main()
