"""Slides and figures: what is on them, and that a deck works alone."""

from __future__ import annotations

import re

import pytest

from firsthand.chapters import chapters
from firsthand.coursework import editions
from firsthand.coursework.slides import TASK, WORDS, _pages, deck, pictures

KEYS = list(chapters())


def _kinds(key: str) -> list[tuple[str, str]]:
    return [(cell.metadata["slideshow"]["slide_type"], cell.source) for cell in deck(key).cells]


@pytest.mark.parametrize("key", KEYS)
def test_a_deck_shows_every_section_figure_and_exercise_and_no_solution(key: str) -> None:
    book = editions.chapter_notebook(key)
    shown = _kinds(key)
    titles = [source.splitlines()[0] for kind, source in shown if kind == "slide"]
    assert titles[0] == f"# {chapters()[key].title}"
    wanted = re.findall(r"^## (.+)$", "\n".join(c.source for c in book.cells if c.cell_type == "markdown"), re.M)
    assert [title.removeprefix("## ") for title in titles[1:]] == [t for t in wanted if not t.startswith("Further")]
    text = "\n".join(source for _, source in shown)
    for task in editions.tasks(key, book):
        assert task.title in text
        assert task.solution not in text
    assert "hidden_" not in text
    assert "<details>" not in text
    html = [str(output.data.get("text/html", "")) for cell in deck(key).cells for output in cell.get("outputs", [])]
    assert sum("<img" in page for page in html) == len(pictures(book))


@pytest.mark.parametrize("key", KEYS)
def test_no_slide_is_a_page_of_prose(key: str) -> None:
    for kind, source in _kinds(key):
        prose = re.sub(r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|^\|.*$", "", source, flags=re.S | re.M)
        if kind != "notes":
            assert len(prose.split()) < TASK + WORDS, source[:80]


def test_formulas_keep_the_sentence_before_them() -> None:
    long = "One two three. " + "Word " * 60 + "end. Here it comes: $$a$$ then $$b$$ $$c$$ $$d$$ Last."
    pages, notes = _pages(long, 10)
    assert pages[0].startswith("One two three. ")
    assert pages[0].count("$$") == 6
    assert pages[1].count("$$") == 2
    assert "Word" in notes
    assert "Last." in notes
