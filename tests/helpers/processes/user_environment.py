"""The environment in which a user's program finds what is tested here."""

import os
import sys

from helpers.sources.repository import ROOT


def user_environment():
    """Returns variables with which a child finds what is tested here."""
    ours = [str(ROOT / folder) for folder in (".", "export", "serving")]
    path = os.pathsep.join([*ours, *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path}
    # The tests' own setting is not what a user has.
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return environment
