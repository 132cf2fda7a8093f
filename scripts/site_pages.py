"""Which files are pages of the documentation site, and what they must hold.

MkDocs calls the functions named `on_...` (`hooks` in mkdocs.yml). The site has
the layout of the checkout, so that the same relative links work in both.
"""

import base64
import json
import logging
import re
from pathlib import Path

import griffe
from latex2mathml import converter
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from kerasrnn.contract import signatures

ROOT = Path(__file__).resolve().parent.parent
# Pages, and the files that they link to.
FILES = ("*.md", "LICENSE", "docs/*.*", "docs/api/*.md", "examples/*.*")

# The tutorial as scripts/tutorial.py has run it, or as it was committed.
NOTEBOOKS = ("build/tutorial.ipynb", "examples/tutorial.ipynb")

# What API pages say to those who read their source.
NOTE = (
    "*Read this page on the site that `make docs` builds: there it has every "
    "docstring.*\n"
)

# Below MkDocs' own logger: with `strict`, a warning is a failure.
_log = logging.getLogger("mkdocs.hooks.site_pages")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Has fenced blocks of the kind "math" made into MathML."""
    config.mdx_configs["pymdownx.superfences"] = {
        "custom_fences": [{"name": "math", "class": "math", "format": equation}]
    }
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Returns the pages of the whole checkout, not of docs/ alone."""
    docs = Path(config.docs_dir)
    kept = [
        file
        for file in files
        if not Path(file.abs_src_path or "/").is_relative_to(docs)
    ]
    paths = sorted(
        path
        for pattern in FILES
        for path in ROOT.glob(pattern)
        if path.suffix != ".ipynb"  # Pages of their own, below.
    )
    pages = [
        File.generated(
            config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)
        )
        for path in paths
    ]
    tutorial = [
        File.generated(config, f"examples/{name}", content=content)
        for name, content in tutorial_files().items()
    ]
    return Files([*kept, *pages, *tutorial])


def on_page_markdown(
    text: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Returns a page with its tables; warns of missing docstrings."""
    del config, files
    text = text.replace(NOTE, "")
    text = text.replace("::: signatures\n", signature_tables())
    for name, options in re.findall(r"(?m)^::: (\S+)\n((?: {4}.*\n?)*)", text):
        for missing in undocumented(name, "members: false" not in options):
            _log.warning(f"{page.file.src_uri}: {missing} has no docstring.")
    return text


def undocumented(name: str, with_members: bool) -> list[str]:
    """Returns what has no docstring of an object and its public members.

    Args:
        name: Where the object is defined, such as "kerasrnn.config.Config".
        with_members: Whether to look at the members of a class.
    """
    found = _load(name)
    missing = [] if found.has_docstring else [name]
    if with_members and isinstance(found, griffe.Class):
        described = _attributes_described(found)
        missing += [
            f"{name}.{member.name}"
            for member in found.all_members.values()
            if not member.name.startswith("_")
            and not member.has_docstring
            and member.name not in described
        ]
    return missing


def signature_tables() -> str:
    """Returns the served contract as Markdown, from its one definition."""
    lines = []
    for signature in signatures.SIGNATURES.values():
        lines += [f"### {signature.name}", "", signature.doc, ""]
        lines += ["| input | dtype | default | meaning |", "|---|---|---|---|"]
        for entry in signature.inputs:
            default = "" if entry.default is None else f"`{entry.default!r}`"
            lines.append(
                f"| `{entry.name}` | {entry.dtype} | {default} | {entry.doc} |"
            )
        lines += ["", "| output | dtype | shape | meaning |"]
        lines += ["|---|---|---|---|"]
        for entry in signature.outputs:
            shape = ", ".join(map(str, entry.shape))
            lines.append(
                f"| `{entry.name}` | {entry.dtype} | [{shape}] | {entry.doc} |"
            )
        lines.append("")
    return "\n".join(lines)


def tutorial_files() -> dict[str, str | bytes]:
    """Returns the tutorial's page, pictures and notebook, by name."""
    notebook = next(
        path.read_text()
        for path in map(ROOT.joinpath, NOTEBOOKS)
        if path.exists()
    )
    files: dict[str, str | bytes] = {"tutorial.ipynb": notebook}
    lines = []
    for cell in json.loads(notebook)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            lines += [source, ""]
            continue
        lines += ["```python", source, "```", ""]
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"tutorial_{len(files)}.png"
                files[name] = base64.b64decode("".join(data["image/png"]))
                lines += [f"![Output of the cell above]({name})", ""]
            else:
                text = output.get("text") or data["text/plain"]
                lines += ["```text", "".join(text).rstrip(), "```", ""]
    files["tutorial.md"] = "\n".join(lines)
    return files


def equation(source: str, *_, **__) -> str:
    """Returns a fenced block of LaTeX as MathML, which needs no script."""
    return converter.convert(source, display="block")


def _load(name: str) -> griffe.Object:
    package = name.partition(".")[0]
    if package not in _loader.modules_collection:
        _loader.load(package)
    found = _loader.modules_collection[name]
    return found.final_target if found.is_alias else found


def _attributes_described(found: griffe.Class) -> set[str]:
    """Returns the attributes in the docstrings of a class and its bases."""
    return {
        attribute.name
        for described in (found, *found.mro())
        if described.docstring
        for section in described.docstring.parse("google")
        if section.kind is griffe.DocstringSectionKind.attributes
        for attribute in section.value
    }


_loader = griffe.GriffeLoader(
    search_paths=[ROOT, ROOT / "export", ROOT / "serving"]
)
