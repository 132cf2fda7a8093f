"""The working directory: who may write to it, and whether flags fit it."""

import contextlib
import dataclasses
import os
import pathlib
import socket

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.foundation import files
from kerasrnn.foundation.locks import open_lock
from kerasrnn.foundation.locks import try_lock
from kerasrnn.foundation.paths import local_path
from kerasrnn.foundation.phrases import command
from kerasrnn.text.corpus import Corpus
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints import retention

# What may change from one start to the next. All else decides what the
# weights, the states and the order of the text mean.
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
        "epochs",
        "epsilon",
        "evaluate_every",
        "jit_compile",
        "keep",
        "learning_rate",
        "on_nan",
        "patience",
        "sample_every",
        "sample_length",
        "schedule",
        "warmup_steps",
        "weight_decay",
    }
)


@dataclasses.dataclass(frozen=True)
class Workdir:
    """Paths in a working directory.

    Attributes:
        path: The directory itself.
    """

    path: pathlib.Path

    @property
    def checkpoints(self) -> pathlib.Path:
        """The newest checkpoints, one directory a step."""
        return self.path / "checkpoints"

    @property
    def best(self) -> pathlib.Path:
        """The checkpoint with the lowest validation loss."""
        return self.path / "best"

    @property
    def corpus(self) -> pathlib.Path:
        """The encoded text."""
        return self.path / "corpus"

    @property
    def history(self) -> pathlib.Path:
        """One JSON object an interval of steps."""
        return self.path / "history.jsonl"

    @property
    def logs(self) -> pathlib.Path:
        """TensorBoard's files."""
        return self.path / "logs"

    @property
    def samples(self) -> pathlib.Path:
        """Texts generated while training."""
        return self.path / "samples"

    def latest(self) -> checkpoint.Checkpoint | None:
        """Returns the newest intact checkpoint, or None at the very start.

        Raises:
            UserError: There are checkpoints, but none is intact.
        """
        newest = checkpoint.load_latest(self.checkpoints)
        if newest is None and checkpoint.steps(self.checkpoints):
            raise UserError(
                f"None of the checkpoints in {self.checkpoints} is intact. "
                "Put a good copy there, or give another --workdir."
            )
        return newest

    def has_checkpoints(self) -> bool:
        """Whether a training resumes here, rather than begins."""
        return bool(checkpoint.steps(self.checkpoints))

    def check_has_no_model(self) -> None:
        """Checks that no model is lost where a training begins here.

        To be called where there is no checkpoint to resume from. A run that
        was killed before its first one has left neither a best checkpoint
        nor a `config.json`, so it begins again; and so does one that has
        diverged and set aside all of its checkpoints.

        Raises:
            UserError: There is a model, or what one has left.
        """
        best = checkpoint.steps(self.best)
        diverged = retention.steps_set_aside(self.checkpoints, "diverged")
        if diverged and max(diverged) >= max(best, default=0):
            return
        way_out = f"To resume, put {self.checkpoints} back; "
        if best:
            held = f"a model ({self.best / str(best[-1])})"
            way_out += (
                "to start from its weights, give "
                f"{command(f'--init_from={self.path.absolute()}')} and another "
                "--workdir; "
            )
        elif (self.path / "config.json").exists():
            held = "what is left of a model"
        else:
            return
        raise UserError(
            f"{self.path} holds {held} but no checkpoint to resume from, and "
            f"a new run would replace it. {way_out}to train anew here, delete "
            f"{self.path} first."
        )

    def write_configuration(self, config: Config, vocabulary) -> None:
        """Writes config.json and vocabulary.json."""
        files.write_file(self.path / "config.json", config.to_json().encode())
        files.write_file(
            self.path / "vocabulary.json", vocabulary.to_json().encode()
        )


def open_corpus(path, sha256: str | None) -> Corpus:
    """Returns the text that a model was trained on.

    Args:
        path: The working directory.
        sha256: `corpus_sha256` of the model's checkpoint.

    Raises:
        UserError: The directory holds none, or another text.
    """
    corpus = Corpus(Workdir(local_path(path)).corpus)
    if corpus.sha256 != sha256:
        raise UserError(
            f"The text in {path} is not the one that the model was trained "
            "on; run kerasrnn-train with that text, or give another with "
            "--file where there is that flag."
        )
    return corpus


@contextlib.contextmanager
def locked(path):
    """Makes a working directory and holds it for this process.

    The lock belongs to the open file: however the process ends, the next
    one can take it. If the block raises before anything is written, a
    directory that was made for it goes again.

    Yields:
        A `Workdir`.

    Raises:
        UserError: The directory cannot be made or written to, or another
            process trains in it.
    """
    workdir = Workdir(local_path(path))
    made, descriptor = _take(workdir.path)
    try:
        for directory in (workdir.path, workdir.checkpoints, workdir.best):
            files.sweep(directory)
        retention.set_aside_damaged(workdir.checkpoints)
        yield workdir
    except BaseException:
        _remove_unused(workdir, made)
        raise
    finally:
        os.close(descriptor)


def _take(path):
    """Returns the directories made, the innermost first, and the lock."""
    made = [
        directory
        for directory in (path, *path.parents)
        if not os.path.exists(directory)
    ]
    while True:
        try:
            path.mkdir(parents=True, exist_ok=True)
            descriptor = open_lock(path / "lock")
        except OSError as error:
            raise UserError(
                f"Cannot use the working directory {path}: {error.strerror}. "
                "Give another --workdir."
            ) from None
        try:
            _lock(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        # Its last owner may have removed it before it let go.
        if os.fstat(descriptor).st_nlink:
            return made, descriptor
        os.close(descriptor)


def _remove_unused(workdir, made):
    """Removes the directories made, if they hold nothing but the lock."""
    if workdir.path not in made:
        return
    # What is not empty stays, and so does all that it is in.
    with contextlib.suppress(OSError):
        if workdir.corpus.exists():
            workdir.corpus.rmdir()
        if os.listdir(workdir.path) == ["lock"]:
            (workdir.path / "lock").unlink()
            for directory in made:
                directory.rmdir()


@contextlib.contextmanager
def told_if_not_writable(path):
    """Turns what a full disk and its like raise in the block into words.

    Raises:
        UserError: Something in `path` could not be read or written.
    """
    try:
        yield
    except ConnectionError:
        raise  # A reader of the output, or another worker, has gone.
    except OSError as error:
        raise UserError(
            f"Could not write to {path}: {error.strerror}. Checkpoints that "
            "are there are intact; make room or give permission, and run the "
            "same command again."
        ) from None


def _lock(path, descriptor):
    if not try_lock(descriptor, path / "lock"):
        owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        raise UserError(
            f"Another training ({owner or 'unknown process'}) is at work in "
            f"{path}. Wait for it, end it, or give another --workdir."
        )
    os.ftruncate(descriptor, 0)
    owner = f"process {os.getpid()} on {socket.gethostname()}\n"
    os.pwrite(descriptor, owner.encode(), 0)


def check_resumable(saved: Config, wanted: Config, path) -> None:
    """Checks that a training can go on with a configuration.

    Raises:
        UserError: It differs in what must stay; the message says where.
    """
    differences = [
        f"--{name} is {_shown(there)} there and {_shown(here)} here"
        for name, there, here in _differences(saved, wanted)
        if name not in _MAY_CHANGE
    ]
    if differences:
        raise UserError(
            f"The model in {path} was made with other settings: "
            f"{'; '.join(differences)}. Leave these flags as they were, or "
            "give another --workdir."
        )


def _differences(saved, wanted):
    for section in dataclasses.fields(Config):
        there = dataclasses.asdict(getattr(saved, section.name))
        here = dataclasses.asdict(getattr(wanted, section.name))
        for name, value in there.items():
            if value != here[name]:
                yield name, value, here[name]


def _shown(value):
    if isinstance(value, tuple):
        return ",".join(value) or "the standard library"
    if isinstance(value, str) and not value.isprintable():
        return repr(value)
    return str(value)
