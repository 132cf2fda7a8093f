"""Lets absltest classes run under pytest, and marks tests by their folder."""

import gc
import os
import sys
from unittest import mock

import hypothesis
import pytest
from absl import flags
from helpers.full_counts import FULL

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if FULL:
    # Full counts take hours; pytest-timeout's limit is for what hangs.
    os.environ.setdefault("PYTEST_TIMEOUT", "0")

# Files that share exports, which take a process longer to make than to test.
_TOGETHER = (
    "tests/process/server/bounded_work_test.py",
    "tests/process/server/served_model_test.py",
    "tests/unit/export/",
)

# They come first in their rooms: they take longest, and at the end the other
# workers would wait for them.
_LONGEST = (
    "batch_parts_test.py",
    "client_faults_test.py",
    "example_reading_test.py",
    "multi_worker_test.py",
    "overload_test.py",
)

_XLA_FLAGS = "--xla_backend_optimization_level=0"

# A busy machine makes cases slowly, which is no failure. Where nobody can ask
# again, failures come with what repeats them.
hypothesis.settings.register_profile(
    "here",
    deadline=None,
    print_blob=bool(os.environ.get("CI")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("here")


def pytest_configure(config):
    """Makes absl's flags readable, as `absltest.main` does."""
    flags.FLAGS.mark_as_parsed()


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Imports the tests without collecting garbage, now or later.

    There is none while they are imported, and what was imported stays.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_finish():
    """Has XLA compile for this process without LLVM's optimizations.

    They take most of the time of the tests of gradients, and change nothing
    but the order of roundings. The flags are read with the first
    compilation; processes that tests start do not inherit them, and run what
    people run.
    """
    if "tensorflow" not in sys.modules or FULL:
        return
    import tensorflow as tf

    given = os.environ.get("XLA_FLAGS", "")
    with mock.patch.dict(os.environ, XLA_FLAGS=f"{given} {_XLA_FLAGS}"):
        tf.function(lambda: tf.zeros([]), jit_compile=True)()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Gives a worker whole files, and all of `_TOGETHER` to the same one."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "exports" if file.startswith(_TOGETHER) else file

    return Scheduling(config, log)


def pytest_collection_modifyitems(config, items):
    """Marks each test by the folder that it is in, and orders the files."""
    rooms = {}
    for item in items:
        room = item.path.relative_to(config.rootpath / "tests").parts[0]
        item.add_marker(getattr(pytest.mark, room))
        rooms.setdefault(room, {}).setdefault(item.path, []).append(item)
    items[:] = [item for path in _interleave(rooms) for item in path]


def _interleave(rooms):
    """Returns the files so that those of each room lie evenly among all.

    Tests of processes wait, and tests of one process compute: side by side
    they share the cores best. In a room, longer files tend to come late by
    name (training, server), and are wanted early.
    """
    placed = []
    for room, files in sorted(rooms.items()):
        files = sorted(files, reverse=True)
        files.sort(key=lambda path: path.name not in _LONGEST)
        for index, path in enumerate(files):
            placed.append((index / len(files), room, path))
    return [rooms[room][path] for _, room, path in sorted(placed)]
