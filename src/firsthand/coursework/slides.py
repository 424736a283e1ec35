"""A slide deck and a folder of figures for every chapter, made from the cells of its notebook alone.

A section becomes a slide with its heading, its first sentences and its formulas; what else it says goes to the
speaker's notes (key S). Every figure gets a slide of its own; moving figures move there too. Solutions are left out.
"""

from __future__ import annotations

import base64
import html
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from firsthand.chapters import PACKAGE, chapter, chapters
from firsthand.coursework.editions import tags
from firsthand.errors import UserError
from firsthand.kit.page.notebooks import chapter_notebook

LIB = PACKAGE.parents[1] / "book" / "_static" / "lib"
WORDS, TASK = 55, 120  # of a section that stand on its slide, and of an exercise
ROWS = 9  # of a table that fit
LINES = 14  # of code that fit
FORMULAS = 3  # displayed on one slide
HIDDEN = ("solution", "hidden", "exercise")  # tags of cells that no slide shows; an exercise's words are its slide
DISPLAY = re.compile(r"(\$\$.+?\$\$)", re.S)
BLOCK = re.compile(r"```.*?```|(?:^\|[^\n]*\n?)+", re.M | re.S)  # code and tables
SENTENCE = re.compile(r".+?(?:[.?!:](?=\s)\s+|\Z)", re.S)  # with the space after it


@dataclass(frozen=True)
class Picture:
    """A figure of a notebook: PNG bytes, its caption, its name in file names, and what it says without eyes."""

    data: bytes
    caption: str
    name: str
    alt: str


def pictures(book: nbformat.NotebookNode) -> list[Picture]:
    """The still figures of a notebook in order; moving ones are given by the state they start in."""
    found: list[Picture] = []
    for cell in book.cells:
        if cell.cell_type != "code" or "remove-cell" in tags(cell) or _is(cell, HIDDEN):
            continue
        for output in cell.outputs:
            picture = _picture(cell, output.get("data", {}), len(found) + 1)
            if picture is not None:
                found.append(picture)
    return found


def _picture(cell: nbformat.NotebookNode, data: dict[str, Any], number: int) -> Picture | None:
    about = cell.metadata.get("mystnb", {})
    name = str(about.get("figure", {}).get("name", f"figure-{number}")).removeprefix("fig-")
    if "image/png" in data:
        words = str(about.get("figure", {}).get("caption", ""))
        alt = str(about.get("image", {}).get("alt", words))
        return Picture(base64.b64decode(data["image/png"]), words, f"{number:02d}_{name}", alt)
    still = re.search(
        r'class="fh-still" alt="([^"]*)" src="data:image/png;base64,([^"]+)"', str(data.get("text/html", ""))
    )
    if still is None:
        return None
    words = html.unescape(still[1])
    return Picture(base64.b64decode(still[2]), words, f"{number:02d}_{name}", words)


def _is(cell: nbformat.NotebookNode, parts: tuple[str, ...]) -> bool:
    return any(tag.startswith(parts) for tag in tags(cell))


# --------------------------------------------------------------------------------------------------- slides


def deck(key: str) -> nbformat.NotebookNode:
    """A chapter's notebook as slides: Markdown and code cells that carry nbconvert's slide types."""
    made = nbformat.v4.new_notebook()
    made.metadata["title"] = chapter(key).title
    heading, after_exercises = "", False
    for cell in chapter_notebook(key).cells:
        if cell.cell_type == "markdown":
            for title, body in _sections(cell.source):
                after_exercises = title.startswith("## Further") or after_exercises
                heading = title or heading
                if not after_exercises:
                    made.cells += _words(title, heading, body)
        elif "remove-cell" not in tags(cell) and not _is(cell, HIDDEN) and not after_exercises:
            made.cells += _outputs(cell, heading)
    for number, cell in enumerate(made.cells):
        cell.id = f"slide-{number}"
    return made


def _slide(kind: str, text: str) -> nbformat.NotebookNode:
    cell = nbformat.v4.new_markdown_cell(text)
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell


def _small(heading: str) -> str:
    """A heading as a slide has it: of the second level, but for the chapter's title."""
    return heading if heading.startswith("# ") else re.sub(r"^#+", "##", heading)


def _sections(text: str) -> list[tuple[str, str]]:
    """(heading or "", text under it) of a Markdown cell; folded parts are left out."""
    text = re.sub(r"<details>.*?</details>", "", text, flags=re.S)
    parts = re.split(r"^(#{1,3} .+)$", text, flags=re.M)
    found = [("", parts[0])] if parts[0].strip() else []
    return found + list(zip(parts[1::2], parts[2::2], strict=True))


def _words(title: str, heading: str, body: str) -> list[nbformat.NotebookNode]:
    """Slides of a section: its first sentences, every formula after the sentence before it; tables and code alone."""
    kind = "slide" if title.startswith(("# ", "## ")) else "subslide"
    blocks = BLOCK.findall(body)
    pages, notes = _pages(BLOCK.sub("\n\n", body), TASK if heading.startswith("### Exercise") else WORDS)
    if title and not pages and not blocks:
        pages = [""]
    cells = []
    for number, page in enumerate(pages):
        head = _small(title or heading)
        cells.append(_slide("subslide" if number else kind, f"{head}\n\n{page}"))
    if notes and cells:
        cells.append(_slide("notes", notes))
    for block in blocks:
        if block.count("\n") <= (LINES if block.startswith("```") else ROWS + 2):
            cells.append(_slide("subslide", f"{_small(heading)}\n\n{block}"))
    return cells


def _pages(text: str, most: int) -> tuple[list[str], str]:
    """(what the slides say, what is left for notes) of prose with formulas, in their order."""
    pages: list[str] = []
    notes: list[str] = []
    page = ""
    words = formulas = 0
    for piece in DISPLAY.split(text):
        if piece.startswith("$$"):
            if formulas == FORMULAS:
                pages.append(page.strip())
                page, formulas = (notes.pop() if notes else ""), 0
            page, formulas = f"{page}\n{piece}\n", formulas + 1
            continue
        for sentence in SENTENCE.findall(piece):
            count = len(sentence.split())
            if pages or (words and words + count > most):
                notes.append(sentence)
                words = most  # what comes later is not said before it
            else:
                page, words = page + sentence, words + count
    return [page for page in [*pages, page.strip()] if page], "".join(notes).strip()


def _outputs(cell: nbformat.NotebookNode, heading: str) -> list[nbformat.NotebookNode]:
    """Slides of a code cell: its figure, table or text; code only where both it and what it prints are short."""
    cells = []
    for output in cell.outputs:
        data = output.get("data", {})
        content = str(data.get("text/html", "") or "")
        picture = _picture(cell, data, 0) if "image/png" in data else None
        if picture is not None:
            shown = base64.b64encode(picture.data).decode()
            content = (
                f'<figure><img alt="{html.escape(picture.alt)}" src="data:image/png;base64,{shown}">'
                f"<figcaption>{html.escape(picture.caption)}</figcaption></figure>"
            )
        elif "fh-explore" in content:
            content = f"<div>{content}</div>"
        elif content:
            content = f'<div class="deck-scroll">{content}</div>'
        elif "text/markdown" in data:
            cells += _words("", heading, str(data["text/markdown"]))
            continue
        elif output.output_type == "stream" and "remove-input" not in tags(cell):
            if cell.source.count("\n") + str(output.text).count("\n") > LINES:
                continue
            content = f"```python\n{cell.source}\n```\n\n```\n{output.text}```"
        else:
            continue
        if content.startswith("```"):
            cells.append(_slide("subslide", f"{_small(heading)}\n\n{content}"))
        else:
            cells += [_slide("subslide", _small(heading)), _shown(content)]
    return cells


def _shown(content: str) -> nbformat.NotebookNode:
    """HTML as the output of a cell without code: Markdown would change it."""
    output = nbformat.v4.new_output("display_data", {"text/html": content})
    cell = nbformat.v4.new_code_cell("", outputs=[output])
    cell.metadata["slideshow"] = {"slide_type": "-"}
    cell["transient"] = {"remove_source": True}
    return cell


# ---------------------------------------------------------------------------------------------------- files


def build_slides(keys: list[str], folder: Path) -> list[Path]:
    """Write decks and figures; returns the decks. They work without a network.

    Args:
        keys: chapters; none: all.
        folder: takes `slides/NN_key.html`, `slides/lib`, and PNG files with their captions in `figures/NN_key`.

    Raises:
        UserError: an unknown chapter, or no notebook or library beside this package.
    """
    from nbconvert import SlidesExporter

    if not (LIB / "reveal").is_dir():
        raise UserError("Slides need the book's repository: clone it and install it with `make book`.")
    exporter = SlidesExporter(
        template_name="deck",
        extra_template_basedirs=[str(PACKAGE / "coursework")],
        reveal_url_prefix="lib/reveal",
        reveal_theme="theme",
    )
    written = []
    slides = folder / "slides"
    for key in keys or list(chapters()):
        stem = chapter(key).stem
        page = exporter.from_notebook_node(deck(key))[0]
        slides.mkdir(parents=True, exist_ok=True)
        (slides / f"{stem}.html").write_text(page, encoding="utf-8")
        written.append(slides / f"{stem}.html")
        _write_figures(key, folder / "figures" / stem)
    for part in ("reveal", "mathjax"):
        shutil.copytree(LIB / part, slides / "lib" / part, dirs_exist_ok=True)
    theme = slides / "lib" / "reveal" / "dist" / "theme"
    theme.mkdir(exist_ok=True)
    shutil.copyfile(PACKAGE / "coursework" / "deck" / "theme.css", theme / "theme.css")
    return written


def _write_figures(key: str, folder: Path) -> None:
    """A chapter's figures as files, and what they say."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"# Figures of {chapter(key).title}", ""]
    for picture in pictures(chapter_notebook(key)):
        (folder / f"{picture.name}.png").write_bytes(picture.data)
        lines.append(f"- `{picture.name}.png`: {picture.caption or picture.alt}")
    (folder / "captions.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
