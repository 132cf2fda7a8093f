"""What a run trains on and how: what is asked for, saved, or the default.

Nothing here needs TensorFlow, so a mistake is reported before it starts.
"""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted
from kerasrnn.text.batches.streams import is_scorable
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.corpus import build_corpus
from kerasrnn.text.encoding import Progress
from kerasrnn.text.splits import characters_in
from kerasrnn.text.splits import check_splits
from kerasrnn.training.checkpoints import resuming
from kerasrnn.training.checkpoints import warm_start
from kerasrnn.training.checkpoints.checkpoint import Checkpoint
from kerasrnn.training.checkpoints.run_status import RunStatus
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.defaults import choices
from kerasrnn.training.defaults import choices_of_longer_run
from kerasrnn.training.defaults import choices_of_resumed_run
from kerasrnn.training.hardware import Hardware
from kerasrnn.training.records import announcement
from kerasrnn.training.records.observers import Observer
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
    data: dict[str, Any]
    model: dict[str, Any]
    training: dict[str, Any]
    limits: dict[str, Any]
    strategy: str = "auto"
    tpu: str = ""


class Settings(NamedTuple):
    """What is trained, and on what.

    Attributes:
        config: What is trained, and how.
        limits: When to stop before the epochs are over.
        corpus: The encoded text; None if the run is over and none was read.
        chosen: The fields of the configuration that a rule chose.
        finished: Why nothing is left to do, by the flags that would change
            it; empty of a run that is not over.
    """

    config: Config
    limits: Limits
    corpus: Corpus | None
    chosen: frozenset[str] = frozenset()
    finished: Mapping[str, str] = types.MappingProxyType({})

    def text(self) -> Corpus:
        """Returns the encoded text of a run that is not over.

        Raises:
            ValueError: It is over.
        """
        if self.corpus is None:
            raise ValueError(f"The run is over: {dict(self.finished)}.")
        return self.corpus


def settings_of_new_run(
    request: Request,
    workdir: Workdir,
    standard_library: str,
    observer: Observer,
    hardware: Hardware,
) -> Settings:
    """Reads the text of a new run, and returns what it trains.

    Args:
        request: What the user asks for.
        workdir: Where to train.
        standard_library: What to tell the user who names no text.
        observer: Is told about the text.
        hardware: What trains.

    Raises:
        UserError: The text cannot be used, does not fit the model to start
            from, or the directory holds a model.
    """
    limits = Limits(**request.limits)
    if request.training.get("init_from"):
        request = _with_model_to_start_from(request, workdir)
    workdir.check_has_no_model()
    if not request.data.get("data"):
        observer.note(standard_library)
    data = DataConfig(**request.data)
    training = TrainingConfig(**request.training)
    corpus = build_corpus(data, workdir.corpus, progress=_progress(observer))
    model = ModelConfig(
        vocabulary_size=len(corpus.vocabulary),
        separator_id=corpus.separator_id,
        **request.model,
    )
    for sentence in announcement.of_text(corpus, model.embedding_size):
        observer.note(sentence)
    multiple = training.sequence_length
    check_splits(len(corpus), data, multiple)
    held_out = corpus.split_ranges("validation", multiple)
    validates = is_scorable(held_out)
    if validates and corpus.num_unknown:
        _check_known(corpus, held_out)
    chosen = choices(
        model,
        {**request.model, **request.training},
        characters_in(corpus.split_ranges("train", multiple)),
        validates=validates,
        limits=limits,
        hardware=hardware,
    )
    _note_choices(chosen, observer)
    config = Config(model=model, data=data, training=training)
    names = frozenset(choice.name for choice in chosen)
    return Settings(_with(config, chosen), limits, corpus, names)


def settings_of_resumed_run(
    request: Request,
    workdir: Workdir,
    saved: Checkpoint,
    observer: Observer,
    hardware: Hardware,
) -> Settings:
    """Returns what a run trains that resumes from a checkpoint.

    Args:
        request: What the user asks for.
        workdir: Where the run is.
        saved: Its newest checkpoint.
        observer: Is told about the text.
        hardware: What trains now.

    Raises:
        UserError: Something is asked for that cannot be changed, or the text
            is another one or is gone.
    """
    # The file may say anything, so it is checked before it is used.
    status = RunStatus.from_dict(saved.info)
    before = Limits.from_info(saved.info)
    limits = dataclasses.replace(before, **request.limits)
    given = {**request.model, **request.training}
    chosen = _chosen_before(saved)
    again = choices_of_resumed_run(
        saved.config.training, chosen, request.training
    )
    chosen -= set(given)
    _note_choices(again, observer)
    training = {
        **request.training,
        **{choice.name: choice.value for choice in again},
    }
    config = resuming.resumed_config(
        saved, workdir, request.data, request.model, training
    )
    finished = resuming.limits_reached(saved, config, limits)
    # Of a finished run only files that are newly named are looked at.
    if finished and config.data.data == saved.config.data.data:
        return Settings(config, limits, None, chosen, finished)
    text = resuming.resumed_corpus(saved, config, workdir, _progress(observer))
    if text.note:
        observer.note(text.note)
    multiple = config.training.sequence_length
    # A rate at which the run diverged was too high; it is not raised again.
    kept = {"learning_rate"} if status.rollbacks else set()
    again = choices_of_longer_run(
        saved.config,
        chosen - kept,
        before,
        given,
        characters_in(text.corpus.split_ranges("train", multiple)),
        limits,
        hardware,
    )
    _note_choices(again, observer)
    config = _with(config, again)
    return Settings(config, limits, text.corpus, chosen, finished)


def _check_known(corpus, held_out):
    """Checks that there is a character to validate on."""
    if not corpus.counts(held_out)[1:].any():
        raise UserError(
            f"All {counted(characters_in(held_out), 'character')} that are "
            "held out for validation are rarer than "
            f"--min_count={corpus.config.min_count}, and so unknown to the "
            "model. Give a lower --min_count, a larger --validation_fraction "
            "or --split=interleaved; or hold out nothing "
            "(--validation_fraction=0)."
        )


def _chosen_before(saved):
    """Returns the fields that a rule chose; none of an older checkpoint."""
    names = saved.info.get("chosen")
    return frozenset(map(str, names if isinstance(names, list) else ()))


def _note_choices(chosen, observer):
    if chosen:
        observer.note(f"Chosen by rule: {', '.join(map(str, chosen))}.")


def _with(config, chosen):
    """Returns a configuration with what is chosen."""
    values = {choice.name: choice.value for choice in chosen}

    def part(fields):
        own = {field.name for field in dataclasses.fields(fields)} & set(values)
        return dataclasses.replace(fields, **{n: values[n] for n in own})

    return dataclasses.replace(
        config, model=part(config.model), training=part(config.training)
    )


def _with_model_to_start_from(request, workdir):
    """Returns a request with what comes from the model to start from."""
    source = warm_start.load_source(request.training["init_from"], workdir.path)
    data = {"vocabulary": source.vocabulary.kind, **request.data}
    warm_start.check_kind(source.vocabulary, data["vocabulary"])
    return dataclasses.replace(
        request,
        data=data,
        model=warm_start.model_fields(source.config, request.model),
    )


def _progress(observer) -> Progress:
    """Returns what shows how much of the text is read."""
    return lambda done, total, what: observer.activity(
        f"{what} the text", done / max(total, 1)
    )
