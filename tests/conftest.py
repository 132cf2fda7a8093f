"""Lets absltest classes run under pytest, and marks tests by their folder."""

import os

import hypothesis
import pytest
from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if os.environ.get("KERASRNN_FULL"):
    # Full counts take hours; pytest-timeout's limit is for what hangs.
    os.environ.setdefault("PYTEST_TIMEOUT", "0")

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


def pytest_collection_modifyitems(config, items):
    """Marks each test by the folder that it is in."""
    for item in items:
        room = item.path.relative_to(config.rootpath / "tests").parts[0]
        item.add_marker(getattr(pytest.mark, room))
