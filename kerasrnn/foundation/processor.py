"""What is known of the processor, for the rules that depend on it."""

import functools
import pathlib
from collections.abc import MutableMapping

_CPU_INFO = "/proc/cpuinfo"
# Of TensorFlow, which reads it when it is imported.
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


@functools.cache
def multiplies_bfloat16_in_tiles() -> bool:
    """Whether the CPU has a unit for products of bfloat16 (Intel's AMX).

    False where the operating system does not tell.
    """
    return "amx_bf16" in cpu_flags(_CPU_INFO)


def prefer_onednn(
    environment: MutableMapping[str, str], path: str = _CPU_INFO
) -> None:
    """Has TensorFlow multiply by oneDNN, unless the user has decided.

    By itself it does only where the CPU has instructions for 16-bit or 8-bit
    products. With AVX2 alone, oneDNN is faster, too (docs/performance.md).

    Args:
        environment: The process's variables, before TensorFlow is imported.
        path: Of a file like /proc/cpuinfo.
    """
    if "avx2" in cpu_flags(path):
        environment.setdefault(_ONEDNN, "1")


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
