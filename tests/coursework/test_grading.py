"""Marks: for perfect, empty, half right, crashing, endless and cheating submissions; and runs that are killed."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from firsthand.coursework import grading, sandbox
from firsthand.coursework.grading import Edition, HiddenTest, grade
from firsthand.coursework.sandbox import Limits
from firsthand.errors import UserError
from tests.coursework.test_sandbox import needs_sandbox

pytestmark = needs_sandbox
DOUBLE = """
def hidden_1(answer, seed=0):
    assert answer(seed) == 2 * seed, "not twice"

hidden_1(double, seed=21)
"""
HALF = """
def hidden_2(answer, seed=0):
    assert abs(answer - 0.5) < 1e-9, "not a half"

hidden_2(number, seed=3)
"""
TURN = """
def hidden_3(answer, seed=0):
    m = np.random.default_rng(seed).normal(size=(3, 2))
    assert np.allclose(answer(m), m.T), "not turned"

hidden_3(turn, seed=5)
"""
TESTS = (
    HiddenTest(1, "Double", 2, "double", DOUBLE),
    HiddenTest(2, "A number", 1, "number", HALF),
    HiddenTest(3, "A matrix", 3, "turn", TURN),
)
EDITION = Edition("toy", "99_toy", "import numpy as np", TESTS)
RIGHT = {1: "def double(x):\n    return 2 * x", 2: "number = 1 / 2", 3: "def turn(m):\n    return m.T"}


def _notebook(cells: dict[int, str], marked: bool = True) -> nbformat.NotebookNode:
    book = nbformat.v4.new_notebook()
    for number, source in cells.items():
        cell = nbformat.v4.new_code_cell(source if marked else f"{source}\ncheck('toy', {number}, 0)")
        if marked:
            cell.metadata["firsthand"] = {"chapter": "toy", "exercise": number}
        book.cells.append(cell)
    return book


def _points(cells: dict[int, str], seconds: float = 30, **options: bool) -> list[float]:
    return [mark.points for mark in grading.grade_one(_notebook(cells, **options), EDITION, Limits(seconds=seconds))]


def test_right_answers_get_all_points() -> None:
    assert _points(RIGHT) == [2, 1, 3]
    assert _points(RIGHT, marked=False) == [2, 1, 3]


def test_an_empty_submission_gets_none() -> None:
    assert _points({}) == [0, 0, 0]
    assert _points({1: "double = ...", 2: "number = ...", 3: "def turn(m): ..."}) == [0, 0, 0]


@pytest.mark.slow
def test_wrong_and_crashing_answers_lose_their_own_points_only() -> None:
    assert _points({**RIGHT, 1: "def double(x):\n    return x"}) == [0, 1, 3]
    assert _points({**RIGHT, 2: "number = 1 / 0"}) == [2, 0, 3]
    assert _points({**RIGHT, 2: "this is no Python"}) == [2, 0, 3]
    assert _points({**RIGHT, 1: "import os\nos._exit(1)"}) == [0, 1, 3]


@pytest.mark.slow
def test_an_endless_loop_loses_its_own_points_only() -> None:
    marks = grading.grade_one(_notebook({**RIGHT, 3: "while True: pass"}), EDITION, Limits(seconds=5))
    assert [mark.points for mark in marks] == [2, 1, 0]
    assert marks[2].message == "Out of time: more than 5 seconds of processor time."


def test_after_an_endless_loop_the_rest_is_told_that_there_was_no_time() -> None:
    marks = grading.grade_one(_notebook({**RIGHT, 1: "while True: pass"}), EDITION, Limits(seconds=1))
    assert [mark.points for mark in marks] == [0, 0, 0]
    assert [mark.message for mark in marks[1:]] == [grading.NOT_REACHED, grading.NOT_REACHED]


SPIN = "import time\nbegin = time.process_time()\nwhile time.process_time() - begin < {}:\n    pass\n"


@pytest.mark.slow
def test_neither_set_up_nor_cells_that_are_run_again_are_charged() -> None:
    """Set-up takes more than the limit, and so does exercise 1 twice, since exercise 2 kills its process."""
    edition = replace(EDITION, setup=f"import numpy as np\n{SPIN.format(5)}")
    answers = {1: f"{SPIN.format(2.5)}{RIGHT[1]}", 2: "import os\nos._exit(1)", 3: RIGHT[3]}
    marks = grading.grade_one(_notebook(answers), edition, Limits(seconds=4))
    assert [mark.points for mark in marks] == [2, 0, 3]


ALL = """
class All:
    __eq__ = lambda s, o: True
    __sub__ = __rsub__ = lambda s, o: 0
    __abs__ = lambda s: 0
number = All()
"""
SEARCH = """
import gc, sys
found = [o for o in gc.get_objects() if "hidden_2" in str(type(o))]
number = len(found) + len(sys._current_frames())
"""
CHEATS = {
    "equal to everything": ALL,
    "a patched builtin": "import builtins\nbuiltins.abs = lambda x: 0\nnumber = 7.0",
    "looking for the test": SEARCH,
    "a nan": "number = float('nan')",
    "its own marks": "open('/scratch/marks.csv', 'w').write('1,1,1')\nnumber = 3.0",
}


@pytest.mark.parametrize("name", CHEATS)
def test_cheating_is_not_paid(name: str) -> None:
    assert _points({2: CHEATS[name]})[1] == 0


# ------------------------------------------------------------------------------------------------ folders


@pytest.fixture
def course(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of four submissions, and one with the edition."""
    edition = nbformat.v4.new_notebook()
    for test in TESTS:
        cell = nbformat.v4.new_code_cell(test.code)
        cell.metadata["firsthand"] = {
            "chapter": "toy",
            "hidden": test.number,
            "title": test.title,
            "variable": test.variable,
        }
        cell.metadata["nbgrader"] = {"points": test.points}
        edition.cells.append(cell)
    edition.metadata["firsthand"] = {"chapter": "toy", "setup": EDITION.setup}
    (tmp_path / "instructor" / "99_toy").mkdir(parents=True)
    nbformat.write(edition, tmp_path / "instructor" / "99_toy" / "99_toy.ipynb")
    folder = tmp_path / "submissions"
    (folder / "ada").mkdir(parents=True)
    nbformat.write(_notebook(RIGHT), folder / "ada" / "99_toy.ipynb")
    nbformat.write(_notebook({2: RIGHT[2]}), folder / "bob__99_toy.ipynb")
    (folder / "cyd__99_toy.ipynb").write_text("no notebook", encoding="utf-8")
    nbformat.write(_notebook({}), folder / "=2+3__99_toy.ipynb")
    (folder / "dan__99_toy.ipynb").symlink_to(folder / "ada" / "99_toy.ipynb")
    return folder, tmp_path / "instructor"


def _table(folder: Path) -> dict[str, str]:
    with (folder / "marks.csv").open(encoding="utf-8") as lines:
        return {row["student"]: row["points"] for row in csv.DictReader(lines)}


@pytest.mark.slow
def test_a_folder_becomes_a_table_and_pages(course: tuple[Path, Path]) -> None:
    reports = grade(*course)
    assert _table(course[0]) == {"ada": "6", "bob": "1", "cyd": "0", "'=2+3": "0"}
    assert all(
        "is no notebook" in mark.message for report in reports if report.student == "cyd" for mark in report.marks
    )
    page = (course[0] / "feedback" / "bob__99_toy.html").read_text(encoding="utf-8")
    assert "1 of 6 points" in page


@pytest.mark.slow
def test_a_killed_run_goes_on_and_doubles_nothing(course: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, edition = course
    calls: list[str] = []
    real = grading.grade_one

    def killed(book, *rest, **options):
        calls.append("graded")
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(book, *rest, **options)

    monkeypatch.setattr(grading, "grade_one", killed)
    with pytest.raises(KeyboardInterrupt):
        grade(folder, edition, workers=1)
    kept = len(list((folder / ".marks").glob("*.json")))
    assert kept >= 1
    monkeypatch.setattr(grading, "grade_one", real)
    grade(folder, edition, workers=1)
    assert _table(folder) == {"ada": "6", "bob": "1", "cyd": "0", "'=2+3": "0"}


@pytest.mark.slow
def test_what_is_graded_is_kept_until_it_changes(course: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, edition = course
    grade(folder, edition)
    monkeypatch.setattr(grading, "grade_one", lambda *_, **__: pytest.fail("graded again"))
    grade(folder, edition)
    monkeypatch.undo()
    nbformat.write(_notebook(RIGHT), folder / "bob__99_toy.ipynb")
    damaged = next((folder / ".marks").glob("*.json"))
    damaged.write_text("{", encoding="utf-8")
    grade(folder, edition)
    assert _table(folder)["bob"] == "6"


@pytest.mark.slow
def test_marks_do_not_leave_the_folder(course: tuple[Path, Path]) -> None:
    folder, edition = course
    before = {file.relative_to(folder.parent) for file in folder.parent.rglob("*")}
    grade(folder, edition)
    after = {file.relative_to(folder.parent) for file in folder.parent.rglob("*")}
    assert all(path.parts[0] == "submissions" for path in after - before)
    assert json.loads(next((folder / ".marks").glob("*.json")).read_text(encoding="utf-8"))["marks"]


def test_no_edition_and_no_submission_are_said(tmp_path: Path) -> None:
    (tmp_path / "instructor").mkdir()
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="No edition"):
        grade(tmp_path / "none", tmp_path / "instructor")


# ------------------------------------------------------------------------------------------ what went wrong once


def test_the_marked_cell_counts_and_a_scratch_cell_does_not() -> None:
    book = _notebook({1: RIGHT[1]})
    book.cells.append(nbformat.v4.new_code_cell("check('toy', 1, triple)"))
    assert grading.grade_one(book, EDITION, Limits(seconds=30))[0].points == 2


@pytest.mark.slow
def test_magics_display_and_the_value_of_check_do_no_harm() -> None:
    answer = "%matplotlib inline\n" + RIGHT[1] + "\ndisplay(double(2))\nassert check('toy', 1, double).passed"
    assert _points({1: answer})[0] == 2
    assert _points({1: RIGHT[1], 2: "!ls\nnumber = (10\n % 4) / 4"})[1] == 1


@pytest.mark.slow
def test_after_a_killed_process_earlier_answers_are_there_again() -> None:
    answers = {
        1: "def double(x):\n    return 2 * x\nhelper = 1",
        2: "import os\nos._exit(1)",
        3: "def turn(m):\n    return helper * m.T",
    }
    assert _points(answers) == [2, 0, 3]


def test_points_that_were_earned_stay_when_a_sandbox_cannot_start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    real = grading.Sandbox

    def second_fails(limits: Limits, **options: object):
        made = real(limits, **options)
        monkeypatch.setattr(sandbox, "SET_UP", 0.0 if made_before else sandbox.SET_UP)
        made_before.append(made)
        return made

    made_before: list[grading.Sandbox] = []
    monkeypatch.setattr(grading, "Sandbox", second_fails)
    marks = grading.grade_one(_notebook({**RIGHT, 2: "import os\nos._exit(1)"}), EDITION, Limits(seconds=30))
    assert [mark.points for mark in marks] == [2, 0, 0]
    assert marks[2].message == grading.NOT_STARTED


@pytest.mark.slow
def test_a_sandbox_that_cannot_be_set_up_makes_no_mark(
    course: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, edition = course
    said: list[str] = []
    monkeypatch.setattr(sandbox, "SET_UP", 0.0)
    assert all(r.student == "cyd" for r in grade(folder, edition, note=said.append))
    assert any("run again" in line for line in said)
    monkeypatch.undo()
    grade(folder, edition, note=said.append)
    assert _table(folder)["ada"] == "6"


HANG = """
import os, time
for n in range(3, 12):
    try:
        os.write(n, b'{"done": true}\\n{"kind": "missing"}\\n')
    except OSError:
        pass
time.sleep(100_000)
"""


@pytest.mark.slow
def test_a_submission_that_never_reads_cannot_hold_the_grader() -> None:
    answers = {1: HANG, 2: "number = 0.5  " + "#" * 90_000, 3: RIGHT[3]}
    marks = grading.grade_one(_notebook(answers), EDITION, Limits(seconds=2, patience=2))
    assert marks[0].points == 0


@pytest.mark.parametrize(
    "value",
    [
        '{"t": "array", "dtype": "<f8", "shape": [1e999], "data": ""}',
        '{"t": "array", "dtype": "(1,2", "shape": [1], "data": ""}',
    ],
)
def test_forged_values_are_errors_of_the_wire(value: str) -> None:
    content = json.loads(value)
    with pytest.raises(grading.WireError):
        grading.unpack(content)


ODD = {
    "cells are numbers": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [1]}',
    "no cells": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": null}',
    "a list of formats": '{"nbformat": [4], "nbformat_minor": 5, "metadata": {}, "cells": []}',
    "no minor": '{"nbformat": 4, "nbformat_minor": null, "metadata": {}, "cells": []}',
    "empty": "",
}


@pytest.mark.slow
def test_odd_files_cost_their_own_marks_only(course: tuple[Path, Path]) -> None:
    folder, edition = course
    for number, text in enumerate(ODD.values()):
        (folder / f"odd{number}__99_toy.ipynb").write_text(text, encoding="utf-8")
    (folder / "a folder__99_toy.ipynb").mkdir()
    (folder / "01_unknown.ipynb").write_text("{}", encoding="utf-8")
    surrogate = _notebook({1: "raise ValueError('\\ud800\\r\\n' + 'x' * 3000)"})
    nbformat.write(surrogate, folder / ("long" * 50 + "__99_toy.ipynb"))
    said: list[str] = []
    reports = grade(folder, edition, note=said.append)
    assert _table(folder)["ada"] == "6"
    assert len(reports) == 4 + len(ODD) + 1
    assert sum("ignored" in line for line in said) >= 2
    assert all(len(mark.message) <= 300 for report in reports for mark in report.marks)
    assert len(list((folder / "feedback").glob("*.html"))) == len(reports)


def test_two_submissions_of_one_student_are_refused(course: tuple[Path, Path]) -> None:
    folder, edition = course
    nbformat.write(_notebook({}), folder / "ada__99_toy.ipynb")
    with pytest.raises(UserError, match="Two submissions of one student"):
        grade(folder, edition)


@pytest.mark.slow
def test_what_a_hidden_test_forbids_is_refused() -> None:
    test = HiddenTest(1, "Double", 2, "double", "# without: operator.mul\n" + DOUBLE)
    edition = Edition("toy", "99_toy", "import numpy as np", (test,))
    answer = "import operator\ndef double(x):\n    return operator.mul(2, x)"
    assert grading.grade_one(_notebook({1: answer}), edition, Limits(seconds=30))[0].points == 0
    assert grading.grade_one(_notebook({1: RIGHT[1]}), edition, Limits(seconds=30))[0].points == 2


@pytest.mark.slow
def test_a_large_cell_is_not_even_read() -> None:
    assert _points({1: "x;" * 400_000 + "\n" + RIGHT[1]})[0] == 0
    assert _points({1: "x;" * 400_000}, marked=False)[0] == 0


# ------------------------------------------------------------------------------------------------------ hand-ins


@pytest.mark.slow
def test_notebooks_by_other_names_are_graded_and_everything_else_is_listed(course: tuple[Path, Path]) -> None:
    folder, edition = course
    for name in ("eve/99_toy.ipynb.txt", "fay/99_toy.IPYNB", "gus/99_TOY.ipynb", "hal__99_toy.ipynb.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        nbformat.write(_notebook({2: RIGHT[2]}), folder / name)
    ignored = {
        "ivy/99_toy.zip", "jo/answer.py", "kim/99_toy (1).ipynb", "lea/deep/99_toy.ipynb", "99_toy.ipynb",
        "meg/.99_toy.ipynb", "nan__99_toy.pdf",
    }  # fmt: skip
    for name in ignored:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}", encoding="utf-8")
    (folder / "oda").mkdir()
    (folder / "ada" / ".ipynb_checkpoints").mkdir()
    (folder / "ada" / ".ipynb_checkpoints" / "99_toy-checkpoint.ipynb").write_text("{}", encoding="utf-8")
    said: list[str] = []
    grade(folder, edition, note=said.append)
    marks = _table(folder)
    assert {name: marks[name] for name in ("eve", "fay", "gus", "hal")} == dict.fromkeys(
        ("eve", "fay", "gus", "hal"), "1"
    )
    assert len(marks) == 8
    assert {line.rpartition(": ")[2] for line in said} == ignored | {"oda", "dan__99_toy.ipynb"}
    again: list[str] = []
    grade(folder, edition, note=again.append)
    assert again == said  # what grading wrote is no hand-in


def test_what_is_ignored_is_listed_where_nothing_else_was_handed_in(course: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "zipped"
    (folder / "ada").mkdir(parents=True)
    (folder / "ada" / "99_toy.zip").write_bytes(b"PK")
    said: list[str] = []
    with pytest.raises(UserError, match="No submission in zipped"):
        grade(folder, course[1], note=said.append)
    assert [line.rpartition(": ")[2] for line in said] == ["ada/99_toy.zip"]


def test_one_name_in_two_spellings_is_two_submissions(course: tuple[Path, Path]) -> None:
    nbformat.write(_notebook({}), course[0] / "ada" / "99_toy.ipynb.txt")
    with pytest.raises(UserError, match="Two submissions of one student"):
        grade(*course)


# ----------------------------------------------------------------------------------- cells that were not left alone


def test_split_merged_and_commented_cells_get_their_points() -> None:
    book = _notebook({1: "factor = 2"})
    book.cells.append(nbformat.v4.new_code_cell("def double(x):\n    return factor * x\ncheck('toy', 1, double)"))
    merged = f"{RIGHT[2]}\ncheck('toy', 2, number)\n{RIGHT[3]}  # not operator.mul\ncheck('toy', 3, turn)"
    book.cells += _notebook({2: merged}).cells
    tests = (TESTS[0], TESTS[1], replace(TESTS[2], code="# without: operator.mul\n" + TURN))
    marks = grading.grade_one(book, replace(EDITION, tests=tests), Limits(seconds=30))
    assert [(mark.points, mark.warning) for mark in marks] == [(2, ""), (1, ""), (3, "")]


@pytest.mark.slow
def test_an_old_copy_is_warned_of_on_the_page_and_in_the_table(course: tuple[Path, Path]) -> None:
    folder, edition = course
    book = _notebook(RIGHT)
    book.cells += _notebook({2: "number = 3.0"}).cells
    nbformat.write(book, folder / "bob__99_toy.ipynb")
    grade(folder, edition)
    warning = "2 cells answer this exercise and differ; the last one was graded."
    with (folder / "marks.csv").open(encoding="utf-8") as lines:
        rows = {row["student"]: row for row in csv.DictReader(lines)}
    assert rows["bob"]["points"] == "5"
    assert rows["bob"]["warnings"] == f"Exercise 2: {warning}"
    assert rows["ada"]["warnings"] == ""
    assert f"Note: {warning}" in (folder / "feedback" / "bob__99_toy.html").read_text(encoding="utf-8")
    assert "Note" not in (folder / "feedback" / "ada__99_toy.html").read_text(encoding="utf-8")
