"""Grades a folder of submissions: each in its own sandbox, with a result file and a page of feedback; one table.

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
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nbformat

from firsthand.coursework.answers import LONGEST, Answer, find_answers, names
from firsthand.coursework.editions import BEGIN_HIDDEN, END_HIDDEN
from firsthand.coursework.handins import PAGES, RESULTS, TABLE, Submission, submissions
from firsthand.coursework.reports import Mark, Report, feedback_page, table
from firsthand.coursework.sandbox import (
    NO_ANSWER,
    OUT_OF_TIME,
    Limits,
    RemoteFunction,
    Sandbox,
    Stopped,
    need_sandbox,
)
from firsthand.coursework.wire import WireError, unpack
from firsthand.coursework.worker import Cells
from firsthand.errors import UserError
from firsthand.kit.files import write_atomically
from firsthand.kit.page.notebooks import LARGEST, read_notebook, shown

FORBIDDEN = re.compile(r"^# without: (\S+)", re.M)  # in a hidden test: what an answer must not name
RULES = 2  # the number of this way to grade: marks that an earlier one made are made anew


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


class SandboxError(UserError):
    """The sandbox itself did not work: no fault of the submission, so no mark is made of it."""


NOT_REACHED = "Not reached: an earlier exercise took all the time."
NOT_STARTED = "Not reached: the sandbox could not be started again."


def grade_one(
    book: nbformat.NotebookNode, edition: Edition, limits: Limits, *, unsafe: bool = False, image: str | None = None
) -> list[Mark]:
    """The marks of a submission.

    An exercise that hangs or kills its process loses its own points only: the others are graded in a fresh sandbox in
    which the cells before them are run again, within what is left of the time. Only what an exercise takes counts:
    neither set-up, nor cells that are run again.

    Raises:
        SandboxError: the first sandbox could not be set up.
    """
    answers = find_answers(book, edition.key, {test.number: test.variable for test in edition.tests})
    marks: dict[int, Mark] = {}
    done: list[Answer] = []  # to exercises that a fresh sandbox runs first
    left, seconds, why = list(edition.tests), limits.seconds, NOT_REACHED
    while left and seconds > 0:
        culprit = None
        sandbox = Sandbox(limits, unsafe=unsafe, image=image)
        try:
            with sandbox:
                _prepare(sandbox, edition, done)
                sandbox.allow(seconds)
                while left:
                    culprit = left[0]
                    marks[culprit.number] = _mark(sandbox, culprit, edition, answers.get(culprit.number))
                    done += [answers[culprit.number]] if culprit.number in answers else []
                    left.pop(0)
        except (Stopped, SandboxError) as reason:
            if culprit is None:
                if not marks:
                    raise SandboxError(f"A sandbox for {edition.stem} could not be set up: {reason}") from None
                why = NOT_STARTED
                break
            over = str(reason).startswith((OUT_OF_TIME, NO_ANSWER))
            seconds -= seconds if over else sandbox.used
            marks[culprit.number] = _lost(culprit, str(reason), answers.get(culprit.number))
            left.pop(0)
    marks |= {test.number: _lost(test, why) for test in left}
    return [marks[number] for number in sorted(marks)]


def _prepare(sandbox: Sandbox, edition: Edition, done: list[Answer]) -> None:
    started = sandbox.ask({"do": "run", "source": edition.setup, "name": "set-up"})
    if "error" in started:
        raise SandboxError(f"The set-up cell of {edition.stem} fails in the sandbox: {str(started['error'])[:200]}")
    sandbox.allow(sandbox.limits.seconds)  # cells that are run again are a submission's too
    for answer in done:
        for source in answer.cells:  # their errors have been counted already
            sandbox.ask({"do": "run", "source": source, "name": "earlier"})


def _lost(test: HiddenTest, words: str, answer: Answer | None = None) -> Mark:
    warning = answer.warning if answer is not None else ""
    return Mark(test.number, test.title, 0.0, test.points, shown(words, 300) or "No answer.", warning)


def _mark(sandbox: Sandbox, test: HiddenTest, edition: Edition, answer: Answer | None) -> Mark:
    """The mark of an exercise, whose cells are run first."""
    if answer is None:
        return _lost(test, "No answer: its cell is missing.")
    words = _refusal(test, answer) or _run(sandbox, test, answer) or _wrong(sandbox, test, edition)
    if words:
        return _lost(test, words, answer)
    return Mark(test.number, test.title, test.points, test.points, "Right.", answer.warning)


def _refusal(test: HiddenTest, answer: Answer) -> str | None:
    """Why an answer is not even run, or None."""
    if sum(map(len, answer.cells)) > LONGEST:
        return f"The cell has more than {LONGEST:,} characters."
    for name in FORBIDDEN.findall(test.code):
        if any(names(source, name) for source in answer.cells):
            return f"The answer must not use {name}."
    return None


def _run(sandbox: Sandbox, test: HiddenTest, answer: Answer) -> str | None:
    """Run the cells of an answer; what one raised that must not, or None."""
    for source, needed in zip(answer.cells, answer.needed, strict=True):
        reply = sandbox.ask({"do": "run", "source": source, "name": f"exercise {test.number}"})
        if "error" in reply and needed:
            return f"The cell raised {reply['error']}"
    return None


def _wrong(sandbox: Sandbox, test: HiddenTest, edition: Edition) -> str | None:
    """What the hidden test says of the answer in a sandbox; None: it is right."""
    looked = sandbox.ask({"do": "look", "variable": test.variable})
    if looked.get("kind") == "function":
        answer: Any = RemoteFunction(sandbox, test.variable)
    elif looked.get("kind") == "value":
        try:
            answer = unpack(looked.get("value"))
        except WireError as error:
            return f"The answer cannot be read: {error}"
    else:
        return str(looked.get("error", "No answer yet."))
    try:
        Cells({**_trusted(edition.setup), test.variable: answer}).run(test.code, f"hidden test {test.number}")
    except Exception as error:  # whatever goes wrong with an answer costs its points and nothing else
        words = str(error).strip().splitlines()
        return words[0] if words else type(error).__name__
    return None


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


def grade(
    folder: Path, edition_folder: Path, *, workers: int = 2, limits: Limits | None = None, unsafe: bool = False,
    image: str | None = None, note: Callable[[str], None] = print,
) -> list[Report]:  # fmt: skip
    """Grade all submissions of a folder; a killed run goes on where it was.

    One that gave no answer in time beside others is graded once more, alone. Where a sandbox itself did not work no
    mark is made: the submission is named, and graded by the next run.

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
    if not editions:
        raise UserError(f"No edition in {edition_folder.name}.")
    handed_in, ignored = submissions(folder, editions)
    for file in ignored:
        note(
            f"ignored, neither STUDENT/NN_name.ipynb nor STUDENT__NN_name.ipynb: {shown(str(file.relative_to(folder)))}"
        )
    if not handed_in:
        raise UserError(f"No submission in {folder.name}.")
    (folder / RESULTS).mkdir(exist_ok=True)
    mark = partial(_graded, editions=editions, folder=folder, limits=limits or Limits(), unsafe=unsafe, image=image)
    reports: list[Report] = []
    again: list[Submission] = []
    pool = ThreadPoolExecutor(workers)
    try:
        jobs = {pool.submit(mark, one, alone=workers == 1): one for one in handed_in}
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
            note(f"not graded: {shown(one.file.name)}; its sandbox could not be set up, run again")
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


def _begin_of(file: Path) -> bytes:
    """A file's first bytes, as many as are graded; none where it cannot be read, which its page will say."""
    try:
        with file.open("rb") as stream:
            return stream.read(LARGEST + 1)
    except OSError:
        return b""


def _graded(
    one: Submission, editions: dict[str, Edition], folder: Path, *, alone: bool, limits: Limits, unsafe: bool,
    image: str | None,
) -> Report | None:  # fmt: skip
    """One submission, or its kept result if neither it nor the edition has changed.

    None, and nothing is kept, where its sandbox did not work, or where it gave no answer in time beside others.
    """
    student, edition = one.student, editions[one.stem]
    content = _begin_of(one.file)
    digest = hashlib.sha256(content + json.dumps([RULES, asdict(edition)], sort_keys=True).encode()).hexdigest()
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
    except SandboxError:
        return None
    except UserError as error:
        marks = [_lost(test, str(error)) for test in edition.tests]
    if not alone and any(mark.message.startswith((NO_ANSWER, NOT_STARTED)) for mark in marks):
        return None
    report = Report(shown(student), edition.stem, digest, marks)
    write_atomically(kept, json.dumps(asdict(report)) + "\n")
    return report
