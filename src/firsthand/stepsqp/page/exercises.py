"""The checkers of the chapter's exercises: truths are computed, and so are the usual mistakes."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import torch

from firsthand.kit.page.exercises import Exercise, Wrong, call, compare, need_function, need_number
from firsthand.stepsqp.lab.measures import GARBAGE
from firsthand.stepsqp.oracles import NoisyOracle
from firsthand.stepsqp.problems import PROBLEMS
from firsthand.stepsqp.sqp import solve_direction, step_search_sqp, update_tau

_close = partial(math.isclose, rel_tol=2e-3, abs_tol=1e-9)


def _by_hand(answer: Any) -> str:
    value = need_number(answer)
    problem = PROBLEMS["HS7"]
    x = problem.x0[None]
    g, c = problem.gradient(x), problem.constraints(x)
    d, y, _ = solve_direction(g, c, problem.jacobian(x))
    q, gd, dd = float((c * y).sum()), float((g * d).sum()), float((d * d).sum())
    slips = {
        "That is g·d alone; q adds d·d.": gd,
        "That is d·d alone; q adds g·d.": dd,
        "The sign is turned: c is +25 and y is negative.": -q,
        "That is the multiplier y; q is c times y.": float(y[0, 0]),
    }
    otherwise = f"{value:.4g} is not q: take g, c, d and y from the cell of the worked example."
    compare(value, q, slips, otherwise, same=_close)
    return "Both ways give it: g·d + d·d and c·y. It is negative, so the merit parameter stays."


def _merit_parameter(answer: Any) -> str:
    function = need_function(answer, 3)
    cases = [(0.1, -2.0, 5.0), (0.1, 3.0, 1.0), (0.1, 9.045, 1.0), (1.0, 0.91, 1.0), (0.2, 50.0, 1.0), (0.1, 0.0, 0.0)]
    for tau, q, c1 in cases:
        value = need_number(call(function, tau, q, c1))
        truth = float(update_tau(torch.tensor(tau), torch.tensor(q), torch.tensor(c1), 0.1, 0.01))
        if math.isclose(value, truth, rel_tol=1e-5, abs_tol=1e-12):
            continue
        trial = 0.9 * c1 / q if q > 0 else math.inf
        if value > tau:
            raise Wrong(f"At tau = {tau}, q = {q}, |c| = {c1} your tau rises; it may only fall.")
        if q <= 0 and value != tau:
            raise Wrong("For q at most 0 the trial value is infinite, so tau stays.")
        if q > 0 and math.isclose(value, min(tau, c1 / q), rel_tol=1e-5):
            raise Wrong("The factor 1 - sigma is missing in the trial value.")
        if math.isclose(value, min(tau, trial), rel_tol=1e-5):
            raise Wrong("When tau falls, it falls to at most (1 - epsilon_tau) tau.")
        raise Wrong(f"At tau = {tau}, q = {q}, |c| = {c1} the new value is not {value:.4g}.")
    return "Your update agrees with (3) in all branches."


def _collapse(answer: Any) -> str:
    if not isinstance(answer, str) or answer not in PROBLEMS:
        raise Wrong(f"Answer with a name from PROBLEMS, such as {next(iter(PROBLEMS))!r}.")
    if answer == "HS61":
        raise Wrong("HS61 cannot be started at all: its system is singular.")
    if answer == "HS50":
        raise Wrong("HS50 is the example of the text; name another one.")
    # A single exact run may be lucky on one processor and not on the next; forty that round differently are not.
    oracle = NoisyOracle(epsilon_g=1e-9)
    lost = []
    for naive in (True, False):
        trace = step_search_sqp(PROBLEMS[answer], oracle, seeds=range(40), iterations=300, naive_q=naive)
        lost.append(float((trace.kkt.nan_to_num(1.0).amin(1) > 1e-6).double().mean()))
    if lost[1] > 0.05:
        raise Wrong(f"On {answer} three hundred steps are too few for c·y as well, so there is nothing to lose.")
    if lost[0] < 0.2:
        start = float(PROBLEMS[answer].constraints(PROBLEMS[answer].x0).abs().sum())
        reason = "it starts infeasible" if start > 1e-9 else "its iterates move off the constraints"
        raise Wrong(f"On {answer} both ways do about as well: {reason}.")
    return f"On {answer} the difference loses runs that c·y solves."


def _acceptance(answer: Any) -> str:
    function = need_function(answer, 6)
    rules = {
        "": lambda m, a, r, t, e: m - 1e-4 * a * r + 2 * t * e,
        "The relaxation 2 tau e is missing.": lambda m, a, r, t, e: m - 1e-4 * a * r,
        "The relaxation is in units of f; multiply it by tau.": lambda m, a, r, t, e: m - 1e-4 * a * r + 2 * e,
        "Two noisy values are compared: the relaxation counts twice.": lambda m, a, r, t, e: m - 1e-4 * a * r + t * e,
        "Some decrease must be asked for: alpha theta Delta l, with theta = 1e-4.": lambda m, a, r, t, e: m + 2 * t * e,
    }
    rng = np.random.default_rng(0)
    said, judged = [], {sentence: [] for sentence in rules}  # type: ignore[var-annotated]
    for merit, *rest in rng.random((100, 5)).tolist():
        limits = {sentence: rule(merit, *rest) for sentence, rule in rules.items()}
        for trial in (limit + shift for limit in limits.values() for shift in (-1e-9, 1e-9)):
            said.append(bool(call(function, merit, trial, *rest)))
            for sentence, limit in limits.items():
                judged[sentence].append(trial <= limit)
    for sentence, expected in judged.items():
        if said == expected:
            if sentence:
                raise Wrong(sentence)
            return "Your test is (5)."
    raise Wrong("The test does not accept just what (5) accepts; check its direction and its terms.")


def _square_root(answer: Any) -> str:
    value = need_number(answer)
    slips = {
        "That would be a linear law; noise in the gradients has it, noise in the values does not.": 100,
        "That is the square; the law is the inverse of that.": 10_000,
    }
    otherwise = "Equate the progress of a good step, proportional to the error squared, with 4 tau epsilon_f."
    if value <= 1:
        otherwise = "More noise leaves more error, not less."
    compare(value, 10, slips, otherwise, same=_close)
    return "The square root of a hundred: measured slopes are close to one half."


def _majority(answer: Any) -> str:
    value = need_number(answer)
    if value not in GARBAGE:
        raise Wrong(f"Answer with one of {', '.join(f'{g:g}' for g in GARBAGE)}.")
    if value == 0.5:
        raise Wrong("At one half, true steps are no majority: the bound needs strictly more.")
    if value > 0.5:
        raise Wrong("Runs may still arrive there, but true steps are a minority and the bound says nothing.")
    if value < 0.4:
        raise Wrong("More garbage than that is still covered.")
    return "True steps must be a majority: a share of garbage below one half."


EXERCISES: dict[int, Exercise] = {
    1: Exercise("The number q", 10, 1, "Two products: g·d and d·d; or a single one, c·y.", _by_hand),
    2: Exercise(
        "The merit parameter",
        15,
        2,
        "There are three cases: q at most 0, tau small enough, tau too large.",
        _merit_parameter,
    ),
    3: Exercise(
        "Lose it by rounding", 15, 2, "Look for a start where c is exactly zero and constraints are linear.", _collapse
    ),
    4: Exercise(
        "The test", 15, 2, "The trial value may exceed the current one a little, but not by much.", _acceptance
    ),
    5: Exercise("The law of the floor", 10, 1, "Which of the two slopes belongs to noise in values?", _square_root),
    6: Exercise("How much garbage", 10, 1, "Look for the condition on p in the theorem.", _majority),
}
