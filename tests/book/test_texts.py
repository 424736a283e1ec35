"""A notebook and its text hold the same cells, tags and metadata; only outputs are in the notebook alone."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.publishing.test_publishing import load

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
pairs = load("scripts/notebook_text.py")


def inputs(notebook: nbformat.NotebookNode) -> list[tuple[str, str, dict]]:
    return [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]


def small() -> nbformat.NotebookNode:
    cells = [
        nbformat.v4.new_markdown_cell("# A title"),
        nbformat.v4.new_code_cell(
            "x = 1\nx", metadata={"tags": ["remove-input"], "mystnb": {"image": {"alt": "none"}}},
            execution_count=1, outputs=[nbformat.v4.new_output("execute_result", {"text/plain": "1"})],
        ),
        nbformat.v4.new_code_cell("y = 2", outputs=[nbformat.v4.new_output("stream", name="stdout", text="2")]),
    ]  # fmt: skip
    return nbformat.v4.new_notebook(cells=cells, metadata=pairs.METADATA)


def test_every_notebook_has_its_text_and_the_other_way_round():
    assert {p.stem for p in NOTEBOOKS.glob("*.ipynb")} == {p.stem for p in (NOTEBOOKS / "text").glob("*.md")}


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_they_differ_in_outputs_only(path):
    notebook, text = nbformat.read(path, as_version=4), NOTEBOOKS / "text" / f"{path.stem}.md"
    stored = text.read_text(encoding="utf-8")
    assert pairs.to_text(notebook) == stored, "run make text, or make notebooks, whichever side was changed last"
    assert inputs(pairs.to_notebook(stored)) == inputs(notebook)


def test_outputs_stay_with_cells_that_have_not_changed():
    notebook = small()
    changed = pairs.to_text(notebook).replace("y = 2", "y = 3")
    found = pairs.to_notebook(changed, notebook)
    assert [cell.source for cell in found.cells] == ["# A title", "x = 1\nx", "y = 3"]
    assert found.cells[1].outputs == notebook.cells[1].outputs
    assert found.cells[1].metadata == notebook.cells[1].metadata
    assert found.cells[2].outputs == []
    assert pairs.to_text(found) == changed


@pytest.mark.parametrize(("old", "new"), [("x = 1", "x = 2"), ("none", "a line"), ("remove-input", "hide-input")])
def test_a_difference_in_code_metadata_or_tags_is_seen(old, new):
    text = pairs.to_text(small())
    assert old in text
    assert inputs(pairs.to_notebook(text.replace(old, new))) != inputs(small())
