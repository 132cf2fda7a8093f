"""One run of kerasrnn-train, from what the user asks for to a trained model.

What happens between a text file and an updated weight:

1.  `settings` decides what is trained, and encodes the text: characters
    become ids (`text.corpus.build_corpus`).
2.  `loop` takes the newest checkpoint (`train_state`) and trains until the
    run is over. In between it validates, samples and saves.
3.  For some steps at a time, the batches of these steps are cut out of the
    ids (`text.batches`) and handed to the replicas (`step.devices`).
4.  Each step computes the loss and its gradient (`step.gradients`), clips it
    and lets the optimizer update the weights (`step.trainer.Trainer`).

With several workers all of them run the same loop, and the chief does what
is done once: it decides, writes and tells the others. A process alone is its
own chief. TensorFlow is imported only when there is something to train.
"""

import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console

from kerasrnn.config import ModelConfig
from kerasrnn.foundation.phrases import command
from kerasrnn.foundation.phrases import counted
from kerasrnn.foundation.phrases import path_flag
from kerasrnn.foundation.signals import Interruption
from kerasrnn.text.batches.beginnings import first_words
from kerasrnn.text.batches.dataset import training_dataset
from kerasrnn.training.checkpoints.finding import Best
from kerasrnn.training.checkpoints.finding import read_best
from kerasrnn.training.checkpoints.manager import CheckpointManager
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.checkpoints.workdir import locked
from kerasrnn.training.hardware import Hardware
from kerasrnn.training.hardware import of_this_machine
from kerasrnn.training.records import announcement
from kerasrnn.training.records.display import Display
from kerasrnn.training.settings import Request
from kerasrnn.training.settings import Settings
from kerasrnn.training.settings import settings_of_new_run
from kerasrnn.training.settings import settings_of_resumed_run

if TYPE_CHECKING:  # They import TensorFlow.
    from kerasrnn.training.multi_worker.process_group import WorkerGroup
    from kerasrnn.training.step.workers import Workers


def train(
    request: Request, interruption: Interruption, environment: Mapping[str, str]
) -> None:
    """Trains alone, or together with the workers that `TF_CONFIG` lists.

    Args:
        request: What to train.
        interruption: This process's.
        environment: The process's variables.

    Raises:
        UserError: See `train_as_chief`; or `TF_CONFIG` cannot be understood.
        Interrupted: A signal came; the current step is saved.
    """
    cluster = None
    if request.strategy == "multi_worker" or (
        request.strategy == "auto" and environment.get("TF_CONFIG")
    ):
        from kerasrnn.training.multi_worker.tf_config import wanted_cluster

        cluster = wanted_cluster(request.strategy, request.tpu, environment)
    if cluster is None:
        train_as_chief(request, interruption)
        return
    others = "the other worker" if len(cluster.tasks) == 2 else "all workers"
    print(f"This is {cluster.task}. Waiting for {others} ...", flush=True)
    from kerasrnn.training.multi_worker.process_group import joined

    with joined(cluster, interruption) as workers:
        if workers.is_chief:
            train_as_chief(request, interruption, workers)
        else:
            train_with_chief(request, interruption, workers)


def train_as_chief(
    request: Request,
    interruption: Interruption,
    group: "WorkerGroup | None" = None,
) -> None:
    """Trains as the chief of several workers, or alone.

    Args:
        request: What to train.
        interruption: This process's.
        group: The workers that train together; None is this process alone.

    Raises:
        UserError: The request does not fit the directory or the text, a file
            cannot be written, or the run has diverged.
        Interrupted: A signal came; the current step is saved.
    """
    # Before the directory is made, which it would list as a similar one.
    standard_library = announcement.of_standard_library(request.workdir)
    with locked(request.workdir) as workdir, Display() as display:
        checkpoints = CheckpointManager(workdir)
        saved = checkpoints.newest()
        if group:
            hardware = Hardware(replicas=group.strategy.num_replicas_in_sync)
        else:
            hardware = of_this_machine(
                request.strategy, request.tpu, os.environ
            )
        # A mistake in the model's fields is reported before the text is read.
        ModelConfig(vocabulary_size=2, **request.model)
        if saved is None:
            settings = settings_of_new_run(
                request,
                workdir,
                standard_library,
                display,
                hardware,
            )
        else:
            settings = settings_of_resumed_run(
                request, workdir, saved, display, hardware
            )
        if settings.finished and saved is not None:
            flags = " and a larger ".join(settings.finished)
            display.note(
                f"{workdir.path} is trained already: "
                f"{next(iter(settings.finished.values()))}, "
                f"{_summary(saved.step, read_best(workdir.best))}. To resume "
                f"it, give a larger {flags}."
            )
            _send_to_others(group, None)
            return
        # It holds all weights, and `checkpoints` drops it once it is used.
        del saved
        # A text that is too short is reported before TensorFlow starts.
        training_dataset(settings.text(), settings.config)
        display.note("Starting TensorFlow ...")
        from kerasrnn.training.train_and_evaluate import train_and_evaluate

        workers = group or _this_process_alone(request, settings)
        _send_to_others(group, settings)
        display.note(_description(settings, workers))
        result = train_and_evaluate(
            settings.config,
            workdir,
            settings.text(),
            limits=settings.limits,
            chosen=settings.chosen,
            display=display,
            interruption=interruption,
            workers=workers,
            checkpoints=checkpoints,
        )
        display.note(
            f"Finished: {result.reason}, "
            f"{_summary(result.step, result.best)}.\n"
            f"The model is in {workdir.path}. Try\n"
            f"    {_sampling_command(workdir, settings)}"
        )


def train_with_chief(
    request: Request, interruption: Interruption, group: "WorkerGroup"
) -> None:
    """Trains what the chief says, and leaves the writing to it.

    Args:
        request: What this process was asked for.
        interruption: This process's.
        group: The workers that train together.

    Raises:
        UserError: The request differs from the chief's, or this process does
            not see the same directory.
        Interrupted: A signal came; the current step is saved.
    """
    from kerasrnn.training.multi_worker import chief_settings
    from kerasrnn.training.train_and_evaluate import train_and_evaluate

    settings = chief_settings.receive(
        group, {**request.model, **request.training, **request.limits}
    )
    if settings is None:
        return
    workdir = Workdir(pathlib.Path(request.workdir))
    corpus = chief_settings.wait_for_corpus(
        workdir.corpus, settings.corpus_sha256
    )
    # Only the chief has to find the text itself.
    read = {k: v for k, v in request.data.items() if k != "data"}
    chief_settings.check_same(read, corpus.config)
    print("Training with the chief, which shows the progress.", flush=True)
    result = train_and_evaluate(
        settings.config,
        workdir,
        corpus,
        limits=settings.limits,
        display=Display(Console(quiet=True)),
        interruption=interruption,
        workers=group,
    )
    print(f"Finished: {result.reason}.")


def _this_process_alone(request: Request, settings: Settings) -> "Workers":
    """Returns this process as the only worker, with its devices set up."""
    import keras

    from kerasrnn.recurrence.threads import configure_threads
    from kerasrnn.training.step.devices import make_strategy
    from kerasrnn.training.step.workers import Workers

    model = settings.config.model
    policy = keras.DTypePolicy(model.dtype_policy)
    configure_threads(model.units, policy.compute_dtype)
    return Workers(make_strategy(request.strategy, request.tpu))


def _send_to_others(
    group: "WorkerGroup | None", settings: Settings | None
) -> None:
    """Sends the settings to the other workers; None: nothing is left to do."""
    if group is None:
        return
    from kerasrnn.training.multi_worker import chief_settings

    if settings is None:
        chief_settings.send(group, None)
        return
    chief_settings.send(
        group,
        chief_settings.ChiefSettings(
            settings.config, settings.limits, settings.text().sha256
        ),
    )


def _sampling_command(workdir: Workdir, settings: Settings) -> str:
    """Returns a command that samples, with a prompt that the text suggests."""
    arguments = ["kerasrnn-sample", path_flag("workdir", workdir.path)]
    corpus, multiple = settings.text(), settings.config.training.sequence_length
    # Of documents a prompt would be most of one.
    if not corpus.separator_id:
        ranges = corpus.split_ranges("validation", multiple)
        ranges = ranges or corpus.split_ranges("train", multiple)
        words = first_words(corpus.ids, ranges, corpus.vocabulary)
        if words:
            arguments.append(f"--prompt={words}")
    return command(*arguments)


def _summary(step: int, best: Best | None) -> str:
    text = counted(step, "step")
    if best is not None:
        text += (
            f", best validation loss {best.loss:.4f} nats per character at "
            f"step {best.step:,}"
        )
    return text


def _description(settings: Settings, workers: "Workers") -> str:
    model, training = settings.config.model, settings.config.training
    corpus = settings.text()
    replicas = workers.strategy.num_replicas_in_sync
    of_workers = f" of {workers.size} workers" if workers.size > 1 else ""
    return (
        f"{model.num_layers}x{model.units} {model.cell} on "
        f"{counted(len(corpus), 'character')} of "
        f"{counted(len(corpus.vocabulary) - 1, 'kind')}, "
        f"{counted(training.batch_size, 'stream')} of "
        f"{training.sequence_length} a step, "
        f"on {counted(replicas, 'device')}{of_workers}"
    )
