r"""Characters that are hard to type, written as in a string of Python: \n."""

import re

_ESCAPE = re.compile(
    r"""\\(?:[abfnrtv\\'"]|[0-7]{1,3}|x[0-9A-Fa-f]{2}"""
    r"""|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|N\{[^{}]+\})"""
)


def unescaped(text: str) -> str:
    r"""Returns text with its escapes as what they stand for.

    A backslash that begins none of Python's escapes, or one of what is no
    character, stays as it is; \\ is always one backslash.
    """
    return _ESCAPE.sub(_character, text)


def _character(match):
    try:
        character = match[0].encode("ascii").decode("unicode_escape")
        character.encode()
    except UnicodeError:
        return match[0]
    return character
