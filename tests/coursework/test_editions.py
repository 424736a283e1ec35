"""Editions: what a student must not see, what an instructor needs, and solutions that pass their hidden tests."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest

from firsthand.chapters import chapters
from firsthand.coursework import editions
from firsthand.coursework.grading import Edition
from firsthand.coursework.worker import Cells
from firsthand.errors import UserError
from firsthand.kit.page.exercises import exercises_of

KEYS = list(chapters())
SEEDS = (1, 20_000, 2_000_000_000)


def _code(book: nbformat.NotebookNode) -> str:
    return "\n".join(cell.source for cell in book.cells)


@pytest.mark.parametrize("key", KEYS)
def test_students_see_neither_answers_nor_hidden_tests(key: str) -> None:
    student = editions.student_edition(key)
    text = _code(student)
    page = [
        line
        for cell in editions.chapter_notebook(key).cells
        if not any(tag.startswith(("solution", "hidden")) for tag in editions.tags(cell))
        for line in cell.source.splitlines()
    ]
    for task in editions.tasks(key):
        assert task.stub in text
        own = [line for line in task.solution.splitlines() if line not in page and len(line.strip()) > 8]
        assert not [line for line in own if line in text.splitlines()], f"lines of solution {task.number}"
        assert f"hidden_{task.number}" not in text
    assert "Solution" not in text
    assert all(not cell.get("outputs") for cell in student.cells)


@pytest.mark.parametrize("key", KEYS)
def test_instructors_get_points_for_every_exercise(key: str, tmp_path: Path) -> None:
    file = tmp_path / f"{chapters()[key].stem}.ipynb"
    nbformat.write(editions.instructor_edition(key), file)
    edition = Edition.read(file)
    assert {test.number: test.points for test in edition.tests} == {
        number: exercise.points for number, exercise in exercises_of(key).items()
    }
    first = {
        cell.metadata["nbgrader"]["grade_id"] for cell in nbformat.read(file, 4).cells if "nbgrader" in cell.metadata
    }
    assert len(first) == 2 * len(edition.tests)


@pytest.mark.parametrize("key", KEYS)
def test_solutions_pass_hidden_tests_that_draw_their_own_data_and_stubs_do_not(key: str) -> None:
    """With nothing but the set-up cell and the exercise cells, as the grader runs them."""
    book = editions.chapter_notebook(key)
    solved, empty = Cells(), Cells()
    for cells in (solved, empty):
        cells.run(editions.setup_of(book), "set-up")
        cells.names["check"] = lambda *_: None
    for task in editions.tasks(key, book):
        solved.run(task.solution, f"solution {task.number}")
        for seed in SEEDS:
            solved.run(editions.seeded(task, seed), f"hidden test {task.number}, seed {seed}")
        empty.run(task.stub, f"stub {task.number}")
        with pytest.raises(Exception):  # noqa: B017, PT011
            empty.run(editions.seeded(task, SEEDS[0]), f"hidden test {task.number}")


@pytest.mark.parametrize("key", KEYS)
def test_a_drawn_seed_is_not_the_notebooks(key: str) -> None:
    one, other = (_code(editions.instructor_edition(key)) for _ in range(2))
    assert one != other
    assert re.findall(r"^hidden_1\(.*seed=(\d+)\)$", one, re.M) != ["0"]


def test_both_editions_are_written(tmp_path: Path) -> None:
    written = editions.build(["hcvi"], tmp_path)
    assert [str(file.relative_to(tmp_path)) for file in written] == [
        "student/01_hcvi.ipynb",
        "instructor/01_hcvi/01_hcvi.ipynb",
    ]
    for file in written:
        nbformat.validate(json.loads(file.read_text(encoding="utf-8")))


def test_a_missing_cell_is_named() -> None:
    book = editions.chapter_notebook("hcvi")
    book.cells = [cell for cell in book.cells if "hidden-2" not in editions.tags(cell)]
    with pytest.raises(UserError, match="exactly one cell tagged hidden-2; there are 0"):
        editions.tasks("hcvi", book)
