"""Runs the tutorial, as a notebook, and keeps examples/tutorial.ipynb in step.

    .venv-docs/bin/python scripts/tutorial.py [--update]

The source is examples/tutorial.py. The executed notebook goes to
build/tutorial.ipynb, from which scripts/site_pages.py makes the page. The
committed notebook is only replaced if its cells are not those of the source,
or with --update, so that a build leaves the checkout as it is.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "examples" / "tutorial.py"
NOTEBOOK = ROOT / "examples" / "tutorial.ipynb"
EXECUTED = ROOT / "build" / "tutorial.ipynb"
# Seconds that a cell may take.
PATIENCE = 900
# Lines that say how far a run is.
PROGRESS = re.compile(r"step [\d,]+ of |validation: +\d+%")


def main(update: bool) -> int:
    """Runs the cells; returns the exit status."""
    notebook = jupytext.read(SOURCE)
    notebook.metadata = {
        "kernelspec": {
            "name": "python3",
            "language": "python",
            "display_name": "Python 3",
        },
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    # The kernel finds the programs that are installed beside it.
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    print("Running the tutorial (about a minute).", flush=True)
    NotebookClient(
        notebook,
        # Not that it listens on loopback.
        extra_arguments=["--log-level=ERROR"],
        timeout=PATIENCE,
        resources={"metadata": {"path": str(SOURCE.parent)}},
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # When it ran.
        if cell.cell_type == "code":
            cell.outputs = list(_lasting(cell.outputs))
    nbformat.validate(notebook)
    EXECUTED.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, EXECUTED)
    if update or sources(NOTEBOOK) != sources(EXECUTED):
        NOTEBOOK.write_bytes(EXECUTED.read_bytes())
        print(f"Wrote {NOTEBOOK.relative_to(ROOT)}; commit it.")
    return 0


def _lasting(
    outputs: list[nbformat.NotebookNode],
) -> Iterator[nbformat.NotebookNode]:
    """Yields what a cell says, but not how fast this machine was.

    Notes on standard error name files of the machine, and progress depends on
    its speed. What is written bit by bit is joined.
    """
    written = []
    for output in outputs:
        data = output.get("data", {})
        if "image/png" in data:
            yield output
        elif output.get("name") != "stderr":
            written.append(output.get("text") or data["text/plain"])
    lines = "".join(written).splitlines(keepends=True)
    if text := "".join(line for line in lines if not PROGRESS.match(line)):
        yield nbformat.v4.new_output("stream", name="stdout", text=text)


def sources(path: Path) -> list[tuple[str, str]]:
    """Returns the kind and text of a notebook's cells; [] if it is missing."""
    if not path.exists():
        return []
    return [
        (cell.cell_type, cell.source)
        for cell in nbformat.read(path, nbformat.NO_CONVERT).cells
    ]


if __name__ == "__main__":
    sys.exit(main(update="--update" in sys.argv[1:]))
