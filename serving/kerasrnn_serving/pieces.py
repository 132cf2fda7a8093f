"""Cutting a long text into pieces that one call takes."""


def split_text(text: bytes, size: int) -> list[bytes]:
    """Cuts UTF-8 text between characters.

    Args:
        text: UTF-8; invalid bytes are kept as they are.
        size: Bytes of a piece at most, at least 4. A piece of so many bytes
            has at most as many characters, whatever the vocabulary counts.

    Returns:
        At least one piece; together they are the text.
    """
    pieces, start = [], 0
    while len(text) - start > size:
        end = _character_start(text, start + size)
        pieces.append(text[start:end])
        start = end
    pieces.append(text[start:])
    return pieces


def _character_start(text, position):
    """Returns the last position up to here where a character begins."""
    for candidate in range(position, position - 4, -1):
        if text[candidate] & 0xC0 != 0x80:
            return candidate
    # More continuation bytes than a character has: each stands alone.
    return position
