"""Notation and glossary: no symbol and no term twice, and what they list is what the chapters use."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from firsthand.chapters import chapters, notebook_path
from tests.book import contract

ROOT = Path(__file__).parents[2]
EVERYWHERE = "Everywhere"


def sections(page: str) -> dict[str, list[str]]:
    """Symbols by heading; a chapter's heading is its number."""
    found: dict[str, list[str]] = {}
    for part in page.split("\n## ")[1:]:
        heading = part.splitlines()[0]
        number = re.match(r"Chapter (\d\d):", heading)
        rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("| $")]
        found[number[1] if number else heading] = [s for row in rows for s in re.findall(r"\$([^$]+)\$", row)]
    return found


def twice(symbols: dict[str, list[str]]) -> list[str]:
    """Symbols that have two meanings in one chapter."""
    shared = symbols.get(EVERYWHERE, [])
    return [
        f"{chapter}: {symbol}"
        for chapter, own in symbols.items()
        for symbol, count in Counter(own if chapter == EVERYWHERE else own + shared).items()
        if count > 1
    ]


def terms(page: str) -> list[str]:
    body = page.split("```{glossary}")[1].split("```")[0]
    return re.findall(r"^(\S.*)$", body, re.M)


def formulas(key: str) -> str:
    return "\n".join(contract.markdown(contract.read(notebook_path(key))))


def uses_of_sigma(source: str) -> set[bool]:
    """Whether it stands as a function (True), as a number (False)."""
    after = re.findall(r"\\sigma(?![a-z])((?:\\!)?(?:\\left|\\[bB]igg?l?)?\(?)", source)
    return {text.endswith("(") for text in after}


GREEK = (
    "alpha|beta|gamma|delta|varepsilon|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|varphi|phi|chi|psi|"
    "omega|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Phi|Psi|Omega"
)
INDICES = set("ijkl")


def letters(formula: str) -> set[str]:
    """Letters that stand for something in a formula; words, names of functions and signs of transposition do not."""
    while (plain := re.sub(r"\\(?:text|operatorname\*?|mathrm|begin|end)\s*\{[^{}]*\}", " ", formula)) != formula:
        formula = plain
    fancy = re.findall(r"\\math(cal|bb|bf)\s*\{?\s*([A-Za-z])", formula)
    formula = re.sub(r"\\math(?:cal|bb|bf)\s*\{?\s*\w\}?|\^T(?![a-zA-Z])", " ", formula)
    greek = re.findall(rf"\\({GREEK})(?![a-zA-Z])", formula)
    formula = re.sub(r"\\[a-zA-Z]+\*?", " ", formula)
    return {*greek, *re.findall(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])", formula), *(f"{kind} {x}" for kind, x in fancy)}


NOTATION = (ROOT / "book" / "notation.md").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")


def test_no_symbol_has_two_meanings_in_a_chapter():
    assert twice(sections(NOTATION)) == []


def test_a_second_meaning_is_found():
    row = "| $r$ | another |\n"
    again = NOTATION.replace("## Chapter 02", f"{row}\n## Chapter 02", 1)
    assert twice(sections(again)) == ["01: r"]
    assert twice({EVERYWHERE: ["x"], "03": ["x"]}) == ["03: x"]


@pytest.mark.parametrize("key", chapters())
def test_sigma_is_a_function_or_a_number(key):
    """It is the letter that papers use most for two things, a sigmoid and a deviation."""
    assert len(uses_of_sigma(formulas(key))) < 2


def test_two_uses_of_sigma_are_found():
    assert uses_of_sigma(r"$\sigma(x)$ $\sigma\!\left(x\right)$ $\sigma\Big(x\Big)$") == {True}
    assert uses_of_sigma(r"$\sigma^2$ $(1-\sigma)$ $\sigma_i\big($") == {False}
    assert uses_of_sigma(r"$\sigma(x)$ $2\sigma$") == {True, False}


@pytest.mark.parametrize("key", chapters())
def test_letters_of_a_chapters_formulas_are_listed(key):
    listed = sections(NOTATION)[f"{chapters()[key].number:02d}"] + sections(NOTATION)[EVERYWHERE]
    known = set().union(*map(letters, listed))
    shown = " ".join(re.findall(r"\$\$(.*?)\$\$", formulas(key), re.S))
    assert letters(shown) - known - INDICES == set()


def test_letters_are_found_and_words_are_not():
    assert letters(r"\mathcal L&=\lambda\,x_i^T\operatorname{softmax}(a)") == {"cal L", "lambda", "x", "i", "a"}
    assert letters(r"\mathrm{HCVI\text{-}R}\quad\text{ if } q>0") == {"q"}


@pytest.mark.parametrize("key", chapters())
def test_symbols_of_a_chapter_are_used_in_it(key):
    symbols = sections(NOTATION)[f"{chapters()[key].number:02d}"]
    assert symbols
    source = formulas(key)
    assert [s for s in symbols if s not in source] == []


def test_no_term_is_defined_twice_and_terms_are_in_order():
    found = [term.lower() for term in terms(GLOSSARY)]
    assert [term for term, count in Counter(found).items() if count > 1] == []
    body = GLOSSARY.split("```{glossary}")[1].split("```")[0]
    first = [entry.strip().splitlines()[0].lower() for entry in body.strip().split("\n\n")]
    assert first == sorted(first, key=lambda term: term.replace("-", " "))


@pytest.mark.parametrize("key", chapters())
def test_works_that_a_chapter_links_are_among_the_references(key):
    linked = set(re.findall(r"arxiv\.org/abs/(\d{4}\.\d{4,5})", formulas(key)))
    references = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    assert linked
    assert {number for number in linked if f"arXiv {number}" not in references} == set()
