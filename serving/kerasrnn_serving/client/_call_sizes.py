"""How much of a long text one call takes."""

from kerasrnn.contract import signatures

# Of a reply to `inspect`, where the client sets no limit.
REPLY_BYTES = 2**24
# What a character has beside its activations: itself and the candidates, as
# four bytes at most and their length, with their log probabilities.
_CHARACTER_BYTES = 6 + signatures.TOP_CHARACTERS * (6 + 4)
# What a reply, and a row of it, has beside its characters and its token.
_OVERHEAD_BYTES = 1024
# So few characters a call that fewer rows are better.
_FEW_CHARACTERS = 32


def split_text(text: bytes, size: int) -> list[bytes]:
    """Cuts UTF-8 text between characters.

    Args:
        text: UTF-8; invalid bytes are kept as they are.
        size: Bytes of a piece at most, at least 4. A piece of so many bytes
            has at most as many characters, whatever the vocabulary counts.

    Returns:
        At least one piece; together they are the text.
    """
    pieces: list[bytes] = []
    start = 0
    while not pieces or start < len(text):
        end = piece_end(text, start, size)
        pieces.append(text[start:end])
        start = end
    return pieces


def piece_end(text: bytes, start: int, size: int) -> int:
    """Returns where the piece that begins at `start` ends; see `split_text`."""
    if len(text) - start <= size:
        return len(text)
    return _character_start(text, start + size)


def _character_start(text: bytes, position: int) -> int:
    """Returns the last position up to here where a character begins."""
    for candidate in range(position, position - 4, -1):
        if text[candidate] & 0xC0 != 0x80:
            return candidate
    # More continuation bytes than a character has: each stands alone.
    return position


def inspection_sizes(units: int, rows: int, limit: int) -> tuple[int, int]:
    """Returns how much of `inspect` to ask for in one call.

    Args:
        units: Of all layers.
        rows: That there are.
        limit: Bytes that the reply may have.

    Returns:
        `(rows, bytes of text a row)`, such that the reply is within the
        limit, unless a single short row is above it.
    """
    rows = max(1, min(rows, signatures.MAX_ROWS))
    while True:
        # A token has one or two numbers a unit.
        left = limit // rows - _OVERHEAD_BYTES - 8 * units
        size = left // (4 * units + _CHARACTER_BYTES)
        if size >= _FEW_CHARACTERS or rows == 1:
            break
        rows //= 2
    return rows, min(max(size, 4), signatures.MAX_PROMPT)
