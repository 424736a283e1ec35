"""Sphinx directives for instructors: syllabi, goals and exercises, from chapters that are in the book."""

from __future__ import annotations

import json
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from firsthand.chapters import Chapter, chapters
from firsthand.kit.page.exercises import exercises_of

ROOT = Path(__file__).parents[2]
WORDS_A_MINUTE = 100  # technical prose with formulas
TWELVE, FOUR = 12, 4
PROJECT = [
    "Project: choose a claim that fails or is inconclusive, write down a rule, and measure a variant over five seeds.",
    "Presentations, each with its raw values and the command that makes them.",
]


def level(minutes: int) -> str:
    """How hard an exercise is, by how long it takes."""
    return "easy" if minutes <= 10 else "medium" if minutes <= 20 else "hard"


def reading_minutes(c: Chapter) -> int:
    """How long the prose of a chapter takes."""
    book = json.loads((ROOT / "notebooks" / f"{c.stem}.ipynb").read_text(encoding="utf-8"))
    text = " ".join("".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "markdown")
    return round(len(re.findall(r"\w+", text)) / WORDS_A_MINUTE)


def four_weeks() -> list[str]:
    """One chapter of every part, then the next ones."""
    firsts: dict[str, Chapter] = {}
    for c in chapters().values():
        firsts.setdefault(c.part, c)
    chosen = list(firsts.values())[:FOUR]
    chosen += [c for c in chapters().values() if c not in chosen][: FOUR - len(chosen)]
    return [_week(c) for c in sorted(chosen, key=lambda c: c.number)]


def twelve_weeks() -> list[str]:
    """Every chapter in its order, the first ones in two weeks while there are fewer than ten; then a project."""
    found = list(chapters().values())[: TWELVE - len(PROJECT)]
    spare = TWELVE - len(PROJECT) - len(found)
    weeks = []
    for number, c in enumerate(found):
        weeks.append(_week(c))
        if number < spare:
            weeks[-1] = f"Chapter {_link(c)} up to *By hand*: {c.question}"
            weeks.append(f"Chapter {_link(c)} from *Experiment* on. {_points(c)}")
    return weeks + PROJECT


def _link(c: Chapter) -> str:
    return f"{{doc}}`{c.number:02d} <../notebooks/{c.stem}>`"


def _points(c: Chapter) -> str:
    return f"Exercises, {sum(exercise.points for exercise in exercises_of(c.key).values())} points."


def _week(c: Chapter) -> str:
    return f"Chapter {_link(c)}: {c.question} {_points(c)}"


class _Markdown(Directive):
    """A directive whose content is Markdown that it writes itself."""

    has_content = False

    def lines(self) -> list[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        node = nodes.Element()
        self.state.nested_parse(StringList(self.lines(), "course"), self.content_offset, node, match_titles=True)
        return node.children


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows), ""]


class Syllabus(_Markdown):
    """`four` or `twelve` weeks."""

    required_arguments = 1

    def lines(self) -> list[str]:
        weeks = {"four": four_weeks, "twelve": twelve_weeks}[self.arguments[0]]()
        return _table(["Week", "What"], [[str(n), week] for n, week in enumerate(weeks, 1)])


class CourseChapters(_Markdown):
    """Goals, prerequisites, time and exercises of every chapter."""

    def lines(self) -> list[str]:
        found = []
        for c in chapters().values():
            exercises = exercises_of(c.key)
            minutes = sum(exercise.minutes for exercise in exercises.values())
            found += [
                f"### {c.number:02d} {c.title}", "",
                f"**Needs.** {c.needs}.", "",
                f"**Time.** About {reading_minutes(c)} minutes to read, {minutes} for the exercises.", "",
                "**After it students can**", "",
                *(f"- {goal[0].lower()}{goal[1:]}" for goal in c.goals), "",
            ]  # fmt: skip
            rows = [
                [str(n), e.title, str(e.points), f"{e.minutes} min", level(e.minutes)] for n, e in exercises.items()
            ]
            found += _table(["", "Exercise", "Points", "Time", "Level"], rows)
        return found


def setup(app) -> dict:
    app.add_directive("syllabus", Syllabus)
    app.add_directive("course-chapters", CourseChapters)
    return {"parallel_read_safe": True}
