"""What is known of the processor, for the rules that depend on it."""

import functools
import pathlib

_CPU_INFO = "/proc/cpuinfo"


@functools.cache
def multiplies_bfloat16_in_tiles() -> bool:
    """Whether the CPU has a unit for products of bfloat16 (Intel's AMX).

    False where the operating system does not tell.
    """
    return "amx_bf16" in cpu_flags(_CPU_INFO)


def cpu_flags(path: str) -> frozenset[str]:
    """Returns the features of the first CPU that Linux lists.

    Args:
        path: Of a file like /proc/cpuinfo.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()
