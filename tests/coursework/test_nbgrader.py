"""nbgrader takes the instructor edition as its source, and marks five kinds of submissions as it should."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from firsthand.coursework import editions
from firsthand.kit.page.exercises import exercises_of

pytest.importorskip("nbgrader")
KEY, NAME = "hcvi", "01_hcvi"
SOLUTIONS = {task.number: task.solution for task in editions.tasks(KEY)}
POINTS = {number: exercise.points for number, exercise in exercises_of(KEY).items()}
ALL = sum(POINTS.values())
ANSWERS: dict[str, Callable[[int], str | None]] = {
    "perfect": SOLUTIONS.get,
    "empty": lambda number: None,
    "half": lambda number: SOLUTIONS[number] if number <= 3 else None,
    "crashing": lambda number: SOLUTIONS[number] if number != 2 else "raise ZeroDivisionError('my index')",
    "endless": lambda number: SOLUTIONS[number] if number != 4 else "while True:\n    pass",
}
MARKS = {
    "perfect": ALL,
    "empty": 0,
    "half": sum(POINTS[number] for number in (1, 2, 3)),
    "crashing": ALL - POINTS[2],
    "endless": ALL - POINTS[4],
}
#: Only the answer that never ends is ended by the clock, so that a busy machine ends no other.
CONFIG = """
c = get_config()
c.Execute.timeout_func = lambda cell: 5 if "while True" in cell.source else None
c.Execute.interrupt_on_timeout = True
c.Execute.startup_timeout = c.Execute.iopub_timeout = 600
"""


def _nbgrader(course: Path, *arguments: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments, f"--CourseDirectory.root={course}"],
        cwd=course,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "JUPYTER_CONFIG_DIR": str(course / "config"),
            "MPLBACKEND": "Agg",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]


def _hand_in(course: Path, student: str) -> None:
    book = nbformat.read(course / "release" / NAME / f"{NAME}.ipynb", 4)
    for cell in book.cells:
        number = cell.metadata.get("firsthand", {}).get("exercise")
        answer = ANSWERS[student](number) if number else None
        if answer is not None:
            cell.source = answer
    file = course / "submitted" / student / NAME / f"{NAME}.ipynb"
    file.parent.mkdir(parents=True)
    nbformat.write(book, file)


@pytest.mark.slow
def test_nbgrader_marks_what_it_is_given(tmp_path: Path) -> None:
    editions.build([KEY], tmp_path / "made")
    source = tmp_path / "source" / NAME
    source.mkdir(parents=True)
    (tmp_path / "made" / "instructor" / NAME / f"{NAME}.ipynb").rename(source / f"{NAME}.ipynb")
    _nbgrader(tmp_path, "generate_assignment", NAME, "--create")
    released = (tmp_path / "release" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")
    assert "hidden_1" not in released
    assert "### BEGIN" not in released
    for student in ANSWERS:
        _hand_in(tmp_path, student)
    (tmp_path / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    _nbgrader(tmp_path, "autograde", NAME, "--create")
    _nbgrader(tmp_path, "export", f"--CsvExportPlugin.to={tmp_path / 'grades.csv'}")
    with (tmp_path / "grades.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["student_id"]: float(row["score"]) for row in rows} == MARKS
    assert {float(row["max_score"]) for row in rows} == {ALL}
