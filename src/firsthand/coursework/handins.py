"""Hand-ins: which files of a folder are submissions, whose and of what; what is neither is listed, never lost."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from firsthand.errors import UserError
from firsthand.kit.page.notebooks import shown

RESULTS, TABLE, PAGES = ".marks", "marks.csv", "feedback"  # what grading writes into the folder
#: What programs leave in folders: nobody handed it in.
LITTER = re.compile(r"\.ipynb_checkpoints|\.DS_Store|\._.*|__MACOSX|Thumbs\.db|desktop\.ini|\.git", re.I)
#: A notebook's name; browsers and mail programs add to it.
NOTEBOOK = re.compile(r"(.+?)\.ipynb(?:\.txt|\.json)?", re.I | re.S)


@dataclass(frozen=True)
class Submission:
    """Whose, of which chapter's notebook (its name without ending), and where."""

    student: str
    stem: str
    file: Path


def _files(folder: Path, top: bool = True) -> Iterator[Path]:
    """All that lies in a folder but litter and what grading wrote; folders only if nothing is in them, or as links."""
    try:
        inside = sorted(folder.iterdir())
    except OSError:  # it cannot be read
        inside = []
    if not inside and not top:
        yield folder
    for path in inside:
        if LITTER.fullmatch(path.name) or (top and path.name in (RESULTS, TABLE)) or path.name.startswith(f".{TABLE}."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path, top=False)
        elif not (folder.name == PAGES and path.suffix == ".html"):
            yield path


def _whose(parts: tuple[str, ...], stems: Collection[str]) -> tuple[str, str] | None:
    """Student and edition that a file's place below the folder tells, or None."""
    named = NOTEBOOK.fullmatch(parts[-1])
    if named is None or len(parts) > 2 or any(part.startswith(".") for part in parts):
        return None
    student, _, name = (parts[0], "", named[1]) if len(parts) == 2 else named[1].rpartition("__")
    stem = next((stem for stem in stems if stem.casefold() == name.casefold()), None)
    return (student, stem) if student and stem is not None else None


def submissions(folder: Path, stems: Collection[str]) -> tuple[list[Submission], list[Path]]:
    """STUDENT/NN_key.ipynb and STUDENT__NN_key.ipynb in a folder, and what is neither; no links are followed.

    Raises:
        UserError: two files of one student and chapter.
    """
    handed_in: dict[tuple[str, str], Submission] = {}
    ignored = []
    for file in _files(folder):
        whose = _whose(file.relative_to(folder).parts, stems)
        if whose is None or file.is_symlink() or not file.is_file():
            ignored.append(file)
            continue
        if whose in handed_in:
            other = handed_in[whose].file
            raise UserError(f"Two submissions of one student and chapter: {shown(other.name)} and {shown(file.name)}.")
        handed_in[whose] = Submission(*whose, file)
    return list(handed_in.values()), ignored
