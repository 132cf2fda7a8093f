"""A process whose kernel refuses a system call, as some file systems do.

    python tests/helpers/processes/refused_calls.py MODULE FUNCTION ARGUMENT...

calls a function of a module without `flock`, and prints the message of a
`UserError`. The refusal is the kernel's own: a filter of system calls answers
ENOLCK.
"""

import ctypes
import errno
import fcntl
import importlib
import platform
import struct
import sys

from kerasrnn.errors import UserError

_NUMBERS = {
    "flock": {"x86_64": 73, "aarch64": 32},
    "fsync": {"x86_64": 74, "aarch64": 82},
}
# Of linux/prctl.h, linux/seccomp.h and linux/bpf_common.h.
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_SECCOMP_MODE_FILTER = 2
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_RET_ALLOW, _RET_ERRNO = 0x7FFF0000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def refuse(call: str, error: int) -> None:
    """Has the kernel refuse a system call with an error from here on.

    Raises:
        OSError: This kernel takes no filter.
    """
    number = _NUMBERS[call][platform.machine()]
    instructions = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (_LOAD_WORD, 0, 0, 0),  # The number of the call.
            (_JUMP_IF_EQUAL, 0, 1, number),
            (_RETURN, 0, 0, _RET_ERRNO | error),
            (_RETURN, 0, 0, _RET_ALLOW),
        )
    )
    buffer = ctypes.create_string_buffer(instructions)
    program = _Program(4, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")


def main() -> None:
    """Calls what the command line says."""
    refuse("flock", errno.ENOLCK)
    with open(__file__) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH)
        except OSError as error:
            print(errno.errorcode[error.errno])
    _, module, function, *arguments = sys.argv
    try:
        with getattr(importlib.import_module(module), function)(*arguments):
            print("done")
    except UserError as error:
        print(error)


if __name__ == "__main__":
    main()
