"""The observers of a run: the history, TensorBoard and the display."""

from collections.abc import Sequence

from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.records.display import Display
from kerasrnn.training.records.history import History
from kerasrnn.training.records.observers import Observer
from kerasrnn.training.records.observers import Observers
from kerasrnn.training.records.tensorboard import TensorBoard


def observers_of(
    workdir: Workdir,
    display: Display,
    others: Sequence[Observer],
    writes: bool,
) -> Observers:
    """Returns the observers of a run.

    Args:
        workdir: Where to write the history and TensorBoard's files.
        display: Where to show the run.
        others: Who else is told.
        writes: Whether this process writes to the directory.
    """
    if not writes:
        return Observers([display, *others])
    records = [History(workdir.history), TensorBoard(workdir.logs)]
    return Observers([*records, display, *others])
