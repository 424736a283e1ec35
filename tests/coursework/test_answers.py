"""Answers: each kind of thing that students do to cells, and what is graded then; and what a cell of Jupyter's does."""

from __future__ import annotations

import time

import nbformat
import pytest

from firsthand.coursework.answers import ANOTHER, LONGEST, MOVED, SEVERAL, code_of, find_answers, names
from firsthand.coursework.worker import Cells, Submission

VARIABLES = {1: "double", 2: "number", 3: "turn"}
ONE = "def double(x):\n    return 2 * x\n\n\ncheck('toy', 1, double)"
TWO = "number = 1 / 2\ncheck('toy', 2, number)"
STUB = 'def double(x):\n    """Twice."""\n    ...\n\n\ncheck(\'toy\', 1, double)'


def _book(*cells: tuple[int | None, str] | str) -> nbformat.NotebookNode:
    """A notebook of cells with or without the edition's mark, and of texts between them."""
    book = nbformat.v4.new_notebook()
    for cell in cells:
        if isinstance(cell, str):
            book.cells.append(nbformat.v4.new_markdown_cell(cell))
            continue
        book.cells.append(nbformat.v4.new_code_cell(cell[1]))
        if cell[0] is not None:
            book.cells[-1].metadata["firsthand"] = {"chapter": "toy", "exercise": cell[0]}
    return book


def _graded(*cells: tuple[int | None, str] | str) -> tuple[dict[str, object], dict[int, str]]:
    """What the answers to a notebook's exercises define when they are run, and the warnings."""
    defined, warnings = Cells(), {}
    for number, answer in find_answers(_book(*cells), "toy", VARIABLES).items():
        defined.names["check"] = lambda *_: None
        for source, needed in zip(answer.cells, answer.needed, strict=True):
            try:
                defined.run(source, "cell")
            except NameError:
                assert not needed
        warnings[number] = answer.warning
    values = {name: defined.names.get(name) for name in VARIABLES.values()}
    if callable(values["double"]):
        values["double"] = values["double"](21)
    return values, warnings


HEAD, TAIL = "factor = 2", "def double(x):\n    return factor * x\ncheck('toy', 1, double)"
MIDDLE = "factor = factor + 0"
CASES = {
    "as it should be": [(1, ONE), "Text.", (2, TWO)],
    "no marks": [(None, ONE), (None, TWO)],
    "split, both halves marked": [(1, HEAD), (1, TAIL), (2, TWO)],
    "split, the second half without a mark": [(1, HEAD), (None, TAIL), (2, TWO)],
    "split in three": [(1, HEAD), (None, MIDDLE), (None, TAIL), (2, TWO)],
    "split, with a text between the halves": [(1, HEAD), "Now:", (None, TAIL), (2, TWO)],
    "split after the definition": [(1, ONE.partition("check")[0]), (None, "check('toy', 1, double)"), (2, TWO)],
    "split after the check": [(1, ONE), (1, "double(3)"), (2, TWO)],
    "what the function needs comes after it": [
        (1, "def double(x):\n    return factor * x"), (1, f"{HEAD}\ncheck('toy', 1, double)"), (2, TWO),
    ],
    "merged": [(1, f"{ONE}\n\n{TWO}")],
    "merged upwards": [(2, f"{ONE}\n\n{TWO}")],
    "merged, without the first check": [(1, f"{ONE.partition('check')[0]}\n{TWO}")],
    "merged, without the second check": [(1, f"{ONE}\nnumber = 1 / 2")],
    "merged, and a scratch cell below": [(1, f"{ONE}\n\n{TWO}"), (None, "check('toy', 2, other)")],
    "the other exercise checked again": [(1, ONE), (2, f"number = 1 / 2\ncheck('toy', 1, double)\n{TWO}")],
    "a copied stub below": [(1, ONE), (1, STUB), (2, TWO), (2, "number = ...\ncheck('toy', 2, number)")],
    "a copied stub above": [(1, STUB), (1, ONE), (2, TWO)],
    "an identical copy": [(1, ONE), (1, f"# again\n{ONE}"), (2, TWO)],
    "a scratch cell below": [(1, ONE), (2, TWO), "Text.", (None, "check('toy', 1, triple)")],
    "a check in a comment and in a string": [
        (1, ONE), (2, TWO), (None, "# check('toy', 1, double)\ntext = '''\ndouble = 3\ncheck('toy', 1, double)'''"),
    ],
    "in a block": [(1, ONE), (2, "if True:\n    number = 1 / 2\ncheck('toy', 2, number)")],
    "unpacked": [(1, ONE), (2, "other, number = 1, 1 / 2\ncheck('toy', 2, number)")],
    "with its type": [(1, ONE), (2, "number: float = 1 / 2\ncheck('toy', 2, number)")],
    "check asked whether it passed": [(1, ONE), (2, "number = 1 / 2\n_ = check(\n    'toy', 2, number)")],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_answer_is_graded_whatever_was_done_to_its_cells(name: str) -> None:
    values, warnings = _graded(*CASES[name])
    assert values == {"double": 42, "number": 0.5, "turn": None}
    assert set(warnings.values()) == {""}


OLD = "def double(x):\n    return x\n\n\ncheck('toy', 1, double)"
WARNED = {
    "two versions: the last one counts": ([(1, OLD), (1, ONE)], 42, SEVERAL.format(2)),
    "an old copy below": ([(1, ONE), (1, OLD)], 21, SEVERAL.format(2)),
    "an old copy below without the mark": ([(1, ONE), (None, OLD)], 42, ANOTHER),
    "a stub, and the answer in a new cell": ([(1, STUB), "Mine:", (None, ONE)], 42, MOVED),
    "two versions, no marks": ([(None, OLD), "Text.", (None, ONE)], 42, SEVERAL.format(2)),
}


@pytest.mark.parametrize("name", WARNED)
def test_where_another_cell_could_be_meant_a_warning_says_so(name: str) -> None:
    cells, value, warning = WARNED[name]
    values, warnings = _graded(*cells)
    assert values["double"] == value
    assert warnings == {1: warning}


def test_a_stub_is_a_stub_and_a_missing_cell_is_missing() -> None:
    answers = find_answers(_book((1, STUB), (None, "x = 1")), "toy", VARIABLES)
    assert set(answers) == {1}
    assert answers[1].cells == (STUB,)


def test_marks_that_are_none_of_the_edition_are_no_marks() -> None:
    book = _book((7, "x = 1"), (2, TWO))
    book.cells[0].metadata["firsthand"] = "mine"
    assert set(find_answers(book, "toy", VARIABLES)) == {2}


def test_names_in_comments_and_docstrings_are_not_used() -> None:
    assert names("y = book.hcvi(x)", "book.hcvi")
    assert names("y = eval('book.hcvi(x)')", "book.hcvi")
    assert names("def f(x):\n    return '#' + book.hcvi", "book.hcvi")
    assert not names("y = 1  # as book.hcvi has it", "book.hcvi")
    assert not names('def f(x):\n    """As book.hcvi\n    has it."""\n    return x', "book.hcvi")
    assert not names("y = my_slice_weights(p)", "slice_weights")
    assert names("y = book.slice_weights(p)", "slice_weights")


def test_code_keeps_its_place_when_comments_go() -> None:
    source = "x = '# no comment'  # one\ny = '''a\nb'''\n'''alone'''\nz = 1"
    code = code_of(source, long=True)
    assert len(code) == len(source)
    assert code[source.index("z = 1") :] == "z = 1"
    assert "# no comment" in code
    assert "one" not in code
    assert "alone" not in code


HOSTILE = {
    "brackets": "(" * LONGEST, "minus": "-" * (LONGEST - 1) + "1", "checks": "check('toy', 1, (" * 6_000,
    "quotes": "'\"" * 50_000, "lines": "\n" * LONGEST, "imports": "from import " * 8_000, "names": "number," * 14_000,
    "triples": "'''" * 33_000, "definitions": "def number:" * 9_000, "backslashes": "'" + "\\" * 99_000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_sources_are_read_in_little_processor_time(name: str) -> None:
    """Thirty seconds are a hundred times what it takes; a pattern that goes back and forth takes hours."""
    begin = time.thread_time()
    find_answers(_book((1, HOSTILE[name]), (None, HOSTILE[name])), "toy", VARIABLES)
    assert time.thread_time() - begin < 30


# --------------------------------------------------------------------------------------- what Jupyter's cells may do


MAGICS = {
    "help": "import numpy as np\nnp.unique?\nnumber = 0.5",
    "more help": "?int\nint??\nnumber = 0.5",
    "a magic's value": "t = %timeit -o 1 + 1\nnumber = 0.5",
    "a shell's lines": "files = !ls\n!ls\nnumber = 0.5 + len(files)",
    "timed": "%time number = 1 / 2",
    "the value of what was timed": "number = %time 1 / 2",
    "a timed cell": "%%time\nhalf = %time 1 / 2\nnumber = half",
    "a captured cell": "%%capture out\nnumber = 0.5",
    "inside a function": "def f():\n    %matplotlib inline\n    return 0.5\nnumber = f()",
    "the shell itself": "get_ipython().run_line_magic('matplotlib', 'inline')\nnumber = 0.5",
    "its settings": "get_ipython().config.InlineBackend.figure_format = 'retina'\nnumber = 0.5",
    "the shell by import": "from IPython import get_ipython\nget_ipython().magic('pylab')\nnumber = 0.5",
    "prompts": ">>> number = 0.5",
    "a remainder at a line's begin": "number = (10\n % 4) / 4\n!ls",
    "an error that is caught": "try:\n    %time 1 / 0\nexcept ZeroDivisionError:\n    number = 0.5",
}


@pytest.mark.parametrize("name", MAGICS)
def test_what_jupyter_takes_and_python_does_not_does_no_harm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython

    monkeypatch.setattr(IPython, "get_ipython", IPython.get_ipython)  # a submission replaces it
    submission = Submission()
    assert submission.answer({"do": "run", "source": MAGICS[name], "name": "cell"}) == {"done": True}
    assert submission.answer({"do": "look", "variable": "number"}) == {"kind": "value", "value": 0.5}


def test_an_error_behind_a_magic_is_reported() -> None:
    reply = Submission().answer({"do": "run", "source": "%time 1 / 0", "name": "cell"})
    assert reply == {"error": "ZeroDivisionError: division by zero"}
