"""The typewriter of chapter 07 in a browser: what is typed is cut out of the sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from firsthand.dgfont.page.typewriter import typewriter

CHARACTERS, STYLES = "一十口", ["white", "half", "black"]


def sheet() -> np.ndarray:
    """A sheet on which glyph (style, character) has its own grey on the left half; the right half is paper."""
    found = np.full((3, 3, 8, 8), 255, np.uint8)
    for row in range(3):
        for column in range(3):
            found[row, column, :, :4] = 17 * (3 * row + column)
    return found


@pytest.mark.browser
def test_what_is_typed_is_written_in_the_chosen_style(tmp_path: Path, browser) -> None:
    file = tmp_path / "page.html"
    body = typewriter(sheet(), STYLES, CHARACTERS, text="十口", caption="A test.").html
    file.write_text(f"<!doctype html><meta charset='utf-8'><body>{body}</body>", encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 700})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())

    def state(expected: str) -> None:
        page.wait_for_function(f"document.querySelector('.fh-typewriter').dataset.state == {expected!r}")

    def grey(n: int) -> int:
        """Of the left half of glyph number n on the paper."""
        return page.evaluate(
            "n => document.querySelector('canvas').getContext('2d').getImageData(64 * n + 12, 32, 1, 1).data[0]", n
        )

    state("0:十口")
    assert [grey(0), grey(1)] == pytest.approx([17, 34], abs=3)
    page.locator("select").select_option(label="black")
    state("2:十口")
    assert [grey(0), grey(1)] == pytest.approx([7 * 17, 8 * 17], abs=3)
    page.locator("input").fill("口龍一")
    state("2:口龍一")
    assert [grey(0), grey(1), grey(2)] == pytest.approx([8 * 17, 255, 6 * 17], abs=3)
    page.wait_for_function("document.querySelector('.fh-say').textContent.includes('Not in the set: 龍')")
    page.locator("summary").click()
    page.locator(".fh-keys button", has_text="十").click()
    state("2:口龍一十")
    page.locator(".fh-clear").click()
    state("2:")
    assert page.evaluate("document.activeElement.tagName") == "INPUT"
    # What an input method has not finished composing is not set yet.
    page.evaluate(
        """() => { const input = document.querySelector('input'); input.value = 'yi';
           input.dispatchEvent(new InputEvent('input', {isComposing: true})); }"""
    )
    assert page.evaluate("document.querySelector('.fh-typewriter').dataset.state") == "2:"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not errors
    page.close()
