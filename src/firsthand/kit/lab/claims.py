"""Claims and verdicts: a claim is a row of data, and only code says whether it holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

Rule = Literal["at_least", "at_most", "within", "monotone", "exact"]
RULES: tuple[Rule, ...] = ("at_least", "at_most", "within", "monotone", "exact")
VERDICTS = ("holds", "fails", "inconclusive", "not tested")

CONFIDENCE = 0.95
BOOTSTRAP_FROM = 20  # seeds; below, Student's t
RESAMPLES = 10_000


@dataclass(frozen=True)
class Claim:
    """One testable statement of a chapter.

    Attributes:
        id: short name, unique in the chapter.
        sentence: the claim in our words.
        source: who claims it: "paper", "code" or "ours".
        metric, unit: what is measured.
        paper: the paper's own number, or None where it has none or we could not verify it.
        rule, target, tolerance: as `verdict`.
        measure: measure(seed) -> (method, baseline or None); for "monotone" a method value is a sequence. It
            may raise `NotTested`.
        seeds: how many seeds the claim needs; 1 only where nothing random is involved.
        repeats_within: how far a recomputation may lie from the stored value (0 for exact arithmetic).
    """

    id: str
    sentence: str
    source: Literal["paper", "code", "ours"]
    metric: str
    unit: str
    paper: float | None
    rule: Rule
    target: float
    tolerance: float
    measure: Callable[[int], tuple[Any, Any]]
    seeds: int = 5
    repeats_within: float = 0.0


#: What most claims of a chapter have in common; `template` adds to it.
USUAL: dict[str, Any] = {"source": "ours", "paper": None, "rule": "at_least", "target": 0.0, "tolerance": 0.0}


def template(**usual: Any) -> Callable[..., Claim]:
    """A maker of claims that are alike: make(id, measure, sentence, metric, target, **others) -> Claim.

    Args:
        usual: values of a claim's attributes where a call gives none; it gives the rest, by name or in that order.
    """

    def make(name: str, measure: Callable[[int], tuple[Any, Any]], *first: Any, **others: Any) -> Claim:
        named = dict(zip(("sentence", "metric", "target"), first, strict=False))
        return Claim(id=name, measure=measure, **{**USUAL, **usual, **named, **others})

    return make


@dataclass(frozen=True)
class Curve:
    """A curve that a reader's own run can be laid upon: measure(seed) gives a value (or None) for every x."""

    id: str
    xlabel: str
    x: list[float]
    measure: Callable[[int], Sequence[float | None]]
    seeds: int = 5


class NotTested(Exception):
    """Raised by a claim's `measure` when its quality floor is not reached; the message is the reason."""


@dataclass(frozen=True)
class Verdict:
    """`name` is one of holds, fails, inconclusive, not tested; `estimate` lies in [`low`, `high`]; n seeds."""

    name: str
    estimate: float
    low: float
    high: float
    n: int


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval: Student's t below 20 values, a percentile bootstrap from 20 (fixed seed).

    One value has no interval: its ends are -inf and inf.
    """
    x = np.asarray(values, dtype=float)
    mean = float(x.mean())
    if len(x) == 1:
        return mean, -math.inf, math.inf
    if np.ptp(x) == 0:  # no spread, no interval; also keeps rounding of the mean out of the ends
        return float(x[0]), float(x[0]), float(x[0])
    if len(x) < BOOTSTRAP_FROM:
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(x) - 1) * stats.sem(x))
        return mean, mean - half, mean + half
    resampled = stats.bootstrap(
        (x,), np.mean, confidence_level=CONFIDENCE, n_resamples=RESAMPLES, method="percentile", rng=0
    )
    low, high = resampled.confidence_interval
    return mean, float(low), float(high)


def _bounded(d: Sequence[float], target: float, sign: int) -> Verdict:
    """`at_least` for sign 1, `at_most` for sign -1."""
    estimate, low, high = interval(d)
    worst, best = (low, high) if sign > 0 else (high, low)
    name = "holds" if sign * (worst - target) >= 0 else "fails" if sign * (best - target) < 0 else "inconclusive"
    return Verdict(name, estimate, low, high, len(d))


def _within(d: Sequence[float], target: float, tolerance: float) -> Verdict:
    estimate, low, high = interval(d)
    floor, ceiling = target - tolerance, target + tolerance
    inside, outside = floor <= low and high <= ceiling, high < floor or low > ceiling
    return Verdict("holds" if inside else "fails" if outside else "inconclusive", estimate, low, high, len(d))


def _exact(d: Sequence[float], target: float, tolerance: float) -> Verdict:
    """Equality for every value, no interval; the estimate is the value farthest from the target."""
    worst = max(d, key=lambda value: abs(value - target))
    return Verdict("holds" if abs(worst - target) <= tolerance else "fails", worst, min(d), max(d), len(d))


def _monotone(sequences: Sequence[Sequence[float]]) -> Verdict:
    """Every neighbouring difference by `at_least` 0; the weakest difference is the one reported."""
    steps = np.diff(np.asarray(sequences, dtype=float), axis=1)
    verdicts = [_bounded(step, 0.0, 1) for step in steps.T]
    names = {v.name for v in verdicts}
    name = "fails" if "fails" in names else "inconclusive" if "inconclusive" in names else "holds"
    weakest = min(verdicts, key=lambda v: v.low)
    return Verdict(name, weakest.estimate, weakest.low, weakest.high, len(steps))


def verdict(
    method: Sequence[Any],
    baseline: Sequence[Any] | None = None,
    *,
    rule: str,
    target: float = 0.0,
    tolerance: float = 0.0,
) -> Verdict:
    """What the values of one claim say, seed by seed.

    Args:
        method: one value a seed; for "monotone" one sequence of at least two values a seed.
        baseline: values of the baseline for the same seeds; the rule then judges the paired differences.
        rule: "at_least" target: holds if the interval's lower end is >= target, fails if its upper end is
            < target. "at_most": mirrored. "within" target ± tolerance: holds if the interval lies inside, fails
            if it lies outside. "monotone": every neighbouring difference by at_least 0, fails if one
            fails. "exact": every value equals target (to `tolerance`).
        target, tolerance: numbers of the rule.

    Returns:
        Verdict; "not tested" where there are no values.

    Raises:
        ValueError: an unknown rule, unpaired lengths, or a value that is not a finite number.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}; got {rule!r}.")
    if len(method) == 0:
        return Verdict("not tested", math.nan, math.nan, math.nan, 0)
    if baseline is not None and len(baseline) != len(method):
        raise ValueError(f"method and baseline must be paired; got {len(method)} and {len(baseline)} values.")
    values = np.asarray(method, dtype=float)
    if baseline is not None:
        values = values - np.asarray(baseline, dtype=float)
    if not np.isfinite(values).all():
        raise ValueError(f"values must be finite; seed number {int(np.argwhere(~np.isfinite(values))[0][0])} is not.")
    if values.ndim != (2 if rule == "monotone" else 1) or (rule == "monotone" and values.shape[1] < 2):
        raise ValueError(f"rule {rule!r} cannot judge values of shape {values.shape}.")
    if rule == "monotone":
        return _monotone(values.tolist())
    d = values.tolist()
    if rule == "exact":
        return _exact(d, target, tolerance)
    if rule == "within":
        return _within(d, target, tolerance)
    return _bounded(d, target, 1 if rule == "at_least" else -1)
