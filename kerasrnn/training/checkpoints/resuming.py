"""What a run takes over from the one before it (no TensorFlow).

Its settings, unless they are given again; its text, which stays the one that
was read at the start; and whether anything is left to do.
"""

import contextlib
import dataclasses
import os
from typing import Any
from typing import NamedTuple

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import command
from kerasrnn.foundation.phrases import path_flag
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.corpus import build_corpus
from kerasrnn.text.encoding import Progress
from kerasrnn.training.checkpoints.checkpoint import Checkpoint
from kerasrnn.training.checkpoints.run_status import RunStatus
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.step.schedule import Limits
from kerasrnn.training.step.schedule import Plan

# What may change from one start to the next. Most of the rest decides what the
# weights and the states mean, or the order of the text.
_MAY_CHANGE = frozenset(
    {
        "accumulation_steps",
        "averaging",
        "beta_1",
        "beta_2",
        "checkpoint_every",
        "clip_norm",
        "clip_value",
        # Files may move; the SHA-256 of the ids says whether it is the text.
        "data",
        "decay_after",
        "decay_rate",
        "dropout",
        "dropout_warmup_steps",
        "epochs",
        "epsilon",
        "evaluate_every",
        "jit_compile",
        "keep",
        "learning_rate",
        "on_nan",
        "patience",
        "recurrent_kernel_dropout",
        "sample_every",
        "sample_length",
        "schedule",
        "warmup_steps",
        "weight_decay",
    }
)


def resumed_config(
    saved: Checkpoint, workdir: Workdir, data: dict, model: dict, training: dict
) -> Config:
    """Returns the configuration of a run that resumes.

    Args:
        saved: What it resumes from.
        workdir: Where that is.
        data: Fields of `DataConfig` that are given; the others stay as they
            were.
        model: Fields of `ModelConfig`.
        training: Fields of `TrainingConfig`.

    Raises:
        UserError: One is given that cannot be changed or that is wrong.
    """
    was = saved.config
    sections: dict[str, Any] = {
        "model": dataclasses.replace(was.model, **model),
        "data": dataclasses.replace(was.data, **data),
        "training": dataclasses.replace(was.training, **training),
    }
    # Before they are put together: what may not change need not fit.
    _check_sections(was, sections, workdir.path)
    return Config(**sections)


def check_resumable(
    saved: Config, wanted: Config, path: os.PathLike | str
) -> None:
    """Checks that a run can resume with a configuration.

    Raises:
        UserError: It differs in what must stay; the message says where.
    """
    names = (field.name for field in dataclasses.fields(Config))
    sections = {name: getattr(wanted, name) for name in names}
    _check_sections(saved, sections, path)


def _check_sections(saved, sections, path):
    differences = [
        f"--{name} is {_shown(there)} there and {_shown(here)} here"
        for name, there, here in _differences(saved, sections)
        if name not in _MAY_CHANGE
    ]
    if differences:
        raise UserError(
            f"The model in {path} was made with other settings: "
            f"{'; '.join(differences)}. Leave these flags as they were, or "
            "give another --workdir."
        )


def limits_reached(
    saved: Checkpoint, config: Config, limits: Limits
) -> dict[str, str]:
    """Returns why a finished run stays finished; nothing if it resumes.

    Args:
        saved: Its newest checkpoint.
        config: What is asked for now.
        limits: When to stop, as asked for now.

    Returns:
        Reasons, by the flags that they are of, such as "--epochs".
    """
    steps_per_epoch = saved.info.get("steps_per_epoch")
    if not saved.info.get("finished") or type(steps_per_epoch) is not int:
        return {}
    status = RunStatus.from_dict(saved.info)
    # It ended a little before its minutes were over, so that what follows the
    # last step was over by then.
    before = Limits.from_info(saved.info)
    if (
        saved.info["finished"] == before.reached_minutes
        and 0 < limits.minutes <= before.minutes
    ):
        return {"--minutes": limits.reached_minutes}
    plan = Plan(config.training, steps_per_epoch, limits, validates=False)
    return plan.limits_reached(status.step, status.elapsed, status.stale)


class ResumedText(NamedTuple):
    """The text of a run that resumes.

    Attributes:
        corpus: The encoded text.
        note: What to show about it, or "".
    """

    corpus: Corpus
    note: str


def resumed_corpus(
    saved: Checkpoint,
    config: Config,
    workdir: Workdir,
    progress: Progress | None = None,
) -> ResumedText:
    """Returns the text of a run that resumes.

    It is the copy in the working directory, if that is intact, whatever
    happened to the files that it was read from. Files with other names are
    read: they may have been moved, but must hold the same text.

    Args:
        saved: What it resumes from.
        config: What is asked for now.
        workdir: Where both are.
        progress: See `build_corpus`.

    Raises:
        UserError: The text is another one, or neither the copy nor the files
            are there.
    """
    data, sha256 = config.data.data, saved.info.get("corpus_sha256")
    copy = _copy(workdir, sha256, saved.vocabulary)
    if copy is not None and data == saved.config.data.data:
        change = copy.source_change(config.data)
        if not change:
            return ResumedText(copy, "")
        with contextlib.suppress(UserError):
            copy.verify()
            return ResumedText(copy, _note(change, data, workdir))
    corpus = build_corpus(
        config.data, workdir.corpus, saved.vocabulary, progress, sha256
    )
    return ResumedText(corpus, "")


def _copy(workdir, sha256, vocabulary):
    """Returns the encoded text in a directory if it is the model's."""
    try:
        copy = Corpus(workdir.corpus)
    except UserError:
        return None
    is_same = copy.sha256 == sha256 and copy.vocabulary == vocabulary
    return copy if is_same else None


def _note(change, data, workdir):
    names = ", ".join(data) or "The standard library"
    copy = f"Resuming with the text as it was read, in {workdir.corpus}."
    if change == "gone":
        return f"{names} cannot be read any more. {copy}"
    arguments = [
        "kerasrnn-train",
        path_flag("init_from", workdir.path.absolute()),
        *(path_flag("data", pattern) for pattern in data),
    ]
    return (
        f"{names} has changed since it was read. {copy} To train on it as it "
        "is now, start another run from this one:\n"
        f"    {command(*arguments)} --workdir=OTHER"
    )


def _differences(saved, sections):
    for section, wanted in sections.items():
        there = dataclasses.asdict(getattr(saved, section))
        here = dataclasses.asdict(wanted)
        for name, value in there.items():
            if value != here[name]:
                yield name, value, here[name]


def _shown(value):
    if isinstance(value, tuple):
        return ",".join(value) or "the standard library"
    if value == "":
        return "not given"
    if isinstance(value, str) and not value.isprintable():
        return repr(value)
    return str(value)
