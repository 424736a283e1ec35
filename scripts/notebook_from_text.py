"""Write a notebook from a text draft: python scripts/notebook_from_text.py drafts/NN_key.txt notebooks/NN_key.ipynb

A draft is easier to read, compare and edit than JSON. Cells begin with a line `%%md` or `%%code [tags] {figure}`,
where figure is JSON with "alt", "cap" and perhaps "name". Run `ruff format notebooks` and scripts/execute.py after it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import nbformat

HEAD = re.compile(r"\s*(?:\[([^\]]*)\])?\s*(\{.*\})?\s*")
FOLDED = {"code_prompt_hide": "Hide the solution", "code_prompt_show": "Show the solution"}


def code_cell(head: str, body: str) -> nbformat.NotebookNode:
    """A code cell with the tags and the figure's metadata of its head line."""
    found = HEAD.fullmatch(head)
    if found is None:
        raise SystemExit(f"This line is no head of a cell: %%code{head}")
    cell = nbformat.v4.new_code_cell(body)
    tags = [tag.strip() for tag in (found[1] or "").split(",") if tag.strip()]
    if tags:
        cell.metadata["tags"] = tags
    if any(tag.startswith("solution-") for tag in tags):
        cell.metadata["mystnb"] = FOLDED
    if found[2]:
        figure = json.loads(found[2])
        name = {"name": figure["name"]} if "name" in figure else {}
        cell.metadata["mystnb"] = {"image": {"alt": figure["alt"]}, "figure": {"caption": figure["cap"], **name}}
    return cell


def main(draft: Path, notebook: Path) -> None:
    """Turn a draft into a notebook without outputs."""
    parts = re.split(r"^%%(md|code)(.*)$", draft.read_text(encoding="utf-8"), flags=re.M)[1:]
    book = nbformat.v4.new_notebook()
    for kind, head, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        text = body.strip("\n")
        book.cells.append(nbformat.v4.new_markdown_cell(text) if kind == "md" else code_cell(head, text))
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number:03d}"
    nbformat.write(book, notebook)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
