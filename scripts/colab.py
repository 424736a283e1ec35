"""Copies of the notebooks for Colab, behind one cell that installs the package: python scripts/colab.py --help

`--pins FREEZE` prints instead, from Colab's own list of what it has (github.com/googlecolab/backend-info,
pip-freeze.txt), the versions of what this package needs: an environment of these is as near to Colab as pip comes.
"""

from __future__ import annotations

import argparse
import re
import tomllib
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


def pins(freeze: str) -> list[str]:
    """What pip would be told to have this package's dependencies, and the kernel, as in a list by `pip freeze`.

    Wheels named by address, and builds for one accelerator, are named by their version alone.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {_plain(re.split(r"[<>=~!\[; ]", line)[0]) for line in project["dependencies"]} | {"ipykernel", "ipython"}
    found = []
    for line in freeze.splitlines():
        match = re.match(r"([\w.-]+)==([\w.]+)", line) or re.match(r"([\w.-]+) @ \S+/[^/-]+-([\w.]+)\S*\.whl", line)
        if match and _plain(match[1]) in needed:
            found.append(f"{match[1]}=={match[2]}")
    return found


def _plain(name: str) -> str:
    """A distribution's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Copy all notebooks, or print pins."""
    parser = argparse.ArgumentParser(description="Copies of the notebooks for Colab.")
    parser.add_argument("--url", help="of the repository")
    parser.add_argument("--tag", help="that is installed")
    parser.add_argument("--to", type=Path, metavar="FOLDER")
    parser.add_argument("--pins", type=Path, metavar="FREEZE", help="print versions instead")
    arguments = parser.parse_args()
    if arguments.pins is not None:
        print("\n".join(pins(arguments.pins.read_text(encoding="utf-8"))))
        return
    if None in (arguments.url, arguments.tag, arguments.to):
        parser.error("--url, --tag and --to are needed to copy")
    for source in sorted((ROOT / "notebooks").glob("*.ipynb")):
        copy(source, arguments.to / source.name, arguments.url, arguments.tag)


if __name__ == "__main__":
    main()
