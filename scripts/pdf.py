"""The built site as one PDF with contents, page numbers and working links: python scripts/pdf.py

Chromium prints each page; pypdf joins them in the order of _toc.yml as _build/firsthand.pdf. A link from page to page
becomes a jump within the file.
"""

from __future__ import annotations

import functools
import html
import http.server
import io
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, FloatObject, NameObject, NullObject

from firsthand.doctor import find_browser

ROOT = Path(__file__).parents[1]
SITE, TARGET = ROOT / "_build" / "html", ROOT / "_build" / "firsthand.pdf"
PAPER = {
    "format": "A4",
    "print_background": True,
    "margin": {"top": "14mm", "bottom": "18mm", "left": "14mm", "right": "14mm"},
}
SMALL = {"book/api": 0.6, "book/evidence": 0.7, "book/licences": 0.7}  # pages to look things up in
SHEET = "<style>body{font:11pt/1.5 sans-serif;margin:0}a{color:inherit;text-decoration:none}li{display:flex;gap:.6em}\
li span{margin-left:auto}ul{list-style:none;padding:0}h1{font-size:28pt;margin-top:40mm}\
.n{height:297mm;position:relative;break-after:page}.n b{position:absolute;bottom:9mm;width:100%;text-align:center;\
font-weight:normal;color:#555}</style>"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that does not log."""

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Part:
    """A page of the site: its path without .html, its title, the caption above it in the contents, its PDF."""

    path: str
    title: str
    caption: str
    pdf: PdfReader


def order() -> list[tuple[str, str]]:
    """Pages of the book and the captions under which they stand."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    inner = [(chapter["file"], part["caption"]) for part in toc["parts"] for chapter in part["chapters"]]
    return [(toc["root"], ""), *inner]


@contextmanager
def served() -> Iterator[str]:
    """The address of the site."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


# ------------------------------------------------------------------------------------------------- joining


def contents(parts: list[Part], starts: list[int], base: str) -> str:
    """The title page and the contents, as HTML; `starts` are page numbers."""
    lines, caption = [], ""
    for part, start in zip(parts, starts, strict=True):
        if part.caption != caption:
            lines.append(f"<li><strong>{html.escape(part.caption)}</strong></li>")
            caption = part.caption
        lines.append(f'<li><a href="{base}{part.path}.html">{html.escape(part.title)}</a><span>{start}</span></li>')
    about = "Machine-learning papers that you read, run, check and break"
    return f"{SHEET}<h1>Firsthand</h1><p>{about}</p><ul>{''.join(lines)}</ul>"


def numbers(count: int) -> str:
    """A sheet with nothing but its number, for every page, as HTML."""
    return SHEET + "".join(f'<div class="n"><b>{n}</b></div>' for n in range(1, count + 1))


def jump(writer: PdfWriter, annotation: DictionaryObject, page: int, top: float | None) -> None:
    """Make a link go to a page of the file."""
    for key in ("/A", "/Dest"):
        annotation.pop(key, None)
    height = NullObject() if top is None else FloatObject(top)
    target = [writer.pages[page].indirect_reference, NameObject("/XYZ"), NullObject(), height, NullObject()]
    annotation[NameObject("/Dest")] = ArrayObject(target)


def places(reader: PdfReader) -> dict[str, tuple[int, float | None]]:
    """Page and height of every named place of a PDF."""
    found = {}
    for name, target in reader.named_destinations.items():
        top = target.get("/Top")
        found[name.lstrip("/")] = (
            reader.get_destination_page_number(target) or 0,
            float(top) if top is not None else None,
        )
    return found


def resolve(writer: PdfWriter, parts: list[Part], starts: list[int], base: str) -> int:
    """Turn links between pages, and those within one, into jumps; return how many."""
    known = {part.path: number for number, part in enumerate(parts)}
    named = [places(part.pdf) for part in parts]
    done = 0
    for number, part in enumerate(parts):
        for page in range(starts[number], starts[number] + len(part.pdf.pages)):
            for reference in writer.pages[page].get("/Annots", []):
                annotation = reference.get_object()
                action = annotation.get("/A", {}).get_object() if "/A" in annotation else {}
                name, other = annotation.get("/Dest", action.get("/D")), number
                if str(action.get("/URI", "")).startswith(base):
                    address = urlsplit(str(action["/URI"]).removeprefix(base))
                    other = known.get(re.sub(r"\.html$", "", address.path), -1)
                    name = unquote(address.fragment)
                elif not isinstance(name, str):
                    continue
                if other < 0:
                    continue
                page_in, top = named[other].get(str(name).lstrip("/"), (0, None))
                jump(writer, annotation, starts[other] + page_in, top)
                done += 1
    return done


def joined(parts: list[Part], front: Part, sheets: PdfReader, base: str) -> PdfWriter:
    """One file: the contents, then every part, each page with its number from `sheets`, links resolved."""
    every, starts, writer = [front, *parts], [], PdfWriter()
    for part in every:
        starts.append(len(writer.pages))
        for page in part.pdf.pages:
            writer.add_page(page)
        writer.add_outline_item(title=part.title, page_number=starts[-1])
    for page, sheet in zip(writer.pages, sheets.pages, strict=False):
        page.merge_page(sheet)
    resolve(writer, every, starts, base)
    writer.add_metadata({"/Title": "Firsthand", "/Author": "The Firsthand authors"})
    return writer


# ------------------------------------------------------------------------------------------------ printing


def printed(page, source: str, *, html_text: bool = False, **changed: object) -> PdfReader:
    """A page as PDF, from its address or from its text."""
    if html_text:
        page.set_content(source)
    else:
        page.goto(source, wait_until="networkidle")
    return PdfReader(io.BytesIO(page.pdf(**{**PAPER, **changed})))


def book(page, base: str, listed: list[tuple[str, str]]) -> PdfWriter:
    """Print the pages and join them."""
    parts = []
    for path, caption in listed:
        pdf = printed(page, f"{base}{path}.html", scale=SMALL.get(path, 0.85))
        parts.append(Part(path, page.title().split(" — ")[0], caption, pdf))
        print(f"{path}: {len(pdf.pages)} pages", flush=True)

    def starts(first: int) -> list[int]:
        sizes = [first, *(len(part.pdf.pages) for part in parts)]
        return [sum(sizes[: n + 1]) + 1 for n in range(len(parts))]

    length = len(printed(page, contents(parts, starts(1), base), html_text=True).pages)
    front = Part("", "Contents", "", printed(page, contents(parts, starts(length), base), html_text=True))
    total = length + sum(len(part.pdf.pages) for part in parts)
    bare = dict.fromkeys(("top", "bottom", "left", "right"), "0")
    sheets = printed(page, numbers(total), html_text=True, margin=bare, print_background=False)
    return joined(parts, front, sheets, base)


def main() -> int:
    """Write the file."""
    browser_path = find_browser()
    if browser_path is None:
        print("No Chromium found: install it or set FIRSTHAND_BROWSER.", file=sys.stderr)
        return 2
    from playwright.sync_api import sync_playwright

    with served() as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        writer = book(browser.new_page(color_scheme="light"), base, order())
        browser.close()
    writer.compress_identical_objects()
    writer.write(TARGET)
    print(f"{TARGET.relative_to(ROOT)}: {len(writer.pages)} pages, {TARGET.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
