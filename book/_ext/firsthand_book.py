"""Sphinx directives that print what the package knows: chapter cards, the evidence ledger, data cards."""

from __future__ import annotations

import base64
import html
import json
import re
import tomllib
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

from firsthand.chapters import PACKAGE, chapters
from firsthand.kit.lab import evidence
from firsthand.kit.page.pages import about_row, claim_line, interval_words, run_time, verdict_words
from firsthand.kit.page.tables import facts, table

ROOT = Path(__file__).parents[2]


def _raw(text: str) -> list[nodes.Node]:
    return [nodes.raw("", text, format="html")]


def _env(directive: Directive):
    return directive.state.document.settings.env


def _notebook(key: str) -> dict:
    return json.loads((ROOT / "notebooks" / f"{chapters()[key].stem}.ipynb").read_text(encoding="utf-8"))


def card_picture(key: str) -> tuple[bytes, str, str]:
    """PNG, alt text and CSS class (of a photograph) of the notebook's cell tagged `card-picture`."""
    for cell in _notebook(key)["cells"]:
        if "card-picture" in cell["metadata"].get("tags", []):
            for output in cell["outputs"]:
                if "image/png" in output.get("data", {}):
                    kind = "fh-photo" if "photo" in cell["metadata"]["tags"] else "fh-drawing"
                    alt = cell["metadata"]["mystnb"]["image"]["alt"]
                    return base64.b64decode(output["data"]["image/png"]), alt, kind
    raise ValueError(f"{key}: no cell with a picture is tagged card-picture")


class ChapterCards(Directive):
    """A card for each finished chapter: picture, question, verdicts, run time."""

    def run(self) -> list[nodes.Node]:
        env = _env(self)
        cards = []
        for key, c in chapters().items():
            link = env.app.builder.get_relative_uri(env.docname, f"notebooks/{c.stem}")
            up = "../" * env.docname.count("/")
            _, alt, kind = card_picture(key)
            cards.append(
                f'<a class="fh-card" href="{link}"><img class="{kind}" src="{up}_images/card-{key}.png" '
                f'alt="{html.escape(alt)}">'
                f'<span class="fh-card-number">Chapter {c.number:02d} · {html.escape(c.part)}</span>'
                f"<strong>{html.escape(c.title)}</strong><span>{html.escape(c.question)}</span>"
                f'<span class="fh-card-facts">{html.escape(verdict_words(key))} · runs in {run_time(key)}</span></a>'
            )
        return _raw(f'<div class="fh-cards">{"".join(cards)}</div>')


def _value(value) -> str:
    if isinstance(value, list):
        return "(" + ", ".join(_value(v) for v in value) + ")"
    return "–" if value is None else f"{value:.4g}"


def _ledger_row(env, key: str, row: dict) -> str:
    command = f"firsthand evidence {key} --verify --claim {row['id']}"
    link = env.app.builder.get_relative_uri(env.docname, f"notebooks/{chapters()[key].stem}")
    values = f"<p>Method: {', '.join(map(_value, row['method']))}</p>"
    if row["baseline"]:
        values += f"<p>Baseline: {', '.join(map(_value, row['baseline']))}</p>"
    values += f"<p>By {_commit(row['measured'])}, code <code>{row['code']}</code></p>"
    span = interval_words(row, _value)
    about = f'<a href="{link}#claim-{row["id"]}">{key}</a> · <code>{row["id"]}</code> · {about_row(row)}'
    more = (
        f"<details><summary>{len(row['seeds'])} value{'s' * (len(row['seeds']) != 1)}</summary>"
        f"{values}<p><code>{command}</code></p></details>"
    )
    return claim_line(
        row,
        f'id="{key}-{row["id"]}" data-chapter="{key}" data-source="{row["source"]}" data-verdict="{row["verdict"]}"',
        f"<small>{about}</small>{more}",
        f"{_value(row['estimate'])}{'<br>' if span else ''}{span}",
    )


def _commit(entry: dict) -> str:
    return f"commit <code>{entry['commit'][:7]}</code>"


def _found_again(content: dict) -> str:
    """What later code measured again, was proved to leave alone, or added, in words."""
    entries = content.get("confirmed", [])
    said = [
        f" The code of {_commit(entry)} found the first {entry['claims']} claims of seed {entry['seed']} again, to the "
        "last digit or, on another kind of processor, within their tolerance or as the earlier code gives them there."
        for entry in [e for e in entries if "seed" in e][-1:]
    ]
    said += [
        f" By {_commit(entry)} only names had changed, which was proved from the code: "
        f"{', '.join(f'<code>{old}</code> to <code>{new}</code>' for old, new in entry['renamed'].items())}."
        for entry in entries if "renamed" in entry
    ]  # fmt: skip
    said += [
        f" The code of {_commit(entry)} added the curve{'s' * (len(entry['curves']) > 1)} {', '.join(entry['curves'])}."
        for entry in entries if entry.get("curves")
    ]  # fmt: skip
    return "".join(said)


class Ledger(Directive):
    """The whole evidence, filterable by chapter, source and verdict (site.js adds the controls)."""

    def run(self) -> list[nodes.Node]:
        env = _env(self)
        rows, summary = [], []
        for key, c in chapters().items():
            content = evidence.load(key)
            stale = len(evidence.stale_rows(content))
            late = f" Rows measured with earlier code: {stale}." if stale else ""
            machine = content["environment"]
            packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
            summary.append(
                f"<p><strong>{html.escape(c.title)}</strong>: {html.escape(verdict_words(key))}.{late} "
                f"Measured in {content['minutes']:g} minutes of computing on {html.escape(machine['processor'])}, "
                f"one thread a process, Python {machine['python']}, {html.escape(packages)}; "
                f"<code>{html.escape(content['command'])}</code>."
                f"{_found_again(content)}</p>"
            )
            rows += [_ledger_row(env, key, row) for row in content["claims"]]
        names = ("Claim", "Found [95 %]", "Rule", "Verdict")
        return _raw("".join(summary) + table("fh-evidence", names, rows, label="Evidence ledger", frame="fh-ledger"))


class DataCards(Directive):
    """One definition list a data set, from data/cards.toml."""

    def run(self) -> list[nodes.Node]:
        known = tomllib.loads((PACKAGE / "data" / "cards.toml").read_text(encoding="utf-8"))
        titles = {"kind": "Where it is", "size": "Size", "origin": "Origin", "licence": "Licence", "care": "Take care"}
        parts = []
        for key, card in known.items():
            inside = facts({title: card[name] for name, title in titles.items()})
            used = ", ".join(card["used_by"])
            parts.append(
                f'<section class="fh-data" id="data-{key}"><h2>{html.escape(card["name"])}</h2>'
                f"<dl>{inside}<dt>Used by</dt><dd>{used}</dd></dl></section>"
            )
        return _raw("".join(parts))


class WeightCards(Directive):
    """One definition list a file of trained weights, from the cards beside them."""

    def run(self) -> list[nodes.Node]:
        parts = []
        for file in sorted((PACKAGE / "weights").glob("*.json")):
            card = json.loads(file.read_text(encoding="utf-8"))
            quality = ", ".join(f"{name} {value:.4g}" for name, value in card["quality"].items())
            inside = facts(
                {
                    "Made by": f"{card['command']}, seed {card['seed']}, {card['steps']} steps",
                    "Time": f"{card['minutes']:g} minutes on {card['processor']}, {card['threads']} thread",
                    "Size": f"{card['bytes'] / 1e6:.2f} MB, sha256 {card['sha256']}",
                    "Quality": quality,
                    "Licence": card["licence"],
                }
            )
            name = html.escape(card["name"])
            parts.append(f'<section class="fh-data" id="weights-{name}"><h3>{name}</h3><dl>{inside}</dl></section>')
        return _raw("".join(parts))


def _write_pictures(app, error) -> None:
    folder = Path(app.outdir) / "_images"
    for key in chapters():
        folder.mkdir(exist_ok=True)
        (folder / f"card-{key}.png").write_bytes(card_picture(key)[0])


def _link_back(app, what, name, obj, options, lines) -> None:
    """Every API entry of a chapter names the chapter."""
    part = name.split(".")
    if what != "module" and len(part) > 2 and part[1] in chapters():
        c = chapters()[part[1]]
        lines += ["", f"*Used in chapter* :doc:`{c.number:02d} </notebooks/{c.stem}>`."]


def _without_hidden_tests(app, exception) -> None:
    """Take the hidden tests of the coursework out of the notebooks that the site offers for download."""
    for file in (Path(app.outdir) / "_sources" / "notebooks").glob("*.ipynb"):
        book = json.loads(file.read_text(encoding="utf-8"))
        kept = [c for c in book["cells"] if not any(t.startswith("hidden-") for t in c["metadata"].get("tags", []))]
        if len(kept) < len(book["cells"]):
            file.write_text(json.dumps({**book, "cells": kept}, indent=1) + "\n", encoding="utf-8")


#: What rows of a chapter's card link to: the row's name, the page, the link's words.
CARD_LINKS = (
    ("Verdicts", "../book/evidence.html", "every row"),
    ("You need", "00_before_you_start.html", "before you start"),
)


def _card_links(app, pagename, templatename, context, doctree) -> None:
    """The stored card is a table that also reads well without a site; here two of its rows lead on."""
    if not pagename.startswith("notebooks/") or "body" not in context:
        return
    for name, page, words in CARD_LINKS:
        row = re.compile(rf"(<strong>{name}</strong></p></td>\s*<td><p>.*?)(</p></td>)", re.S)
        context["body"] = row.sub(rf'\1 (<a href="{page}">{words}</a>)\2', context["body"], count=1)


def setup(app) -> dict:
    app.add_directive("chapter-cards", ChapterCards)
    app.add_directive("ledger", Ledger)
    app.add_directive("data-cards", DataCards)
    app.add_directive("weight-cards", WeightCards)
    app.connect("autodoc-process-docstring", _link_back)
    app.connect("html-page-context", _card_links)
    app.connect("build-finished", _write_pictures)
    app.connect("build-finished", _without_hidden_tests)
    return {"parallel_read_safe": False, "version": "1"}
