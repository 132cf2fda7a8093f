"""Lets absltest classes run under pytest, and ends a test that hangs."""

import faulthandler
import os

import pytest
from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# What waits for ever should fail, where it waits and with its traceback. Many
# times what the longest test takes; those with full counts take hours.
_SECONDS = float(
    os.environ.get("KERASRNN_TEST_SECONDS")
    or (0 if os.environ.get("KERASRNN_FULL") else 900)
)
_STDERR = pytest.StashKey[int]()


def pytest_configure(config):
    """Makes absl's flags readable, as `absltest.main` does."""
    flags.FLAGS.mark_as_parsed()
    # Before pytest puts a file in its place, to capture what tests print.
    config.stash[_STDERR] = os.dup(2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Ends the process, which pytest-xdist replaces, if a test hangs."""
    if _SECONDS:
        faulthandler.dump_traceback_later(
            _SECONDS, exit=True, file=item.config.stash[_STDERR]
        )
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
