"""Finds the answers in a submission's notebook, whatever was done to its cells.

Students split cells, merge them, copy them, and lose the marks that the edition left in them. An answer is therefore
looked for by those marks, by the call of `check`, and by the name that is graded; where more than one was a candidate
a warning says which one was taken. Sources are read as lines of text here, never parsed: they may be anything, and
Python's parser can be brought down.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

LONGEST, LINE, CALLS = 100_000, 500, 20  # characters of an answer; of a line's begin, and calls of `check`, looked at
SEVERAL = "{} cells answer this exercise and differ; the last one was graded."
ANOTHER = "Another cell answers this exercise too; the exercise's own cell was graded."
MOVED = "The exercise's own cell has no answer; the one in another cell was graded."

#: Comments and strings; a string that is not closed ends with its line, a long one with the cell.
TEXTS = re.compile(
    r"""\#[^\n]*|(?:\"\"\"(?:\\.|[^\\])*?(?:\"\"\"|\Z)|'''(?:\\.|[^\\])*?(?:'''|\Z)"""
    r"""|\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?)""",
    re.S,
)
BLOCK = re.compile(r"(?:if|elif|else|for|while|with|try|except|finally|async (?:for|with))\b")
UNANSWERED = re.compile(  # lines of a stub
    r"""^[ \t]*(?:\.\.\.|pass|return(?: None| \.\.\.)?|""|\w+ *(?::[^=\n]*)?= *(?:\.\.\.|None)"""
    r"""|(?:async )?def [^\n]*: *(?:\.\.\.|pass)?|check\([^\n]*\))[ \t]*$""",
    re.M,
)


@dataclass(frozen=True)
class Answer:
    """The answer to one exercise.

    Attributes:
        cells: sources to run one after another. needed: whether each must not raise.
        warning: for student and instructor, where another cell could have been meant; else empty.
    """

    cells: tuple[str, ...]
    needed: tuple[bool, ...]
    warning: str = ""


@dataclass(frozen=True)
class Piece:
    """A cell, or what of it belongs to one exercise.

    Attributes:
        source: of it. marked: its cell has the edition's mark. numbers: of exercises that it belongs to.
        checks, binds: exercises that it calls `check` for, and whose names it binds to an answer.
        empty: it is a stub, or a call of `check` and nothing else.
        stretch: number of the stretch of code cells, without text between them, that it is in.
    """

    source: str
    marked: bool
    numbers: frozenset[int]
    checks: frozenset[int]
    binds: frozenset[int]
    empty: bool
    stretch: int


@dataclass
class Version:
    """One attempt at an exercise: the pieces of a cell that was split."""

    pieces: list[Piece] = field(default_factory=list)

    def does(self, what: str, number: int) -> bool:
        """Whether it "checks" or "binds" that exercise."""
        return any(number in getattr(piece, what) for piece in self.pieces)

    @property
    def marked(self) -> bool:
        return any(piece.marked for piece in self.pieces)

    @property
    def words(self) -> str:
        """What tells it from another one: its code without comments and spaces."""
        return "".join(code_of(piece.source, docstrings=False) for piece in self.pieces).translate(SPACES)


SPACES = dict.fromkeys(map(ord, " \t\r\n"))


# --------------------------------------------------------------------------------------------- lines of code


def code_of(source: str, *, docstrings: bool = True, long: bool = False) -> str:
    """A source of the same length, with spaces for its comments.

    Args:
        source: anything. docstrings: leave strings that are a statement of their own out too.
        long: leave out all strings of several lines too.
    """

    def blank(found: re.Match[str]) -> str:
        text = found[0]
        if text.startswith("#"):
            return " " * len(text)
        before = source[max(0, found.start() - LINE) : found.start()]
        alone = not before[before.rfind("\n") + 1 :].strip()
        if (docstrings and alone) or (long and "\n" in text):
            return '""'.ljust(len(text))[: len(text)]
        return text

    return TEXTS.sub(blank, source)


def names(source: str, name: str) -> bool:
    """Whether code uses a name such as `book.hcvi`; comments and docstrings may."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", code_of(source)) is not None


def _binding(variable: str) -> re.Pattern[str]:
    """Begins of a line, without its indent, that gives a name a value."""
    v = re.escape(variable)
    return re.compile(
        rf"(?:(?:async\s+)?def|class)\s+{v}\b|(?:from\s[^\n]{{1,200}}\s)?import\s[^\n]*\b{v}\b"
        rf"|(?:%time\s+)?\(?(?:[\w.]+\s*=\s*|[\w.*]+\s*,\s*){{0,8}}[(*]?{v}\b[^=\n(]{{0,200}}=(?!=)"
    )


def _binds(code: str, variable: str) -> bool:
    """Whether code gives a name a value at its top level, or in a block there that is no function's."""
    pattern, head = _binding(variable), ""
    if variable not in code:
        return False
    for line in code.split("\n"):
        if line[:1].strip() and line[0] not in ")]}":
            head = line
        inner = line[:LINE].lstrip()
        if pattern.match(inner) and (inner == line[:LINE] or BLOCK.match(head)):
            return True
    return False


def _checks(code: str, key: str) -> list[tuple[int, int]]:
    """The calls of `check` for a chapter: the exercise's number, and where the call's line ends."""
    pattern = re.compile(rf"""\bcheck\(\s*["']{re.escape(key)}["']\s*,\s*(\d{{1,3}})\b""")
    found = []
    for call in islice(pattern.finditer(code), CALLS):
        depth, at = 1, call.end()
        while at < min(len(code), call.end() + LINE) and (depth or code[at] != "\n"):
            depth += {"(": 1, ")": -1}.get(code[at], 0) if depth else 0
            at += 1
        found.append((int(call[1]), at))
    return found


# -------------------------------------------------------------------------------------------------- pieces


def _split(source: str, key: str, variables: Mapping[int, str]) -> list[tuple[str, set[int]]]:
    """A cell's pieces and what each checks: one, or where it answers one exercise after another one for each.

    A piece ends after a call of `check`, if the name of that exercise was given a value since the piece before.
    """
    code = code_of(source, long=True)
    pieces: list[tuple[str, set[int]]] = []
    begin, checked = 0, set()
    for number, end in _checks(code, key):
        if number in variables:
            checked.add(number)
            if _binds(code[begin:end], variables[number]):
                pieces.append((source[begin:end], checked))
                begin, checked = end, set()
    if len({frozenset(numbers) for _, numbers in pieces}) < 2:  # all of one exercise: nothing was merged
        return [(source, checked.union(*(numbers for _, numbers in pieces)))]
    return [*pieces, (source[begin:], checked)]


def _mark(cell: Any) -> int | None:
    about = cell.metadata.get("firsthand")
    number = about.get("exercise") if isinstance(about, dict) else None
    return number if isinstance(number, int) else None


def _pieces_of(cell: Any, key: str, variables: Mapping[int, str], stretch: int) -> list[Piece]:
    """The pieces of a cell, with the exercises that they belong to."""
    mark = _mark(cell) if _mark(cell) in variables else None
    own = {mark} if mark is not None else set()
    if len(cell.source) > LONGEST:  # not even read
        return [Piece(cell.source, bool(own), frozenset(own), frozenset(), frozenset(own), False, stretch)]
    found = []
    for source, checked in _split(cell.source, key, variables):
        code = code_of(source, long=True)
        empty = not UNANSWERED.sub("", code).strip()
        bound = set() if empty else {n for n, variable in variables.items() if _binds(code, variable)}
        found.append((source, checked, bound, empty))
    elsewhere = any(mark in checked | bound for _, checked, bound, _ in found)
    pieces = []
    for source, checked, bound, empty in found:
        numbers = checked & bound
        if own and (mark in checked | bound or not elsewhere):
            numbers |= own
        numbers = numbers or (set() if own else checked)
        sets = frozenset(numbers), frozenset(checked), frozenset(bound)
        pieces.append(Piece(source, bool(own), *sets, empty, stretch))
    return pieces


def _pieces(book: Any, key: str, variables: Mapping[int, str]) -> list[Piece]:
    """All code of a notebook, in its order."""
    pieces: list[Piece] = []
    stretch = 0
    for cell in book.cells:
        if cell.cell_type == "code":
            pieces += _pieces_of(cell, key, variables, stretch)
        else:
            stretch += 1
    return pieces


# ------------------------------------------------------------------------------------------------ versions


def _between(pieces: list[Piece], first: int, last: int) -> list[Piece]:
    """The pieces between two halves of a cell that was split in more than two, or none if these are no such halves."""
    found = pieces[first + 1 : last]
    same = pieces[first].stretch == pieces[last].stretch
    return found if same and not any(piece.marked or piece.checks for piece in found) else []


def _versions(pieces: list[Piece], number: int) -> list[Version]:
    """The attempts at an exercise, in their order; stubs are none where anything else is."""
    places = [at for at, piece in enumerate(pieces) if number in piece.numbers]
    places = [at for at in places if not pieces[at].empty] or places
    versions: list[Version] = []
    for before, at in zip([-1, *places], places, strict=False):
        piece, now = pieces[at], versions[-1] if versions else None
        binds = number in piece.binds
        again = now is not None and now.does("binds", number) and binds
        if now is not None and not again:
            near = pieces[before].stretch == piece.stretch
            if piece.marked or (not now.does("checks", number) and (binds or near)):
                now.pieces += [*_between(pieces, before, at), piece]
                continue
        if binds or piece.marked or not any(version.does("binds", number) for version in versions):
            versions.append(Version([piece]))
    return versions


def _chosen(versions: list[Version], number: int, has_own_cell: bool) -> tuple[Version, str]:
    """The version that is graded, and a warning."""
    answered = [version for version in versions if version.does("binds", number)] or versions
    own = [version for version in answered if version.marked]
    version = (own or answered)[-1]
    words = {other.words for other in own or answered}
    if has_own_cell and not own:
        return version, MOVED
    if len(words) > 1:
        return version, SEVERAL.format(len(words))
    return version, ANOTHER if {other.words for other in answered} - words else ""


def find_answers(book: Any, key: str, variables: Mapping[int, str]) -> dict[int, Answer]:
    """The answers in a notebook by exercise; one that has no cell is left out.

    Args:
        book: the notebook. key: chapter. variables: the name that is graded, by exercise.
    """
    pieces = _pieces(book, key, variables)
    answers = {}
    for number in variables:
        versions = _versions(pieces, number)
        if not versions:  # merged into another exercise's cell, without its call of `check`
            versions = [Version([piece]) for piece in pieces if piece.marked and number in piece.binds]
        if versions:
            has_own_cell = any(piece.marked and number in piece.numbers for piece in pieces)
            version, warning = _chosen(versions, number, has_own_cell)
            bound = version.does("binds", number)
            needed = tuple(not bound or number in piece.binds for piece in version.pieces)
            answers[number] = Answer(tuple(piece.source for piece in version.pieces), needed, warning)
    return answers
