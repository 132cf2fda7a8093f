"""Characters or bytes to ids and back."""

import dataclasses
import functools
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from kerasrnn.config import VOCABULARIES
from kerasrnn.errors import UserError
from kerasrnn.foundation import dataclass_json
from kerasrnn.foundation.phrases import counted

UNKNOWN_ID = 0
REPLACEMENT = "\ufffd"
NUM_CODE_POINTS = 0x110000

# Every code point there is, escaped in JSON, stays below this.
_MAX_JSON_LENGTH = 16 * 2**20
_FORMAT = "kerasrnn-vocabulary"


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The characters that a model knows, with their ids.

    Id 0 is the unknown character; the others follow in the order of their
    code points (byte values), so that equal texts give equal ids everywhere.

    Attributes:
        kind: "characters" (Unicode code points) or "bytes".
        characters: What ids 1, 2, ... stand for; a byte is the character
            with its value as code point.
        start_id: The character that every text is taken to follow: the
            document separator if there is one, else newline if it is a
            character of the text, else the most frequent character.

    Raises:
        UserError: The parts do not make a vocabulary.
    """

    kind: str
    characters: tuple[str, ...]
    start_id: int

    def __post_init__(self) -> None:
        _check(self.kind, self.characters, self.start_id)

    @classmethod
    def from_counts(
        cls,
        kind: str,
        counts: np.ndarray,
        min_count: int = 1,
        separator: str = "",
    ) -> "Vocabulary":
        """Returns the vocabulary of a text whose characters were counted.

        Args:
            kind: "characters" or "bytes".
            counts: Occurrences of each code point or byte value, integers.
            min_count: Characters that occur less often become unknown.
            separator: Character between documents, or "". It is known
                however rare it is.

        Raises:
            UserError: No character occurs that often, or there is no
                separator.
        """
        counts = np.asarray(counts)
        frequent = counts >= max(min_count, 1)
        if separator:
            if not counts[ord(separator)]:
                raise UserError(
                    f"The document separator {separator!r} does not occur in "
                    "the text; give another --document_separator."
                )
            frequent[ord(separator)] = True
        code_points = np.flatnonzero(frequent)
        if not code_points.size:
            raise UserError(
                f"No character occurs {counted(min_count, 'time')}, so the "
                "vocabulary is empty; give more text or a lower --min_count."
            )
        newline = np.flatnonzero(code_points == ord(separator or "\n"))
        start = newline[0] if newline.size else counts[code_points].argmax()
        return cls(kind, tuple(map(chr, code_points.tolist())), int(start) + 1)

    @classmethod
    def from_text(
        cls, text: str | bytes, kind: str = "characters", min_count: int = 1
    ) -> "Vocabulary":
        """Returns the vocabulary of a text held in memory."""
        counts = np.bincount(_code_points_of(kind, text))
        return cls.from_counts(kind, counts, min_count)

    def __len__(self) -> int:
        """Number of ids, the unknown character's included."""
        return len(self.characters) + 1

    @functools.cached_property
    def code_points(self) -> np.ndarray:
        """Code points (byte values) of ids 1, 2, ..., int32 [V - 1]."""
        code_points = np.array([ord(c) for c in self.characters], np.int32)
        code_points.flags.writeable = False
        return code_points

    @functools.cached_property
    def _id_of_code_point(self) -> np.ndarray:
        # One entry more than the largest code point: what lies beyond is
        # clipped to it, and so is unknown.
        table = np.zeros(int(self.code_points[-1]) + 2, np.int32)
        table[self.code_points] = np.arange(1, len(self), dtype=np.int32)
        return table

    def encode_code_points(self, code_points: np.ndarray) -> np.ndarray:
        """Returns the int32 ids of code points (byte values), same shape."""
        ids: np.ndarray = self._id_of_code_point.take(code_points, mode="clip")
        return ids

    def encode(self, text: str | bytes) -> np.ndarray:
        """Returns the int32 ids [length] of a text; it never fails.

        Bytes are UTF-8 to a vocabulary of characters, invalid sequences
        being U+FFFD, and a str is its UTF-8 bytes to one of bytes.
        """
        return self.encode_code_points(_code_points_of(self.kind, text))

    def decode(self, ids: ArrayLike) -> str:
        """Returns the text of ids [length]; unknown is U+FFFD.

        With a vocabulary of bytes, sequences that are not UTF-8 are U+FFFD.

        Raises:
            ValueError: An id is not one of this vocabulary.
        """
        if self.kind == "bytes":
            return self.decode_bytes(ids).decode("utf-8", "replace")
        return "".join(self._pieces(ids))

    def decode_bytes(self, ids: ArrayLike) -> bytes:
        """Returns the UTF-8 text, or the bytes themselves, of ids [length].

        Raises:
            ValueError: An id is not one of this vocabulary.
        """
        if self.kind == "characters":
            return self.decode(ids).encode("utf-8")
        unknown = REPLACEMENT.encode("utf-8")
        return b"".join(
            unknown if piece == REPLACEMENT else piece.encode("latin-1")
            for piece in self._pieces(ids)
        )

    def _pieces(self, ids: ArrayLike) -> list[str]:
        ids = np.asarray(ids)
        if ids.size and not 0 <= ids.min() <= ids.max() < len(self):
            raise ValueError(
                f"Expected ids in [0, {len(self)}), received "
                f"{ids.min()} to {ids.max()}."
            )
        table = (REPLACEMENT, *self.characters)
        return [table[i] for i in ids.tolist()]

    def to_json(self) -> str:
        """Returns the vocabulary as JSON text, pure ASCII."""
        return (
            json.dumps(
                {
                    "format": _FORMAT,
                    "version": 1,
                    "kind": self.kind,
                    "start_id": self.start_id,
                    "characters": "".join(self.characters),
                },
                indent=2,
            )
            + "\n"
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> "Vocabulary":
        """Returns the vocabulary that `to_json` wrote.

        Raises:
            UserError: The text, which may be a stranger's, is something
                else.
        """
        if len(text) > _MAX_JSON_LENGTH:
            raise UserError(
                f"The vocabulary has {len(text):,} characters of JSON; no "
                f"vocabulary has more than {_MAX_JSON_LENGTH:,}."
            )
        try:
            values = dataclass_json.loads(text)
        except ValueError as error:
            raise UserError(f"The vocabulary is not JSON: {error}.") from None
        expected = {"format", "version", "kind", "start_id", "characters"}
        if not isinstance(values, dict) or set(values) != expected:
            raise UserError(
                "The vocabulary must be a JSON object with the fields "
                f"{', '.join(sorted(expected))}."
            )
        if values["format"] != _FORMAT or values["version"] != 1:
            raise UserError(
                f"Expected a vocabulary of format {_FORMAT!r}, version 1; it "
                "was written by another version of kerasrnn."
            )
        if not isinstance(values["characters"], str):
            raise UserError("The vocabulary's characters must be a string.")
        return cls(
            values["kind"], tuple(values["characters"]), values["start_id"]
        )


def _code_points_of(kind: str, text: str | bytes) -> np.ndarray:
    if kind == "bytes":
        if isinstance(text, str):
            text = text.encode("utf-8", "surrogatepass")
        return np.frombuffer(text, np.uint8)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return code_points_of_text(text)


def code_points_of_text(text: str) -> np.ndarray:
    """Returns the code points of a text, uint32 [length]."""
    # A lone surrogate, which a command line can hold, is in no vocabulary.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _check(kind: str, characters: Sequence[str], start_id: int) -> None:
    if kind not in VOCABULARIES:
        raise UserError(
            f"The vocabulary's kind must be one of {', '.join(VOCABULARIES)}, "
            f"not {kind!r}."
        )
    if not characters:
        raise UserError("The vocabulary is empty.")
    if type(start_id) is not int or not 1 <= start_id <= len(characters):
        raise UserError(
            "The vocabulary's start_id must be an integer in "
            f"[1, {len(characters)}], not {start_id!r}."
        )
    if not all(isinstance(c, str) and len(c) == 1 for c in characters):
        raise UserError("The vocabulary's characters must be single ones.")
    code_points = [ord(c) for c in characters]
    if any(a >= b for a, b in zip(code_points, code_points[1:], strict=False)):
        raise UserError(
            "The vocabulary's characters must be in the order of their code "
            "points, without repeats."
        )
    if kind == "bytes" and code_points[-1] > 255:
        raise UserError("A vocabulary of bytes must not hold other characters.")
    if any(0xD800 <= c < 0xE000 for c in code_points):
        raise UserError("The vocabulary must not hold surrogates.")
