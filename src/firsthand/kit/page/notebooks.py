"""Reading a notebook that may be damaged."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat import reader

from firsthand.chapters import notebook_path
from firsthand.errors import UserError

LARGEST, CELLS = 20_000_000, 2_000  # bytes, cells


def shown(text: str, most: int = 120) -> str:
    """Words that a page, a table and a terminal can show: no control characters, no more than so many."""
    return "".join(c if c.isprintable() else "?" for c in text[:most].encode("utf-8", "replace").decode())


def _opened(content: bytes) -> nbformat.NotebookNode:
    """A notebook as Jupyter opens it: Jupyter complains about what breaks the format's rules, and goes on."""
    book = nbformat.convert(reader.reads(content.decode("utf-8-sig")), 4)  # a byte-order mark is no text
    for cell in book.cells:
        if not isinstance(cell.setdefault("source", ""), str):
            raise ValueError("the source of a cell is no text")
        if cell.cell_type == "code":
            cell.outputs = cell.get("outputs", [])
            cell.setdefault("execution_count", None)
    return book


def read_notebook(file: Path) -> nbformat.NotebookNode:
    """A notebook that may be anything; what Jupyter opens is read, though it may not be valid.

    Raises:
        UserError: it cannot be read, is too large, or is no notebook.
    """
    try:
        size = file.stat().st_size
        content = file.read_bytes() if size <= LARGEST else b""
    except OSError as error:
        raise UserError(f"{shown(file.name)} cannot be read: {error.strerror or error}.") from None
    if size > LARGEST:
        raise UserError(f"{shown(file.name)} has more than {LARGEST // 1_000_000} MB.")
    try:
        book = _opened(content)
    except Exception as error:  # a file that may be anything breaks a reader in many ways
        words = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{shown(file.name)} is no notebook: {words[:100]}.") from None
    if len(book.cells) > CELLS:
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
