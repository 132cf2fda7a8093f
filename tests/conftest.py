"""Lets absltest classes run under pytest, which does not parse absl flags."""

import os

from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pytest_configure(config):
    """Makes absl's flags readable, as `absltest.main` does."""
    del config
    flags.FLAGS.mark_as_parsed()
