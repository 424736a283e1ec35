"""What notebooks print: sentences with computed numbers, source code, the chapter's card, the evidence table."""

from __future__ import annotations

import html
import inspect
import json
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, Markdown

from firsthand.chapters import PACKAGE, chapter
from firsthand.kit.lab import evidence
from firsthand.kit.page.style import FAINT
from firsthand.kit.page.tables import table

MARKS = {"holds": "✔", "fails": "✘", "inconclusive": "?", "not tested": "–"}


def say(text: str) -> Markdown:
    """A sentence of the book whose numbers are computed; the cell that calls it is tagged `remove-input`."""
    return Markdown(textwrap.dedent(text).strip())


def show_source(*functions: Callable[..., Any]) -> Markdown:
    """The source of functions as the package has it, docstrings left out (the API page has them)."""
    return Markdown("\n\n".join(f"```python\n{_without_docstring(f)}\n```" for f in functions))


def _without_docstring(function: Callable[..., Any]) -> str:
    source = textwrap.dedent(inspect.getsource(function)).rstrip()
    doc = function.__doc__
    if doc is None:
        return source
    start = source.index('"""')
    end = source.index('"""', start + 3) + 3
    return source[:start].rstrip() + "\n" + source[end:].lstrip("\n")


def run_seconds(key: str) -> float | None:
    """Seconds that the chapter's notebook took when it was last executed for the book, or None."""
    file = PACKAGE / "evidence" / "runs.json"
    runs = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return runs.get(key, {}).get("seconds")


def run_time(key: str) -> str:
    """The run time in words, rounded so that a repeated run says the same."""
    seconds = run_seconds(key)
    if seconds is None:
        return "not measured yet"
    return "under half a minute" if seconds <= 30 else f"about {max(1, round(seconds / 60))} min"


def verdict_words(key: str) -> str:
    """The verdicts of a chapter: "3 of 9 of the paper's claims hold, 2 fail, …; 38 of 61 of its code's and ours, …".

    What the authors say and what the book adds are two things, and are counted apart.
    """
    content = evidence.load(key)
    groups = {"of the paper's claims hold": ("paper",), "of its code's and ours": ("code", "ours")}
    parts = []
    for whose, sources in groups.items():
        tally = evidence.counts(content, *sources)
        if sum(tally.values()):
            words = f"{tally['holds']} of {sum(tally.values())} {whose}"
            others = {"fail": "fails", "inconclusive": "inconclusive", "not tested": "not tested"}
            parts.append(", ".join([words, *(f"{tally[n]} {word}" for word, n in others.items() if tally[n])]))
    return "; ".join(parts)


def card(key: str) -> Markdown:
    """The chapter's card: the paper and what of it we read, what is built, what is needed, run time, data, verdicts."""
    c = chapter(key)
    rows = {
        "Paper": f"{c.authors}, [*{c.paper}*]({c.url}), {c.venue}, {c.year}",
        "We read": c.we_read,
        "You will build": c.build,
        "You need": c.needs,
        "Run time": f"{run_time(key)} on two CPU cores. GPU: {c.gpu[0].lower() + c.gpu[1:]}",
        "Data": c.data,
        "Verdicts": verdict_words(key),
    }
    (first, paper), *rest = rows.items()  # the first row is the header that a Markdown table must have
    lines = [f"| {first} | {paper} |", "|---|---|", *(f"| **{name}** | {text} |" for name, text in rest)]
    return Markdown("\n".join(lines))


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if value == int(value) and abs(value) >= 1000:  # a count
        return f"{value:,.0f}"
    return f"{round(value, 3) + 0:.3g}"


def rule_words(row: dict[str, Any]) -> str:
    """The rule of a row in symbols."""
    target = f"{row['target']:,.0f}" if row["target"] == int(row["target"]) else f"{row['target']:g}"
    tolerance = f"{row['tolerance']:g}"
    return {
        "at_least": f"≥ {target}",
        "at_most": f"≤ {target}",
        "within": f"{target} ± {tolerance}",
        "monotone": "rises",
        "exact": f"= {target}",
    }[row["rule"]]


def about_row(row: dict[str, Any]) -> str:
    """Whose claim a row is, what was measured, the paper's number, and why it was not tested, as HTML."""
    parts = [row["source"], row["metric"]]
    if row["paper"] is not None:
        parts.append(f"paper: {_number(row['paper'])}")
    if row["not_tested"] is not None:
        parts.append(row["not_tested"])
    return html.escape(" · ".join(parts))


def interval_words(row: dict[str, Any], number: Callable[[float], str]) -> str:
    """The 95 % interval of a row in brackets, its ends as `number` writes them; nothing where a row has none."""
    return "" if row["low"] is None or row["rule"] == "exact" else f"[{number(row['low'])}, {number(row['high'])}]"


def claim_line(row: dict[str, Any], attributes: str, about: str, measured: str) -> str:
    """A row of evidence as a line of a table: the claim with what is to say of it, the estimate, rule and verdict."""
    verdict = row["verdict"]
    sentence = f"{html.escape(row['sentence'])}<br>{about}"
    cells = "".join(f"<td>{cell}</td>" for cell in (sentence, measured, rule_words(row)))
    return f'<tr {attributes}>{cells}<td class="fh-{verdict.replace(" ", "-")}">{MARKS[verdict]} {verdict}</td></tr>'


def evidence_table(key: str, *prefixes: str) -> HTML:
    """The rows of the chapter's evidence whose id starts with one of the prefixes; all without any."""
    content = evidence.load(key)
    rows = [r for r in content["claims"] if not prefixes or r["id"].startswith(prefixes)]
    if not rows:
        raise ValueError(f"No claim of {key} starts with {' or '.join(prefixes)}.")
    lines = [
        claim_line(
            row,
            f'data-claim="{row["id"]}"',
            f"<small>{about_row(row)}</small>",
            f"{_number(row['estimate'])}<br><small>{interval_words(row, _number)}</small>",
        )
        for row in rows
    ]
    stale = "<p><em>Measured with earlier code.</em></p>" if evidence.is_stale(content) else ""
    return HTML(stale + table("fh-evidence", ("Claim", "Found", "Rule", "Verdict"), lines))


def row(key: str, claim: str) -> dict[str, Any]:
    """One stored row of evidence, for sentences that quote it."""
    named = [r for r in evidence.load(key)["claims"] if r["id"] == claim]
    if not named:
        raise ValueError(f"No claim {claim!r} in the evidence of {key}.")
    return named[0]


def _band(key: str, curve: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    stored = next(c for c in evidence.load(key)["curves"] if c["id"] == curve)
    values = np.array(stored["values"], dtype=float)
    return np.array(stored["x"]), np.nanmin(values, axis=0), np.nanmax(values, axis=0)


def expected_band(ax: plt.Axes, key: str, curve: str, *, color: str | None = None) -> None:
    """Shade where the stored seeds of a curve lie, for the reader's own run to be drawn upon.

    Args:
        ax: where. key, curve: whose. color: of the run, where there are several; such a band is not in the legend.
    """
    x, low, high = _band(key, curve)
    label = "stored seeds" if color is None else None
    ax.fill_between(x, low, high, color=color or FAINT, alpha=0.25, linewidth=0, label=label)


def inside_band(key: str, curve: str, values: Sequence[float]) -> bool:
    """Is every value within the range of the stored seeds, give or take a tenth of that range's height?"""
    _, low, high = _band(key, curve)
    slack = 0.1 * (high - low) + 1e-9
    y = np.asarray(values, dtype=float)
    return bool((np.isnan(y) | ((y >= low - slack) & (y <= high + slack))).all())
