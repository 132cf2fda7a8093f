"""What the command-line programs share: flags in, exit status out."""

import sys

from absl import app
from absl import flags

from kerasrnn.errors import UserError


def run(main, define_flags) -> None:
    """Defines the flags, parses them, calls `main(argv)` and exits.

    Args:
        main: Called with the arguments that are not flags; its return value
            (None is 0) is the exit status.
        define_flags: Called with the `flags.FlagValues` to define flags in.
    """
    define_flags(flags.FLAGS)

    def guarded(argv):
        try:
            return main(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1

    app.run(guarded)
