"""The source of Python's standard library, as data to learn from.

For examples/code_or_prose.py, its lines; for examples/highlight.py, the class
of each character.
"""

import ast
import io
import itertools
import keyword
import sysconfig
import tokenize
from pathlib import Path

import numpy as np

from kerasrnn.text import sources

PROSE, CODE = 0, 1

CLASSES = (
    "white space",
    "keyword",
    "name",
    "number",
    "string",
    "comment",
    "operator",
)
CLASS_OF_TYPE = {
    tokenize.NAME: "name",
    tokenize.NUMBER: "number",
    tokenize.STRING: "string",
    tokenize.COMMENT: "comment",
    tokenize.OP: "operator",
}
# Since Python 3.12 an f-string is several tokens, code among them. Here it
# is a string from end to end, as before.
F_STRING_START = getattr(tokenize, "FSTRING_START", None)
F_STRING_END = getattr(tokenize, "FSTRING_END", None)

LONGEST_FILE = 100_000

# Tests, tables of characters, and manuals that are kept in string literals.
LEFT_OUT = {"encodings", "pydoc_data", "site-packages", "dist-packages"}
LEFT_OUT |= {"test", "tests", "idle_test"}


def read_prose_and_code():
    """Returns for each file its lines of prose and its lines of code."""
    root = Path(sysconfig.get_path("stdlib"))
    files = []
    for path in sorted(root.rglob("*.py")):
        if LEFT_OUT.isdisjoint(path.relative_to(root).parts):
            try:
                with tokenize.open(path) as file:
                    text = file.read()
                files.append((prose_lines(text), code_lines(text)))
            except (SyntaxError, tokenize.TokenError, UnicodeDecodeError):
                pass  # A template, or Python 2.
    return files


def prose_lines(text):
    """Returns the lines of docstrings that are prose.

    There is code in docstrings, too: sessions at the prompt, examples (which
    are indented), signatures. So paragraphs with a prompt, indented lines,
    and lines that Python could run are left out: neither code nor prose.
    """
    documented = ast.Module | ast.ClassDef
    documented |= ast.FunctionDef | ast.AsyncFunctionDef
    lines = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented):
            docstring = ast.get_docstring(node) or ""
            for paragraph in docstring.split("\n\n"):
                if ">>>" not in paragraph:
                    lines += paragraph.splitlines()
    return [
        line.strip()
        for line in lines
        if not line.startswith((" ", "\t")) and not is_code(line)
    ]


def is_code(line):
    """Returns whether Python could run a line."""
    try:
        ast.parse(line)
    except (SyntaxError, ValueError):
        return False
    return True


def code_lines(text):
    """Returns the lines of code, without indentation and comments.

    Lines that begin with a string, or lie in one, are left out: strings,
    docstrings above all, may say anything.
    """
    lines = text.splitlines()
    in_string = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        first, last = token.start[0], token.end[0]
        if first != last:
            in_string.update(range(first, last + 1))
        elif token.type == tokenize.COMMENT:
            lines[first - 1] = lines[first - 1][: token.start[1]]
    lines = [
        line.strip()
        for number, line in enumerate(lines, 1)
        if number not in in_string
    ]
    return [line for line in lines if not line.startswith(('"', "'"))]


def classify(source):
    """Returns the class of each character by Python's tokenizer, int32 [T].

    Raises:
        SyntaxError: It is not Python.
        tokenize.TokenError: It ends too early.
    """
    lines = [0, *itertools.accumulate(len(x) + 1 for x in source.split("\n"))]
    classes = np.zeros(len(source), np.int32)
    f_strings = []  # Starts of those that are open.
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        start, stop = (
            lines[row - 1] + column for row, column in (token.start, token.end)
        )
        name = CLASS_OF_TYPE.get(token.type)
        if name == "name" and keyword.iskeyword(token.string):
            name = "keyword"
        if token.type == F_STRING_START:
            f_strings.append(start)
        elif token.type == F_STRING_END:
            start, name = f_strings.pop(), "string"
        if name and not f_strings:
            classes[start:stop] = CLASSES.index(name)
    return classes


def read_classified(random, characters):
    """Reads files of the standard library, in a random order.

    Args:
        random: NumPy's generator.
        characters: About how many to read, together.

    Returns:
        A list of `(path in the library, source, classes [T])`.
    """
    files, paths = [], sources.resolve([])
    library = sysconfig.get_path("stdlib")
    for index in random.permutation(len(paths)):
        try:
            with tokenize.open(paths[index]) as file:
                source = file.read()
            classes = classify(source)
        except (SyntaxError, UnicodeDecodeError, tokenize.TokenError):
            continue  # Some are there to be refused.
        if 0 < len(source) <= LONGEST_FILE:
            path = paths[index].relative_to(library)
            files.append((path, source, classes))
            characters -= len(source)
        if characters < 0:
            break
    return files
