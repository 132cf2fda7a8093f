"""Checkpoints: directories that are whole, verified, and all there is to know.

`<directory>/<step>/` holds

    manifest.json    step, and size and SHA-256 of every other file
    config.json      the `Config`
    vocabulary.json  the `Vocabulary`
    info.json        losses, counters and the like
    weights.npz      the weights to evaluate, sample and export, by name
    training.npz     what training needs beyond them to go on bit for bit

A directory with a number for a name is complete: it was written under
another name, synced and renamed. What is damaged later is found by the
manifest. Loading executes nothing and trusts no name, size or type in it.
"""

import dataclasses
import hashlib
import json
import math
import os
import pathlib

import numpy as np
from absl import logging

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.foundation import files
from kerasrnn.foundation.paths import local_path
from kerasrnn.foundation.phrases import command
from kerasrnn.text.vocabulary import Vocabulary

FORMAT = 1
_MANIFEST = "manifest.json"
_FILES = {
    "config.json": 2**20,
    "vocabulary.json": 2**27,
    "info.json": 2**24,
    "weights.npz": None,
    "training.npz": None,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A training at one step.

    Attributes:
        step: Steps made.
        config: The configuration.
        vocabulary: The vocabulary.
        weights: The weights to use, by name.
        training: Arrays that training goes on from; may be empty.
        info: What else is known, of JSON's types.
    """

    step: int
    config: Config
    vocabulary: Vocabulary
    weights: dict[str, np.ndarray]
    training: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    info: dict = dataclasses.field(default_factory=dict)


def save(directory, checkpoint: Checkpoint) -> pathlib.Path:
    """Writes `<directory>/<step>/` and returns its path.

    Raises:
        UserError: It could not be written; what was there before is intact.
    """
    target = local_path(directory) / str(checkpoint.step)
    texts = {
        "config.json": checkpoint.config.to_json(),
        "vocabulary.json": checkpoint.vocabulary.to_json(),
        "info.json": json.dumps(checkpoint.info, indent=2) + "\n",
    }
    try:
        with files.new_directory(target) as temporary:
            for name, text in texts.items():
                _write(temporary / name, text.encode())
            files.write_arrays(temporary / "weights.npz", checkpoint.weights)
            files.write_arrays(temporary / "training.npz", checkpoint.training)
            manifest = {
                "format": FORMAT,
                "step": checkpoint.step,
                "files": {name: _entry(temporary / name) for name in _FILES},
            }
            _write(
                temporary / _MANIFEST,
                (json.dumps(manifest, indent=2) + "\n").encode(),
            )
    except OSError as error:
        raise UserError(
            f"Could not write the checkpoint {target}: {error.strerror}. "
            "Earlier checkpoints are intact; make room or give permission, "
            "and run the same command again."
        ) from None
    return target


def steps(directory) -> list[int]:
    """Returns the steps of the checkpoints in a directory, sorted."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(
        int(name)
        for name in names
        if name.isascii() and name.isdecimal() and name == str(int(name))
    )


def latest(directory) -> pathlib.Path | None:
    """Returns the path of the newest checkpoint that is intact, or None."""
    checkpoint = load_latest(directory)
    if checkpoint is None:
        return None
    return pathlib.Path(directory) / str(checkpoint.step)


def load_latest(directory) -> Checkpoint | None:
    """Returns the newest checkpoint that is intact, or None.

    Damaged ones are left where they are, with a warning.
    """
    newest, damaged = newest_intact(directory)
    warn_of(damaged)
    return newest


def newest_intact(
    directory,
) -> tuple[Checkpoint | None, dict[int, UserError]]:
    """Returns the newest intact checkpoint, and what newer ones suffer from.

    Returns:
        The checkpoint, or None; and the errors of all newer ones by step.
    """
    damaged = {}
    for step in reversed(steps(directory)):
        try:
            return load(pathlib.Path(directory) / str(step)), damaged
        except UserError as error:
            damaged[step] = error
    return None, damaged


def warn_of(damaged: dict[int, UserError]) -> None:
    """Says which checkpoints are passed over, and why."""
    for error in damaged.values():
        logging.warning("%s That checkpoint is passed over.", error)


def load_best(directory) -> Checkpoint | None:
    """Returns the intact checkpoint with the lowest validation loss, or None.

    There are several where a process was killed as it replaced one by a
    better one. Damaged ones are left where they are, with a warning.
    """
    best, damaged = best_intact(directory)
    warn_of(damaged)
    return best


def best_intact(directory) -> tuple[Checkpoint | None, dict[int, UserError]]:
    """Returns the intact checkpoint with the lowest loss, and damaged ones.

    Returns:
        The checkpoint, or None; and the errors of the damaged ones by step.
    """
    intact, damaged = [], {}
    for step in steps(directory):
        try:
            intact.append(load(pathlib.Path(directory) / str(step)))
        except UserError as error:
            damaged[step] = error
    # Of equals the newest.
    return min(reversed(intact), key=recorded_loss, default=None), damaged


def recorded_loss(checkpoint: Checkpoint) -> float:
    """Returns a checkpoint's own validation loss; infinity if it has none."""
    loss = checkpoint.info.get("validation_loss")
    if checkpoint.info.get("validated") != checkpoint.step:
        return math.inf
    return loss if type(loss) is float and math.isfinite(loss) else math.inf


def load(path) -> Checkpoint:
    """Returns a checkpoint, every byte of it checked against its manifest.

    Raises:
        UserError: Something is missing, damaged or not what it should be.
    """
    path = local_path(path)
    manifest = _read_manifest(path)
    contents = {}
    for name, limit in _FILES.items():
        _verify(path / name, manifest["files"][name], limit)
        if name.endswith(".npz"):
            contents[name] = files.read_arrays(path / name)
    info = files.read_json(path / "info.json", _FILES["info.json"])
    if not isinstance(info, dict):
        raise UserError(f"{path / 'info.json'} is not an object.")
    config = Config.from_json(
        files.read_text(path / "config.json", _FILES["config.json"])
    )
    vocabulary = Vocabulary.from_json(
        files.read_text(path / "vocabulary.json", _FILES["vocabulary.json"])
    )
    _check_sizes(path, config.model, vocabulary, contents["weights.npz"])
    return Checkpoint(
        step=manifest["step"],
        config=config,
        vocabulary=vocabulary,
        weights=contents["weights.npz"],
        training=contents["training.npz"],
        info=info,
    )


def load_model(workdir, which: str = "best"):
    """Returns the model that a working directory holds.

    Args:
        workdir: What `kerasrnn-train` wrote to.
        which: "best" by validation, or "latest". Before the first
            validation there is no best one, and the latest is taken.

    Returns:
        `(CharRNN, Vocabulary, Config, info)`; `info["step"]` is the step.

    Raises:
        UserError: There is no such checkpoint, or it is damaged.
    """
    checkpoint = load(find(workdir, which))
    info = {"step": checkpoint.step, **checkpoint.info}
    model = model_of(checkpoint)
    return model, checkpoint.vocabulary, checkpoint.config, info


def model_of(checkpoint: Checkpoint):
    """Returns the `CharRNN` that a checkpoint holds the weights of."""
    # TensorFlow takes seconds to import, and saving does not need it.
    from kerasrnn.training.step.flat_weights import make_model
    from kerasrnn.training.step.flat_weights import set_weights

    model = make_model(checkpoint.config.model)
    set_weights(model, checkpoint.weights)
    return model


def find(workdir, which: str = "best") -> pathlib.Path:
    """Returns the path of a working directory's best or latest checkpoint.

    Raises:
        UserError: There is none.
    """
    if which not in ("best", "latest"):
        raise UserError(f"checkpoint must be best or latest, not {which!r}.")
    workdir = local_path(workdir)
    if not workdir.is_dir():
        raise UserError(
            f"There is no directory {workdir}; {_how_to_train(workdir)}"
        )
    path = None
    if which == "best" and (best := load_best(workdir / "best")):
        path = workdir / "best" / str(best.step)
    path = path or latest(workdir / "checkpoints")
    if path is None:
        raise UserError(
            f"{workdir} has no intact checkpoint; {_how_to_train(workdir)}"
        )
    return path


def _how_to_train(workdir):
    training = command("kerasrnn-train", f"--workdir={workdir}")
    return f"train a model first (`{training}`), or give another --workdir."


def _write(path, data):
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _entry(path):
    return {"bytes": path.stat().st_size, "sha256": _sha256(path)}


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(path):
    manifest = files.read_json(path / _MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UserError(
            f"{path / _MANIFEST} is not of checkpoint format {FORMAT}; it is "
            "damaged, or of another version of kerasrnn."
        )
    listed = manifest.get("files")
    if not isinstance(listed, dict) or set(listed) != set(_FILES):
        raise UserError(
            f"{path / _MANIFEST} must list exactly {sorted(_FILES)}."
        )
    step = manifest.get("step")
    if type(step) is not int or str(step) != path.name:
        raise UserError(f"{path} says that it is step {step!r}.")
    return manifest


def _check_sizes(path, model, vocabulary, weights):
    """Checks that parts fit, before anybody makes a model by the numbers."""
    if model.vocabulary_size != len(vocabulary):
        raise UserError(
            f"{path} is of a model with {model.vocabulary_size:,} kinds of "
            f"characters, and its vocabulary has {len(vocabulary):,}."
        )
    size = sum(array.size for array in weights.values())
    if model.num_weights != size:
        raise UserError(
            f"The weights in {path} do not fit the model: it has "
            f"{model.num_weights:,} numbers, and the file {size:,}."
        )


def _verify(path, entry, limit):
    try:
        if not path.is_file() or path.is_symlink():
            raise UserError(f"{path} is missing or not a plain file.")
        size = path.stat().st_size
        if limit is not None and size > limit:
            raise UserError(f"{path} is larger than {limit} bytes.")
        expected = {"bytes": size, "sha256": _sha256(path)}
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    if entry != expected:
        raise UserError(f"{path} is damaged: its SHA-256 does not match.")
