"""Grades a folder of submissions: each in a room of its own, one result file each, one table and one page of feedback.

The submission's functions run in the sandbox; the hidden tests run here and see only what comes back. So nothing that
a submission does or prints can change its mark but right answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import nbformat

from firsthand.coursework.editions import BEGIN_HIDDEN, END_HIDDEN
from firsthand.coursework.reports import Mark, Report, feedback_page, table
from firsthand.coursework.sandbox import OUT_OF_TIME, Limits, RemoteFunction, Room, Stopped, need_sandbox
from firsthand.coursework.wire import WireError, unpack
from firsthand.coursework.worker import Cells
from firsthand.errors import UserError
from firsthand.kit.files import write_atomically
from firsthand.kit.page.notebooks import LARGEST, read_notebook, shown

LONGEST = 100_000  # characters of an answer
FORBIDDEN = re.compile(r"^# without: (\S+)", re.M)  # in a hidden test: what an answer must not name
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
        try:
            about = book.metadata["firsthand"]
            tests = tuple(
                HiddenTest(
                    int(cell.metadata["firsthand"]["hidden"]),
                    str(cell.metadata["firsthand"]["title"]),
                    float(cell.metadata["nbgrader"]["points"]),
                    str(cell.metadata["firsthand"]["variable"]),
                    cell.source.replace(BEGIN_HIDDEN, "").replace(END_HIDDEN, ""),
                )
                for cell in book.cells
                if "hidden" in cell.metadata.get("firsthand", {})
            )
            found = cls(str(about["chapter"]), file.stem, str(about["setup"]), tests)
        except (KeyError, TypeError, ValueError):
            found = None
        if found is None or not found.tests:
            raise UserError(f"{file.name} is no instructor's edition; `firsthand coursework build` makes one.")
        return found


# ------------------------------------------------------------------------------------------------ answers


def exercise_cells(book: nbformat.NotebookNode, edition: Edition) -> dict[int, str]:
    """The answers' cells by exercise: those with our mark; where there is none, the last one that calls `check`."""
    marked: dict[int, str] = {}
    checked: dict[int, str] = {}
    known = {test.number for test in edition.tests}
    pattern = re.compile(rf"""check\(\s*["']{re.escape(edition.key)}["']\s*,\s*(\d{{1,3}})\b""")
    for cell in book.cells:
        if cell.cell_type != "code":
            continue
        about = cell.metadata.get("firsthand")
        number = about.get("exercise") if isinstance(about, dict) else None
        if isinstance(number, int) and number in known:
            marked[number] = cell.source
        elif (found := pattern.search(cell.source[:LONGEST])) and int(found[1]) in known:
            checked[int(found[1])] = cell.source
    return {**checked, **marked}


class RoomError(UserError):
    """The room itself did not work: no fault of the submission, so no mark is made of it."""


NOT_REACHED = "Not reached: an earlier exercise took all the time."


def grade_one(
    book: nbformat.NotebookNode, edition: Edition, limits: Limits, *, unsafe: bool = False, image: str | None = None
) -> list[Mark]:
    """The marks of a submission.

    An exercise that hangs or kills its process loses its own points only: the others are graded in a fresh room in
    which the cells before them are run again, within what is left of the time.

    Raises:
        RoomError: the first room could not be set up.
    """
    cells = exercise_cells(book, edition)
    marks: dict[int, Mark] = {}
    done: list[int] = []  # exercises whose cells a fresh room runs first
    left, spent = list(edition.tests), 0.0
    while left and (not marks or limits.seconds - spent >= 1):
        room = Room(replace(limits, seconds=max(1.0, limits.seconds - spent)), unsafe=unsafe, image=image)
        culprit = None
        try:
            with room:
                _prepare(room, edition, [cells[number] for number in done])
                while left:
                    culprit = left[0]
                    marks[culprit.number] = _mark(room, culprit, edition, cells.get(culprit.number))
                    done += [culprit.number] if culprit.number in cells else []
                    left.pop(0)
        except (Stopped, RoomError) as reason:
            spent += room.seconds
            if culprit is None:
                if not marks:
                    raise RoomError(f"A room for {edition.stem} could not be set up: {reason}") from None
                break
            marks[culprit.number] = _lost(culprit, str(reason))
            left.pop(0)
    marks |= {test.number: _lost(test, NOT_REACHED) for test in left}
    return [marks[number] for number in sorted(marks)]


def _prepare(room: Room, edition: Edition, sources: list[str]) -> None:
    started = room.ask({"do": "run", "source": edition.setup, "name": "set-up"})
    if "error" in started:
        raise RoomError(f"The set-up cell of {edition.stem} fails in the sandbox: {str(started['error'])[:200]}")
    for source in sources:  # their errors have been counted already
        room.ask({"do": "run", "source": source, "name": "earlier"})


def _lost(test: HiddenTest, words: str) -> Mark:
    return Mark(test.number, test.title, 0.0, test.points, shown(words, 300) or "No answer.")


def _mark(room: Room, test: HiddenTest, edition: Edition, source: str | None) -> Mark:
    if source is None:
        return _lost(test, "No answer: its cell is missing.")
    if len(source) > LONGEST:
        return _lost(test, f"The cell has more than {LONGEST:,} characters.")
    for name in FORBIDDEN.findall(test.code):
        if name in source:
            return _lost(test, f"The answer must not use {name}.")
    reply = room.ask({"do": "run", "source": source, "name": f"exercise {test.number}"})
    if "error" in reply:
        return _lost(test, f"The cell raised {reply['error']}")
    looked = room.ask({"do": "look", "variable": test.variable})
    if looked.get("kind") == "function":
        answer: Any = RemoteFunction(room, test.variable)
    elif looked.get("kind") == "value":
        try:
            answer = unpack(looked.get("value"))
        except WireError as error:
            return _lost(test, f"The answer cannot be read: {error}")
    else:
        return _lost(test, str(looked.get("error", "No answer yet.")))
    try:
        Cells({**_trusted(edition.setup), test.variable: answer}).run(test.code, f"hidden test {test.number}")
    except Exception as error:  # whatever goes wrong with an answer costs its points and nothing else
        words = str(error).strip().splitlines()
        return _lost(test, words[0] if words else type(error).__name__)
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


@dataclass(frozen=True)
class Submission:
    """Whose, of what, and where."""

    student: str
    edition: Edition
    file: Path


def submissions(folder: Path, editions: dict[str, Edition]) -> tuple[list[Submission], list[Path]]:
    """STUDENT/NN_key.ipynb and STUDENT__NN_key.ipynb in a folder, and files that are neither; no links are followed.

    Raises:
        UserError: two files of one student and chapter.
    """
    found: dict[tuple[str, str], Submission] = {}
    ignored = []
    for file in sorted(folder.rglob("*.ipynb")):
        parts = file.relative_to(folder).parts
        if any(part.startswith(".") for part in parts):
            continue
        student, _, stem = (parts[0], "", file.stem) if len(parts) == 2 else file.stem.rpartition("__")
        if file.is_symlink() or not file.is_file() or len(parts) > 2 or stem not in editions or not student:
            ignored.append(file)
            continue
        if (student, stem) in found:
            other = found[student, stem].file
            raise UserError(f"Two submissions of one student and chapter: {shown(other.name)} and {shown(file.name)}.")
        found[student, stem] = Submission(student, editions[stem], file)
    return list(found.values()), ignored


def grade(
    folder: Path, edition_folder: Path, *, workers: int = 2, limits: Limits | None = None, unsafe: bool = False,
    image: str | None = None, note: Callable[[str], None] = print,
) -> list[Report]:  # fmt: skip
    """Grade all submissions of a folder; a killed run goes on where it was.

    One that ran out of time beside others is graded once more, alone. Where a room itself did not work no mark is made:
    the submission is named, and graded by the next run.

    Args:
        folder: of submissions; marks.csv and feedback/ are written into it.
        edition_folder: of the instructor's editions.
        workers: submissions at a time.
        limits: of each.
        unsafe: without a sandbox. image: of a container instead of it.
        note: is told what is ignored and what could not be graded.

    Raises:
        UserError: no sandbox, no edition, no submission, two of the same.
    """
    need_sandbox(unsafe, image)
    editions = {e.stem: e for e in (Edition.read(file) for file in sorted(edition_folder.glob("*/*.ipynb")))}
    found, ignored = submissions(folder, editions)
    if not editions or not found:
        raise UserError(f"No {'submission in ' + folder.name if editions else 'edition in ' + edition_folder.name}.")
    for file in ignored:
        note(
            f"ignored, neither STUDENT/NN_name.ipynb nor STUDENT__NN_name.ipynb: {shown(str(file.relative_to(folder)))}"
        )
    (folder / RESULTS).mkdir(exist_ok=True)
    mark = partial(_graded, folder=folder, limits=limits or Limits(), unsafe=unsafe, image=image)
    reports: list[Report] = []
    again: list[Submission] = []
    pool = ThreadPoolExecutor(workers)
    try:
        jobs = {pool.submit(mark, one, alone=workers == 1): one for one in found}
        for job in as_completed(jobs):
            report = job.result()
            again.append(jobs[job]) if report is None else reports.append(report)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    for one in sorted(again, key=lambda one: str(one.file)):
        report = mark(one, alone=True)
        if report is None:
            note(f"not graded: {shown(one.file.name)}; its room could not be set up, run again")
        else:
            reports.append(report)
    reports.sort(key=lambda report: (report.chapter, report.student))
    write_atomically(folder / TABLE, table(reports))
    for report in reports:
        page = folder / PAGES / f"{_file_name(report.student)}__{report.chapter}.html"
        page.parent.mkdir(exist_ok=True)
        write_atomically(page, feedback_page(report))
    return reports


def _file_name(student: str) -> str:
    """A student's name as a file's; what was changed is told apart by a hash."""
    plain = re.sub(r"[^\w.=+-]", "_", student, flags=re.A)[:80]
    digest = hashlib.sha256(os.fsencode(student)).hexdigest()[:8]
    return plain if plain == student else f"{plain}-{digest}"


def _graded(
    one: Submission, folder: Path, *, alone: bool, limits: Limits, unsafe: bool, image: str | None
) -> Report | None:
    """One submission, or its kept result if neither it nor the edition has changed.

    None, and nothing is kept, where its room did not work, or where it ran out of time beside others.
    """
    student, edition = one.student, one.edition
    with one.file.open("rb") as stream:
        content = stream.read(LARGEST + 1)
    digest = hashlib.sha256(content + json.dumps(asdict(edition), sort_keys=True).encode()).hexdigest()
    name = hashlib.sha256(os.fsencode(f"{student}/{edition.stem}")).hexdigest()[:24]
    kept = folder / RESULTS / f"{name}.json"
    if kept.is_file():
        try:
            record = json.loads(kept.read_text(encoding="utf-8"))
            if record["digest"] == digest:
                return Report(record["student"], record["chapter"], digest, [Mark(**mark) for mark in record["marks"]])
        except (ValueError, KeyError, TypeError):
            pass  # a damaged file is graded again
    try:
        marks = grade_one(read_notebook(one.file), edition, limits, unsafe=unsafe, image=image)
    except RoomError:
        return None
    except UserError as error:
        marks = [_lost(test, str(error)) for test in edition.tests]
    if not alone and any(mark.message.startswith((OUT_OF_TIME, NOT_REACHED)) for mark in marks):
        return None
    report = Report(shown(student), edition.stem, digest, marks)
    write_atomically(kept, json.dumps(asdict(report)) + "\n")
    return report
