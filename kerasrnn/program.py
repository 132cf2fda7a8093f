"""What the command-line programs share: flags in, exit status out."""

import difflib
import errno
import os
import re
import sys
import textwrap
from collections.abc import Callable
from collections.abc import Sequence

from absl import app
from absl import flags

from kerasrnn import tensorflow_noise
from kerasrnn.errors import UserError
from kerasrnn.extras import how_to_install

# Failures of the machine, not of the code: told in a sentence, even where
# the exception names no file.
_ENVIRONMENT_ERRORS = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENOSPC,
    errno.EROFS,
}

# What absl puts into the help of enumerations and of repeated flags.
_ADDED_BY_ABSL = re.compile(
    r"^<[^>]*>: |;\s+repeat this option to specify a list of values$"
)


def run(
    main: Callable[[list[str]], int | None],
    define_flags: Callable[[flags.FlagValues], None],
) -> None:
    """Defines the flags, parses them, calls `main(argv)` and exits.

    The exit status is what `main` returns (None is 0); 1 after an error
    that the user can put right, which is told in a sentence on stderr; 130
    after Ctrl-C; 141 if the reader of the output went away. `--help` shows
    the docstring of the module that defines `main`, and the flags that
    `define_flags` defines.

    Args:
        main: The program. It imports what is slow to import by itself, so
            that `--help` need not wait for it. It is called with the name
            of the program and what follows `--`: all else must be flags.
        define_flags: Called with the `flags.FlagValues` to define flags in.
    """
    tensorflow_noise.install()
    inherited = set(flags.FLAGS)
    define_flags(flags.FLAGS)
    own = own_flags(flags.FLAGS, inherited)
    documentation = sys.modules[main.__module__].__doc__ or ""

    def parse(argv):
        _define_help(flags.FLAGS, lambda: help_text(documentation, own))
        return _guarded(lambda: parse_flags(argv, flags.FLAGS, own))

    app.run(lambda argv: _guarded(lambda: main(argv)), flags_parser=parse)


def own_flags(
    flag_values: flags.FlagValues, inherited: set[str]
) -> dict[str, flags.Flag]:
    """Returns the flags that are not inherited, in order of definition."""
    return {
        name: flag_values[name]
        for name in flag_values
        if name not in inherited and name == flag_values[name].name
    }


def parse_flags(
    argv: Sequence[str],
    flag_values: flags.FlagValues,
    own: dict[str, flags.Flag],
) -> list[str]:
    """Parses the command line into `flag_values`.

    Args:
        argv: The program's name, then its arguments.
        flag_values: Where all flags are defined.
        own: The flags that may be suggested, by name.

    Returns:
        The program's name and all arguments after `--`.

    Raises:
        UserError: An unknown flag, a value that is none, or an argument
            that is no flag.
    """
    hint = f"See `{program_name()} --help`."
    flag_values.set_gnu_getopt(True)
    argv, passed_on = list(argv), []
    if "--" in argv:
        end = argv.index("--")
        argv, passed_on = argv[:end], argv[end + 1 :]
    if "preset" in own:
        from kerasrnn.presets import expand_presets

        argv = expand_presets(argv)
    try:
        remaining = flag_values(argv)
    except flags.UnrecognizedFlagError as error:
        raise UserError(
            f"There is no flag --{error.flagname}"
            f"{_suggestion(error.flagname, own, '--')} {hint}"
        ) from None
    except flags.IllegalFlagValueError as error:
        lines = [_value_error(line, own) for line in str(error).splitlines()]
        raise UserError(" ".join([*lines, hint])) from None
    except (flags.Error, ValueError) as error:
        message = str(error).removeprefix("ERROR:: ").rstrip(".")
        raise UserError(f"{message}. {hint}") from None
    if len(remaining) > 1:
        raise UserError(
            f"Unexpected argument {remaining[1]!r}: every value belongs to a "
            "flag, as in --name=value, and a pattern with * is put in quotes "
            f"to keep the shell from taking it apart. {hint}"
        )
    return remaining + passed_on


def help_text(documentation: str, own: dict[str, flags.Flag]) -> str:
    """Returns what `--help` prints: documentation, usage, flags."""
    lines = [
        *textwrap.dedent(documentation).strip().splitlines(),
        "",
        f"Usage: {program_name()} [--flag=value ...]",
        "",
        "Flags:",
    ]
    for flag in own.values():
        lines.append(f"  {_flag_usage(flag)}")
        text = " ".join(_ADDED_BY_ABSL.sub("", flag.help).split())
        lines += textwrap.wrap(
            text, 79, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
    lines += [
        "  --flagfile=FILE",
        "      Reads flags from a file, one a line.",
        "  --helpfull",
        "      Lists the flags of logging, debugging and profiling, too.",
    ]
    return "\n".join(lines)


def program_name() -> str:
    """Returns what the user typed to start this program."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return f"python -m {spec.name.removesuffix('.__main__')}"
    return os.path.basename(sys.argv[0])


def _guarded(function):
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
        # Nobody reads any more, so the interpreter's own last flush must
        # not fail, and there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.filename is None and error.errno not in _ENVIRONMENT_ERRORS:
            raise
        where = "" if error.filename is None else f": {error.filename}"
        return _exit(f"{error.strerror}{where}.")


def _exit(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


class _HelpFlag(flags.BooleanFlag):
    """Prints the help text and exits as soon as it is parsed."""

    def __init__(self, name, short_name, text):
        super().__init__(
            name,
            False,
            "show this help",
            short_name=short_name,
            allow_override=True,
        )
        self._text = text

    def parse(self, argument):
        if self._parse(argument):
            print(self._text())
            sys.stdout.flush()
            sys.exit(0)


def _define_help(flag_values, text):
    for name, short_name in (("help", "h"), ("helpshort", "?")):
        flags.DEFINE_flag(_HelpFlag(name, short_name, text), flag_values)


def _flag_usage(flag):
    parser = flag.parser
    if flag.boolean:
        usage = f"--[no]{flag.name}"
    elif isinstance(parser, flags.EnumParser):
        usage = f"--{flag.name}={'|'.join(parser.enum_values)}"
    else:
        kind = getattr(parser, "number_name", "string")
        usage = f"--{flag.name}={kind.upper()}"
    if isinstance(flag, flags.MultiFlag):
        return f"{usage}  (may be repeated)"
    if any("other than None" in v.message for v in flag.validators):
        return f"{usage}  (required)"
    if flag.default in (None, "", []):
        return usage
    return f"{usage}  (default: {flag.default_as_str[1:-1]})"


def _suggestion(word, candidates, prefix=""):
    close = difflib.get_close_matches(word, candidates, n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else "."


def _value_error(line, own):
    match = re.fullmatch(r"flag --(\w+)=(.*?): (.*)", line)
    if match is None or match[1] not in own:
        return line
    name, value, message = match.groups()
    if "must have a value other than None" in message:
        return f"--{name} is required."
    parser = own[name].parser
    try:
        parser.parse(value)
    except (TypeError, ValueError):
        pass
    else:
        return f"--{name}={value}: {message}"
    if isinstance(parser, flags.EnumParser):
        choices = ", ".join(parser.enum_values)
        guess = _suggestion(value, parser.enum_values)
        return f"--{name}={value}: expected one of {choices}{guess}"
    if own[name].boolean:
        return f"--{name}={value}: expected true or false."
    expected = parser.syntactic_help or message
    return f"--{name}={value}: expected {expected}."
