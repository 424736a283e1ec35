"""Rows of the evidence that are exact and quick to measure give at seed 0 what is stored of them."""

from __future__ import annotations

import pytest

from firsthand.chapters import chapters
from firsthand.kit.lab import evidence
from firsthand.kit.lab.claims import verdict

QUICK = 0.5  # seconds that the slowest seed of a row took when it was stored
SLOW_AT_FIRST = {"exact-values"}  # they read runs that another row's measure had made before
ROWS = [
    pytest.param(key, row, id=f"{key}-{row['id']}")
    for key in chapters()
    for row in evidence.load(key)["claims"]
    if row["rule"] == "exact" and row["slowest"] <= QUICK and row["id"] not in SLOW_AT_FIRST
]


@pytest.mark.parametrize(("key", "row"), ROWS)
def test_an_exact_row_is_what_is_stored(key, row):
    claim = next(claim for claim in evidence.claims_of(key) if claim.id == row["id"])
    value, baseline = claim.measure(0)
    assert baseline is None
    terms = {name: getattr(claim, name) for name in evidence.TERMS}
    assert verdict([value], **terms).name == verdict([row["method"][0]], **terms).name
    if row["verdict"] == "holds":
        assert value == pytest.approx(claim.target, rel=0, abs=claim.tolerance)
    else:  # what is not the target is still a constant
        assert value == pytest.approx(row["method"][0], rel=0, abs=claim.repeats_within)


def test_most_exact_rows_are_quick():
    exact = [row for key in chapters() for row in evidence.load(key)["claims"] if row["rule"] == "exact"]
    assert len(ROWS) > 0.75 * len(exact)
