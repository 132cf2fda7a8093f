"""What the pages say: links that lead somewhere, flags and names that exist."""

import ast
import importlib
import json
import re
import tomllib

import kerasrnn_serving.client
from absl import flags
from absl.testing import absltest
from helpers.sources.repository import ROOT

import kerasrnn
from kerasrnn.contract import signatures

PAGES = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "examples/README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("docs/api/*.md")),
]
TUTORIAL = ROOT / "examples" / "tutorial.py"
# Signature -> the inputs that its section of docs/contract.md lists.
_SIGNATURES = (
    ("generate", signatures.GENERATE.inputs),
    ("score", signatures.SCORE.inputs),
    ("inspect", ()),
)
PROGRAMS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
    "scripts"
]


def program_flags(name):
    """Returns the names of the flags that a program defines."""
    module = importlib.import_module(PROGRAMS[name].removesuffix(":run"))
    values = flags.FlagValues()
    module.define_flags(values)
    booleans = [n for n in values if values[n].boolean]
    of_all = ("help", "helpfull", "version", "flagfile")
    return {*values, *(f"no{n}" for n in booleans), *of_all}


def _anchor(heading):
    """Returns the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class DocsTest(absltest.TestCase):
    def test_links_lead_somewhere(self):
        for page in PAGES:
            text = page.read_text()
            for target in re.findall(r"\]\(([^)#\s]*)#?[^)\s]*\)", text):
                if target and not re.match(r"[a-z]+:", target):
                    with self.subTest(f"{page.name}: {target}"):
                        self.assertTrue((page.parent / target).exists())

    def test_anchors_lead_to_a_heading_wherever_the_page_is_read(self):
        for page in PAGES:
            for target, anchor in re.findall(
                r"\]\(([^)#:\s]*)#([^)\s]+)\)", page.read_text()
            ):
                headings = re.findall(
                    r"(?m)^#+ (.*)$",
                    (page.parent / target if target else page).read_text(),
                )
                with self.subTest(f"{page.name}: {target}#{anchor}"):
                    self.assertIn(anchor, map(_anchor, headings))
                    # GitHub keeps each space as a hyphen, the site does not.
                    self.assertNotIn("--", anchor)

    def test_files_that_are_named_exist(self):
        for page in PAGES:
            if page.name == "CHANGELOG.md":
                continue  # It names files as they were.
            for path in re.findall(
                r"\b(?:kerasrnn|export|serving|tests|benchmarks|scripts|examples)"
                r"(?:/\w+)+(?:\.\w+|/)",
                page.read_text(),
            ):
                with self.subTest(f"{page.name}: {path}"):
                    self.assertTrue((ROOT / path).exists() or "NAME" in path)

    def test_flags_exist(self):
        known = {name: program_flags(name) for name in PROGRAMS}
        seen = set()
        for page in PAGES:
            text = re.sub(r"\\\n\s*", " ", page.read_text())
            for name, rest in re.findall(
                r"\b(kerasrnn-[a-z]+)((?: +[^\s`|;#&]+)*)", text
            ):
                # What follows a lone -- belongs to another server.
                for flag in re.findall(r" --(\w+)", rest.partition(" -- ")[0]):
                    seen.add((name, flag))
                    with self.subTest(f"{page.name}: {name} --{flag}"):
                        self.assertIn(flag, known[name])
        self.assertIn(("kerasrnn-train", "data"), seen)

    def test_make_targets_exist(self):
        makefile = (ROOT / "Makefile").read_text()
        targets = set(re.findall(r"(?m)^([a-z-]+):", makefile))
        for page in PAGES:
            for target in re.findall(
                r"(?m)(?:^ +|`)make ([a-z-]+)", page.read_text()
            ):
                with self.subTest(f"{page.name}: make {target}"):
                    self.assertIn(target, targets)

    def test_index_names_every_page(self):
        index = (ROOT / "docs" / "README.md").read_text()
        for page in ROOT.glob("docs/**/*.md"):
            if page.name != "README.md":
                name = page.relative_to(ROOT / "docs").as_posix()
                self.assertIn(f"({name})", index)

    def test_the_site_has_every_page(self):
        configuration = (ROOT / "mkdocs.yml").read_text()
        for page in PAGES:
            self.assertIn(f" {page.relative_to(ROOT)}\n", configuration)

    def test_what_pages_import_exists(self):
        blocks = [TUTORIAL.read_text()]
        for page in PAGES:
            blocks += re.findall(
                r"```python\n(.*?)```", page.read_text(), re.DOTALL
            )
        names = {
            (node.module, alias.name)
            for block in blocks
            for node in ast.walk(ast.parse(block))
            if isinstance(node, ast.ImportFrom)
            and node.module.startswith("kerasrnn")
            for alias in node.names
        }
        self.assertGreater(len(names), 5)
        for module, name in sorted(names):
            with self.subTest(f"{module}.{name}"):
                self.assertTrue(hasattr(importlib.import_module(module), name))


class ReferenceTest(absltest.TestCase):
    def test_every_public_name_has_its_place(self):
        layers = {*_layers_exports()}
        for page, names in (
            ("kerasrnn", {*kerasrnn.__all__} - layers - {"__version__"}),
            ("layers", layers),
            ("client", {*kerasrnn_serving.client.__all__}),
        ):
            text = (ROOT / "docs" / "api" / f"{page}.md").read_text()
            found = re.findall(r"(?m)^::: \S+\.(\w+)$", text)
            with self.subTest(page):
                self.assertContainsSubset(names, found)
                self.assertLen(found, len(set(found)))

    def test_the_contract_s_tables_are_the_signatures(self):
        text = (ROOT / "docs" / "contract.md").read_text()
        for name, inputs in _SIGNATURES:
            section = re.search(rf"(?ms)^## `{name}`\n(.*?)^## ", text)[1]
            rows = re.findall(
                r"(?m)^\| `(\w+)` \| (\w+) \|\s*(.*?)\s*\|", section
            )
            outputs = signatures.SIGNATURES[name].outputs
            with self.subTest(name):
                self.assertEqual(
                    [row[:2] for row in rows],
                    [(e.name, e.dtype) for e in (*inputs, *outputs)],
                )
                for (*_, default), entry in zip(rows, inputs, strict=False):
                    self.assertEqual(default.strip('"'), _shown(entry.default))

    def test_the_places_are_those_that_the_package_names(self):
        text = (ROOT / "docs" / "api" / "kerasrnn.md").read_text()
        for name, module in kerasrnn._MODULES.items():
            if module != "kerasrnn.layers":
                self.assertIn(f"\n::: {module}.{name}\n", text)


class TutorialTest(absltest.TestCase):
    def test_the_notebook_is_the_source(self):
        cells = json.loads(TUTORIAL.with_suffix(".ipynb").read_text())["cells"]
        self.assertEqual(
            [(cell["cell_type"], "".join(cell["source"])) for cell in cells],
            list(_percent_cells(TUTORIAL.read_text())),
        )

    def test_the_notebook_has_run(self):
        cells = json.loads(TUTORIAL.with_suffix(".ipynb").read_text())["cells"]
        outputs = [o for cell in cells for o in cell.get("outputs", ())]
        self.assertNotIn("error", {o["output_type"] for o in outputs})
        self.assertGreater(
            sum("image/png" in o.get("data", {}) for o in outputs), 2
        )


def _percent_cells(text):
    """Yields the kind and text of each cell of a file in percent format."""
    for cell in re.split(r"(?m)^# %%", text)[1:]:
        kind, _, source = cell.partition("\n")
        source = source.rstrip("\n")
        if kind.strip() == "[markdown]":
            yield "markdown", re.sub(r"(?m)^# ?", "", source)
        else:
            yield "code", source


def _layers_exports():
    (names,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(
            (ROOT / "kerasrnn" / "layers" / "__init__.py").read_text()
        ).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    ]
    return names


def _shown(default):
    if isinstance(default, float):
        return f"{default:g}"
    return "" if default is None else str(default)


if __name__ == "__main__":
    absltest.main()
