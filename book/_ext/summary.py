"""The ledger in short: verdicts by chapter, what failed of the papers' own claims, what was not tested and why."""

from __future__ import annotations

import html
import json
from collections import Counter

from docutils import nodes
from docutils.parsers.rst import Directive

from firsthand.chapters import PACKAGE, Chapter, chapters
from firsthand.kit.lab import evidence
from firsthand.kit.lab.claims import VERDICTS
from firsthand.kit.page.tables import line, table

PAPER = "paper"
COLUMNS = {
    "seconds": "seconds", "megabytes": "memory, MB", "page": "page, MB", "day": "day", "processor": "processor",
    "python": "python", "torch": "torch", "numpy": "numpy",
}  # fmt: skip
FILES = ("runs", "checks")  # of the package's evidence: what notebooks took, and what the checks did


def rows_of(key: str) -> list[dict]:
    """The claims of a chapter's evidence."""
    return evidence.load(key)["claims"]


def counted() -> list[tuple[str, list[int], list[int]]]:
    """Chapter, counts of all verdicts, counts among the rows that follow a sentence of the paper."""
    rows = []
    for key in chapters():
        every = Counter(row["verdict"] for row in rows_of(key))
        own = Counter(row["verdict"] for row in rows_of(key) if row["source"] == PAPER)
        rows.append((key, [every[name] for name in VERDICTS], [own[name] for name in VERDICTS]))
    return rows


def reasons() -> list[tuple[str, int, str]]:
    """Chapter, number of rows and reason, for what was not tested."""
    numbers = Counter(
        (key, row["not_tested"]) for key in chapters() for row in rows_of(key) if row["verdict"] == VERDICTS[-1]
    )
    return [(key, count, reason) for (key, reason), count in numbers.items()]


def _name(c: Chapter) -> str:
    return c.title.split(":")[0]


def _link(c: Chapter, words: str, anchor: str = "") -> str:
    return f'<a href="../notebooks/{c.stem}.html{anchor}">{html.escape(words)}</a>'


def _table() -> str:
    lines, rows = [], counted()
    for key, every, own in rows:
        cells = (f"{n}{f' <small>({m})</small>' if m else ''}" for n, m in zip(every, own, strict=True))
        lines.append(line(_link(chapters()[key], _name(chapters()[key])), *cells, heads=1))
    totals, own = ([sum(column) for column in zip(*(row[which] for row in rows), strict=True)] for which in (1, 2))
    lines.append(line("All", *(f"{n} <small>({m})</small>" for n, m in zip(totals, own, strict=True)), heads=1))
    return _framed(("Chapter", *VERDICTS), lines, "Verdicts by chapter")


def _framed(names: tuple[str, ...], lines: list[str], label: str) -> str:
    return table("fh-summary", names, lines, label=label, frame="fh-ledger-short")


def _failed() -> str:
    parts = []
    for key, c in chapters().items():
        failed = [row for row in rows_of(key) if row["source"] == PAPER and row["verdict"] == "fails"]
        items = "".join(f"<li>{_link(c, row['sentence'], '#claim-' + row['id'])}</li>" for row in failed)
        if failed:
            name = html.escape(_name(c))
            parts.append(f"<details><summary>{name}: {len(failed)}</summary><ul>{items}</ul></details>")
    return "".join(parts)


class Short(Directive):
    """Everything above the ledger."""

    def run(self) -> list[nodes.Node]:
        why = "".join(
            f"<li>{html.escape(_name(chapters()[key]))}, {count} row{'s' * (count != 1)}: {html.escape(reason)}</li>"
            for key, count, reason in reasons()
        )
        return [
            nodes.raw("", _table(), format="html"),
            nodes.paragraph(
                text="In brackets: rows that test a sentence of the paper; the others are ours or about its code. "
                "A row follows the paper's words, at our scale and with our thresholds where it names none: what "
                "fails here may hold at the paper's scale, and what holds here may not."
            ),
            nodes.paragraph(text="Sentences of the papers that failed here, by chapter:"),
            nodes.raw("", _failed(), format="html"),
            nodes.paragraph(text="Not tested, and why:"),
            nodes.raw("", f"<ul>{why}</ul>", format="html"),
        ]


class RunStatus(Directive):
    """Seconds, memory, processor and versions of every notebook's last run, and what its page weighed when the checks
    were last recorded, from evidence/runs.json and evidence/checks.json."""

    def run(self) -> list[nodes.Node]:
        runs, checks = (json.loads((PACKAGE / "evidence" / f"{name}.json").read_text("utf-8")) for name in FILES)
        names = {key: _link(c, _name(c)) for key, c in chapters().items()}
        names = {"before_you_start": '<a href="../notebooks/00_before_you_start.html">Before you start</a>'} | names
        lines = []
        for key, name in names.items():
            known = {**runs.get(key, {}), "page": checks["pages"].get(key, "–")}
            values = (html.escape(str(known.get(column, "–"))) for column in COLUMNS)
            lines.append(line(name, *values, heads=1))
        seconds = [runs[key]["seconds"] for key in names if key in runs]
        weight = sum(checks["pages"].values())
        totals = [f"{sum(seconds):.0f}", "", f"{weight:.1f}", *[""] * (len(COLUMNS) - 3)]
        lines.append(line(f"all {len(seconds)}", *totals, heads=1))
        return [nodes.raw("", _framed(("Page", *COLUMNS.values()), lines, "Run status"), format="html")]


def setup(app) -> dict:
    app.add_directive("run-status", RunStatus)
    app.add_directive("ledger-in-short", Short)
    return {"parallel_read_safe": True, "version": "1"}
