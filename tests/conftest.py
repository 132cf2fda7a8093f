"""Lets absltest classes run under pytest, which does not parse absl flags."""

import os

from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pytest_configure(config):
    """Registers our marker, and makes absl's flags readable."""
    config.addinivalue_line(
        "markers", "reliability: has a full count, run by `make reliability`"
    )
    flags.FLAGS.mark_as_parsed()
