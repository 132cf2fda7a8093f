"""What stays the same from the start of a run to its end."""

import dataclasses
from collections.abc import Collection

from kerasrnn.config import Config
from kerasrnn.foundation.signals import Interruption
from kerasrnn.text.batches.dataset import TextDataset
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.frequencies import Baselines
from kerasrnn.text.splits import characters_in
from kerasrnn.training.checkpoints.manager import CheckpointManager
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.records.observers import Observer
from kerasrnn.training.step.schedule import Plan
from kerasrnn.training.step.workers import Workers


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunContext:
    """What a run consists of.

    Attributes:
        config: What to train, and how.
        workdir: Where to.
        corpus: The encoded text.
        dataset: The batch of each step.
        held_out: (start, stop) of the parts of the text to validate on.
        plan: How many steps there are, and what is due between them.
        chosen: The fields of the configuration that a rule chose.
        workers: The processes that train together.
        checkpoints: Those of the working directory.
        observer: Is told what happens.
        interruption: Asked again and again whether to end.
        baselines: What guessing by frequency achieves on the held-out text;
            None where nothing is held out, or another process compares.
    """

    config: Config
    workdir: Workdir
    corpus: Corpus
    dataset: TextDataset
    held_out: list[tuple[int, int]]
    plan: Plan
    chosen: Collection[str]
    workers: Workers
    checkpoints: CheckpointManager
    observer: Observer
    interruption: Interruption
    baselines: Baselines | None = None

    @property
    def held_out_characters(self) -> int:
        """Characters to validate on."""
        return characters_in(self.held_out)
