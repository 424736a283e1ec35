"""Marks and what is made of them: one table, and a page of feedback for each submission."""

from __future__ import annotations

import csv
import html
import io
from dataclasses import dataclass, field


@dataclass
class Mark:
    """The mark of one exercise: points of how many, a sentence, and a warning where another cell could be meant."""

    number: int
    title: str
    points: float
    possible: float
    message: str
    warning: str = ""


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


def table(reports: list[Report]) -> str:
    """One line a submission, as CSV, with its warnings at the end.

    A name that a spreadsheet would take for a formula is quoted by an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    most = max((len(report.marks) for report in reports), default=0)
    writer.writerow(
        ["student", "chapter", "points", "possible", *(f"exercise {n}" for n in range(1, most + 1)), "warnings"]
    )
    for report in reports:
        student = f"'{report.student}" if report.student[:1] in "=+-@\t" else report.student
        marks = [f"{mark.points:g}" for mark in report.marks]
        marks += [""] * (most - len(marks))
        warnings = " ".join(f"Exercise {mark.number}: {mark.warning}" for mark in report.marks if mark.warning)
        writer.writerow([student, report.chapter, f"{report.points:g}", f"{report.possible:g}", *marks, warnings])
    return out.getvalue()


def feedback_page(report: Report) -> str:
    """A page for a student."""
    rows = "".join(
        f"<tr><td>{mark.number}</td><td>{html.escape(mark.title)}</td><td>{mark.points:g} of {mark.possible:g}</td>"
        f"<td>{html.escape(mark.message)}{f'<br>Note: {html.escape(mark.warning)}' if mark.warning else ''}</td></tr>"
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
