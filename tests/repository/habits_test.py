"""How modules are written: small, documented, and programs only wire."""

import ast
import collections
import re
import tomllib

from absl.testing import absltest
from helpers.sources.all_modules import LIBRARY
from helpers.sources.all_modules import MODULES
from helpers.sources.all_modules import PROGRAMS
from helpers.sources.source_names import CODE
from helpers.sources.source_tree import ROOT

from kerasrnn.config import CELLS

# What a reader takes in at a time.
MOST_LINES = 320
MOST_MODULES_OF_A_FOLDER = 14

SOURCES = sorted(
    path.relative_to(ROOT)
    for folder in CODE
    for path in (ROOT / folder).rglob("*.py")
)


class HabitsTest(absltest.TestCase):
    def test_programs_are_those_that_pyproject_installs(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        installed = {
            entry.removesuffix(":run")
            for entry in project["project"]["scripts"].values()
        }
        self.assertEqual(sorted(installed), sorted(PROGRAMS))

    def test_programs_only_wire(self):
        for module in PROGRAMS.values():
            with self.subTest(module.path):
                names = {
                    node.name
                    for node in module.tree.body
                    if isinstance(node, ast.FunctionDef)
                }
                self.assertIn("define_flags", names)
                self.assertIn("kerasrnn.command_line.program", module.imports)
                self.assertRegex(
                    (ROOT / module.path).read_text(),
                    r"(?s)def run\(\).*program\.run\(main, define_flags\b.*\)"
                    r'.*if __name__ == "__main__":\n    run\(\)\n$',
                )

    def test_flags_are_read_in_programs_only(self):
        readers = []
        for module in LIBRARY.values():
            text = (ROOT / module.path).read_text()
            allowed = (
                module.is_program
                or module.name == "kerasrnn.command_line.program"
            )
            if re.search(r"\bFLAGS\b", text) and not allowed:
                readers.append(module.path)
        self.assertEqual(readers, [])

    def test_modules_are_small(self):
        for path in SOURCES:
            lines = len((ROOT / path).read_text().splitlines())
            with self.subTest(path.as_posix()):
                self.assertLessEqual(lines, MOST_LINES, "split it")

    def test_folders_are_small(self):
        modules = collections.Counter(path.parent for path in SOURCES)
        for folder, count in modules.items():
            with self.subTest(folder.as_posix()):
                self.assertLessEqual(
                    count, MOST_MODULES_OF_A_FOLDER, "make folders in it"
                )

    def test_everything_public_is_documented(self):
        wrong = []
        for module in MODULES.values():
            if module.path == "examples/tutorial.py":
                continue  # Its prose is in the cells of a notebook.
            if not ast.get_docstring(module.tree):
                wrong.append(module.path)
            if module.path.startswith("tests/"):
                continue
            for node in module.tree.body:
                if (
                    isinstance(node, ast.FunctionDef | ast.ClassDef)
                    and not node.name.startswith("_")
                    and not ast.get_docstring(node)
                    and node.name not in ("main", "run", "define_flags")
                ):
                    wrong.append(f"{module.path}: {node.name}")
        self.assertEqual(wrong, [])

    def test_no_two_tests_have_one_name(self):
        # pytest imports them by their file's name alone.
        names = collections.Counter(
            path.name for path in SOURCES if path.name.endswith("_test.py")
        )
        self.assertEqual([n for n, count in names.items() if count > 1], [])

    def test_files_that_conftest_names_exist(self):
        text = (ROOT / "tests" / "conftest.py").read_text()
        names = re.findall(r'"([\w/]+_test\.py)"', text)
        self.assertNotEmpty(names)
        ours = [str(path) for path in SOURCES]
        wrong = [n for n in names if not any(o.endswith(n) for o in ours)]
        self.assertEqual(wrong, [])

    def test_one_helper_forks(self):
        # multiprocessing has one fork server a process: who starts it decides
        # what is imported in it, and its environment.
        helper = "tests/helpers/processes/forked_trainer.py"
        others = [
            module.path
            for module in MODULES.values()
            if module.path.startswith("tests/")
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Call)
            for argument in node.args
            if isinstance(argument, ast.Constant)
            and argument.value == "forkserver"
        ]
        self.assertEqual(others, [helper])

    def test_tests_can_be_run_as_scripts(self):
        wrong = [
            module.path
            for module in MODULES.values()
            if module.is_test
            and not re.search(
                r'\nif __name__ == "__main__":\n(    .*\n)*    .*main\(\)\n$',
                (ROOT / module.path).read_text(),
            )
        ]
        self.assertEqual(wrong, [])


class CellsTest(absltest.TestCase):
    def test_no_module_compares_a_cells_name(self):
        # The table of kinds with the flag's default, an argument's default,
        # and each kind's own module.
        allowed = {"kerasrnn.config", "kerasrnn.layers.step_rnn"}
        allowed |= {f"kerasrnn.layers.{cell}" for cell in CELLS}
        wrong = [
            f"{module.path}:{node.lineno}"
            for name, module in LIBRARY.items()
            if name not in allowed
            and module.path.startswith(("kerasrnn/", "export/", "serving/"))
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Constant) and node.value in CELLS
        ]
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    absltest.main()
