"""Reading a notebook that may be damaged."""

from __future__ import annotations

from pathlib import Path

import nbformat

from firsthand.chapters import notebook_path
from firsthand.errors import UserError

LARGEST, CELLS = 20_000_000, 2_000  # bytes, cells


def shown(text: str, most: int = 120) -> str:
    """Words that a page, a table and a terminal can show: no control characters, no more than so many."""
    return "".join(c if c.isprintable() else "?" for c in text[:most].encode("utf-8", "replace").decode())


def read_notebook(file: Path) -> nbformat.NotebookNode:
    """A notebook that may be anything.

    Raises:
        UserError: it is too large, or no notebook.
    """
    if file.stat().st_size > LARGEST:
        raise UserError(f"{shown(file.name)} has more than {LARGEST // 1_000_000} MB.")
    try:
        book = nbformat.reads(file.read_text(encoding="utf-8"), as_version=4)
        nbformat.validate(book)
        cells = [(cell.cell_type, cell.source) for cell in book.cells]
    except Exception as error:  # a file that may be anything breaks a reader in many ways
        words = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{shown(file.name)} is no notebook: {words[:100]}.") from None
    if len(cells) > CELLS:
        raise UserError(f"{shown(file.name)} has more than {CELLS} cells.")
    return book


def chapter_notebook(key: str) -> nbformat.NotebookNode:
    """A chapter's own notebook.

    Raises:
        UserError: it is not beside this package, or damaged.
    """
    path = notebook_path(key)
    try:
        return read_notebook(path)
    except UserError as error:
        raise UserError(f"{error} `git checkout notebooks/{path.name}` brings the book's own back.") from None
