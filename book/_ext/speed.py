"""How fast the code is beside named peers, from benchmarks/results, and what the checks last took."""

from __future__ import annotations

import html
import json
import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from firsthand.chapters import PACKAGE, chapters
from firsthand.kit.page.tables import line, table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
CHECKS = PACKAGE / "evidence" / "checks.json"
PARTS = {
    "lint": "style", "types": "types", "imports": "what may import what", "unit": "unit tests",
    "site": "building every page", "notebooks": "notebooks, run again and compared", "browser": "pages in a browser",
}  # fmt: skip


def at(content: Any, path: list[str]) -> float:
    """The number at a place, see benchmarks/summary.toml."""
    for step in path:
        if isinstance(content, list):
            wanted = dict(part.split("=") for part in step.split(" "))
            content = next(
                one for one in content
                if all(str(one.get(name)).replace(" ", "_") == value for name, value in wanted.items())
            )  # fmt: skip
        else:
            content = content[step]
    return float(content)


def speed(row: dict[str, Any], content: dict[str, Any]) -> float:
    """How many times as fast as the peer."""
    if "seconds" in row:
        ours, theirs = (at(content, path) for path in row["seconds"])
        return theirs / ours
    if "rates" in row:
        ours, theirs = (at(content, path) for path in row["rates"])
        return ours / theirs
    return at(content, row["faster"]) if "faster" in row else 1 / at(content, row["slower"])


def rows() -> list[tuple[dict[str, Any], float, dict[str, Any]]]:
    """Every row of the summary with its ratio and its file."""
    summary = tomllib.loads((ROOT / "benchmarks" / "summary.toml").read_text(encoding="utf-8"))["row"]
    files = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in RESULTS.glob("*.json")}
    return [(row, speed(row, files[row["file"]]), files[row["file"]]) for row in summary]


def _table(names: tuple[str, ...], lines: list[str], label: str) -> list[nodes.Node]:
    return [nodes.raw("", table("fh-speed", names, lines, label=label, frame="fh-ledger-short"), format="html")]


class Speed(Directive):
    """A line a comparison."""

    def run(self) -> list[nodes.Node]:
        lines = []
        for row, ratio, content in rows():
            chapter = chapters().get(row["file"])
            name = f"{chapter.number:02d}" if chapter else "coursework"
            where = f'<a href="../notebooks/{chapter.stem}.html">{name}</a>' if chapter else name
            machine = content.get("processor", "not recorded")
            if "threads" in content:
                machine += f", {content['threads']} thread{'s' * (content['threads'] > 1)}"
            lines.append(line(where, f"{ratio:.2g}", *map(html.escape, (row["what"], row["peer"], machine))))
        return _table(("Chapter", "Times as fast", "Ours", "Beside", "Measured on"), lines, "Speed beside others")


class Checks(Directive):
    """Seconds by part of `make test`."""

    def run(self) -> list[nodes.Node]:
        if not CHECKS.is_file():
            return [nodes.paragraph("", "Not recorded yet.")]
        content = json.loads(CHECKS.read_text(encoding="utf-8"))
        seconds = content["seconds"]
        lines = [line(part, f"{taken:.0f}", PARTS.get(part, "")) for part, taken in seconds.items()]
        machine = f"on {html.escape(content['processor'])}, {content['cores']} cores"
        lines.append(line("all", f"{sum(seconds.values()):.0f}", machine, heads=1))
        return _table(("Part", "Seconds", "What"), lines, "Seconds by part of the checks")


def setup(app) -> dict:
    app.add_directive("speed", Speed)
    app.add_directive("checks", Checks)
    return {"parallel_read_safe": True, "version": "1"}
