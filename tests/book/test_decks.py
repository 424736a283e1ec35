"""A slide deck in a browser, opened from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from firsthand.coursework import build_slides
from firsthand.coursework.slides import pictures
from firsthand.kit.page.notebooks import chapter_notebook


@pytest.mark.browser
def test_a_deck_opens_from_disk_without_a_network_and_nothing_is_cut_off(tmp_path: Path, browser) -> None:
    (file,) = build_slides(["hcvi"], tmp_path)
    figures = list((tmp_path / "figures" / "01_hcvi").glob("*.png"))
    assert len(figures) == len(pictures(chapter_notebook("hcvi")))
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    foreign: list[str] = []
    page.on(
        "request", lambda request: foreign.append(request.url) if not request.url.startswith(("file", "data")) else None
    )
    page.on("pageerror", lambda error: foreign.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady() && document.querySelector('mjx-container')")
    cut = []
    while True:
        bottom, title = page.evaluate(
            """() => { const s = Reveal.getCurrentSlide(), top = s.getBoundingClientRect().top;
               const below = [...s.children].filter(c => c.tagName != "ASIDE");
               const ends = below.map(c => c.getBoundingClientRect().bottom);
               return [(Math.max(...ends, top) - top) / Reveal.getScale(), s.innerText.slice(0, 60)]; }"""
        )
        if bottom > 720:
            cut.append((title, bottom))
        if page.evaluate("Reveal.isLastSlide()"):
            break
        page.evaluate("Reveal.next()")
    assert not cut
    assert not foreign
    assert page.evaluate("document.querySelectorAll('.fh-explore input').length") > 0
    page.close()
