"""Whether tests run with their full counts, as `make reliability` asks."""

import os

FULL = bool(os.environ.get("KERASRNN_FULL"))
