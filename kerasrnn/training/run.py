"""One run of kerasrnn-train, alone or together with other workers.

The chief, or a process alone, takes what was asked for, fills in what the
checkpoint says or the defaults, encodes the text and tells the others. It
imports TensorFlow only when there is something to train.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

from rich.console import Console

from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.foundation.phrases import command
from kerasrnn.foundation.phrases import counted
from kerasrnn.foundation.signals import Interruption
from kerasrnn.text.corpus import build_corpus
from kerasrnn.text.dataset import training_dataset
from kerasrnn.training.checkpoints import resuming
from kerasrnn.training.checkpoints import warm_start
from kerasrnn.training.checkpoints.best import Best
from kerasrnn.training.checkpoints.best import read_best
from kerasrnn.training.checkpoints.run_status import Position
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.checkpoints.workdir import locked
from kerasrnn.training.records import announcement
from kerasrnn.training.records.display import Display
from kerasrnn.training.step.schedule import Limits


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for. What is not given stays as it was.

    Attributes:
        workdir: The working directory.
        data: Fields of `DataConfig` that are given, by name.
        model: Fields of `ModelConfig`.
        training: Fields of `TrainingConfig`.
        limits: Fields of `Limits`.
        strategy: Which devices, see `kerasrnn.training.step.devices`.
        tpu: Name or address of the TPU, or "".
    """

    workdir: str
    data: dict
    model: dict
    training: dict
    limits: dict
    strategy: str = "auto"
    tpu: str = ""


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
    request: Request, interruption: Interruption, workers=None
) -> None:
    """Trains as the chief of several workers, or alone.

    Args:
        request: What to train.
        interruption: This process's.
        workers: The `process_group.WorkerGroup` that trains together; None is
            this process alone.

    Raises:
        UserError: The request does not fit the directory or the text, a file
            cannot be written, or the training has diverged.
        Interrupted: A signal came; the current step is saved.
    """
    # It looks for what is not there, before the directory is made.
    beginning = announcement.of_standard_library(request.workdir)
    with locked(request.workdir) as workdir, Display() as display:
        saved = workdir.latest()
        # A mistake in the model's fields is told before the text is read.
        ModelConfig(vocabulary_size=2, **request.model)
        if saved is None:
            limits = Limits(**request.limits)
            config, corpus = _begin(request, workdir, beginning, display)
        else:
            config, limits = _resume(request, workdir, saved)
            reason = resuming.reason_it_is_over(saved, config, limits)
            # Of a finished run only files that are newly named are looked at.
            if not reason or config.data.data != saved.config.data.data:
                corpus, note = resuming.resumed_corpus(
                    saved, config, workdir, _encoding(display)
                )
                if note:
                    display.note(note)
            if reason:
                display.note(
                    f"{workdir.path} is trained already: {reason}, "
                    f"{_summary(saved.step, read_best(workdir.best))}. A "
                    "larger --epochs, --max_steps or --minutes resumes it."
                )
                _tell_that_nothing_is_left(workers)
                return
        # A text that is too short is told before TensorFlow starts.
        training_dataset(corpus, config)
        _train(
            request,
            config,
            workdir,
            corpus,
            limits,
            display,
            interruption,
            workers,
        )


def _begin(request, workdir, beginning, display):
    """Returns the configuration and the text of a new training."""
    if request.training.get("init_from"):
        request = _taking_over(request, workdir)
    workdir.check_has_no_model()
    if not request.data.get("data"):
        display.note(beginning)
    data = DataConfig(**request.data)
    training = TrainingConfig(**request.training)
    corpus = build_corpus(data, workdir.corpus, progress=_encoding(display))
    model = ModelConfig(
        vocabulary_size=len(corpus.vocabulary),
        separator_id=corpus.separator_id,
        **request.model,
    )
    for sentence in announcement.of_text(corpus):
        display.note(sentence)
    return Config(model=model, data=data, training=training), corpus


def _resume(request, workdir, saved):
    """Returns the configuration and the limits of one that resumes."""
    # What the file says is not trusted before it is checked.
    Position.from_dict(saved.info)
    limits = Limits.from_info(saved.info)
    config = resuming.resumed_config(
        saved, workdir, request.data, request.model, request.training
    )
    return config, dataclasses.replace(limits, **request.limits)


def _encoding(display):
    """Returns what shows how far the text is read."""
    return lambda done, total, what: display.activity(
        f"{what} the text", done / max(total, 1)
    )


def _tell_that_nothing_is_left(workers):
    if workers is not None:
        from kerasrnn.training.multi_worker import chief_settings

        chief_settings.send(workers, None)


def _taking_over(request, workdir):
    """Returns a request with what comes from the model to start from."""
    source = warm_start.load_source(request.training["init_from"], workdir.path)
    data = {"vocabulary": source.vocabulary.kind, **request.data}
    warm_start.check_kind(source.vocabulary, data["vocabulary"])
    return dataclasses.replace(
        request,
        data=data,
        model=warm_start.model_fields(source.config, request.model),
    )


def _train(
    request, config, workdir, corpus, limits, display, interruption, workers
):
    display.note("Starting TensorFlow ...")
    import keras

    from kerasrnn.recurrence.threads import configure_threads
    from kerasrnn.training.loop import train_and_evaluate
    from kerasrnn.training.step.devices import make_strategy
    from kerasrnn.training.workers import Workers

    if workers is None:
        policy = keras.DTypePolicy(config.model.dtype_policy)
        configure_threads(config.model.units, policy.compute_dtype)
        workers = Workers(make_strategy(request.strategy, request.tpu))
    else:
        from kerasrnn.training.multi_worker import chief_settings

        chief_settings.send(
            workers,
            chief_settings.ChiefSettings(config, limits, corpus.sha256),
        )
    display.note(_description(config, corpus, workers))
    result = train_and_evaluate(
        config,
        workdir,
        corpus,
        limits=limits,
        display=display,
        interruption=interruption,
        workers=workers,
    )
    best = None
    if result.best_loss is not None:
        best = Best(result.best_step, result.best_loss)
    display.note(
        f"Finished: {result.reason}, {_summary(result.step, best)}.\n"
        f"The model is in {workdir.path}. Try\n"
        f"    {command('kerasrnn-sample', f'--workdir={workdir.path}')}"
    )


def train_with_chief(
    request: Request, interruption: Interruption, workers
) -> None:
    """Trains what the chief says, and leaves the writing to it.

    Args:
        request: What this process was asked for.
        interruption: This process's.
        workers: The `process_group.WorkerGroup` that trains together.

    Raises:
        UserError: The request differs from the chief's, or this process does
            not see the same directory.
        Interrupted: A signal came; the current step is saved.
    """
    from kerasrnn.training.loop import train_and_evaluate
    from kerasrnn.training.multi_worker import chief_settings

    chiefs = chief_settings.receive(workers, request.model | request.training)
    if chiefs is None:
        return
    workdir = Workdir(pathlib.Path(request.workdir))
    corpus = chief_settings.wait_for_corpus(
        workdir.corpus, chiefs.corpus_sha256
    )
    print("Training with the chief, which shows how it goes.", flush=True)
    result = train_and_evaluate(
        chiefs.config,
        workdir,
        corpus,
        limits=chiefs.limits,
        display=Display(Console(quiet=True)),
        interruption=interruption,
        workers=workers,
    )
    print(f"Finished: {result.reason}.")


def _summary(step, best):
    text = counted(step, "step")
    if best is not None:
        text += (
            f", best validation loss {best.loss:.4f} nats a character at step "
            f"{best.step:,}"
        )
    return text


def _description(config, corpus, workers):
    model, training = config.model, config.training
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
