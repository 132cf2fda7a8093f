"""How many heaps the C library keeps for the threads of a program."""

import ctypes
import os

# Of mallopt(3) in glibc.
_M_ARENA_MAX = -8
# With these an operator says it.
_VARIABLES = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")


def limit_heaps() -> bool:
    """Limits the heaps that threads allocate from to one per CPU, at least 2.

    glibc has up to 8 per CPU, its arenas, and what is freed in one is not
    used by the others: a server with many threads then holds more memory than
    it needs. To be called before there are threads. Another C library, and a
    limit that the environment sets, stay as they are.

    Returns:
        Whether there is the limit.
    """
    if any(os.environ.get(name) for name in _VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_ARENA_MAX, max(os.cpu_count() or 1, 2)))
