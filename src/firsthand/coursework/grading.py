"""Grades a folder of submissions: each in a room of its own, one result file each, one table and one page of feedback.

The submission's functions run in the sandbox; the hidden tests run here and see only what comes back. So nothing that
a submission does or prints can change its mark but right answers.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import html
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from firsthand.coursework.editions import BEGIN_HIDDEN, END_HIDDEN
from firsthand.coursework.sandbox import Limits, RemoteFunction, Room, Stopped, need_sandbox
from firsthand.coursework.wire import WireError, unpack
from firsthand.coursework.worker import Cells
from firsthand.errors import UserError
from firsthand.kit.results import write_atomically

LARGEST = 20_000_000  # bytes of a submission
RESULTS, TABLE, PAGES = ".marks", "marks.csv", "feedback"


@dataclass(frozen=True)
class HiddenTest:
    """A hidden test: its code, and how the answer is called."""

    number: int
    title: str
    points: float
    variable: str
    code: str


@dataclass(frozen=True)
class Edition:
    """What a grader needs of an instructor's edition."""

    key: str
    stem: str
    setup: str
    tests: tuple[HiddenTest, ...]

    @classmethod
    def read(cls, file: Path) -> Edition:
        """From its notebook.

        Raises:
            UserError: it is no instructor's edition.
        """
        book = read_notebook(file)
        about = book.metadata.get("firsthand")
        tests = []
        for cell in book.cells:
            hidden = cell.metadata.get("firsthand", {})
            if "hidden" in hidden:
                code = cell.source.replace(BEGIN_HIDDEN, "").replace(END_HIDDEN, "")
                points = float(cell.metadata["nbgrader"]["points"])
                tests.append(
                    HiddenTest(int(hidden["hidden"]), str(hidden["title"]), points, str(hidden["variable"]), code)
                )
        if not about or not tests:
            raise UserError(f"{file.name} is no instructor's edition; `firsthand coursework build` makes one.")
        return cls(str(about["chapter"]), file.stem, str(about["setup"]), tuple(tests))


def read_notebook(file: Path) -> nbformat.NotebookNode:
    """A notebook that may be anything.

    Raises:
        UserError: it is too large, or no notebook.
    """
    if file.stat().st_size > LARGEST:
        raise UserError(f"{file.name} has more than {LARGEST // 1_000_000} MB.")
    try:
        book = nbformat.reads(file.read_text(encoding="utf-8"), as_version=4)
        nbformat.validate(book)
    except (ValueError, RecursionError, AttributeError, KeyError, nbformat.ValidationError) as error:
        raise UserError(f"{file.name} is no notebook: {str(error).splitlines()[0][:100]}.") from None
    return book


@dataclass
class Mark:
    """The mark of one exercise: points of how many, and a sentence."""

    number: int
    title: str
    points: float
    possible: float
    message: str


@dataclass
class Report:
    """The marks of one submission.

    Attributes:
        student, chapter: who and what. digest: of file and edition, so that a changed submission is graded anew.
        marks: one an exercise.
    """

    student: str
    chapter: str
    digest: str
    marks: list[Mark] = field(default_factory=list)

    @property
    def points(self) -> float:
        """Sum of the points."""
        return sum(mark.points for mark in self.marks)

    @property
    def possible(self) -> float:
        """Sum of what could be had."""
        return sum(mark.possible for mark in self.marks)


# ------------------------------------------------------------------------------------------------ answers


def exercise_cells(book: nbformat.NotebookNode, edition: Edition) -> dict[int, str]:
    """The answers' cells by exercise: those with our mark, else those that call `check` for it; the last one counts."""
    found: dict[int, str] = {}
    for cell in book.cells:
        if cell.cell_type != "code":
            continue
        about = cell.metadata.get("firsthand")
        number = about.get("exercise") if isinstance(about, dict) else None
        if number is None:
            number = _checked(cell.source, edition.key)
        if isinstance(number, int) and any(test.number == number for test in edition.tests):
            found[number] = cell.source
    return found


def _checked(source: str, key: str) -> int | None:
    """The exercise that a cell checks, if its code can be read."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check":
            values = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant)]
            if len(values) == 2 and values[0] == key and isinstance(values[1], int):
                return values[1]
    return None


def grade_one(book: nbformat.NotebookNode, edition: Edition, limits: Limits, *, unsafe: bool = False) -> list[Mark]:
    """The marks of a submission.

    An exercise that hangs or kills its process loses its own points only: the others are graded in a fresh room,
    within what is left of the time.
    """
    cells, marks = exercise_cells(book, edition), {}
    left, spent = list(edition.tests), 0.0
    while left:
        with_time = Limits(max(1.0, limits.seconds - spent), limits.memory, limits.disk, limits.processes)
        culprit = None
        room = Room(with_time, unsafe=unsafe)
        try:
            with room:
                started = room.ask({"do": "run", "source": edition.setup, "name": "set-up"})
                if "error" in started:
                    raise UserError(f"The set-up cell of {edition.stem} fails in the sandbox: {started['error']}")
                for test in list(left):
                    culprit = test
                    marks[test.number] = _mark(room, test, edition, cells.get(test.number))
                    left.remove(test)
        except Stopped as reason:
            spent += room.seconds
            if culprit is None:
                raise UserError(f"A room for {edition.stem} could not be set up: {reason}") from None
            marks[culprit.number] = Mark(culprit.number, culprit.title, 0.0, culprit.points, str(reason))
            left.remove(culprit)
            if spent >= limits.seconds:
                for test in left:
                    words = "Not reached: an earlier exercise took all the time."
                    marks[test.number] = Mark(test.number, test.title, 0.0, test.points, words)
                left = []
    return [marks[number] for number in sorted(marks)]


def _mark(room: Room, test: HiddenTest, edition: Edition, source: str | None) -> Mark:
    def lost(words: str) -> Mark:
        return Mark(test.number, test.title, 0.0, test.points, words)

    if source is None:
        return lost("No answer: its cell is missing.")
    reply = room.ask({"do": "run", "source": source, "name": f"exercise {test.number}"})
    if "error" in reply:
        return lost(f"The cell raised {reply['error']}")
    looked = room.ask({"do": "look", "variable": test.variable})
    if looked.get("kind") == "function":
        answer: Any = RemoteFunction(room, test.variable)
    elif looked.get("kind") == "value":
        try:
            answer = unpack(looked.get("value"))
        except WireError as error:
            return lost(f"The answer cannot be read: {error}")
    else:
        return lost(str(looked.get("error", "No answer yet."))[:300])
    try:
        Cells({**_trusted(edition.setup), test.variable: answer}).run(test.code, f"hidden test {test.number}")
    except Stopped:
        raise
    except Exception as error:  # whatever goes wrong with an answer costs its points and nothing else
        words = str(error).strip().splitlines()
        return lost((words[0] if words else type(error).__name__)[:300])
    return Mark(test.number, test.title, test.points, test.points, "Right.")


_namespaces: dict[str, dict[str, Any]] = {}
_lock = threading.Lock()


def _trusted(setup: str) -> dict[str, Any]:
    """The names that a hidden test may use: those of the book's own set-up cell."""
    with _lock:
        if setup not in _namespaces:
            cells = Cells()
            cells.run(setup, "set-up")
            _namespaces[setup] = cells.names
        return dict(_namespaces[setup])


# ------------------------------------------------------------------------------------------------ folders


def submissions(folder: Path, editions: dict[str, Edition]) -> Iterator[tuple[str, Edition, Path]]:
    """(student, edition, file) of STUDENT/NN_key.ipynb and STUDENT__NN_key.ipynb in a folder; no links are followed."""
    for file in sorted(folder.rglob("*.ipynb")):
        parts = file.relative_to(folder).parts
        if file.is_symlink() or any(part.startswith(".") for part in parts) or len(parts) > 2:
            continue
        student, _, stem = (parts[0], "", file.stem) if len(parts) == 2 else file.stem.partition("__")
        if stem in editions:
            yield student, editions[stem], file


def grade(
    folder: Path, edition_folder: Path, *, workers: int = 2, limits: Limits | None = None, unsafe: bool = False
) -> list[Report]:
    """Grade all submissions of a folder; a killed run goes on where it was.

    Args:
        folder: of submissions; marks.csv and feedback/ are written into it.
        edition_folder: of the instructor's editions.
        workers: submissions at a time.
        limits: of each.
        unsafe: without a sandbox.

    Raises:
        UserError: no sandbox, no edition, no submission.
    """
    need_sandbox(unsafe)
    editions = {e.stem: e for e in (Edition.read(file) for file in sorted(edition_folder.glob("*/*.ipynb")))}
    found = list(submissions(folder, editions))
    if not editions or not found:
        raise UserError(f"No {'submission in ' + folder.name if editions else 'edition in ' + edition_folder.name}.")
    (folder / RESULTS).mkdir(exist_ok=True)
    reports: list[Report] = []
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(_graded, *one, folder, limits or Limits(), unsafe) for one in found]
        for job in as_completed(jobs):
            reports.append(job.result())
    reports.sort(key=lambda report: (report.chapter, report.student))
    write_atomically(folder / TABLE, table(reports))
    for report in reports:
        page = folder / PAGES / f"{report.student}__{report.chapter}.html"
        page.parent.mkdir(exist_ok=True)
        write_atomically(page, feedback_page(report))
    return reports


def _graded(student: str, edition: Edition, file: Path, folder: Path, limits: Limits, unsafe: bool) -> Report:
    """One submission, or its kept result if neither it nor the edition has changed."""
    content = file.read_bytes()[: LARGEST + 1]
    digest = hashlib.sha256(content + json.dumps(asdict(edition), sort_keys=True).encode()).hexdigest()
    name = hashlib.sha256(f"{student}/{edition.stem}".encode()).hexdigest()[:24]
    kept = folder / RESULTS / f"{name}.json"
    if kept.is_file():
        try:
            record = json.loads(kept.read_text(encoding="utf-8"))
            if record["digest"] == digest:
                return Report(record["student"], record["chapter"], digest, [Mark(**mark) for mark in record["marks"]])
        except (ValueError, KeyError, TypeError):
            pass  # a damaged file is graded again
    try:
        marks = grade_one(read_notebook(file), edition, limits, unsafe=unsafe)
    except UserError as error:
        marks = [Mark(test.number, test.title, 0.0, test.points, str(error)) for test in edition.tests]
    report = Report(student, edition.stem, digest, marks)
    write_atomically(kept, json.dumps(asdict(report)) + "\n")
    return report


def table(reports: list[Report]) -> str:
    """One line a submission, as CSV; a name that a spreadsheet would take for a formula is quoted by an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    most = max((len(report.marks) for report in reports), default=0)
    writer.writerow(["student", "chapter", "points", "possible", *(f"exercise {n}" for n in range(1, most + 1))])
    for report in reports:
        student = f"'{report.student}" if report.student[:1] in "=+-@\t" else report.student
        marks = [f"{mark.points:g}" for mark in report.marks]
        writer.writerow([student, report.chapter, f"{report.points:g}", f"{report.possible:g}", *marks])
    return out.getvalue()


def feedback_page(report: Report) -> str:
    """A page for a student."""
    rows = "".join(
        f"<tr><td>{mark.number}</td><td>{html.escape(mark.title)}</td><td>{mark.points:g} of {mark.possible:g}</td>"
        f"<td>{html.escape(mark.message)}</td></tr>"
        for mark in report.marks
    )
    title = f"{html.escape(report.student)}, {html.escape(report.chapter)}"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>body{{font:16px/1.5 system-ui;margin:2rem auto;max-width:50rem;padding:0 1rem}}"
        "td,th{padding:.4rem .8rem;border-bottom:1px solid #ccc;text-align:left;vertical-align:top}</style>"
        f"<h1>{title}</h1><p>{report.points:g} of {report.possible:g} points.</p>"
        f"<table><tr><th>Nr.</th><th>Exercise</th><th>Points</th><th></th></tr>{rows}</table></html>\n"
    )
