"""Which chapters there are, from their `chapter.toml`; standard library only, so that `firsthand list` is instant."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from firsthand.errors import UserError

PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Chapter:
    """A chapter's card: what `chapter.toml` says. `key` is the folder's name, `stem` the notebook's.

    `we_read` is what of the paper and its code could be had; `topics` are the primer's that it needs beside seeds and
    verdicts, `after` the chapters that it needs, `helped_by` those that help; `goals` are what a student can do
    afterwards.
    """

    key: str
    number: int
    title: str
    question: str
    part: str
    authors: str
    paper: str
    year: int
    venue: str
    url: str
    we_read: str
    build: str
    needs: str
    topics: list[str]
    after: list[str]
    helped_by: list[str]
    data: str
    gpu: str
    goals: list[str]

    @property
    def stem(self) -> str:
        return f"{self.number:02d}_{self.key}"


@cache
def chapters() -> dict[str, Chapter]:
    """All chapters of the package in reading order, by key."""
    found = []
    for file in PACKAGE.glob("*/chapter.toml"):
        found.append(Chapter(key=file.parent.name, **tomllib.loads(file.read_text(encoding="utf-8"))))
    return {c.key: c for c in sorted(found, key=lambda c: c.number)}


def chapter(key: str) -> Chapter:
    """The chapter of that name; a UserError lists the names there are."""
    if key not in chapters():
        raise UserError(f"Unknown chapter {key!r}: choose one of {', '.join(chapters())}.")
    return chapters()[key]


def notebook_path(key: str) -> Path:
    """The chapter's notebook in the repository that this package was installed from in editable mode."""
    path = PACKAGE.parents[1] / "notebooks" / f"{chapter(key).stem}.ipynb"
    if not path.is_file():
        raise UserError(
            f"The notebook of {key} is not beside this package; clone the repository and install it with `make book`."
        )
    return path
