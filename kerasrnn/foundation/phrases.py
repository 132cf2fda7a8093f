"""Phrases that messages are made of: counted things, commands to copy."""

import numbers
import re
import shlex

_FLAG = re.compile(r"--[a-z_]+")

# Characters of a wrong value, at most.
_SHOWN = 80


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Returns a number of things in words, as in "1 step" and "1,000 steps".

    Args:
        number: How many.
        singular: What one of them is called.
        plural: What others are called; by default `singular` with an s.
    """
    if number == 1:
        return f"1 {singular}"
    return f"{number:,} {plural or f'{singular}s'}"


def shown(value: object) -> str:
    """Returns a wrong value as a message has it: its beginning, if it is long.

    Args:
        value: Whatever was given.
    """
    try:
        text = str(value) if isinstance(value, numbers.Real) else repr(value)
    except ValueError:
        # Python does not spell it.
        return "a number of thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def command(*arguments: object) -> str:
    """Returns a command line that a shell reads as these arguments.

    Args:
        *arguments: The program, then its arguments: strings, or paths.
    """
    return " ".join(_quoted(str(argument)) for argument in arguments)


def path_flag(name: str, path: object) -> str:
    """Returns a flag for a path, as in "--workdir=my_model".

    Args:
        name: Of the flag, without hyphens.
        path: Its value, which programs are to take literally: they would
            read a first "~" as the home directory.
    """
    text = str(path)
    return f"--{name}={'./' if text.startswith('~') else ''}{text}"


def _quoted(argument: str) -> str:
    # Of a flag its value alone, as people write it.
    flag, equals, value = argument.partition("=")
    if equals and _FLAG.fullmatch(flag):
        return f"{flag}={shlex.quote(value)}"
    return shlex.quote(argument)
