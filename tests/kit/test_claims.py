"""Verdicts: every rule in its three outcomes, the two kinds of interval, and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from firsthand.kit import verdict
from firsthand.kit.lab.claims import interval

AROUND_ONE = [0.9, 1.0, 1.1, 0.95, 1.05]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"rule": "at_least", "target": 0.8}, "holds"),
        ({"rule": "at_least", "target": 1.0}, "inconclusive"),
        ({"rule": "at_least", "target": 1.3}, "fails"),
        ({"rule": "at_most", "target": 1.3}, "holds"),
        ({"rule": "at_most", "target": 1.0}, "inconclusive"),
        ({"rule": "at_most", "target": 0.8}, "fails"),
        ({"rule": "within", "target": 1.0, "tolerance": 0.2}, "holds"),
        ({"rule": "within", "target": 1.1, "tolerance": 0.1}, "inconclusive"),
        ({"rule": "within", "target": 2.0, "tolerance": 0.2}, "fails"),
        ({"rule": "exact", "target": 1.0, "tolerance": 0.1001}, "holds"),
        ({"rule": "exact", "target": 1.0}, "fails"),
    ],
)
def test_rules(options, name):
    assert verdict(AROUND_ONE, **options).name == name


def test_the_rule_judges_paired_differences():
    found = verdict([5.0, 7.0, 9.0, 4.0, 6.0], [4.0, 6.0, 8.0, 3.0, 5.0], rule="exact", target=1.0)
    assert (found.name, found.estimate, found.n) == ("holds", 1.0, 5)


def test_t_interval_below_twenty():
    mean, low, high = interval(AROUND_ONE)
    expected = stats.t.interval(0.95, 4, np.mean(AROUND_ONE), stats.sem(AROUND_ONE))
    assert (mean, low, high) == pytest.approx((1.0, *expected))


def test_bootstrap_from_twenty_is_repeatable():
    values = np.random.default_rng(0).random(20)
    assert interval(values) == interval(values)
    _, low, high = interval(values)
    spread = 1.96 * stats.sem(values)
    assert low == pytest.approx(values.mean() - spread, abs=0.03)
    assert high == pytest.approx(values.mean() + spread, abs=0.03)


def test_no_spread_and_one_value():
    assert interval([0.3] * 7) == (0.3, 0.3, 0.3)
    assert verdict([0.9] * 20, rule="at_least", target=0.9).name == "holds"
    assert verdict([5.0], rule="at_least", target=0.0).name == "inconclusive"
    assert math.isinf(verdict([5.0], rule="at_most").high)


def test_monotone_needs_every_step():
    rising = [[1, 2, 3 + i / 10] for i in range(5)]
    assert verdict(rising, rule="monotone").name == "holds"
    assert verdict([[a, c, b] for a, b, c in rising], rule="monotone").name == "fails"
    mixed = [[1, 2, 2 + s] for s in (-1, 1, -1, 1, 0.5)]
    assert verdict(mixed, rule="monotone").name == "inconclusive"


def test_one_counter_example_fails_exactly():
    found = verdict([0, 0, 0, 1, 0], rule="exact", target=0)
    assert (found.name, found.estimate) == ("fails", 1)


def test_no_values_are_not_tested():
    assert verdict([], rule="at_least").name == "not tested"


@pytest.mark.parametrize(
    ("method", "baseline", "rule", "words"),
    [
        ([1.0], None, "roughly", "rule must be one of"),
        ([1.0, 2.0], [1.0], "at_least", "must be paired"),
        ([1.0, math.nan], None, "at_least", "seed number 1"),
        ([math.inf], None, "exact", "finite"),
        ([1.0, 2.0], None, "monotone", "cannot judge"),
        ([[1.0], [2.0]], None, "monotone", "cannot judge"),
        ([[1.0, 2.0]], None, "at_least", "cannot judge"),
    ],
)
def test_refusals(method, baseline, rule, words):
    with pytest.raises(ValueError, match=words):
        verdict(method, baseline, rule=rule)
