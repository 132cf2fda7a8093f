"""The format of checkpoints: directories that are complete and verified.

`<directory>/<step>/` holds

    manifest.json    step, and size and SHA-256 of every other file
    config.json      the `Config`
    vocabulary.json  the `Vocabulary`
    info.json        losses, counters and the like
    weights.npz      the weights to evaluate, sample and export, by name
    training.npz     what else training needs to resume, bit for bit

A directory that has a number as its name is complete: it was written under
another name, synced and renamed. The manifest reveals later damage. Loading
executes nothing and trusts no name, size or type in the files.
"""

import dataclasses
import hashlib
import json
import os
import pathlib

import numpy as np

from kerasrnn.config import MOST_BYTES
from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.foundation import files
from kerasrnn.foundation.paths import local_path
from kerasrnn.text.vocabulary import Vocabulary

FORMAT = 1
_MANIFEST = "manifest.json"
_TEXT_FILES = {
    "config.json": MOST_BYTES,
    "vocabulary.json": 2**27,
    "info.json": 2**24,
}
_FILES: dict[str, int | None] = {
    **_TEXT_FILES,
    "weights.npz": None,
    "training.npz": None,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A run at one step.

    Attributes:
        step: Steps made.
        config: The configuration.
        vocabulary: The vocabulary.
        weights: The weights to use, by name.
        training: Arrays that training resumes from; may be empty.
        info: What else is known, in JSON's types.
    """

    step: int
    config: Config
    vocabulary: Vocabulary
    weights: dict[str, np.ndarray]
    training: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    info: dict = dataclasses.field(default_factory=dict)


def save(directory: os.PathLike | str, checkpoint: Checkpoint) -> pathlib.Path:
    """Writes `<directory>/<step>/` and returns its path.

    Raises:
        UserError: It could not be written, or never be loaded; what was there
            before is intact.
    """
    target = local_path(directory) / str(checkpoint.step)
    texts = {
        "config.json": checkpoint.config.to_json().encode(),
        "vocabulary.json": checkpoint.vocabulary.to_json().encode(),
        "info.json": json.dumps(checkpoint.info, indent=2).encode() + b"\n",
    }
    for name, text in texts.items():
        _check_length(target / name, len(text), _TEXT_FILES[name])
    try:
        with files.new_directory(target) as temporary:
            for name, text in texts.items():
                _write(temporary / name, text)
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
            "Earlier checkpoints are intact; free some space or grant "
            "permission, and run the same command again."
        ) from None
    return target


def steps(directory: os.PathLike | str) -> list[int]:
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


def load(path: os.PathLike | str) -> Checkpoint:
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
    info = files.read_json(path / "info.json", _TEXT_FILES["info.json"])
    if not isinstance(info, dict):
        raise UserError(f"{path / 'info.json'} is not an object.")
    config = Config.from_json(
        files.read_text(path / "config.json", _TEXT_FILES["config.json"])
    )
    vocabulary = Vocabulary.from_json(
        files.read_text(
            path / "vocabulary.json", _TEXT_FILES["vocabulary.json"]
        )
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


def _check_length(path, size, limit):
    if limit is not None and size > limit:
        raise UserError(f"{path} is larger than {limit} bytes.")


def _verify(path, entry, limit):
    try:
        if not path.is_file() or path.is_symlink():
            raise UserError(f"{path} is missing or not a plain file.")
        size = path.stat().st_size
        _check_length(path, size, limit)
        expected = {"bytes": size, "sha256": _sha256(path)}
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    if entry != expected:
        raise UserError(f"{path} is damaged: its SHA-256 does not match.")
