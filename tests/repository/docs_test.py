"""What the pages say: links that lead somewhere, flags that exist."""

import importlib
import re
import tomllib

from absl import flags
from absl.testing import absltest
from helpers.sources.repository import ROOT

PAGES = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "examples/README.md",
    *sorted(ROOT.glob("docs/*.md")),
]
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


class DocsTest(absltest.TestCase):
    def test_links_lead_somewhere(self):
        for page in PAGES:
            text = page.read_text()
            for target in re.findall(r"\]\(([^)#\s]*)#?[^)\s]*\)", text):
                if target and not re.match(r"[a-z]+:", target):
                    with self.subTest(f"{page.name}: {target}"):
                        self.assertTrue((page.parent / target).exists())

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
        for page in ROOT.glob("docs/*.md"):
            if page.name != "README.md":
                self.assertIn(f"({page.name})", index)


if __name__ == "__main__":
    absltest.main()
