"""HTML tables and lists of facts, as notebooks and the site's pages print them. Cells are HTML already."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence


def line(*cells: object, heads: int = 0) -> str:
    """A row of a table; the first `heads` of its cells are headings."""
    tags = ["th"] * heads + ["td"] * (len(cells) - heads)
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for tag, cell in zip(tags, cells, strict=True))}</tr>"


def table(style: str, names: Sequence[str], lines: Iterable[str], *, label: str = "", frame: str = "") -> str:
    """A table of one CSS class with named columns.

    Args:
        style: the class. names: of the columns. lines: rows made by `line`.
        label, frame: what a screen reader says of it and the class of the region in which it scrolls, if it has one.
    """
    head = line(*names, heads=len(names))
    text = f'<table class="{style}"><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table>'
    return f'<div class="{frame}" tabindex="0" role="region" aria-label="{label}">{text}</div>' if frame else text


def facts(items: Mapping[str, str]) -> str:
    """The inside of a list of facts: titles with plain texts."""
    return "".join(f"<dt>{title}</dt><dd>{html.escape(text)}</dd>" for title, text in items.items())
