"""What programs write: results to standard output, remarks to error."""

import sys


def write(content: str | bytes) -> None:
    """Writes to standard output, at once and as UTF-8.

    The terminal's own encoding may not have the model's characters.
    """
    if isinstance(content, str):
        content = content.encode()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def remark(text: str) -> None:
    """Writes a line to standard error, apart from the results."""
    print(text, file=sys.stderr, flush=True)
