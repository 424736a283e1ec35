"""Two editions of every chapter, made from its notebook alone: for students and for instructors.

In a notebook an exercise is a stub (tag `exercise-N`), a solution (`solution-N`) and a hidden test (`hidden-N`), a
function that draws its data from a seed. Building an edition draws a seed that nobody knows, so that a hidden test
that anybody can read here cannot be answered by heart.
"""

from __future__ import annotations

import ast
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from firsthand.chapters import chapter, chapters
from firsthand.errors import UserError
from firsthand.kit.page.exercises import exercises_of
from firsthand.kit.page.notebooks import chapter_notebook

SETUP = "exercise-setup"  # of further cells that exercises need
SKIPPED = "skip-execution"  # nbclient's tag: nbgrader's runs go past such cells
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
BEGIN_HIDDEN, END_HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
NOTE = """**This is your copy.** Answer in the cells marked *Exercise*; run the set-up cell first. When your work is
graded, only the set-up cell and your exercise cells are run, each with what the ones before it defined, so an answer
must not use anything from other cells. `check` tells you at once what is wrong; where the answer is a function, the
mark comes from other data."""


@dataclass(frozen=True)
class Task:
    """One exercise as the notebook has it.

    Attributes:
        number: from 1. title, points: from the chapter's exercises. variable: the name that is graded.
        stub, solution, hidden: source of its cells.
    """

    number: int
    title: str
    points: int
    variable: str
    stub: str
    solution: str
    hidden: str


def tags(cell: Any) -> list[str]:
    """A cell's tags."""
    return list(cell.metadata.get("tags", []))


def _only(book: nbformat.NotebookNode, tag: str) -> str:
    found = [cell.source for cell in book.cells if tag in tags(cell)]
    if len(found) != 1:
        raise UserError(f"A notebook needs exactly one cell tagged {tag}; there are {len(found)}.")
    return str(found[0])


def graded_name(stub: str, key: str, number: int) -> str:
    """The variable that a stub hands to `check`.

    Raises:
        UserError: the stub does not end in such a call.
    """
    for node in ast.walk(ast.parse(stub)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check":
            values = [arg.value if isinstance(arg, ast.Constant) else arg for arg in node.args]
            if values[:2] == [key, number] and isinstance(values[2], ast.Name):
                return values[2].id
    raise UserError(f"The stub of exercise {number} of {key} does not call check({key!r}, {number}, <name>).")


def tasks(key: str, book: nbformat.NotebookNode | None = None) -> list[Task]:
    """The exercises of a chapter.

    Raises:
        UserError: a cell is missing, or a hidden test does not call what it defines.
    """
    book = chapter_notebook(key) if book is None else book
    found = []
    for number, exercise in exercises_of(key).items():
        stub, solution, hidden = (_only(book, f"{part}-{number}") for part in ("exercise", "solution", "hidden"))
        variable = graded_name(stub, key, number)
        if not hidden.rstrip().endswith(f"hidden_{number}({variable})"):
            raise UserError(f"The hidden test of exercise {number} of {key} must end in hidden_{number}({variable}).")
        found.append(Task(number, exercise.title, exercise.points, variable, stub, solution, hidden))
    return found


def setup_cells(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """What is run before exercises: the imports, the parameters, and cells tagged SETUP."""
    first = next(cell for cell in book.cells if cell.cell_type == "code")
    return [first, *(cell for cell in book.cells if {SETUP, "parameters"} & set(tags(cell)))]


def setup_of(book: nbformat.NotebookNode) -> str:
    """The source of those cells."""
    return "\n\n".join(cell.source for cell in setup_cells(book))


def seeded(task: Task, seed: int) -> str:
    """A hidden test that draws its data from a seed of its own."""
    call = f"hidden_{task.number}({task.variable})"
    return task.hidden.rstrip().removesuffix(call) + f"hidden_{task.number}({task.variable}, seed={seed})"


# ------------------------------------------------------------------------------------------------- editions


def _cell(kind: str, source: str, cell_id: str, **metadata: Any) -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell(source) if kind == "code" else nbformat.v4.new_markdown_cell(source)
    cell.id = cell_id
    cell.metadata.update(metadata)
    return cell


def _grading(name: str, *, points: int = 0, solution: bool = False, test: bool = False) -> dict[str, Any]:
    """nbgrader's metadata of a cell."""
    found: dict[str, Any] = {
        "schema_version": 3, "grade_id": name, "grade": test, "solution": solution, "locked": not solution,
        "task": False,
    }  # fmt: skip
    return {"nbgrader": {**found, "points": points} if test else found}


def _without_answers(key: str, book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The chapter's cells without solutions, hidden tests, and texts that explain a solution; no outputs."""
    cells = []
    for original in book.cells:
        if any(tag.startswith(("solution", "hidden")) for tag in tags(original)) or "remove-cell" in tags(original):
            continue
        cell = nbformat.from_dict(json.loads(json.dumps(original)))
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = _without_words(cell.source)
        cell.metadata.pop("mystnb", None)
        cells.append(cell)
    return cells


def _without_words(text: str) -> str:
    """Markdown without the folded solutions in words."""
    text = text.replace("Hints and solutions are folded", "Hints are folded")
    head = "<details><summary>Solution"
    while head in text:
        before, _, rest = text.partition(head)
        text = before + rest.partition("</details>")[2]
    return text.rstrip() + ("\n" if text.endswith("\n") else "")


def _notebook(book: nbformat.NotebookNode, cells: list[nbformat.NotebookNode]) -> nbformat.NotebookNode:
    found = nbformat.v4.new_notebook(cells=[cell for cell in cells if cell.source.strip()])
    found.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return found


def student_edition(key: str) -> nbformat.NotebookNode:
    """A chapter without solutions, without answers in outputs, without hidden tests."""
    book = chapter_notebook(key)
    cells = _without_answers(key, book)
    for cell in cells:
        number = next((tag for tag in tags(cell) if tag.startswith("exercise-") and tag != SETUP), None)
        if number is not None:
            cell.metadata["firsthand"] = {"chapter": key, "exercise": int(number.removeprefix("exercise-"))}
    return _notebook(book, [cells[0], _cell("markdown", NOTE, "your-copy"), *cells[1:]])


def _stubbed(task: Task) -> str:
    """A solution for nbgrader, which takes out what lies between its marks; stub (as a comment) and check stay."""
    check = task.stub.rstrip().splitlines()[-1]
    begin = "\n".join(f"# {line}" for line in task.stub.rstrip().removesuffix(check).strip().splitlines())
    solution = task.solution.rstrip().removesuffix(task.solution.rstrip().splitlines()[-1]).rstrip()
    return f"{begin}\n{BEGIN}\n{solution}\n{END}\n{check}"


def instructor_edition(key: str, seed: int | None = None) -> nbformat.NotebookNode:
    """A chapter as a source of nbgrader: solutions between its marks, and hidden tests with their points.

    Args:
        key: chapter.
        seed: of the hidden tests' data; None: drawn.
    """
    book = chapter_notebook(key)
    secret = secrets.randbelow(2**31) if seed is None else seed
    known = {f"exercise-{task.number}": task for task in tasks(key, book)}
    needed = {cell.id for cell in setup_cells(book)}
    cells = []
    for cell in _without_answers(key, book):
        task = next((known[tag] for tag in tags(cell) if tag in known), None)
        if task is None:
            if cell.cell_type == "code" and cell.id not in needed:
                cell.metadata["tags"] = [*tags(cell), SKIPPED]  # grading does not run the chapter's experiments
            cells.append(cell)
            continue
        name = f"exercise-{task.number}"
        cell.source = _stubbed(task)
        cell.metadata.update(_grading(name, solution=True))
        cell.metadata["firsthand"] = {"chapter": key, "exercise": task.number}
        test = f"{BEGIN_HIDDEN}\n{seeded(task, secret)}\n{END_HIDDEN}"
        data = {"firsthand": {"chapter": key, "hidden": task.number, "title": task.title, "variable": task.variable}}
        cells += [
            cell,
            _cell(
                "code",
                test,
                f"hidden-{task.number}",
                **_grading(f"hidden-{task.number}", points=task.points, test=True),
                **data,
            ),
        ]
    found = _notebook(book, cells)
    found.metadata["firsthand"] = {"chapter": key, "setup": setup_of(book)}
    return found


def build(keys: list[str], folder: Path, *, seed: int | None = None) -> list[Path]:
    """Write both editions of chapters; returns the files.

    Args:
        keys: chapters; none: all.
        folder: takes student/NN_key.ipynb and instructor/NN_key/NN_key.ipynb.
        seed: of hidden tests; None: drawn for every chapter.

    Raises:
        UserError: an unknown chapter, or one whose exercises are not complete.
    """
    written = []
    for key in keys or list(chapters()):
        stem = chapter(key).stem
        student, instructor = folder / "student" / f"{stem}.ipynb", folder / "instructor" / stem / f"{stem}.ipynb"
        for file, made in ((student, student_edition(key)), (instructor, instructor_edition(key, seed))):
            file.parent.mkdir(parents=True, exist_ok=True)
            nbformat.validate(made)
            nbformat.write(made, file)
            written.append(file)
    return written
