"""All modules of this repository, read once."""

from helpers.sources import source_tree

MODULES = source_tree.read_modules()
LIBRARY = {
    name: module
    for name, module in MODULES.items()
    if not module.path.startswith(("examples/", "tests/"))
}
PROGRAMS = {name: m for name, m in LIBRARY.items() if m.is_program}
