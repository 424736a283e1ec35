"""Write the first files of a chapter; standard library only."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from string import Template

from firsthand.chapters import PACKAGE, chapters
from firsthand.errors import UserError

TEMPLATES = Path(__file__).parent / "templates"
#: Template -> file below the repository's root.
FILES = {
    "chapter.toml": "src/firsthand/{key}/chapter.toml",
    "init.py": "src/firsthand/{key}/__init__.py",
    "method.py": "src/firsthand/{key}/method.py",
    "lab.py": "src/firsthand/{key}/lab/__init__.py",
    "config.py": "src/firsthand/{key}/lab/config.py",
    "pipeline.py": "src/firsthand/{key}/lab/pipeline.py",
    "claims.py": "src/firsthand/{key}/lab/claims.py",
    "page.py": "src/firsthand/{key}/page/__init__.py",
    "exercises.py": "src/firsthand/{key}/page/exercises.py",
    "test_method.py": "tests/{key}/test_method.py",
    "test_init.py": "tests/{key}/__init__.py",
    "names.toml": "tests/names/{key}.toml",
    "notebook.md": "notebooks/text/{stem}.md",
}
LATER = """\
Written: {count} files of chapter {number:02d}, a toy that runs. Now
  1. firsthand run {key}; then change method.py and lab/ to your paper's
  2. firsthand evidence {key} --workers 2
  3. make notebooks, which makes notebooks/{stem}.ipynb of notebooks/text/{stem}.md
     python scripts/execute.py notebooks/{stem}.ipynb
  4. add notebooks/{stem} to _toc.yml, "firsthand.{key}" to the layers in pyproject.toml, its functions to book/api.md,
     and "## Chapter {number:02d}: …" with the letters of its formulas to book/notation.md
  5. make check says what is missing
"""


def _sorted_imports(text: str) -> str:
    """Where a chapter's imports stand among the book's depends on its key."""
    lines = text.splitlines(keepends=True)
    places = [n for n, line in enumerate(lines) if line.startswith("from firsthand")]
    for place, line in zip(places, sorted(lines[n] for n in places), strict=True):
        lines[place] = line
    return "".join(lines)


def scaffold(key: str, number: int, title: str, root: Path | None = None) -> tuple[list[Path], str]:
    """Write a chapter's first files; none is written if one is there already.

    Args:
        key: the folder's name, lower-case letters and digits.
        number: of the chapter, not taken yet.
        title: as the card shows it, "NAME: what it is about".
        root: of the repository; default: that of this package.

    Returns:
        The files, and what to do next.

    Raises:
        UserError: a name, number or title that cannot be, a file in the way, or no repository.
    """
    root = PACKAGE.parents[1] if root is None else root
    if not (root / "_toc.yml").is_file():
        raise UserError("A chapter is added to a clone of the book; this package is not in one.")
    if not re.fullmatch(r"[a-z][a-z0-9]{1,19}", key):
        raise UserError(f"A chapter's key is two to twenty lower-case letters and digits; got {key!r}.")
    taken = {c.number: c.key for c in chapters().values()}
    if not 1 <= number <= 99 or number in taken:
        raise UserError(f"--number must be free and between 1 and 99; {number} is {taken.get(number, 'neither')}.")
    if not title.strip() or '"' in title or "\\" in title or "\n" in title:
        raise UserError("--title must be one line without quotation marks and backslashes.")
    stem = f"{number:02d}_{key}"
    targets = {name: root / place.format(key=key, stem=stem) for name, place in FILES.items()}
    for file in (root / "src" / "firsthand" / key, *targets.values()):
        if file.exists():
            raise UserError(f"{file.relative_to(root)} is there already; nothing was written.")
    words = {"key": key, "number": str(number), "stem": stem, "title": title.strip()}
    for name, file in targets.items():
        text = (TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_sorted_imports(Template(text).substitute(words)), encoding="utf-8")
    later = textwrap.dedent(LATER).format(count=len(targets), number=number, key=key, stem=stem)
    return list(targets.values()), later
