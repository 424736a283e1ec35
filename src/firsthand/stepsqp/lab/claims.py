"""The chapter's claims. Of the paper's text we could verify the abstract only, and none of its numbers.

The abstract claims a bound on the iteration complexity that holds with high probability under noisy oracles, on
standard test problems. Rows of source "paper" test this in numbers; the other rows are ours, and so are all
thresholds, fixed before the run.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from firsthand.kit.lab.claims import Claim, Curve
from firsthand.stepsqp.lab import measures as m
from firsthand.stepsqp.lab.measures import SEEDS


def _claim(name: str, *, tolerance: float = 0.0, seeds: int = SEEDS, **rest: Any) -> Claim:
    return Claim(id=name, paper=None, tolerance=tolerance, seeds=seeds, repeats_within=1e-6, **rest)


CLAIMS: list[Claim] = [
    _claim(
        "exact-solves",
        sentence="Without noise every problem but HS39 (slow) and HS61 (cannot start) reaches a KKT error of 1e-3 in 1000 iterations.",
        source="ours",
        metric="problems that do not",
        unit="problems",
        rule="exact",
        target=0.0,
        measure=m.unsolved,
        seeds=1,
    ),
    _claim(
        "exact-values",
        sentence="Without noise the values reached are the best known ones, to 1e-5, on all problems with curvature.",
        source="ours",
        metric="problems with another value",
        unit="problems",
        rule="exact",
        target=0.0,
        measure=m.wrong_values,
        seeds=1,
    ),
    _claim(
        "floor-values",
        sentence="The error that remains grows like the square root of the noise in the values.",
        source="ours",
        metric="slope of log KKT against log epsilon_f",
        unit="1",
        rule="within",
        target=0.5,
        tolerance=0.1,
        measure=partial(m.floor_slope, "f"),
    ),
    _claim(
        "floor-gradients",
        sentence="The error that remains grows almost linearly with the noise in the gradients (slope 0.8 to 1.1).",
        source="ours",
        metric="slope of log KKT against log epsilon_g",
        unit="1",
        rule="within",
        target=0.95,
        tolerance=0.15,
        measure=partial(m.floor_slope, "g"),
    ),
    _claim(
        "complexity",
        sentence="Iterations grow no faster than the inverse square of the tolerance.",
        source="paper",
        metric="slope of log iterations against log 1 / tolerance",
        unit="1",
        rule="at_most",
        target=2.0,
        measure=m.complexity,
    ),
    _claim(
        "majority-holds",
        sentence="With two gradients of five replaced by garbage, at least 85 % of the problems are still solved.",
        source="paper",
        metric="share of problems with KKT <= 1e-2",
        unit="share",
        rule="at_least",
        target=0.85,
        measure=partial(m.solved_with_garbage, 0.4),
    ),
    _claim(
        "majority-breaks",
        sentence="With four of five replaced, at most 20 % are.",
        source="ours",
        metric="share of problems with KKT <= 1e-2",
        unit="share",
        rule="at_most",
        target=0.2,
        measure=partial(m.solved_with_garbage, 0.8),
    ),
    _claim(
        "majority-collapse",
        sentence="Between two and four of five the share solved falls by at least a half.",
        source="ours",
        metric="share solved, 0.4 minus 0.8",
        unit="share",
        rule="at_least",
        target=0.5,
        measure=m.collapse,
    ),
    _claim(
        "fresh-direction",
        sentence="Under garbage, drawing a new direction after a failure is faster than keeping it; kept runs hit the cap of 600 iterations.",
        source="ours",
        metric="log10 median iterations, kept minus fresh",
        unit="log10",
        rule="at_least",
        target=0.1,
        measure=m.fresh_direction,
    ),
    *(
        _claim(
            f"tail-{name}",
            sentence=f"On {problem} ninety-nine runs of a hundred need at most three times the median number of iterations.",
            source="paper",
            metric="99 % quantile over median of the hitting time",
            unit="ratio",
            rule="at_most",
            target=3.0,
            measure=partial(m.tail_ratio, problem),
        )
        for name, problem in (("hs7", "HS7"), ("hs78", "HS78"), ("bt5", "BT5"))
    ),
    _claim(
        "relaxation-costs",
        sentence="Under benign noise a larger relaxation leaves a larger error, at every step of 0, 0.1, 1, 10, 100 times epsilon_f.",
        source="ours",
        metric="log10 tail KKT",
        unit="log10",
        rule="monotone",
        target=0.0,
        measure=m.relaxation_costs,
    ),
    _claim(
        "adversary-stalls",
        sentence="Without relaxation, adversarial values stall every run.",
        source="ours",
        metric="runs of 36 that do not stall",
        unit="runs",
        rule="exact",
        target=0.0,
        measure=m.stalls,
        seeds=1,
    ),
    _claim(
        "relaxation-rescues",
        sentence="With relaxation, which cancels this adversary exactly, the median error falls below 1e-6.",
        source="ours",
        metric="median tail KKT, worst of three noise levels",
        unit="KKT",
        rule="exact",
        target=0.0,
        tolerance=1e-6,
        measure=m.relaxation_rescues,
        seeds=1,
    ),
    *(
        _claim(
            f"robust-{label}",
            sentence=f"At noise {label} the 90th percentile over problems of the best error is half a decade smaller than under adaptive SQP.",
            source="ours",
            metric="log10 90 % quantile of the best KKT, adaptive minus step search",
            unit="log10",
            rule="at_least",
            target=0.5,
            measure=partial(m.robustness, noise),
        )
        for label, noise in (("1e-4", 1e-4), ("1e-2", 1e-2), ("1e-1", 1e-1))
    ),
    *(
        _claim(
            f"typical-{label}",
            sentence=f"At noise {label} the median over problems of the final error is half a decade larger than under adaptive SQP.",
            source="ours",
            metric="log10 median tail KKT, step search minus adaptive",
            unit="log10",
            rule="at_least",
            target=0.5,
            measure=partial(m.typical, noise),
        )
        for label, noise in (("1e-4", 1e-4), ("1e-2", 1e-2), ("1e-1", 1e-1))
    ),
    *(
        _claim(
            f"finite-sum-{label}",
            sentence=f"On logistic regression with minibatches, step search ends with a smaller error than {words}, which takes three times as many steps.",
            source="ours",
            metric="log10 tail KKT, step search minus baseline",
            unit="log10",
            rule="at_most",
            target=0.0,
            measure=partial(m.finite_sum, baseline),
        )
        for label, words, baseline in (
            ("fixed", "a fixed step", "fixed step"),
            ("subgradient", "the subgradient method", "subgradient"),
        )
    ),
    *(
        _claim(
            f"insensitive-{label}",
            sentence=f"{words} changes the error by at most a factor of three.",
            source="ours",
            metric="largest over smallest median tail KKT",
            unit="ratio",
            rule="at_most",
            target=3.0,
            measure=partial(m.spread, name, values),
        )
        for label, words, name, values in (
            ("gamma", "Shrinking the step by 0.3, 0.5, 0.7 or 0.9", "gamma", (0.3, 0.5, 0.7, 0.9)),
            ("tau", "Starting the merit parameter at 0.001, 0.1 or 1", "tau", (1e-3, 0.1, 1.0)),
            ("step", "Bounding the step by 0.1 instead of 1", "alpha_max", (0.1, 1.0)),
        )
    ),
    _claim(
        "rounding",
        sentence="Computing q as a difference instead of c^T y costs at least a decade in the 90th percentile of the error.",
        source="ours",
        metric="log10 90 % quantile of the best KKT, difference minus c^T y",
        unit="log10",
        rule="at_least",
        target=1.0,
        measure=m.rounding_costs,
    ),
    _claim(
        "model-decreases",
        sentence="The model's reduction is never below what inequality (4) promises.",
        source="ours",
        metric="largest relative violation",
        unit="1",
        rule="exact",
        target=0.0,
        tolerance=1e-9,
        measure=m.reduction_gap,
    ),
    _claim(
        "bias-cancels",
        sentence="A constant bias in the values changes no decision.",
        source="ours",
        metric="problems of twelve where a decision changes",
        unit="problems",
        rule="exact",
        target=0.0,
        measure=m.bias_harmless,
        seeds=5,
    ),
    _claim(
        "singular-start",
        sentence="HS61 at its standard start ends with a reason and leaves its trace clean.",
        source="ours",
        metric="1 if so",
        unit="1",
        rule="exact",
        target=1.0,
        measure=m.singular_start,
        seeds=1,
    ),
]

#: The error left by noise in the values, for the notebook to lay its own run upon.
CURVES: list[Curve] = [
    Curve("floor-values", "epsilon_f", list(m.FLOORS_F), lambda seed: m.noise_floor("f")[:, seed].tolist(), SEEDS)
]
