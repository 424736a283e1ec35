"""From an equation to the code that computes it and back, and to a row of evidence from the ledger and from sentences.

A numbered formula of a chapter gets an anchor and, below it, links to the functions whose docstrings say
"equation (n)"; that phrase in the API links to the formula. Formulas and docstrings are all there is: no list is kept.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

from firsthand.chapters import chapters

FORMULA = re.compile(r'<div class="math notranslate nohighlight">(.*?)</div>', re.S)
NUMBER = re.compile(r"\\(?:q?quad|tag)\s*(?:\{(\d+)\}|\((\d+)\))")
NAMED = re.compile(r"\b([Ee]quations?|[Ii]nequality) ((?:\(\d+\)(?:,| and|,? to)? ?)*\(\d+\))")
ROW = re.compile(r'<tr data-claim="([^"]+)">(.*?<small>)', re.S)
NAME = re.compile(r'<code[^>]*><span class="pre">([\w-]+)</span></code>')
ROWS = re.compile(rf"\b[Rr]ows? (?:{NAME.pattern.replace('(', '(?:', 1)}(?:,? and |, )?)+")


def numbers(formula: str) -> list[int]:
    """The numbers of a displayed formula."""
    return [int(a or b) for a, b in NUMBER.findall(formula)]


def cited(docstring: str) -> set[int]:
    """Equations that a docstring names."""
    return {int(n) for _, found in NAMED.findall(docstring) for n in re.findall(r"\d+", found)}


def documented(key: str) -> dict[str, str]:
    """Docstrings of a chapter's functions, classes and methods by their names, "module:function"."""
    package = importlib.import_module(f"firsthand.{key}")
    found: dict[str, str] = {}
    for info in pkgutil.walk_packages(package.__path__, f"firsthand.{key}."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) != info.name or not (
                inspect.isclass(value) or inspect.isroutine(value)
            ):
                continue
            found[f"{info.name}:{name}"] = inspect.getdoc(value) or ""
            for part, inner in vars(value).items() if inspect.isclass(value) else ():
                if inspect.isroutine(inner):
                    found[f"{info.name}:{name}.{part}"] = inspect.getdoc(inner) or ""
    return found


def code_of(key: str) -> dict[int, list[str]]:
    """Names of the functions that compute each numbered equation of a chapter."""
    found: dict[int, list[str]] = {}
    for name, docstring in documented(key).items():
        for number in cited(docstring):
            found.setdefault(number, []).append(name)
    return found


def _anchor(name: str, key: str, known: dict[str, str]) -> str | None:
    """Where the API has a name: under its module, or under the package that exports it."""
    places = name.replace(":", "."), f"firsthand.{key}." + name.partition(":")[2]
    return next((known[place] for place in places if place in known), None)


def _below(numbered: list[int], code: dict[int, list[str]], key: str, known: dict[str, str]) -> str:
    names = dict.fromkeys(name for n in numbered for name in code.get(n, []))
    anchors = {name: _anchor(name, key, known) for name in names}
    links = [
        f'<a href="../book/api.html#{anchor}"><code>{name.partition(":")[2]}</code></a>'
        for name, anchor in anchors.items()
        if anchor
    ]
    return f'<p class="fh-code-of">In code: {", ".join(links)}</p>' if links else ""


def marked(body: str, key: str, known: dict[str, str]) -> str:
    """A chapter's page with anchors at its numbered equations and rows of evidence, and links below equations."""
    code, seen = code_of(key), set()

    def formula(match: re.Match[str]) -> str:
        fresh = [n for n in numbers(match[1]) if n not in seen]
        seen.update(fresh)
        anchors = "".join(f'<span id="equation-{n}"></span>' for n in fresh)
        return f"{anchors}{match[0]}{_below(fresh, code, key, known)}"

    def row(match: re.Match[str]) -> str:
        if match[1] in seen:
            return match[0]
        seen.add(match[1])
        return f'<tr id="claim-{match[1]}" data-claim="{match[1]}">{match[2]}<code>{match[1]}</code> · '

    with_rows = ROW.sub(row, FORMULA.sub(formula, body))
    claims = re.findall(r'<tr id="claim-([^"]+)"', with_rows)
    return ROWS.sub(lambda match: NAME.sub(lambda name: _to_row(name, claims), match[0]), with_rows)


def _to_row(name: re.Match[str], claims: list[str]) -> str:
    """A row's name, or the beginning of several rows' names, linked to the first of them."""
    first = next((c for c in claims if c == name[1] or c.startswith(name[1] + "-")), None)
    return name[0] if first is None else f'<a href="#claim-{first}">{name[0]}</a>'


def _page(app, pagename, templatename, context, doctree) -> None:
    by_page = {f"notebooks/{c.stem}": key for key, c in chapters().items()}
    if pagename in by_page and "body" in context:
        known = {entry[0]: entry[4] for entry in app.env.get_domain("py").get_objects()}
        context["body"] = marked(context["body"], by_page[pagename], known)


def _docstring(app, what, name, obj, options, lines) -> None:
    part = name.split(".")
    if len(part) < 2 or part[1] not in chapters():
        return
    page = f"../notebooks/{chapters()[part[1]].stem}.html"
    for place, line in enumerate(lines):
        for match in reversed(list(NAMED.finditer(line))):
            linked = re.sub(r"\((\d+)\)", rf"`(\1) <{page}#equation-\1>`__", match[2])
            lines[place] = f"{lines[place][: match.start(2)]}{linked}{lines[place][match.end(2) :]}"


def setup(app) -> dict:
    app.connect("html-page-context", _page, priority=300)
    app.connect("autodoc-process-docstring", _docstring)
    return {"parallel_read_safe": True, "version": "1"}
