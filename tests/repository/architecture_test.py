"""The rules of the house, read off the sources: who imports whom, and how.

Text flows one way, what the light client needs knows no TensorFlow, and
`BUILD` says of every module exactly what it imports.
"""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

from absl.testing import absltest
from helpers.sources import source_names
from helpers.sources import source_tree
from helpers.sources.all_modules import LIBRARY
from helpers.sources.all_modules import MODULES
from helpers.sources.all_modules import PROGRAMS
from helpers.sources.source_names import STAGES
from helpers.sources.source_tree import BELOW
from helpers.sources.source_tree import ROOT
from helpers.sources.source_tree import Module
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEAVY = ("keras", "tensorflow", "tensorboard", "tensorflow_serving", "torch")

# What must work with the base dependencies alone.
LIGHT = (
    "kerasrnn",
    "kerasrnn.config",
    "kerasrnn.errors",
    "kerasrnn.extras",
    "kerasrnn.command_line.presets",
    "kerasrnn.command_line.program",
    "kerasrnn.reporting",
    "kerasrnn.text",
    "kerasrnn.version",
    "kerasrnn.contract",
    "kerasrnn_export.release.manifest",
    "kerasrnn_export.release.publish",
    "kerasrnn_serving.async_client",
    "kerasrnn_serving.client",
    "kerasrnn_serving.programs.query",
    "kerasrnn_serving.programs.readings",
)


def _reachable(module: Module, early: bool) -> Iterator[tuple[str, str]]:
    """Yields (importing path, imported name) of all that a module leads to."""
    waiting, seen = [module], {module.name}
    while waiting:
        current = waiting.pop()
        names = current.early_imports if early else current.imports
        for name in sorted(names):
            yield current.path, name
            # Importing a module imports the packages around it too.
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                inner = ".".join(parts[:end])
                if inner in LIBRARY and inner not in seen:
                    seen.add(inner)
                    waiting.append(LIBRARY[inner])


def _heavy(module, early):
    return [
        f"{path} imports {name}"
        for path, name in _reachable(module, early)
        if name.partition(".")[0] in HEAVY
    ]


def _folders_on_path(rules, target):
    """Returns the folders that a rule and all that it needs are found in."""
    waiting, seen, folders = [target], set(), {"."}
    while waiting:
        name = waiting.pop()
        if name in seen or name not in rules:
            continue
        seen.add(name)
        folders.update(rules[name].get("imports", ()))
        waiting += [
            label.removeprefix(":") for label in rules[name].get("deps", ())
        ]
    return folders


class ImportsTest(absltest.TestCase):
    def test_every_module_has_a_stage(self):
        homeless = [name for name, m in LIBRARY.items() if m.stage is None]
        self.assertEqual(homeless, [], "add them to STAGES of source_names.py")

    def test_text_flows_one_way(self):
        wrong = []
        for module in LIBRARY.values():
            for name in module.imports & set(LIBRARY):
                other = LIBRARY[name]
                if None not in (module.stage, other.stage) and (
                    other.stage > module.stage
                ):
                    wrong.append(
                        f"{module.path} ({STAGES[module.stage][0]}) imports "
                        f"{name} ({STAGES[other.stage][0]})"
                    )
        self.assertEqual(wrong, [])

    def test_modules_that_are_imported_exist(self):
        wrong = [
            f"{module.path} imports {name}"
            for module in MODULES.values()
            for name in module.imports
            if name.partition(".")[0] in source_names.SOURCE_ROOTS
            and name not in LIBRARY
        ]
        self.assertEqual(wrong, [])

    def test_what_several_workers_need_is_imported_for_them_alone(self):
        room = "kerasrnn.training.multi_worker"
        wrong = [
            f"{module.path} imports {name}"
            for module in LIBRARY.values()
            for name in module.early_imports
            if name.startswith(room) and not module.name.startswith(room)
        ]
        self.assertEqual(wrong, [])

    def test_one_module_of_training_has_tensorflow_s_private_calls(self):
        found = [
            module.name
            for module in LIBRARY.values()
            if module.name.startswith("kerasrnn.training")
            and any(n.startswith("tensorflow.python") for n in module.imports)
        ]
        self.assertEqual(
            found, ["kerasrnn.training.multi_worker.tensorflow_internals"]
        )

    def test_no_module_hides_one_of_python_s_own(self):
        # A program that is run by its path has its folder first on sys.path.
        wrong = [
            path.relative_to(ROOT).as_posix()
            for folder in source_names.CODE
            for path in (ROOT / folder).rglob("*.py")
            if path.stem in sys.stdlib_module_names
        ]
        self.assertEqual(wrong, [])

    def test_no_module_imports_the_umbrella(self):
        wrong = [m.path for m in LIBRARY.values() if "kerasrnn" in m.imports]
        self.assertEqual(wrong, [], "name the module: it would be a cycle")

    def test_nobody_imports_a_program(self):
        wrong = [
            f"{module.path} imports {name}"
            for module in LIBRARY.values()
            for name in module.imports & set(PROGRAMS)
        ]
        self.assertEqual(wrong, [])

    def test_light_modules_never_need_tensorflow(self):
        wrong = []
        for module in LIBRARY.values():
            if any(
                module.name == light or module.name.startswith(f"{light}.")
                for light in LIGHT
                if light != "kerasrnn" or module.name == light
            ):
                wrong += _heavy(module, early=False)
        self.assertEqual(sorted(set(wrong)), [])

    def test_starting_a_program_imports_no_tensorflow(self):
        wrong = []
        for module in PROGRAMS.values():
            wrong += _heavy(module, early=True)
        self.assertEqual(sorted(set(wrong)), [])

    def test_sampling_knows_no_model(self):
        room = [
            m for n, m in LIBRARY.items() if n.startswith("kerasrnn.sampling.")
        ]
        self.assertNotEmpty(room)
        for module in room:
            for name in module.imports & set(LIBRARY):
                self.assertRegex(name, r"^kerasrnn\.(errors|sampling)")


class BuildTest(absltest.TestCase):
    def test_build_says_what_the_imports_say(self):
        present = source_tree.read_build()
        wrong = []
        for target, rule in source_tree.expected_rules(MODULES).items():
            for attribute, labels in rule.items():
                said = present.get(target, {}).get(attribute, [])
                said = [label for label in said if label not in BELOW]
                if sorted(labels) != said:
                    wrong.append(f"{target}: {attribute} = {sorted(labels)}")
        self.assertEqual(wrong, [], "this must stand in BUILD")

    def test_build_is_short(self):
        builds = [
            path
            for path in ROOT.rglob("BUILD")
            if ".venv" not in path.as_posix()
        ]
        lines = sum(len(path.read_text().splitlines()) for path in builds)
        self.assertLessEqual(lines, 400)

    def test_every_library_has_a_rule(self):
        present = source_tree.read_build()
        expected = source_tree.expected_rules(MODULES)
        self.assertContainsSubset(expected, present)

    def test_imports_are_found_where_build_says(self):
        """As under Bazel's launcher, which sets PYTHONSAFEPATH.

        Then only the folders that a rule and its `deps` name in `imports` are
        on `sys.path`, and the repository's own.
        """
        rules = source_tree.read_build()
        wrong = []
        for module in MODULES.values():
            target = module.target
            if module.path.startswith("tests/"):
                target = "tests/helpers"
            elif module.path.startswith("examples/"):
                target = "examples"
            folders = _folders_on_path(rules, target)
            for name in sorted(module.imports & set(MODULES)):
                file = f"{name.replace('.', '/')}"
                if not any(
                    (ROOT / folder / f"{file}.py").exists()
                    or (ROOT / folder / file / "__init__.py").exists()
                    for folder in folders
                ):
                    wrong.append(f"{module.path} cannot import {name}")
        self.assertEqual(wrong, [])

    def test_a_test_runs_on_what_build_says(self):
        folders = _folders_on_path(source_tree.read_build(), "tests/helpers")
        subprocess.run(
            [
                sys.executable,
                ROOT / "tests" / "process" / "client" / "client_test.py",
                "PiecesTest",
            ],
            env={
                **os.environ,
                "PYTHONSAFEPATH": "1",
                "PYTHONPATH": os.pathsep.join(
                    str(ROOT / folder) for folder in sorted(folders)
                ),
            },
            check=True,
            capture_output=True,
            timeout=120,
        )

    def test_one_rule_is_public(self):
        public = [
            name
            for name, rule in source_tree.read_build().items()
            if "visibility" in rule
        ]
        self.assertEqual(public, ["kerasrnn"])

    def test_wheels_are_locked_for_bazel(self):
        used = {
            label.removeprefix("@pypi//")
            for rule in source_tree.read_build().values()
            for label in (*rule.get("deps", ()), *rule.get("wheels", ()))
            if label.startswith("@")
        }
        text = (ROOT / "requirements_lock.txt").read_text()
        locked = {
            canonicalize_name(name): version
            for name, version in re.findall(r"(?m)^([\w.-]+)==(\S+)", text)
        }
        self.assertContainsSubset(map(canonicalize_name, used), locked)
        # pytest-xdist is imported nowhere, and still what runs the tests.
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())[
            "project"
        ]["optional-dependencies"]
        for extra in ("train", "examples", "test"):
            for requirement in map(Requirement, extras[extra]):
                name = canonicalize_name(requirement.name)
                if name != "kerasrnn":
                    with self.subTest(name):
                        self.assertIn(locked.get(name), requirement.specifier)

    def test_version_is_the_same_everywhere(self):
        version = re.search(
            r'"(.*)"\n$', (ROOT / "kerasrnn/version.py").read_text()
        )[1]
        self.assertIn(
            f'version = "{version}"', (ROOT / "MODULE.bazel").read_text()
        )
        self.assertIn(f"## {version}", (ROOT / "CHANGELOG.md").read_text())


if __name__ == "__main__":
    absltest.main()
