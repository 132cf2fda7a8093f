"""What this repository's modules import, and what `BUILD` says of it."""

import ast
import dataclasses
import re
import sys

from helpers.sources.repository import ROOT
from helpers.sources.source_names import APART
from helpers.sources.source_names import FOLDERS
from helpers.sources.source_names import GROUND
from helpers.sources.source_names import SOURCE_ROOTS
from helpers.sources.source_names import STAGES
from helpers.sources.source_names import WHEELS

RULES = ("programs", "program", "py_library", "room", "tests")

# What every room stands on.
BELOW = (":kerasrnn/ground", ":kerasrnn/foundation")

# Rooms to which the folders inside them belong.
INNER = (
    "kerasrnn/command_line",
    "kerasrnn/text",
    "serving/kerasrnn_serving/client",
    "serving/kerasrnn_serving/gateway",
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
        """Name of the rule in `BUILD` that it belongs to."""
        if self.is_program or self.name in APART:
            return self.path.removesuffix(".py")
        if self.name in GROUND:
            return "kerasrnn/ground"
        for room in INNER:
            if self.path.startswith(f"{room}/"):
                return room
        return self.path.rpartition("/")[0]

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
            files[_dotted(path, source_root)] = path
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.stem not in ("conftest", "__init__"):
                shared = path.is_relative_to(ROOT / "tests" / "helpers")
                name = _dotted(path, ROOT / folder) if shared else path.stem
                files[name] = path
    return {name: _read(name, path, files) for name, path in files.items()}


def _dotted(path, source_root):
    parts = path.relative_to(source_root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read(name, path, files):
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    imports = _imports(ast.walk(tree), files)
    if path.is_relative_to(ROOT / "tests"):
        imports |= _modules_in_strings(tree, files)
    early = list(tree.body)
    for node in early:
        is_for_types = isinstance(node, ast.If) and (
            ast.unparse(node.test) == "TYPE_CHECKING"
        )
        if isinstance(node, ast.If | ast.Try | ast.With) and not is_for_types:
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


def expected_rules(modules: dict[str, Module]) -> dict[str, dict]:
    """Returns what the imports make of each room, by target.

    Returns:
        By target a dictionary of `deps`, the rooms that its modules import
        but those below all, and of `wheels`, what they import from elsewhere.
    """
    rules = {}
    for module in modules.values():
        if module.path.startswith(FOLDERS):
            continue
        rule = rules.setdefault(module.target, {"deps": set(), "wheels": set()})
        for name in module.imports:
            top = name.partition(".")[0]
            if name in modules:
                rule["deps"].add(f":{modules[name].target}")
            elif top in WHEELS:
                rule["wheels"].add(f"@pypi//{WHEELS[top]}")
            elif top not in sys.stdlib_module_names | set(SOURCE_ROOTS):
                raise ValueError(
                    f"{module.path} imports {name}, which is neither here nor "
                    "in WHEELS of source_names.py."
                )
        rule["deps"] -= {f":{module.target}", *BELOW}
    return rules


def read_build() -> dict[str, dict]:
    """Returns the arguments of each rule in `BUILD`, by its name or folder."""
    rules = {}
    for node in ast.parse((ROOT / "BUILD").read_text()).body:
        call = node.value
        if isinstance(call, ast.Call) and call.func.id in RULES:
            rule = {"kind": call.func.id}
            for keyword in call.keywords:
                if not isinstance(keyword.value, ast.Call):
                    rule[keyword.arg] = ast.literal_eval(keyword.value)
            name = rule.get("name") or f"{rule['folder']}/*"
            if rule["kind"] in ("program", "room"):
                # As the macro does.
                top = name.partition("/")[0]
                rule["imports"] = [] if top == "kerasrnn" else [top]
            rules[name] = rule
    return rules
