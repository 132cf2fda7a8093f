"""The working directory: its paths, and which process may write to it."""

import contextlib
import dataclasses
import os
import pathlib
import socket
from collections.abc import Iterator

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.foundation import files
from kerasrnn.foundation.locks import open_lock
from kerasrnn.foundation.locks import try_lock
from kerasrnn.foundation.paths import local_path
from kerasrnn.foundation.phrases import command
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.vocabulary import Vocabulary
from kerasrnn.training.checkpoints import checkpoint


@dataclasses.dataclass(frozen=True)
class Workdir:
    """A working directory, and the paths in it.

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
        """One JSON object per interval of steps."""
        return self.path / "history.jsonl"

    @property
    def logs(self) -> pathlib.Path:
        """TensorBoard's files."""
        return self.path / "logs"

    @property
    def samples(self) -> pathlib.Path:
        """Texts generated while training."""
        return self.path / "samples"

    def has_checkpoints(self) -> bool:
        """Whether a run resumes here, rather than begins."""
        return bool(checkpoint.steps(self.checkpoints))

    def check_has_no_model(self) -> None:
        """Checks that a run that begins here replaces no model.

        Call it where there is no checkpoint to resume from. A run that was
        killed before its first one has left neither a best checkpoint nor a
        `config.json`, so it begins again; and so does one that has diverged
        and set aside all of its checkpoints.

        Raises:
            UserError: There is a model, or what is left of one.
        """
        best = checkpoint.steps(self.best)
        diverged = _steps_set_aside(self.checkpoints, "diverged")
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

    def write_configuration(
        self, config: Config, vocabulary: Vocabulary
    ) -> None:
        """Writes config.json and vocabulary.json."""
        files.write_file(self.path / "config.json", config.to_json().encode())
        files.write_file(
            self.path / "vocabulary.json", vocabulary.to_json().encode()
        )


def _steps_set_aside(directory, why):
    paths = directory.glob(f"*.{why}")
    return [int(path.stem) for path in paths if path.stem.isdecimal()]


def open_corpus(path: os.PathLike | str, sha256: str | None) -> Corpus:
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
def locked(path: os.PathLike | str) -> Iterator[Workdir]:
    """Makes a working directory and holds it for this process.

    The lock belongs to the open file: however the process ends, the next
    one can take it. If the block raises before anything is written, a
    directory that was made for it is removed again.

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
        # Its last owner may have removed it before it released the lock.
        if os.fstat(descriptor).st_nlink:
            return made, descriptor
        os.close(descriptor)


def _remove_unused(workdir, made):
    """Removes the directories made if they hold nothing but the lock."""
    if workdir.path not in made:
        return
    # A directory that is not empty stays, and so do those around it.
    with contextlib.suppress(OSError):
        if workdir.corpus.exists():
            workdir.corpus.rmdir()
        if os.listdir(workdir.path) == ["lock"]:
            (workdir.path / "lock").unlink()
            for directory in made:
                directory.rmdir()


@contextlib.contextmanager
def explaining_disk_errors(path: os.PathLike | str) -> Iterator[None]:
    """Explains errors of the block such as that of a full disk.

    Raises:
        UserError: Something in `path` could not be read or written.
    """
    try:
        yield
    except ConnectionError:
        raise  # A reader of the output, or another worker, has gone.
    except OSError as error:
        raise UserError(
            f"Could not write to {path}: {error.strerror}. Existing "
            "checkpoints are intact; free some space or grant permission, and "
            "run the same command again."
        ) from None


def _lock(path, descriptor):
    if not try_lock(descriptor, path / "lock"):
        owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        raise UserError(
            f"Another run ({owner or 'unknown process'}) is using {path}. Wait "
            "for it, end it, or give another --workdir."
        )
    os.ftruncate(descriptor, 0)
    owner = f"process {os.getpid()} on {socket.gethostname()}\n"
    os.pwrite(descriptor, owner.encode(), 0)
