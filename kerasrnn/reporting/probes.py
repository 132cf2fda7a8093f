r"""Probes: things that have a name and that a unit may follow in a text.

A probe gives each character of a text a number: whether one is inside quotes
once that character has been read, how far into the line one is, and so on.
Nothing here knows a model; `kerasrnn.reporting.findings` compares the probes
with what the units of one do.

The text is taken for one of `SYNTAXES`, because `#` starts a comment in one
text and is a heading in another:

* hash: Python, shell and their like. Strings end with their line, unless
  they stand in three quotes; `#` starts a comment.
* c: C, Java, JavaScript and their like. Comments are `//` and `/* */`.
* tex: LaTeX. `%` starts a comment, `` `` and '' are quotes.
* prose: all else. `"` may span lines but no paragraphs, `'` is an
  apostrophe, and a comment is `<!-- -->`.

Glossary of shapes: T characters, P probes.
"""

import dataclasses
import functools
import re

import numpy as np

SYNTAXES = ("hash", "c", "tex", "prose")

# A newline that is at most so many characters ahead comes soon.
SOON = 5


@dataclasses.dataclass(frozen=True)
class Probe:
    """Something that has a name, and that a unit may follow.

    Attributes:
        name: One word, as in a link.
        title: What it is called.
        description: The number that it gives a character.
    """

    name: str
    title: str
    description: str


PROBES = (
    Probe("quotes", "inside quotes", "1 inside quotes, else 0"),
    Probe("comment", "inside a comment", "1 inside a comment, else 0"),
    Probe("brackets", "inside brackets", "1 inside ( ) or [ ], else 0"),
    Probe("depth", "depth of brackets", "how many ( [ { are open"),
    Probe("position", "position in the line", "characters since the newline"),
    Probe("indenting", "within indentation", "1 in a line's first spaces"),
    Probe(
        "indentation", "depth of indentation", "width of a line's first spaces"
    ),
    Probe("number", "inside a number", "1 in a number, else 0"),
    Probe("word", "inside a word", "1 in a run of letters, else 0"),
    Probe(
        "newline", "newline soon", f"1 up to {SOON} characters before a newline"
    ),
)

# (what opens, what is inside, what closes), all regular expressions. What is
# never closed is open up to the end where `\Z` says so, and else not at all.
_END = r"(?:{}|\Z)"
_LINE_COMMENT = r"[^\n]*"
_COMMENTS = {
    "hash": ((r"\#", _LINE_COMMENT, ""),),
    "c": (
        ("//", _LINE_COMMENT, ""),
        (r"/\*", ".*?", _END.format(r"\*/")),
    ),
    "tex": ((r"(?<!\\)%", _LINE_COMMENT, ""),),
    "prose": (("<!--", ".*?", _END.format("-->")),),
}
_PARAGRAPH = r"(?:(?!\n[ \t]*\n)[^{}]){{0,2000}}?"
_LINE_STRING = r"(?:\\.|[^\\\n])*?"
_QUOTES = {
    "hash": (
        ('"""', r"(?:\\.|[^\\])*?", _END.format('"""')),
        ("'''", r"(?:\\.|[^\\])*?", _END.format("'''")),
        ('"', _LINE_STRING, '"'),
        ("'", _LINE_STRING, "'"),
    ),
    "c": (('"', _LINE_STRING, '"'), ("'", r"(?:\\.|[^\\\n]){1,8}?", "'")),
    "tex": (("``", _PARAGRAPH.format("`"), "''"),),
    "prose": (('"', _PARAGRAPH.format('"'), '"'),),
}
_PAIRED_QUOTES = tuple(
    (opening, _PARAGRAPH.format(opening), closing)
    for opening, closing in ("“”", "„“", "«»", "「」", "『』")
)

_CLOSING = {")": "(", "]": "[", "}": "{"}


def syntax_of(text: str) -> str:
    """Returns the one of `SYNTAXES` that a text looks most like."""
    lines = [line for line in text.split("\n") if line.strip()]

    def share(pattern):
        matches = sum(bool(re.search(pattern, line)) for line in lines)
        return matches / max(len(lines), 1)

    if share(r"\\(begin|end|section|emph|ref|cite|item|[a-z]+\{)") > 0.1:
        return "tex"
    c = share(r"[;{}]\s*$|^\s*(#\s*(include|define|if|endif)|/?\*)")
    hash_ = share(
        r"^\s*(#[\s!]|@\w|\"{3}|return\b|(def|class) \w+.*[:(]$"
        r"|(import|from) [\w.]+( import .*)?$|[\w.\[\]]+ \+?= "
        r"|(if|elif|else|for|while|try|except|with)\b.*:$|[\w.]+\(.*\)$)"
    )
    # Lines of verse may end with a semicolon, too.
    if c > max(hash_, 0.25):
        return "c"
    return "hash" if hash_ > 0.15 else "prose"


def probe_values(text: str, syntax: str) -> np.ndarray:
    """Returns what each probe says after each character of a text.

    Args:
        text: T characters.
        syntax: One of `SYNTAXES`.

    Returns:
        float32 [P, T], in the order of `PROBES`.
    """
    characters = np.array(list(text), dtype="<U1")
    quotes, comment = _quotes_and_comments(text, syntax)
    brackets, depth = _brackets(text, quotes | comment)
    newlines = characters == "\n"
    position = _since(newlines)
    indenting, indentation = _indentation(characters, position)
    values = {
        "quotes": quotes,
        "comment": comment,
        "brackets": brackets,
        "depth": depth,
        "position": position,
        "indenting": indenting,
        "indentation": indentation,
        "number": _spans(r"(?<!\w)\d[\w.]*", text),
        "word": _spans(r"[^\W\d_]+", text),
        "newline": _soon(newlines),
    }
    return np.stack([values[probe.name] for probe in PROBES]).astype(np.float32)


@functools.cache
def _lexer(syntax):
    """Returns the pattern whose group 2 is what a comment or quote holds.

    Groups: 1 opens a comment, 2 closes it, 3 opens quotes, 4 closes them.
    """
    alternatives = []
    kinds = (
        ("comment", _COMMENTS[syntax]),
        ("quotes", _QUOTES[syntax] + _PAIRED_QUOTES),
    )
    names = []
    for kind, patterns in kinds:
        for opening, inside, closing in patterns:
            alternatives.append(f"({opening}){inside}({closing})")
            names.append(kind)
    return re.compile("|".join(alternatives), re.DOTALL), names


def _quotes_and_comments(text, syntax):
    """Returns two arrays, bool [T].

    One is inside after the last character that opens, up to the last but
    one that closes.
    """
    found = {
        "comment": np.zeros(len(text), bool),
        "quotes": np.zeros(len(text), bool),
    }
    pattern, names = _lexer(syntax)
    for match in pattern.finditer(text):
        index = (match.lastindex - 1) // 2
        start = match.end(2 * index + 1) - 1
        closes = match.group(2 * index + 2)
        found[names[index]][start : match.end() - bool(closes)] = True
    return found["quotes"], found["comment"]


def _brackets(text, hidden):
    """Returns whether one is inside ( or [, and the depth of all brackets."""
    inner = np.zeros(len(text) + 1, np.int64)
    depth = np.zeros(len(text) + 1, np.int64)
    opened = []
    for match in re.finditer(r"[()\[\]{}]", text):
        place, character = match.start(), match.group()
        if hidden[place]:
            continue
        if character not in _CLOSING:
            opened.append((character, place))
            continue
        # What was opened since and never closed does not count.
        kinds = [kind for kind, _ in opened]
        if _CLOSING[character] not in kinds:
            continue
        while opened[-1][0] != _CLOSING[character]:
            opened.pop()
        _, start = opened.pop()
        depth[start] += 1
        depth[place] -= 1
        if character != "}":
            inner[start] += 1
            inner[place] -= 1
    return np.cumsum(inner)[:-1] > 0, np.cumsum(depth)[:-1]


def _since(newlines):
    """Returns the characters since the last newline, 0 at a newline."""
    places = np.arange(len(newlines))
    starts = np.where(newlines, places, -1)
    return places - np.maximum.accumulate(starts)


def _soon(newlines):
    soon = np.zeros(len(newlines), bool)
    for ahead in range(1, SOON + 1):
        soon[:-ahead] |= newlines[ahead:]
    return soon


def _indentation(characters, position):
    """Returns whether one is in the indentation, and how wide it is so far."""
    indenting = np.zeros(len(characters), bool)
    width = np.zeros(len(characters), np.int64)
    current, inside = 0, True
    for index, character in enumerate(characters):
        if character == "\n":
            current, inside = 0, True
        elif inside and character in " \t":
            current += 8 if character == "\t" else 1
            indenting[index] = True
        else:
            inside = False
        width[index] = current
    return indenting, width


def _spans(pattern, text):
    inside = np.zeros(len(text), bool)
    for match in re.finditer(pattern, text):
        inside[match.start() : match.end()] = True
    return inside
