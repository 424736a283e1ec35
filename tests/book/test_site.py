"""The built site in a real browser: alone, silent, moving, searchable, typeset, accessible."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from firsthand.chapters import chapters
from firsthand.kit.lab import evidence
from firsthand.kit.page import pages
from tests.book.conftest import SITE

pytestmark = pytest.mark.browser

PAGES = sorted(
    file.relative_to(SITE).as_posix() for folder in ("book", "notebooks") for file in (SITE / folder).glob("*.html")
) or ["not built"]
NOTEBOOKS = [f"notebooks/{c.stem}.html" for c in chapters().values()]


def picture(page, selector: str) -> str:
    return hashlib.sha256(page.locator(selector).first.screenshot()).hexdigest()


@pytest.mark.parametrize("path", PAGES)
def test_pages_load_alone_and_in_silence(watched, path):
    page, watch = watched(path)
    assert page.locator("h1").count() >= 1
    watch.check()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(watched, path, scheme):
    page, _ = watched(path, color_scheme=scheme)
    found = Axe().run(page).response["violations"]
    serious = [
        f"{v['id']}: {v['nodes'][0]['html'][:120]} {v['nodes'][0].get('failureSummary', '')[:200]}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_a_phone(watched, path):
    page, _ = watched(path, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_every_moving_figure_moves(watched, path):
    page, watch = watched(path)
    figures = page.locator("figure.fh-explore")
    assert figures.count() >= 1
    for i in range(figures.count()):
        figure = figures.nth(i)
        panels = figure.locator(".fh-panels")
        figure.scroll_into_view_if_needed()
        for j in range(figure.locator("input[type=range]").count()):
            slider = figure.locator("input[type=range]").nth(j)
            before, said = panels.screenshot(), figure.locator(".fh-say").inner_text()
            slider.focus()
            page.keyboard.press("ArrowLeft" if slider.evaluate("e => e.value === e.max") else "ArrowRight")
            assert panels.screenshot() != before, "the slider moved and the picture did not"
            assert figure.locator(".fh-say").inner_text() != said
        for j in range(figure.locator("select").count()):
            menu = figure.locator("select").nth(j)
            before = panels.screenshot()
            menu.select_option(index=1 if menu.evaluate("e => e.selectedIndex") == 0 else 0)
            assert panels.screenshot() != before, "the menu changed and the picture did not"
    watch.check()


def test_the_play_button_plays_and_pauses(watched):
    page, _ = watched(NOTEBOOKS[0])
    figure = page.locator("figure.fh-explore").first
    state = figure.get_attribute("data-state")
    figure.locator("button").first.click()
    page.wait_for_function("([e, s]) => e.dataset.state !== s", arg=[figure.element_handle(), state], timeout=120_000)
    figure.locator("button").first.click()
    assert "play" in figure.locator("button").first.inner_text()


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_without_scripts_the_static_figure_is_there(watched, path):
    page, _ = watched(path, java_script_enabled=False)
    still = page.locator("figure.fh-explore img.fh-still")
    assert still.count() == page.locator("figure.fh-explore").count() >= 1
    assert still.first.is_visible()
    assert still.first.bounding_box()["height"] > 100


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_figures_move_from_disk_too(browser, path):
    context = browser.new_context()
    page = context.new_page()
    page.goto((SITE / path).as_uri())
    page.wait_for_selector("figure.fh-explore .fh-panels svg, figure.fh-explore .fh-panels img")
    context.close()


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_mathematics_is_typeset(watched, path):
    page, _ = watched(path)
    page.wait_for_selector("mjx-container svg", timeout=120_000)
    left = page.evaluate("document.querySelector('.bd-article').innerText")
    assert "\\frac" not in left
    assert "\\mathrm" not in left
    assert "$" not in left
    assert page.locator("mjx-container[display=true]").count() >= 3
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0


def test_search_finds_a_word(watched):
    page, watch = watched("search.html?q=hyperball")
    page.goto(page.url.replace("hyperball", "silhouette"), wait_until="networkidle")
    page.wait_for_selector("#search-results li a", timeout=120_000)
    assert "HCVI" in page.locator("#search-results").inner_text()
    watch.check()


def test_the_ledger_filters(watched):
    page, _ = watched("book/evidence.html")
    rows = page.locator(".fh-ledger tbody tr")
    key = next(iter(chapters()))
    counts = dict.fromkeys(pages.MARKS, 0)
    for chapter in chapters():
        for name, n in evidence.counts(evidence.load(chapter)).items():
            counts[name] += n
    assert rows.count() == sum(counts.values())
    page.locator("select[name=verdict]").select_option("fails")
    assert page.locator(".fh-ledger tbody tr:visible").count() == counts["fails"]
    assert f"{counts['fails']} of {rows.count()}" in page.locator(".fh-filters output").inner_text()
    page.locator("select[name=chapter]").select_option(key)
    assert page.locator(".fh-ledger tbody tr:visible").count() <= counts["fails"]


def test_the_ledger_shows_the_verdicts_of_the_files(watched):
    page, _ = watched("book/evidence.html")
    shown = page.eval_on_selector_all(".fh-ledger tbody tr", "rows => rows.map(r => [r.id, r.dataset.verdict])")
    stored = [[f"{key}-{row['id']}", row["verdict"]] for key in chapters() for row in evidence.load(key)["claims"]]
    assert shown == stored
    for key in chapters():
        stale = evidence.is_stale(evidence.load(key))
        assert ("Measured with earlier code" in page.locator(".bd-article").inner_text()) >= stale


def test_the_front_page_has_a_card_for_every_chapter(watched):
    page, _ = watched("book/index.html")
    cards = page.locator(".fh-card")
    assert cards.count() == len(chapters())
    for i, key in enumerate(chapters()):
        assert pages.verdict_words(key) in cards.nth(i).inner_text()
        assert pages.run_time(key) in cards.nth(i).inner_text()
        assert cards.nth(i).locator("img").evaluate("e => e.naturalWidth") > 300
    cards.first.click()
    page.wait_for_load_state()
    assert page.locator(".bd-article h1").inner_text().startswith("HCVI")


def test_code_links_to_the_api_and_back(watched):
    page, _ = watched(NOTEBOOKS[0])
    links = page.eval_on_selector_all("div.highlight a", "a => a.map(e => e.getAttribute('href'))")
    assert any("api.html#firsthand.hcvi" in link for link in links if link)
    page, _ = watched("book/api.html")
    assert page.locator("a[href*='notebooks/01_hcvi']").count() > 5


def anchors(path: str) -> set[str]:
    return set(re.findall(r'\bid="([^"]+)"', (SITE / path).read_text(encoding="utf-8")))


def test_rows_equations_and_code_are_linked_both_ways():
    """Every row of the ledger to its place in its chapter; equations to code, code to equations and to its source."""
    ledger = (SITE / "book" / "evidence.html").read_text(encoding="utf-8")
    api = (SITE / "book" / "api.html").read_text(encoding="utf-8")
    known = {path: anchors(path) for path in [*NOTEBOOKS, "book/api.html"]}
    rows = re.findall(r'href="\.\./(notebooks/[\w]+\.html)#(claim-[^"]+)"', ledger)
    pages_of = {key: f"notebooks/{c.stem}.html" for key, c in chapters().items()}
    stored = {(page, f"claim-{row['id']}") for key, page in pages_of.items() for row in evidence.load(key)["claims"]}
    assert set(rows) == stored
    equations = re.findall(r'href="\.\./(notebooks/[\w]+\.html)#(equation-\d+)"', api)
    code = [
        ("book/api.html", anchor)
        for path in NOTEBOOKS
        for place in re.findall(r'class="fh-code-of">(.*?)</p>', (SITE / path).read_text(encoding="utf-8"))
        for anchor in re.findall(r'href="\.\./book/api\.html#([^"]+)"', place)
    ]
    assert {path for path, _ in equations} == set(NOTEBOOKS)
    assert len(code) > len(NOTEBOOKS)
    assert [(path, anchor) for path, anchor in [*rows, *equations, *code] if anchor not in known[path]] == []
    sources = re.findall(r'href="\.\./(_modules/[\w/]+\.html)#', api)
    assert len(sources) > 100
    assert [path for path in set(sources) if not (SITE / path).is_file()] == []


def test_no_inline_script_is_left():
    runs = ("", "text/javascript", "module")
    for path in PAGES:
        html = (SITE / path).read_text(encoding="utf-8")
        for attributes, body in re.findall(r"<script([^>]*)>(.*?)</script>", html, re.S):
            kind = re.search(r'type="([^"]*)"', attributes)
            assert "src=" in attributes or not body.strip() or (kind and kind[1] not in runs), (path, body[:80])
        assert not re.search(r"<[a-z][^<>]*\son(click|load|error)=", html)


def test_pages_are_light():
    for path in PAGES:
        assert (SITE / path).stat().st_size < 4_000_000, path
    assert sum(f.stat().st_size for f in Path(SITE).rglob("*") if f.is_file()) < 80_000_000


def test_the_site_tells_no_hidden_test():
    """Neither the pages nor the notebooks for download: the coursework's hidden tests are in no student's reach."""
    if not SITE.is_dir():
        pytest.skip("the site is not built: run `make book`")
    told = [
        file.relative_to(SITE).as_posix()
        for kind in ("html", "ipynb", "js", "txt")
        for file in SITE.rglob(f"*.{kind}")
        if "_static/lib" not in file.as_posix() and re.search(r"def hidden_\d", file.read_text(encoding="utf-8"))
    ]
    assert told == []
