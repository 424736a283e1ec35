"""Every numbered formula of a chapter is computed by code that says so, and no docstring names a formula in vain."""

from __future__ import annotations

import re
from collections.abc import Collection

import pytest

from firsthand.chapters import chapters, notebook_path
from tests.book import contract
from tests.publishing.test_publishing import load

DISPLAYED = re.compile(r"\$\$(.+?)\$\$", re.S)
equations = load("book/_ext/equations.py")


def numbered(key: str) -> list[int]:
    """Numbers of a chapter's displayed formulas, in the order of the page."""
    cells = [c for c in contract.read(notebook_path(key))["cells"] if c["cell_type"] == "markdown"]
    formulas = [formula for cell in cells for formula in DISPLAYED.findall(contract.text(cell))]
    return [number for formula in formulas for number in equations.numbers(formula)]


def dead(key_formulas: list[int], named: Collection[int]) -> list[str]:
    """What is wrong with a page's numbers, and which of them and of the docstrings' numbers lead nowhere."""
    counted = list(range(1, len(key_formulas) + 1))
    wrong = [] if key_formulas == counted else [f"the page counts {key_formulas}"]
    wrong += [f"no docstring names ({n})" for n in sorted(set(key_formulas) - set(named))]
    return wrong + [f"no formula is ({n})" for n in sorted(set(named) - set(key_formulas))]


@pytest.mark.parametrize("key", chapters())
def test_formulas_and_code_name_each_other(key):
    formulas = numbered(key)
    assert formulas, "no formula has a number"
    code = equations.code_of(key)
    assert dead(formulas, code) == [], code


@pytest.mark.parametrize(
    ("formulas", "named", "wrong"),
    [
        ([1, 2], {1}, ["no docstring names (2)"]),
        ([1], {1, 2}, ["no formula is (2)"]),
        ([2, 1], {1, 2}, ["the page counts [2, 1]"]),
        ([1, 1], {1}, ["the page counts [1, 1]"]),
        ([1, 3], {1, 3}, ["the page counts [1, 3]"]),
        ([1, 2], {1, 2}, []),
    ],
)
def test_a_dead_link_of_each_kind_is_found(formulas, named, wrong):
    assert dead(formulas, named) == wrong
    assert equations.numbers(r"a\quad(1)") == equations.numbers(r"a\tag{1}") == equations.numbers(r"a\qquad(1)") == [1]
    assert equations.cited("By equations (1) and (2), inequality (4); not (3), nor the paper's eq. 5.") == {1, 2, 4}
