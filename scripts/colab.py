"""Copies of the notebooks for Colab, behind one cell that installs the package: python scripts/colab.py --help"""

from __future__ import annotations

import argparse
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
INSTALL = """\
# Installs the book's package; everything else is as in the book.
%pip install --quiet "firsthand @ git+{url}@{tag}"
"""


def copy(source: Path, target: Path, url: str, tag: str) -> None:
    """One notebook without outputs, behind the cell that installs."""
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    hidden = [c for c in notebook.cells if any(t.startswith("hidden-") for t in c.metadata.get("tags", []))]
    kept = [c for c in notebook.cells if c not in hidden]
    notebook.cells = [nbformat.v4.new_code_cell(INSTALL.format(url=url, tag=tag), id="install"), *kept]
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)


def main() -> None:
    """Copy all notebooks."""
    parser = argparse.ArgumentParser(description="Copies of the notebooks for Colab.")
    parser.add_argument("--url", required=True, help="of the repository")
    parser.add_argument("--tag", required=True, help="that is installed")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    arguments = parser.parse_args()
    for source in sorted((ROOT / "notebooks").glob("*.ipynb")):
        copy(source, arguments.to / source.name, arguments.url, arguments.tag)


if __name__ == "__main__":
    main()
