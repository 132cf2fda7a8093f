"""What the command-line programs share: flags in, exit status out."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable

from absl import app
from absl import flags

from kerasrnn.command_line import program_setup
from kerasrnn.command_line import quiet_tensorflow
from kerasrnn.command_line.docstrings import docstring_of
from kerasrnn.command_line.program_flags import own_flags
from kerasrnn.command_line.program_flags import parse_flags
from kerasrnn.command_line.program_help import FlagGroup
from kerasrnn.command_line.program_help import Help
from kerasrnn.command_line.program_help import define_help_flags
from kerasrnn.command_line.program_help import program_name
from kerasrnn.errors import UserError
from kerasrnn.extras import how_to_install
from kerasrnn.foundation.closed_outputs import has_lost_its_reader

# Failures of the machine, not of the code: told in a sentence, even where
# the exception names no file.
_ENVIRONMENT_ERRORS = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENOSPC,
    errno.EROFS,
}
# Flags that decide how much memory a program needs.
_SIZES = ("batch_size", "sequence_length", "units", "streams", "num_samples")


def run(
    main: Callable[[list[str]], int | None],
    define_flags: Callable[[flags.FlagValues], None],
    groups: tuple[FlagGroup, ...] = (),
    commands: tuple[str, ...] = (),
    passes_on: bool = False,
) -> None:
    """Defines the flags, parses them, calls `main(argv)` and exits.

    The exit status is what `main` returns (None is 0); 1 after an error
    that the user can put right, which is told in a sentence on stderr; 130
    after Ctrl-C; 141 if the reader of the output went away, which does not end
    a training run. `--help` shows the docstring of the module that defines
    `main`, and the flags that `define_flags` defines.

    Args:
        main: The program. It imports what is slow to import by itself, so
            that `--help` need not wait for it. It is called with the name
            of the program, a command if there is one, and what is passed on:
            all else must be flags.
        define_flags: Called with the `flags.FlagValues` to define flags in.
        groups: How the help lists the flags; without groups as one list.
        commands: Words that may come first, with arguments of their own.
        passes_on: Whether what follows `--` is for another program.
    """
    program_setup.open_standard_streams()
    program_setup.choose_keras_settings()
    program_setup.leave_out_scikit_learn()
    program_setup.import_without_collecting()
    program_setup.warn_in_plain_words()
    quiet_tensorflow.install()
    names = set(flags.FLAGS)
    define_flags(flags.FLAGS)
    own = own_flags(flags.FLAGS, names)
    texts = Help(
        documentation=docstring_of(sys.modules[main.__module__]),
        own=own,
        inherited={name: flags.FLAGS[name] for name in sorted(names)},
        groups=groups,
    )

    def parse(argv):
        define_help_flags(flags.FLAGS, texts)
        return _guarded(
            lambda: parse_flags(argv, flags.FLAGS, own, commands, passes_on),
            own,
        )

    def run_main(argv):
        program_setup.check_environment()
        return main(argv)

    app.run(
        lambda argv: _guarded(lambda: run_main(argv), own), flags_parser=parse
    )


def _guarded(function, own):
    try:
        status = function()
        # The reader may be found gone only now; at exit it is too late.
        sys.stdout.flush()
        return status
    except UserError as error:
        return _exit(str(error))
    except ModuleNotFoundError as error:
        sentence = how_to_install(error, program_name())
        if sentence is None:
            raise
        return _exit(sentence)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # It may also be another pipe, or a connection.
        if not any(map(has_lost_its_reader, (sys.stdout, sys.stderr))):
            raise
        # There is nobody to tell.
        _leave_unwritten(sys.stdout)
        sys.exit(141)
    except OSError as error:
        if error.filename is None and error.errno not in _ENVIRONMENT_ERRORS:
            raise
        where = "" if error.filename is None else f": {error.filename}"
        return _exit(f"{error.strerror}{where}.")
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        return _exit(_of_memory(error, own))


def _is_out_of_memory(error):
    if isinstance(error, MemoryError):
        return True
    # Importing it would take longer than most programs.
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(
        error, tensorflow.errors.ResourceExhaustedError
    )


def _of_memory(error, own):
    """Returns the sentence for a machine, or a GPU, with too little memory."""
    # TensorFlow goes on with its graph and with advice for programmers.
    (what, *_) = str(error).strip().splitlines() or ["an allocation failed"]
    sizes = [f"--{name}" for name in _SIZES if name in own]
    advice = f" Lower {' or '.join(sizes)}." if sizes else ""
    return f"There is not enough memory: {what.rstrip('.')}.{advice}"


def _exit(message):
    try:
        sys.stdout.flush()
    except OSError:  # It may be what the message tells of.
        _leave_unwritten(sys.stdout)
    with contextlib.suppress(OSError):
        print(f"error: {message}", file=sys.stderr, flush=True)
    sys.exit(1)


def _leave_unwritten(stream):
    """Lets the interpreter's own last flush of a stream succeed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
