"""The one PDF: pages in order, numbers, and links that jump within the file."""

from __future__ import annotations

import io

import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

from firsthand.chapters import chapters
from tests.publishing.test_publishing import load

BASE = "http://127.0.0.1:1/"


@pytest.fixture(scope="module")
def pdf():
    return load("scripts/pdf.py")


def document(pages: int, links: dict[int, str], named: dict[str, int] | None = None, inner: str = "") -> PdfReader:
    """Blank pages with links to addresses, named places, and one link to a named place on the first page."""
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(200, 200)
    for page, url in links.items():
        writer.add_annotation(page, Link(rect=(0, 0, 9, 9), url=url))
    if inner:
        link = Link(rect=(0, 0, 9, 9), url="x")
        link.pop("/A")
        link[NameObject("/Dest")] = TextStringObject(inner)
        writer.add_annotation(0, link)
    for name, page in (named or {}).items():
        writer.add_named_destination(name, page)
    held = io.BytesIO()
    writer.write(held)
    return PdfReader(held)


def target(writer: PdfWriter, annotation: DictionaryObject) -> int:
    """The page that a link jumps to."""
    wanted = annotation["/Dest"][0].idnum
    return next(n for n, page in enumerate(writer.pages) if page.indirect_reference.idnum == wanted)


def test_links_between_pages_and_within_become_jumps(pdf):
    a = document(2, {1: f"{BASE}book/b.html#there"}, {"here": 1}, inner="here")
    b = document(3, {0: f"{BASE}book/a.html", 1: "https://example.org/", 2: f"{BASE}gone.html"}, {"there": 2})
    front = pdf.Part("", "Contents", "", document(1, {0: f"{BASE}book/b.html"}))
    parts = [pdf.Part("book/a", "A", "One", a), pdf.Part("book/b", "B", "Two", b)]
    writer = pdf.joined(parts, front, document(6, {}), BASE)
    held = io.BytesIO()
    writer.write(held)
    again = PdfReader(held)
    assert len(again.pages) == 6
    assert [item.title for item in again.outline] == ["Contents", "A", "B"]
    found = {
        (n, k): r.get_object() for n, page in enumerate(writer.pages) for k, r in enumerate(page.get("/Annots", []))
    }
    jumps = {place: target(writer, link) for place, link in found.items() if "/Dest" in link}
    assert jumps == {(0, 0): 3, (1, 0): 2, (2, 0): 5, (3, 0): 1}
    kept = {str(link["/A"]["/URI"]) for link in found.values() if "/A" in link}
    assert kept == {"https://example.org/", f"{BASE}gone.html"}


def test_the_contents_name_every_part_once_with_its_page(pdf):
    reader = document(1, {})
    parts = [pdf.Part("book/a", "A & B", "One", reader), pdf.Part("book/b", "C", "One", reader)]
    said = pdf.contents(parts, [2, 3], BASE)
    assert said.count("<strong>One</strong>") == 1
    assert f'<a href="{BASE}book/a.html">A &amp; B</a><span>2</span>' in said
    assert pdf.numbers(3).count("<b>") == 3


def test_the_order_is_the_books(pdf):
    listed = [path for path, _ in pdf.order()]
    assert listed[0] == "book/index"
    assert [f"notebooks/{c.stem}" for c in chapters().values()] == [p for p in listed if "/0" in p or "/1" in p][1:]
