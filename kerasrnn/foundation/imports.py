"""Does something around the import of a module, whoever imports it first."""

import functools
import importlib.abc
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType

Execute = Callable[[ModuleType], None]


def wrap_import(
    names: tuple[str, ...], execute: Callable[[Execute, ModuleType], None]
) -> None:
    """Wraps the first execution of modules that are not yet imported.

    Args:
        names: Of the modules.
        execute: Called with what executes a module, and the module.
    """
    sys.meta_path.insert(0, _Finder(names, execute))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules as others do, and wraps their execution."""

    def __init__(self, names, execute):
        self._names = names
        self._execute = execute
        self._looking = False

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self._names or self._looking:
            return None
        self._looking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            wrapped = functools.partial(self._execute, spec.loader.exec_module)
            spec.loader.exec_module = wrapped  # type: ignore[method-assign]
        return spec
