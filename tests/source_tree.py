"""What this repository's modules import, and the `BUILD` that follows.

    python tests/source_tree.py

writes the rules of `BUILD` anew: one a module and one a test, in the order
of the stages, each with exactly what the module imports as its `deps`. All
other attributes (`data`, `size`, `tags`, ...) stay as they are in the file.
"""

import ast
import dataclasses
import re
import sys
from pathlib import Path

from source_names import FOLDERS
from source_names import SOURCE_ROOTS
from source_names import STAGES
from source_names import WHEELS

# Not resolved: under Bazel this file is a link, and the rest lies around it.
ROOT = Path(__file__).absolute().parent.parent

HEADER = """\
# kerasrnn, stage by stage: text, layers, model, training, export, serving.
#
# One rule a module and one a test; deps are exactly the imports.
# `make build-file` writes them anew, tests/architecture_test.py checks them.

load("@rules_python//python:py_binary.bzl", "py_binary")
load("@rules_python//python:py_library.bzl", "py_library")
load("@rules_python//python:py_test.bzl", "py_test")

package(default_visibility = ["//visibility:private"])

# What tests that look at the repository itself read.
filegroup(
    name = "sources",
    srcs = glob([
        "*",
        ".github/**",
        "benchmarks/*",
        "docs/**",
        "examples/*",
        "export/**",
        "kerasrnn/**",
        "scripts/*",
        "serving/**",
        "tests/**",
    ]),
)
"""

_RULES = ("py_library", "py_binary", "py_test")
_ATTRIBUTES = (
    "name",
    "size",
    "srcs",
    "data",
    "imports",
    "tags",
    "visibility",
    "deps",
)


@dataclasses.dataclass(frozen=True)
class Module:
    """One source file.

    Attributes:
        name: Dotted, as in an import.
        path: Relative to the repository.
        imports: Dotted names of all modules it imports, anywhere in it; of a
            test also those whose names stand in its strings, as in
            "kerasrnn.train" and "examples/dates.py".
        early_imports: Those that importing the module imports.
        tree: Its syntax tree.
    """

    name: str
    path: str
    imports: frozenset[str]
    early_imports: frozenset[str]
    tree: ast.Module

    @property
    def target(self) -> str:
        """Name of its rule in `BUILD`."""
        return self.path.removesuffix("/__init__.py").removesuffix(".py")

    @property
    def is_program(self) -> bool:
        """Whether it is started by its users."""
        functions = {
            node.name
            for node in self.tree.body
            if isinstance(node, ast.FunctionDef)
        }
        if self.is_example:
            return "main" in functions
        return {"main", "run"} <= functions and not self.is_test

    @property
    def is_example(self) -> bool:
        """Whether it is not part of the package, only shows its use."""
        return self.path.startswith("examples/")

    @property
    def is_test(self) -> bool:
        """Whether it is a test."""
        return self.path.endswith("_test.py")

    @property
    def stage(self) -> int | None:
        """Index into `STAGES`; None if no stage claims it."""
        claims = [
            (len(prefix), index)
            for index, (_, prefixes) in enumerate(STAGES)
            for prefix in prefixes
            if f"{self.name}.".startswith(f"{prefix}.")
        ]
        # The package itself and its programs come after all else in it; any
        # other module must have been given a place.
        if self.name != "kerasrnn" and not self.is_program:
            claims = [claim for claim in claims if claim[0] > len("kerasrnn")]
        return max(claims)[1] if claims else None


def read_modules() -> dict[str, Module]:
    """Returns the modules of the packages and of `FOLDERS`, by name."""
    files = {}
    for package, folder in SOURCE_ROOTS.items():
        source_root = ROOT / folder
        for path in sorted((source_root / package).rglob("*.py")):
            parts = path.relative_to(source_root).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            files[".".join(parts)] = path
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.py")):
            if path.stem not in ("conftest", "__init__"):
                files[path.stem] = path
    return {name: _read(name, path, files) for name, path in files.items()}


def _read(name, path, files):
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    imports = _imports(ast.walk(tree), files)
    if path.parent.name == "tests":
        imports |= _modules_in_strings(tree, files)
    early = list(tree.body)
    for node in early:
        if isinstance(node, ast.If | ast.Try | ast.With):
            early += ast.iter_child_nodes(node)
    return Module(
        name=name,
        path=path.relative_to(ROOT).as_posix(),
        imports=imports - {name},
        early_imports=_imports(early, files) - {name},
        tree=tree,
    )


def _imports(nodes, files):
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in files else node.module)
    return frozenset(found)


def _modules_in_strings(tree, files):
    """Returns what a test starts in other processes, by name or by file."""
    documentation = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in documentation:
                words = re.findall(r"kerasrnn\w*(?:\.\w+)+", node.value)
                words += re.findall(r"examples/(\w+)\.py", node.value)
                found.update(word for word in words if word in files)
    return found


def dependencies(module: Module, modules: dict[str, Module]) -> list[str]:
    """Returns the labels of what `module` imports, in Bazel's order."""
    labels = set()
    imports = set(module.imports)
    if module.name == "kerasrnn":
        # The umbrella: it looks its names up when they are first used.
        imports |= {
            name
            for name, other in modules.items()
            if "." in name and not other.is_program
        }
    for name in imports:
        top = name.partition(".")[0]
        if name in modules:
            labels.add(f":{modules[name].target}")
        elif top in WHEELS:
            labels.add(f"@pypi//{WHEELS[top]}")
        elif top not in sys.stdlib_module_names | set(SOURCE_ROOTS):
            raise ValueError(
                f"{module.path} imports {name}, which is neither here nor in "
                "WHEELS of tests/source_names.py."
            )
    return sorted(labels - {f":{module.target}"}, key=_label_order)


def _label_order(label):
    return (label.startswith("@"), label)


def expected_rules(
    modules: dict[str, Module], present: dict[str, dict]
) -> dict[str, dict]:
    """Returns the rule of each module, by target name.

    Args:
        modules: Of `read_modules`.
        present: Of `read_build`: where other attributes are kept from.
    """
    rules = {}
    for module in sorted(modules.values(), key=_rule_order):
        kind = "py_library"
        if module.is_test:
            kind = "py_test"
        elif module.is_program:
            kind = "py_binary"
        rule = dict(present.get(module.target, {}))
        rule |= {"kind": kind, "name": module.target, "srcs": [module.path]}
        folder = module.path.partition("/")[0]
        if folder in ("examples", "export", "serving", "tests"):
            rule["imports"] = [folder]
        if data := _files_beside(module):
            rule["data"] = data
        if module.name == "kerasrnn":
            rule["visibility"] = ["//visibility:public"]
        rule.pop("deps", None)
        if labels := dependencies(module, modules):
            rule["deps"] = labels
        rules[module.target] = rule
    return rules


def _files_beside(module):
    """Returns what a package holds besides its modules."""
    path = ROOT / module.path
    if path.name != "__init__.py":
        return []
    return sorted(
        file.relative_to(ROOT).as_posix()
        for file in path.parent.iterdir()
        if file.is_file() and file.suffix not in (".py", ".pyc")
    )


def _rule_order(module):
    stage = len(STAGES) if module.stage is None else module.stage
    folder = module.path.partition("/")[0]
    return (folder in FOLDERS, folder == "tests", stage, module.path)


def read_build() -> dict[str, dict]:
    """Returns the rules in `BUILD`, by target name."""
    path = ROOT / "BUILD"
    if not path.exists():
        return {}
    rules = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        call = node.value
        if isinstance(call, ast.Call) and call.func.id in _RULES:
            rule = {"kind": call.func.id}
            for keyword in call.keywords:
                rule[keyword.arg] = ast.literal_eval(keyword.value)
            rules[rule["name"]] = rule
    return rules


def rule_text(rule: dict) -> str:
    """Returns a rule as it stands in `BUILD`."""
    lines = [f"{rule['kind']}("]
    for name in _ATTRIBUTES:
        value = rule.get(name)
        if isinstance(value, str):
            lines.append(f'    {name} = "{value}",')
        elif value and len(value) == 1:
            lines.append(f'    {name} = ["{value[0]}"],')
        elif value:
            lines.append(f"    {name} = [")
            lines += [f'        "{item}",' for item in value]
            lines.append("    ],")
    return "\n".join([*lines, ")"]) + "\n"


def main() -> None:
    """Writes `BUILD`."""
    rules = expected_rules(read_modules(), read_build())
    text = "\n".join([HEADER, *map(rule_text, rules.values())])
    (ROOT / "BUILD").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
