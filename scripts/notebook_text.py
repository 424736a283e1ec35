"""Keep notebooks and their text alike: python scripts/notebook_text.py text|notebooks [01_hcvi …]

`notebooks/text/NN_key.md` (MyST, by jupytext) holds the same cells, tags and metadata as `notebooks/NN_key.ipynb`,
without outputs: it is what one edits, compares and reviews. `text` writes it from the notebook, `notebooks` the other
way; cells whose source has not changed keep their outputs, then scripts/execute.py makes the others'.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import jupytext
import nbformat

from firsthand.kit.files import write_atomically

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
}
VERSION = re.compile(r"^ *jupytext_version: .*\n", re.M)  # changes with the library, and says nothing


def to_text(notebook: nbformat.NotebookNode) -> str:
    """A notebook's cells as MyST Markdown, without outputs."""
    return VERSION.sub("", jupytext.writes(notebook, fmt="md:myst"))


def to_notebook(text: str, before: nbformat.NotebookNode | None = None) -> nbformat.NotebookNode:
    """The notebook of a text, with the outputs that `before` has of the same code."""
    notebook = jupytext.reads(text, fmt="md:myst")
    notebook.metadata = METADATA
    ran: dict[str, list[nbformat.NotebookNode]] = {}
    for cell in before.cells if before is not None else ():
        ran.setdefault(cell.source, []).append(cell)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
        if cell.cell_type == "code" and ran.get(cell.source):
            same = ran[cell.source].pop(0)
            cell.outputs, cell.execution_count = same.outputs, same.execution_count
    return notebook


def main(kind: str, stems: list[str]) -> None:
    """Write texts of notebooks or notebooks of texts; those that are alike already are left alone."""
    sources = NOTEBOOKS.glob("*.ipynb") if kind == "text" else (NOTEBOOKS / "text").glob("*.md")
    for stem in stems or sorted(path.stem for path in sources):
        path, text = NOTEBOOKS / f"{stem}.ipynb", NOTEBOOKS / "text" / f"{stem}.md"
        before = nbformat.read(path, as_version=4) if path.is_file() else None
        if kind == "text" and before is not None:
            text.parent.mkdir(exist_ok=True)
            write_atomically(text, to_text(before))
            continue
        source = text.read_text(encoding="utf-8")
        if before is None or to_text(before) != source:
            write_atomically(path, nbformat.writes(to_notebook(source, before)) + "\n")
            print(f"{path.name}: written; cells that changed have no outputs yet")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("text", "notebooks"):
        sys.exit(__doc__)
    main(sys.argv[1], [Path(word).stem for word in sys.argv[2:]])
