"""Phrases that messages are made of: counted things, commands to copy."""

import shlex


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


def command(*arguments) -> str:
    """Returns a command line that a shell reads as these arguments.

    Args:
        *arguments: The program, then its arguments: strings, or paths.
    """
    return shlex.join(map(str, arguments))
