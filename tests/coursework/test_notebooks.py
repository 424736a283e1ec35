"""What Jupyter opens is read and gets its points, though it breaks the format's rules; what it does not is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from firsthand.coursework.answers import find_answers
from firsthand.errors import UserError
from firsthand.kit.page.notebooks import read_notebook

ANSWER = "number = 1 / 2\ncheck('toy', 2, number)"


def _code(**changes: Any) -> dict[str, Any]:
    cell = {
        "cell_type": "code", "execution_count": None, "id": "one", "outputs": [], "source": ANSWER,
        "metadata": {"firsthand": {"exercise": 2}}, **changes,
    }  # fmt: skip
    return {name: value for name, value in cell.items() if value is not ...}


def _text(**changes: Any) -> dict[str, Any]:
    cell = {"cell_type": "markdown", "id": "two", "source": ["# A\n", "B"], "metadata": {}, **changes}
    return {name: value for name, value in cell.items() if value is not ...}


def _book(*cells: dict[str, Any], **changes: Any) -> bytes:
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **changes}
    return json.dumps({name: value for name, value in book.items() if value is not ...}).encode()


STREAM = {"output_type": "stream", "text": ["a\n"]}
OPENED = {
    "as it should be": _book(_text(), _code()),
    "outputs and a count on a text, as VS Code writes them": _book(_text(outputs=[], execution_count=None), _code()),
    "ids in format 4.4": _book(_text(), _code(), nbformat_minor=4),
    "no ids in format 4.5": _book(_text(id=...), _code(id=...)),
    "the same id twice": _book(_text(id="one"), _code()),
    "an id that is too long": _book(_text(), _code(id="x" * 99)),
    "no minor number": _book(_text(), _code(), nbformat_minor=...),
    "a minor number to come": _book(_text(), _code(), nbformat_minor=9),
    "a stream without a name": _book(_text(), _code(outputs=[STREAM])),
    "an output without data": _book(_text(), _code(outputs=[{"output_type": "display_data"}])),
    "an output of a new kind": _book(_text(), _code(outputs=[{"output_type": "new", "text": "a"}])),
    "code without outputs": _book(_text(), _code(outputs=..., execution_count=...)),
    "a text without source": _book(_text(source=...), _code()),
    "further fields": _book(_text(new=1), _code(new=1), new=1),
    "a byte-order mark": b"\xef\xbb\xbf" + _book(_text(), _code()),
    "a source in lines": _book(_text(), _code(source=ANSWER.splitlines(keepends=True))),
}


@pytest.mark.parametrize("name", OPENED)
def test_what_jupyter_opens_is_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / "a.ipynb"
    file.write_bytes(OPENED[name])
    book = read_notebook(file)
    assert find_answers(book, "toy", {2: "number"})[2].cells == (ANSWER,)
    assert all(cell.outputs is not None for cell in book.cells if cell.cell_type == "code")


def test_an_old_format_is_read(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "language": "python", "outputs": [], "input": ANSWER.splitlines(keepends=True)}]
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}
    file = tmp_path / "a.ipynb"
    file.write_text(json.dumps(old), encoding="utf-8")
    assert find_answers(read_notebook(file), "toy", {2: "number"})[2].cells == (ANSWER,)


REFUSED = {
    "no JSON": b"no notebook", "a list": b"[]", "nothing": b"", "no cells": _book(cells=None),
    "cells that are numbers": _book(cells=[1]), "a source that is a number": _book(_code(source=1)),
    "a cell without a kind": _book(_code(cell_type=...)), "UTF-16": _book(_code()).decode().encode("utf-16"),
    "a format to come": _book(_code(), nbformat=7), "a deep one": b"[" * 100_000,
    "no metadata": _book(_code(), metadata=...), "a cell without metadata": _book(_code(metadata=...)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_jupyter_does_not_open_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    file = tmp_path / "a.ipynb"
    file.write_bytes(REFUSED[name])
    with pytest.raises(UserError, match=r"^a\.ipynb is no notebook: "):
        read_notebook(file)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.ipynb cannot be read: No such file"):
        read_notebook(tmp_path / "none.ipynb")
    with pytest.raises(UserError, match=r"cannot be read: Is a directory"):
        read_notebook(tmp_path)
