"""Starting TensorFlow without what it logs about the machine."""

import contextlib
import os
import sys
import tempfile


@contextlib.contextmanager
def quiet_start():
    """Keeps back what is written to standard error, unless it goes wrong.

    TensorFlow 2.21 logs a dozen lines while it is imported and looks for
    devices, before it heeds TF_CPP_MIN_LOG_LEVEL. A newcomer would take
    "failed call to cuInit" for the reason of whatever happens next.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept, os.fdopen(os.dup(2), "wb") as real:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            real.write(kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(real.fileno(), 2)
