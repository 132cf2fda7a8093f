"""How much memory a process holds, as Linux tells it."""

import pathlib
import re


def anonymous_bytes(process: int | str = "self") -> int:
    """Returns the anonymous resident memory (RssAnon) of a process.

    It is what cannot be dropped and read again from a file.
    """
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return 1024 * int(re.search(r"RssAnon:\s+(\d+) kB", status)[1])
