"""Files to ids on disk, memory-mapped, with their vocabulary and splits.

A corpus is a directory: `ids-*.bin` holds one little-endian id a character,
`corpus.json` everything else. `corpus.json` is renamed into place last, so a
directory holds the old corpus or the new one, and never part of one.
"""

import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasrnn.config import DataConfig
from kerasrnn.errors import UserError
from kerasrnn.foundation import dataclass_json
from kerasrnn.foundation.paths import StrPath
from kerasrnn.foundation.paths import local_path
from kerasrnn.foundation.phrases import counted
from kerasrnn.text import splits
from kerasrnn.text.encoding import FORMAT_VERSION
from kerasrnn.text.encoding import ID_DTYPES
from kerasrnn.text.encoding import Progress
from kerasrnn.text.encoding import count_characters
from kerasrnn.text.encoding import dtype_for
from kerasrnn.text.encoding import fingerprint_of
from kerasrnn.text.encoding import publish
from kerasrnn.text.encoding import reporter
from kerasrnn.text.encoding import unwritable
from kerasrnn.text.encoding import write_aside
from kerasrnn.text.encoding import write_ids
from kerasrnn.text.marks import Marks
from kerasrnn.text.sources import BLOCK_BYTES
from kerasrnn.text.sources import resolve
from kerasrnn.text.vocabulary import Vocabulary

_MANIFEST = "corpus.json"
_BLOCK = 1 << 20  # ids that are counted at a time
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    OverflowError,
    RecursionError,
)


class Corpus:
    """An encoded text in a directory.

    Args:
        directory: The directory that `build_corpus` wrote.

    Attributes:
        directory: The same, as a `pathlib.Path`.
        ids: The whole text, memory-mapped, uint8, uint16 or int32 [length].
        vocabulary: Which character each id stands for.
        config: The `DataConfig` that the corpus was built with.
        num_unknown: Characters of the text that are not in the vocabulary.
        marks: Invisible characters, such as carriage returns; counted in text
            of characters with a vocabulary of its own.
        sha256: SHA-256 of the file of ids, in hexadecimal digits.
        manifest: The content of `corpus.json`.

    Raises:
        UserError: There is no corpus in the directory, or it is damaged.
    """

    def __init__(self, directory: StrPath):
        self.directory = local_path(directory)
        path = self.directory / _MANIFEST
        try:
            manifest = dataclass_json.loads(path.read_bytes())
            if manifest["version"] != FORMAT_VERSION:
                raise ValueError(f"version {manifest['version']}")
            self.manifest = manifest
            config = manifest["config"]
            self.config = DataConfig(**config | {"data": tuple(config["data"])})
            self.vocabulary = Vocabulary.from_json(
                json.dumps(manifest["vocabulary"])
            )
            self.num_unknown = int(manifest["num_unknown"])
            self.marks = Marks.from_dict(manifest.get("marks", {}))
            self.sha256 = manifest["sha256"]
            if not re.fullmatch("[0-9a-f]{64}", self.sha256):
                raise ValueError("sha256 is none")
            self.ids = self._map(manifest["dtype"], manifest["num_characters"])
        except FileNotFoundError:
            raise UserError(
                f"There is no encoded text in {self.directory}; run the "
                "training command to make it."
            ) from None
        except _DAMAGE as error:
            raise UserError(
                f"The encoded text in {self.directory} cannot be used "
                f"({error}); remove the directory and run the training "
                "command again to remake it."
            ) from None

    def _map(self, dtype: str, num_characters: int) -> np.ndarray:
        path = _ids_path(self.directory, self.sha256)
        if dtype not in ID_DTYPES:
            raise ValueError(f"ids of type {dtype!r}")
        ids = np.memmap(path, dtype, "r")
        if len(ids) != num_characters:
            raise ValueError(f"{path.name} is not of the expected size")
        return ids

    def __len__(self) -> int:
        """Number of characters of the text."""
        return len(self.ids)

    @property
    def separator_id(self) -> int:
        """Id of the character that ends a document; 0 is none."""
        # Every text is taken to follow a separator where there are such.
        separated = self.config.document_separator
        return self.vocabulary.start_id if separated else 0

    def split_ranges(
        self, name: str, multiple: int = 1
    ) -> list[tuple[int, int]]:
        """Returns the ranges of "train", "validation" or "test".

        See `kerasrnn.text.splits.split_ranges`; for char-rnn's interleaved
        split, `multiple` is the sequence length trained with.
        """
        return splits.split_ranges(len(self), self.config, name, multiple)

    def counts(self, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """Returns how often each id occurs in `ranges`, int64 [V]."""
        total = np.zeros(len(self.vocabulary), np.int64)
        for start, end in ranges:
            for first in range(start, end, _BLOCK):
                block = self.ids[first : min(first + _BLOCK, end)]
                total += np.bincount(block, minlength=len(total))
        return total

    def source_change(self, config: DataConfig) -> str:
        """Returns what became of the files: "gone", "changed" or "".

        Nothing is read: a file counts as the same by path, size and time.

        Args:
            config: Names them, as when they were read.
        """
        try:
            files = resolve(config.data)
        except UserError:
            return "gone"
        if self.manifest.get("fingerprint") == fingerprint_of(config, files):
            return ""
        return "changed"

    def verify(self) -> None:
        """Reads all ids and compares their SHA-256 with the one recorded.

        Raises:
            UserError: They differ, so the file was damaged or is another's.
        """
        digest = hashlib.sha256()
        for start in range(0, len(self.ids), BLOCK_BYTES):
            digest.update(self.ids[start : start + BLOCK_BYTES].data)
        if digest.hexdigest() != self.sha256:
            raise UserError(
                f"The encoded text in {self.directory} is damaged: its "
                f"SHA-256 is {digest.hexdigest()}, not {self.sha256}. Remove "
                "the directory and run the training command again."
            )


def build_corpus(
    config: DataConfig,
    directory: StrPath,
    vocabulary: Vocabulary | None = None,
    progress: Progress | None = None,
    sha256: str | None = None,
) -> Corpus:
    """Encodes the text that `config` names, unless that is done already.

    The files are read twice, once to count characters and once to encode
    them, a block at a time: memory does not grow with the text. One process
    at a time may build in a directory.

    Args:
        config: Which text.
        directory: Where the corpus goes; made if it does not exist.
        vocabulary: That of a trained model; by default the text's own.
        progress: Called after each block.
        sha256: The `Corpus.sha256` of a run to resume; if the ids have a
            different one, the directory stays as it is.

    Raises:
        UserError: A file or pattern cannot be used, the text is too short or
            is another one, or the directory cannot be written.
    """
    directory = local_path(directory)
    if vocabulary is not None and vocabulary.kind != config.vocabulary:
        raise UserError(
            f"The model's vocabulary is of {vocabulary.kind}, so the text "
            f"cannot be read as {config.vocabulary}; give "
            f"--vocabulary={vocabulary.kind}."
        )
    files = resolve(config.data)
    fingerprint = fingerprint_of(config, files)
    corpus = _existing(directory, fingerprint, vocabulary)
    if corpus is not None and corpus.config == config:
        return corpus
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if corpus is not None:
            # Only the split is another; the ids stay.
            manifest = corpus.manifest
        else:
            manifest = _encode(
                config, files, directory, vocabulary, progress, sha256
            )
            manifest["fingerprint"] = fingerprint
            if fingerprint_of(config, files) != fingerprint:
                raise UserError(
                    "The text was changed while it was read; run the command "
                    "again when nothing writes to it."
                )
        _commit(directory, manifest | {"config": dataclasses.asdict(config)})
    except OSError as error:
        raise unwritable(directory, error) from None
    return Corpus(directory)


def _existing(
    directory: pathlib.Path, fingerprint: str, vocabulary: Vocabulary | None
) -> Corpus | None:
    """Returns the directory's corpus if it is the one asked for."""
    try:
        corpus = Corpus(directory)
    except UserError:
        return None
    if corpus.manifest.get("fingerprint") != fingerprint:
        return None
    if vocabulary is None:
        return None if corpus.manifest.get("vocabulary_given") else corpus
    return corpus if corpus.vocabulary == vocabulary else None


def _encode(
    config: DataConfig,
    files: Sequence[pathlib.Path],
    directory: pathlib.Path,
    vocabulary: Vocabulary | None,
    progress: Progress | None,
    expected: str | None,
) -> dict[str, Any]:
    """Writes the file of ids and returns the manifest, not yet written."""
    marks = Marks()
    given = vocabulary is not None
    if vocabulary is None:
        report = reporter(progress, files, "counting")
        counts, marks = count_characters(
            files, config.vocabulary, report, config.normalize_newlines
        )
        separator = config.document_separator
        if separator:
            # One may be put between two files.
            counts[ord(separator)] += len(files) - 1
        vocabulary = Vocabulary.from_counts(
            config.vocabulary, counts, config.min_count, separator
        )
    report = reporter(progress, files, "encoding")
    with write_aside(directory / "ids") as file:
        num_characters, num_unknown, sha256 = write_ids(
            file,
            files,
            vocabulary,
            report,
            vocabulary.start_id if config.document_separator else 0,
            config.normalize_newlines,
        )
        if num_characters < 2:
            raise UserError(
                f"The text has {counted(num_characters, 'character')}, and "
                "the first one is never predicted; give a longer text."
            )
        if expected not in (None, sha256):
            raise UserError(
                "The text is not the one that the run started with. To resume "
                "with that text, leave out --data; to train on this one, give "
                "another --workdir, and this --workdir as --init_from."
            )
        publish(file, _ids_path(directory, sha256))
    return {
        "version": FORMAT_VERSION,
        "num_characters": num_characters,
        "num_unknown": num_unknown,
        "marks": dataclasses.asdict(marks),
        "dtype": dtype_for(vocabulary),
        "sha256": sha256,
        "vocabulary_given": given,
        "vocabulary": json.loads(vocabulary.to_json()),
        "files": [str(path) for path in files],
    }


def _ids_path(directory: pathlib.Path, sha256: str) -> pathlib.Path:
    return directory / f"ids-{sha256[:16]}.bin"


def _commit(directory: pathlib.Path, manifest: dict[str, Any]) -> None:
    """Makes `manifest` the directory's, and removes what it does not name."""
    with write_aside(directory / _MANIFEST) as file:
        file.write(json.dumps(manifest, indent=2).encode() + b"\n")
        publish(file, directory / _MANIFEST)
    ids = _ids_path(directory, manifest["sha256"])
    for path in [*directory.glob("ids-*.bin"), *directory.glob("*.tmp")]:
        if path != ids:
            path.unlink(missing_ok=True)
