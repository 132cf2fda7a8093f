"""Command lines: parsed, or refused in a sentence that helps."""

import difflib
import re
from collections.abc import Collection
from collections.abc import Sequence

from absl import flags

from kerasrnn.command_line import familiar_names
from kerasrnn.command_line.program_help import program_name
from kerasrnn.errors import UserError


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
    commands: Collection[str] = (),
    passes_on: bool = False,
) -> list[str]:
    """Parses the command line into `flag_values`.

    Args:
        argv: The program's name, then its arguments.
        flag_values: Where all flags are defined.
        own: The flags that may be suggested, by name.
        commands: Words that may come first, with arguments of their own.
        passes_on: Whether arguments after `--` are for another program.

    Returns:
        The program's name, a command with its arguments if there is one, and
        all arguments after `--`.

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
        from kerasrnn.command_line.presets import expand_presets

        argv = expand_presets(argv)
    try:
        remaining = flag_values(argv)
    except flags.UnrecognizedFlagError as error:
        name = error.flagname
        advice = familiar_names.advice(name, own)
        raise UserError(
            f"There is no flag --{name}"
            f"{advice or _suggestion(name, own, '--')} {hint}"
        ) from None
    except flags.IllegalFlagValueError as error:
        lines = [_value_error(line, own) for line in str(error).splitlines()]
        raise UserError(" ".join([*lines, hint])) from None
    except (flags.Error, ValueError) as error:
        message = str(error).removeprefix("ERROR:: ").rstrip(".")
        raise UserError(f"{message}. {hint}") from None
    is_command = remaining[1:] and remaining[1] in commands
    unexpected = [] if is_command else remaining[1:]
    if not (passes_on or is_command):
        unexpected += passed_on
    if unexpected:
        raise UserError(
            f"Unexpected argument {unexpected[0]!r}: every value belongs to a "
            "flag, as in --name=value. Put a pattern with * in quotes, so "
            f"that the shell does not expand it. {hint}"
        )
    return remaining + passed_on


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
    if parser.syntactic_help:
        message = f"expected {parser.syntactic_help}"
    return f"--{name}={value}: {message.rstrip('.')}."
