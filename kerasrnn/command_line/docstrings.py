"""Docstrings, also where `python -OO` has dropped them."""

import ast
import inspect
import sys
import textwrap
from types import ModuleType


def docstring_of(module_or_class: ModuleType | type) -> str:
    """Returns the docstring of a module or a class, without indentation.

    It is read from the source where the interpreter has not kept it; without
    the source it is empty.
    """
    if sys.flags.optimize < 2:
        return inspect.cleandoc(module_or_class.__doc__ or "")
    # A dataclass without a docstring was given one that says nothing.
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(module_or_class)))
    except (OSError, TypeError):
        return ""
    node = tree if inspect.ismodule(module_or_class) else tree.body[0]
    if not isinstance(node, ast.Module | ast.ClassDef):
        return ""
    return ast.get_docstring(node) or ""
