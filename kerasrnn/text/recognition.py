"""What a file is that is not UTF-8 text, and how to make such text of it."""

import pathlib
import re

from kerasrnn.foundation.paths import StrPath
from kerasrnn.foundation.phrases import command

# Around the byte that is not UTF-8; enough to tell encodings apart.
_SAMPLE_BYTES = 2**16
_HEAD_BYTES = 512

# First bytes, what they say the file is, and the command that opens it.
_SIGNATURES = (
    (b"\x1f\x8b", "compressed by gzip", "gunzip -k"),
    (b"BZh", "compressed by bzip2", "bunzip2 -k"),
    (b"\xfd7zXZ\0", "compressed by xz", "unxz -k"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard", "unzstd"),
    (b"PK\3\4", "a zip archive", "unzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x"),
    (b"%PDF-", "a PDF document", "pdftotext"),
    (b"\x89PNG\r\n", "a PNG image", ""),
    (b"\xff\xd8\xff", "a JPEG image", ""),
    (b"\x7fELF", "a program", ""),
    (b"SQLite format 3\0", "a SQLite database", ""),
)

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)

_CONTROL = re.compile(rb"[\0-\x08\x0e-\x19\x1c-\x1f\x7f]")
_HIGH = re.compile(rb"[\x80-\xff]")
_LETTERS = re.compile(rb"[A-Za-z\x80-\xff]")
_C1_CONTROLS = re.compile(rb"[\x80-\x9f]")
_NOT_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_UTF8_CHARACTER = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)


def not_utf8(
    path: StrPath, offset: int, reason: str, *, may_be_bytes: bool
) -> str:
    """Returns what to tell of a file that cannot be read as UTF-8.

    Args:
        path: The file.
        offset: Of the first byte that is not UTF-8.
        reason: Why it is not.
        may_be_bytes: Whether the file may be read as bytes instead.

    Raises:
        OSError: The file cannot be read any more.
    """
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(max(0, offset - _SAMPLE_BYTES // 2))
        sample = file.read(_SAMPLE_BYTES)
        file.seek(offset)
        value = file.read(1)[0]
    for start, what, opener in _SIGNATURES:
        if head.startswith(start):
            return f"{path} is {what}, not text. {_opened(path, opener)}"
    for start, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(start):
            return (
                f"{path} is {encoding} text, by its byte order mark. "
                f"{_converted(path, encoding)}."
            )
    what, advice = _guess(path, sample)
    if may_be_bytes:
        advice += ", or read it as bytes with --vocabulary=bytes"
    return (
        f"{path} is not UTF-8 text: {reason} at byte offset {offset} "
        f"(0x{value:02x}). {what}. {advice}."
    )


def _opened(path: StrPath, opener: str) -> str:
    if not opener:
        return "Give a file of text."
    return f"Open it first: `{command(*opener.split(), path)}`."


def _converted(path: StrPath, encoding: str) -> str:
    path = pathlib.Path(path)
    target = path.with_name(f"{path.stem}.utf8{path.suffix}")
    conversion = command("iconv", "-f", encoding, "-t", "UTF-8", path)
    return f"Convert it to UTF-8: `{conversion} > {command(target)}`"


def _guess(path: StrPath, sample: bytes) -> tuple[str, str]:
    """Returns what bytes that are not UTF-8 seem to be, and what to do."""
    if len(_CONTROL.findall(sample)) > len(sample) // 100:
        return "It looks like binary data", "Give a file of text"
    high = len(_HIGH.findall(sample))
    utf8 = sum(map(len, _UTF8_CHARACTER.findall(sample)))
    if utf8 > 0.9 * high:
        return "All else near it is UTF-8", "Mend what is damaged there"
    is_western = high < 0.4 * len(_LETTERS.findall(sample))
    if is_western and not _C1_CONTROLS.search(sample):
        return "It looks like Latin-1", _converted(path, "LATIN1")
    if is_western and not _NOT_CP1252.search(sample):
        return "It looks like Windows-1252", _converted(path, "CP1252")
    return (
        "It looks like text in another encoding",
        _converted(path, "ENCODING"),
    )
