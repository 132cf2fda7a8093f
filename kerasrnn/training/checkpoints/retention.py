"""Which checkpoints stay, and which are put out of the way."""

import contextlib
import pathlib
import shutil

from absl import logging

from kerasrnn.errors import UserError
from kerasrnn.training.checkpoints import checkpoint


def keep_newest(directory, count: int) -> None:
    """Removes all but the newest `count` checkpoints."""
    for step in checkpoint.steps(directory)[:-count]:
        remove(directory, step)


def keep_only(directory, step: int) -> None:
    """Removes all checkpoints but that of one step."""
    for other in checkpoint.steps(directory):
        if other != step:
            remove(directory, other)


def remove(directory, step: int) -> None:
    """Removes a checkpoint; one that is half removed has no number."""
    path = pathlib.Path(directory) / str(step)
    removed = path.with_name(f".tmp-{step}-removed")
    shutil.rmtree(removed, ignore_errors=True)
    path.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)


def set_aside(directory, step: int, why: str) -> pathlib.Path:
    """Renames a checkpoint to `<step>.<why>`, which nobody takes for one.

    It is not removed: whoever wants to look into it can.
    """
    path = pathlib.Path(directory) / str(step)
    aside = path.with_name(f"{step}.{why}")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)
    return aside


def set_aside_all(directory, damaged: dict[int, UserError]) -> None:
    """Sets damaged checkpoints aside, as far as possible, with a warning.

    Args:
        directory: Where they are.
        damaged: What they suffer from, by step.
    """
    for step, error in damaged.items():
        with contextlib.suppress(OSError):
            aside = set_aside(directory, step, "damaged")
            logging.warning(
                "%s That checkpoint is passed over and kept as %s.",
                error,
                aside,
            )


def steps_set_aside(directory, why: str) -> list[int]:
    """Returns the steps of the checkpoints that were set aside so, sorted."""
    paths = pathlib.Path(directory).glob(f"*.{why}")
    return sorted(int(path.stem) for path in paths if path.stem.isdecimal())


def set_aside_damaged(directory) -> None:
    """Sets aside what is newer than the newest intact checkpoint.

    Else it would count among the newest, and the intact ones would go to
    make room. Where none is intact, all stay as they are.
    """
    newest, damaged = checkpoint.newest_intact(directory)
    if newest is not None:
        set_aside_all(directory, damaged)
