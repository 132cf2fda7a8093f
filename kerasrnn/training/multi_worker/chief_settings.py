"""The settings that the chief sends the other workers before the first step.

So they need neither the flags that the chief was started with nor those of
an earlier run, and all train the same model on the same text.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.text.corpus import Corpus
from kerasrnn.training.multi_worker.process_group import WorkerGroup
from kerasrnn.training.step.schedule import Limits

# A file on a network is not seen everywhere at once.
_SECONDS_TO_APPEAR = 60.0


@dataclasses.dataclass(frozen=True)
class ChiefSettings:
    """What every worker has to know.

    Attributes:
        config: What to train, and how.
        limits: When to stop.
        corpus_sha256: Of the encoded text.
    """

    config: Config
    limits: Limits
    corpus_sha256: str


def send(workers: WorkerGroup, settings: ChiefSettings | None) -> None:
    """Sends the settings to the other workers; None: nothing is left to do."""
    if settings is None:
        workers.broadcast_bytes(b"")
        return
    values = {
        "config": settings.config.to_json(),
        "limits": dataclasses.asdict(settings.limits),
        "corpus_sha256": settings.corpus_sha256,
    }
    workers.broadcast_bytes(json.dumps(values).encode())


def receive(
    workers: WorkerGroup, given: Mapping[str, object]
) -> ChiefSettings | None:
    """Waits for the chief's settings; None: nothing is left to do.

    Args:
        workers: This worker and the others.
        given: Fields by name that this worker's own flags ask for.

    Raises:
        UserError: They differ from the chief's.
    """
    data = workers.broadcast_bytes(b"")
    if not data:
        return None
    values = json.loads(data)
    config = Config.from_json(values["config"])
    limits = Limits(**values["limits"])
    check_same(given, config.model, config.training, limits)
    return ChiefSettings(config, limits, values["corpus_sha256"])


def check_same(given: Mapping[str, object], *chiefs: Any) -> None:
    """Checks that this worker was asked for what the chief was asked for.

    Args:
        given: Fields by name that this worker's own flags ask for.
        *chiefs: The chief's configurations; what none of them has is not
            compared.

    Raises:
        UserError: They differ.
    """
    there = {
        name: value
        for configuration in chiefs
        for name, value in dataclasses.asdict(configuration).items()
    }
    differences = [
        f"--{name} is {value} here and {there[name]} there"
        for name, value in given.items()
        if name in there and there[name] != value
    ]
    if differences:
        raise UserError(
            "This worker was started with other flags than the chief: "
            f"{'; '.join(differences)}. Start all workers with the same flags."
        )


def wait_for_corpus(
    directory: pathlib.Path,
    sha256: str,
    seconds: float = _SECONDS_TO_APPEAR,
) -> Corpus:
    """Returns the corpus that the chief has encoded, every byte checked.

    Args:
        directory: Where it is.
        sha256: Hash of its ids, from the chief.
        seconds: How long to wait for it to appear.

    Raises:
        UserError: It does not appear, is another one or is damaged.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = "nothing"
        try:
            corpus = Corpus(directory)
            if corpus.sha256 == sha256:
                break
            found = f"one with SHA-256 {corpus.sha256}"
        except UserError as error:
            found = f"none that can be used ({error})"
        if time.monotonic() > deadline:
            raise UserError(
                f"The chief has encoded the text (SHA-256 {sha256}), but in "
                f"{directory} this worker finds {found}. All workers must "
                "see the same working directory: give --workdir on a file "
                "system that they share."
            )
        time.sleep(0.5)
    corpus.verify()
    return corpus
