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

PAPER = "paper"
COLUMNS = {
    "seconds": "seconds", "megabytes": "memory, MB", "page": "page, MB", "day": "day", "processor": "processor",
    "python": "python", "torch": "torch", "numpy": "numpy",
}  # fmt: skip
FILES = ("runs", "checks")  # of the package's evidence: what notebooks took, and what the checks did


def rows_of(key: str) -> list[dict]:
    """The claims of a chapter's evidence."""
    return evidence.load(key)["claims"]


def table() -> list[tuple[str, list[int], list[int]]]:
    """Chapter, counts of all verdicts, counts among the rows that follow a sentence of the paper."""
    found = []
    for key in chapters():
        every = Counter(row["verdict"] for row in rows_of(key))
        own = Counter(row["verdict"] for row in rows_of(key) if row["source"] == PAPER)
        found.append((key, [every[name] for name in VERDICTS], [own[name] for name in VERDICTS]))
    return found


def reasons() -> list[tuple[str, int, str]]:
    """Chapter, number of rows and reason, for what was not tested."""
    counted = Counter(
        (key, row["not_tested"]) for key in chapters() for row in rows_of(key) if row["verdict"] == VERDICTS[-1]
    )
    return [(key, count, reason) for (key, reason), count in counted.items()]


def _name(c: Chapter) -> str:
    return c.title.split(":")[0]


def _link(c: Chapter, words: str, anchor: str = "") -> str:
    return f'<a href="../notebooks/{c.stem}.html{anchor}">{html.escape(words)}</a>'


def _table() -> str:
    lines = []
    for key, every, own in table():
        cells = "".join(f"<td>{n}{f' <small>({m})</small>' if m else ''}</td>" for n, m in zip(every, own, strict=True))
        lines.append(f"<tr><th>{_link(chapters()[key], _name(chapters()[key]))}</th>{cells}</tr>")
    totals = [sum(column) for column in zip(*(every for _, every, _ in table()), strict=True)]
    own = [sum(column) for column in zip(*(own for _, _, own in table()), strict=True)]
    cells = "".join(f"<td>{n} <small>({m})</small></td>" for n, m in zip(totals, own, strict=True))
    head = "".join(f"<th>{name}</th>" for name in ("Chapter", *VERDICTS))
    return (
        '<div class="fh-ledger-short" tabindex="0" role="region" aria-label="Verdicts by chapter">'
        f'<table class="fh-summary"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}'
        f"<tr><th>All</th>{cells}</tr></tbody></table></div>"
    )


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
            lines.append(f"<tr><th>{name}</th>{''.join(f'<td>{value}</td>' for value in values)}</tr>")
        seconds = [runs[key]["seconds"] for key in names if key in runs]
        weight = sum(checks["pages"].values())
        totals = [f"{sum(seconds):.0f}", "", f"{weight:.1f}", *[""] * (len(COLUMNS) - 3)]
        lines.append(f"<tr><th>all {len(seconds)}</th>{''.join(f'<td>{value}</td>' for value in totals)}</tr>")
        head = "".join(f"<th>{name}</th>" for name in ("Page", *COLUMNS.values()))
        table = f'<table class="fh-summary"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
        frame = 'class="fh-ledger-short" tabindex="0" role="region" aria-label="Run status"'
        return [nodes.raw("", f"<div {frame}>{table}</div>", format="html")]


def setup(app) -> dict:
    app.add_directive("run-status", RunStatus)
    app.add_directive("ledger-in-short", Short)
    return {"parallel_read_safe": True, "version": "1"}
