"""What a published version is: readable, and checkable, without TensorFlow.

`assets.extra/manifest.json` in the version's directory holds the model's
configuration, vocabulary and losses, the limits of the export, and the
SHA-256 of every other file.
"""

import dataclasses
import datetime
import hashlib
import json
import os
from pathlib import Path
from typing import Any
from typing import NamedTuple

from kerasrnn.config import Config
from kerasrnn.contract.versions import find_versions
from kerasrnn.errors import UserError
from kerasrnn.foundation import files
from kerasrnn.foundation.paths import StrPath
from kerasrnn.foundation.paths import local_path
from kerasrnn.text.vocabulary import Vocabulary
from kerasrnn.version import __version__
from kerasrnn_export.graph.options import SamplerOptions

FILE = "assets.extra/manifest.json"
FORMAT = 1
_MAX_SIZE = 2**27
_BLOCK = 2**20


def write(
    directory: StrPath,
    *,
    config: Config,
    vocabulary: Vocabulary,
    options: SamplerOptions,
    fingerprint: str,
    checkpoint: dict[str, Any],
    tensorflow_version: str,
) -> None:
    """Writes the manifest of a directory that has all its other files.

    Args:
        directory: Of the SavedModel.
        config: Of the run that the weights come from.
        vocabulary: The model's vocabulary.
        options: Of the export.
        fingerprint: Of the model, as in its state tokens.
        checkpoint: What is known of the weights: step, losses.
        tensorflow_version: That wrote the SavedModel.
    """
    directory = Path(directory)
    contents = {
        "format": FORMAT,
        "kerasrnn": __version__,
        "tensorflow": tensorflow_version,
        "created": datetime.datetime.now(datetime.UTC).isoformat(
            timespec="seconds"
        ),
        "fingerprint": fingerprint,
        "options": dataclasses.asdict(options),
        "checkpoint": checkpoint,
        "config": json.loads(config.to_json()),
        "vocabulary": json.loads(vocabulary.to_json()),
        "files": {
            path: {"size": (directory / path).stat().st_size, "sha256": digest}
            for path, digest in _digests(directory).items()
        },
    }
    path = directory / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_file(path, (json.dumps(contents, indent=2) + "\n").encode())


def read(directory: StrPath) -> dict[str, Any]:
    """Returns the manifest of a version's directory.

    Raises:
        UserError: There is none, or it is of another kind.
    """
    path = local_path(directory) / FILE
    if not path.is_file():
        raise UserError(
            f"{directory} has no {FILE}: expected the directory of a version "
            "that kerasrnn-export published, or one of such directories."
        )
    contents = files.read_json(path, _MAX_SIZE)
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise UserError(
            f"{path} is not a manifest of format {FORMAT}: another version "
            "of kerasrnn wrote it, or it is damaged."
        )
    return contents


def damaged_files(directory: StrPath, contents: dict[str, Any]) -> list[str]:
    """Returns the files that are not what the manifest says, sorted."""
    stated = {
        path: entry["sha256"] for path, entry in contents["files"].items()
    }
    found = _digests(Path(directory))
    return sorted(
        path
        for path in stated.keys() | found.keys()
        if stated.get(path) != found.get(path)
    )


class Description(NamedTuple):
    """What there is to say of a version.

    Attributes:
        text: Lines for people.
        intact: Whether every file is what it was when published.
    """

    text: str
    intact: bool


def describe(directory: StrPath) -> Description:
    """Describes a version, or the newest one of an export directory.

    Raises:
        UserError: It is neither.
    """
    directory = local_path(directory)
    if not directory.is_dir():
        raise UserError(
            f"There is no directory {directory}; give the --export_dir of an "
            "export, or one of the versions in it."
        )
    if not (directory / FILE).exists() and (taken := find_versions(directory)):
        directory = taken[max(taken)]
    contents = read(directory)
    try:
        damaged = damaged_files(directory, contents)
        text = "\n".join(_lines(directory, contents, damaged))
    except (AttributeError, KeyError, TypeError):
        raise UserError(f"{directory / FILE} is damaged.") from None
    return Description(text, intact=not damaged)


def _lines(directory, contents, damaged):
    vocabulary = contents["vocabulary"]
    characters = vocabulary["characters"]
    yield f"{directory}"
    rows = {
        "written": f"{contents['created']} by kerasrnn "
        f"{contents['kerasrnn']}, TensorFlow {contents['tensorflow']}",
        "fingerprint": contents["fingerprint"],
        "vocabulary": f"{len(characters)} {vocabulary['kind']}: "
        f"{_quoted(characters)}",
    }
    for name in ("checkpoint", "options"):
        rows |= {f"{name}.{key}": v for key, v in contents[name].items()}
    for name, section in contents["config"].items():
        rows |= {f"{name}.{key}": value for key, value in section.items()}
    for name, value in rows.items():
        shown = value if isinstance(value, str) else json.dumps(value)
        yield f"  {name:<29} {shown}"
    count = len(contents["files"])
    if damaged:
        yield f"DAMAGED: {', '.join(damaged)}"
    else:
        yield f"  {'files':<29} {count}, all as published (SHA-256)"


def _quoted(characters):
    text = "".join(characters)
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _digests(directory):
    """Returns the SHA-256 of every file but the manifest, by path."""
    digests = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = Path(folder, name)
            relative = path.relative_to(directory).as_posix()
            if relative != FILE:
                digests[relative] = _sha256(path)
    return dict(sorted(digests.items()))


def _sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
