"""The call that trains a model in a working directory."""

import contextlib
from collections.abc import Collection
from collections.abc import Sequence

import tensorflow as tf

from kerasrnn.config import Config
from kerasrnn.foundation.signals import Interrupted
from kerasrnn.foundation.signals import Interruption
from kerasrnn.foundation.signals import interruption_by_keyboard
from kerasrnn.text.batches.dataset import training_dataset
from kerasrnn.text.batches.streams import is_scorable
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.frequencies import Baselines
from kerasrnn.text.frequencies import baselines
from kerasrnn.training.checkpoints.manager import CheckpointManager
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.checkpoints.workdir import explaining_disk_errors
from kerasrnn.training.loop import Result
from kerasrnn.training.loop import TrainingLoop
from kerasrnn.training.records.all_observers import observers_of
from kerasrnn.training.records.announcement import of_baselines
from kerasrnn.training.records.display import Display
from kerasrnn.training.records.observers import Observer
from kerasrnn.training.run_context import RunContext
from kerasrnn.training.step.devices import make_strategy
from kerasrnn.training.step.schedule import Limits
from kerasrnn.training.step.schedule import Plan
from kerasrnn.training.step.workers import Workers


def train_and_evaluate(
    config: Config,
    workdir: Workdir,
    corpus: Corpus,
    strategy: tf.distribute.Strategy | None = None,
    limits: Limits | None = None,
    chosen: Collection[str] = (),
    display: Display | None = None,
    observers: Sequence[Observer] = (),
    interruption: Interruption | None = None,
    workers: Workers | None = None,
    checkpoints: CheckpointManager | None = None,
) -> Result:
    """Trains from the newest checkpoint in the working directory.

    Whatever ends the run, the current step is saved, if it can be.

    Args:
        config: What to train, and how.
        workdir: Where to train. The caller holds it with
            `checkpoints.workdir.locked`; of several workers, the chief does.
        corpus: The encoded text.
        strategy: The devices; by default those of "auto".
        limits: When to stop before the epochs are over.
        chosen: The fields of the configuration that a rule chose.
        display: Where to show progress.
        observers: Objects that are told what happens, in addition to the
            display, the history and TensorBoard.
        interruption: Asked between calls whether to end; by default Ctrl-C
            ends the run, if Python's own handler would take it.
        workers: The processes that train together, with their strategy; by
            default there is only this one, and `strategy` counts.
        checkpoints: Those of the working directory, if the caller has looked
            for the newest already.

    Raises:
        UserError: The settings do not fit the text or the checkpoint, a
            file cannot be written, or the run has diverged.
        Interrupted: `interruption` asked to end; the current step is saved.
        KeyboardInterrupt: Ctrl-C did; the current step is saved, unless a
            second one ended the run at once.
    """
    workers = workers or Workers(strategy or make_strategy())
    asking: contextlib.AbstractContextManager[Interruption]
    asking = interruption_by_keyboard()
    if interruption is not None:
        asking = contextlib.nullcontext(interruption)
    with asking as asked, explaining_disk_errors(workdir.path):
        dataset = training_dataset(corpus, config)
        held_out = corpus.split_ranges(
            "validation", config.training.sequence_length
        )
        plan = Plan(
            config.training,
            dataset.steps_per_epoch,
            limits or Limits(),
            validates=is_scorable(held_out),
        )
        observer = observers_of(
            workdir, display or Display(), observers, workers.is_chief
        )
        guesses = None
        if plan.validates and workers.is_chief:
            guesses = _baselines(corpus, config, held_out)
            observer.note(of_baselines(guesses))
        if not plan.validates:
            observer.note(
                "No text is held out to validate on, so no checkpoint is the "
                "best one: programs use the newest."
            )
        loop = TrainingLoop(
            RunContext(
                config=config,
                workdir=workdir,
                corpus=corpus,
                dataset=dataset,
                held_out=held_out,
                plan=plan,
                chosen=chosen,
                workers=workers,
                checkpoints=checkpoints or CheckpointManager(workdir),
                observer=observer,
                interruption=asked,
                baselines=guesses,
            )
        )
        try:
            return loop.run()
        except Interrupted:
            loop.save()
            raise
        except BaseException:
            loop.save_if_possible()
            raise
        finally:
            loop.close()


def _baselines(
    corpus: Corpus, config: Config, held_out: list[tuple[int, int]]
) -> Baselines:
    """Returns what guessing by frequency achieves on the held-out text."""
    trained_on = corpus.split_ranges("train", config.training.sequence_length)
    return baselines(corpus.ids, trained_on, held_out, len(corpus.vocabulary))
