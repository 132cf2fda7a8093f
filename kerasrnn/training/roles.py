"""The two roles in a training: the chief leads, the other workers follow.

The chief, or a process alone, takes what was asked for, fills in what the
checkpoint says or the defaults, encodes the text and tells the others. It
imports TensorFlow only when there is something to train.
"""

import dataclasses
import pathlib

from rich.console import Console

from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.text.corpus import build_corpus
from kerasrnn.training import announcement
from kerasrnn.training import transfer
from kerasrnn.training.interruption import Interruption
from kerasrnn.training.plan import Limits
from kerasrnn.training.position import Position
from kerasrnn.training.progress import Display
from kerasrnn.training.workdir import Workdir
from kerasrnn.training.workdir import check_resumable
from kerasrnn.training.workdir import locked


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for. What is not given stays as it was.

    Attributes:
        workdir: The working directory.
        data: Fields of `DataConfig` that are given, by name.
        model: Fields of `ModelConfig`.
        training: Fields of `TrainingConfig`.
        limits: Fields of `Limits`.
        strategy: Which devices, see `kerasrnn.training.distribution`.
        tpu: Name or address of the TPU, or "".
    """

    workdir: str
    data: dict
    model: dict
    training: dict
    limits: dict
    strategy: str = "auto"
    tpu: str = ""


def lead(request: Request, interruption: Interruption, workers=None) -> None:
    """Trains as the chief, or alone.

    Args:
        request: What to train.
        interruption: Of this process.
        workers: The `kerasrnn.training.workers.ManyWorkers` that train
            together; None is this process alone.

    Raises:
        UserError: The request does not fit the directory or the text, a file
            cannot be written, or the training has diverged.
        Interrupted: A signal came; the current step is saved.
    """
    # It looks for what is not there, before the directory is made.
    beginning = announcement.of_standard_library(request.workdir)
    with locked(request.workdir) as workdir:
        saved = workdir.latest()
        # A mistake in the model's fields is told before the text is read.
        ModelConfig(vocabulary_size=2, **request.model)
        info = {}
        if saved is not None:
            info = saved.info
            # What the file says is not trusted before it is checked.
            Position.from_dict(info)
        elif request.training.get("init_from"):
            request = _taking_over(request, workdir)
        limits = dataclasses.replace(Limits.from_info(info), **request.limits)
        with Display() as display:
            if saved is None and not request.data.get("data"):
                display.note(beginning)
            config, corpus = _prepare(request, workdir, saved, display)
            if saved is None or not _is_finished(saved, config, limits):
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
                return
            display.note(
                f"{workdir.path} is trained already: {info['finished']}, "
                f"{_summary(saved.step, info)}. A larger --epochs, "
                "--max_steps or --minutes goes on."
            )
            if workers is not None:
                from kerasrnn.training import briefing

                briefing.give(workers, None)


def _taking_over(request, workdir):
    """Returns a request with what comes from the model to start from."""
    source = transfer.load_source(request.training["init_from"], workdir.path)
    data = {"vocabulary": source.vocabulary.kind, **request.data}
    transfer.check_kind(source.vocabulary, data["vocabulary"])
    return dataclasses.replace(
        request,
        data=data,
        model=transfer.model_fields(source.config, request.model),
    )


def _prepare(request, workdir, saved, display):
    """Returns the configuration and the encoded text."""
    vocabulary = sha256 = None
    if saved is None:
        data = DataConfig(**request.data)
        training = TrainingConfig(**request.training)
    else:
        was = saved.config
        data = dataclasses.replace(was.data, **request.data)
        training = dataclasses.replace(was.training, **request.training)
        model = dataclasses.replace(was.model, **request.model)
        config = Config(model=model, data=data, training=training)
        check_resumable(was, config, workdir.path)
        vocabulary = saved.vocabulary
        sha256 = saved.info.get("corpus_sha256")
    corpus = build_corpus(
        data,
        workdir.corpus,
        vocabulary,
        lambda done, total, what: display.activity(
            f"{what} the text", done / max(total, 1)
        ),
        sha256,
    )
    if saved is None:
        model = ModelConfig(
            vocabulary_size=len(corpus.vocabulary),
            separator_id=corpus.separator_id,
            **request.model,
        )
        config = Config(model=model, data=data, training=training)
        workdir.write_configuration(config, corpus.vocabulary)
        for sentence in announcement.of_text(corpus):
            display.note(sentence)
    return config, corpus


def _train(
    request, config, workdir, corpus, limits, display, interruption, workers
):
    display.note("Starting TensorFlow ...")
    import keras

    from kerasrnn.layers.threads import configure_threads
    from kerasrnn.training import briefing
    from kerasrnn.training.distribution import make_strategy
    from kerasrnn.training.loop import train_and_evaluate
    from kerasrnn.training.workers import Workers

    if workers is None:
        policy = keras.DTypePolicy(config.model.dtype_policy)
        configure_threads(config.model.units, policy.compute_dtype)
        workers = Workers(make_strategy(request.strategy, request.tpu))
    else:
        briefing.give(workers, briefing.Briefing(config, limits, corpus.sha256))
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
    position = {"best_loss": result.best_loss, "best_step": result.best_step}
    display.note(
        f"Finished: {result.reason}, {_summary(result.step, position)}.\n"
        f"The model is in {workdir.path}. Try\n"
        f"    kerasrnn-sample --workdir={workdir.path}"
    )


def follow(request: Request, interruption: Interruption, workers) -> None:
    """Trains what the chief says, and leaves the writing to it.

    Args:
        request: What this process was asked for.
        interruption: Of this process.
        workers: The processes that train together.

    Raises:
        UserError: The request differs from the chief's, or this process does
            not see the same directory.
        Interrupted: A signal came; the current step is saved.
    """
    from kerasrnn.training import briefing
    from kerasrnn.training.loop import train_and_evaluate

    chiefs = briefing.receive(workers, request.model | request.training)
    if chiefs is None:
        return
    workdir = Workdir(pathlib.Path(request.workdir))
    corpus = briefing.wait_for_corpus(workdir.corpus, chiefs.corpus_sha256)
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


def _is_finished(saved, config, limits):
    return (
        bool(saved.info.get("finished"))
        and config == saved.config
        and dataclasses.asdict(limits) == saved.info.get("limits")
    )


def _summary(step, info):
    text = f"{step:,} steps"
    if info.get("best_loss") is not None:
        text += (
            f", best validation loss {info['best_loss']:.4f} nats a "
            f"character at step {info['best_step']:,}"
        )
    return text


def _description(config, corpus, workers):
    model, training = config.model, config.training
    replicas = workers.strategy.num_replicas_in_sync
    of_workers = f" of {workers.size} workers" if workers.size > 1 else ""
    return (
        f"{model.num_layers}x{model.units} {model.cell} on {len(corpus):,} "
        f"characters of {len(corpus.vocabulary) - 1} kinds, "
        f"{training.batch_size} streams of {training.sequence_length} a step, "
        f"on {replicas} device{'s' if replicas > 1 else ''}{of_workers}"
    )
