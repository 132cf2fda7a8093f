"""A server's threads share a few heaps; glibc itself counts them."""

import os
import platform
import subprocess
import sys
import unittest

from absl.testing import absltest
from helpers.sources.repository import program_environment

# Counts the heaps after so many threads have allocated at the same time.
_THREADS = 40
_PROGRAM = f"""
import ctypes, re, tempfile, threading
from kerasrnn_serving.programs import heaps
print(heaps.limit_heaps())
c = ctypes.CDLL(None)
c.malloc.restype = c.fopen.restype = ctypes.c_void_p
together = threading.Barrier({_THREADS})
def allocate():
    together.wait()
    for _ in range(100):
        c.malloc(10_000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range({_THREADS})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(c.fopen(file.name.encode(), b"w"))
    c.malloc_info(0, stream)
    c.fclose(stream)
    print(len(re.findall(rb"<heap nr=", file.read())))
"""


def run(**variables):
    """Returns (whether heaps were limited, how many there are)."""
    environment = {
        name: value
        for name, value in program_environment().items()
        if name not in ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")
    }
    printed = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env=environment | variables,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    limited, count = printed.split()
    return limited == "True", int(count)


@unittest.skipUnless(platform.libc_ver()[0] == "glibc", "needs glibc")
class HeapsTest(absltest.TestCase):
    def test_threads_share_a_heap_per_cpu(self):
        limited, count = run()
        self.assertTrue(limited)
        self.assertLessEqual(count, max(os.cpu_count(), 2))

    def test_the_environment_is_believed(self):
        for variables in (
            {"MALLOC_ARENA_MAX": "7"},
            {"GLIBC_TUNABLES": "glibc.malloc.arena_max=7"},
        ):
            limited, count = run(**variables)
            self.assertFalse(limited)
            self.assertEqual(count, 7)


if __name__ == "__main__":
    absltest.main()
