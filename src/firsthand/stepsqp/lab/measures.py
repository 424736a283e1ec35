"""How the chapter's claims are measured. Runs of all seeds go in one batch, shared by the claims that need them.

A measurement takes a seed and returns (method, baseline or None). Problems are pooled by the median or a quantile.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

from firsthand.stepsqp.lab.baselines import adaptive_sqp, fixed_step_sqp, subgradient
from firsthand.stepsqp.oracles import MinibatchOracle, NoisyOracle
from firsthand.stepsqp.problems import PROBLEMS, logistic_problem
from firsthand.stepsqp.sqp import Trace, step_search_sqp

SEEDS = 20
POOL = ("HS7", "HS27", "HS39", "HS40", "HS42", "HS52", "HS77", "HS78", "HS79", "BT5", "BT11", "BT12")
ALL = tuple(name for name in PROBLEMS if name != "HS61")  # HS61 cannot be started
DEGENERATE = ("HS26", "HS46", "HS47", "HS49")  # no curvature at the solution: convergence is sublinear
SLOW = ("HS39",)  # first-order slow: still above 1e-3 after a thousand iterations
FLOORS_F = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
FLOORS_G = (1e-4, 1e-3, 1e-2, 1e-1)
GARBAGE = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8)
RELAXATIONS = (0.0, 0.1, 1.0, 10.0, 100.0)

Measured = tuple[Any, Any]


def grid(levels: tuple[float, ...]) -> tuple[list[int], np.ndarray]:
    """Seeds and noise levels of a batch that holds every seed at every level, level by level."""
    return list(range(SEEDS)) * len(levels), np.repeat(levels, SEEDS)


def per_level(values: np.ndarray, levels: int) -> np.ndarray:
    """(levels * SEEDS,) -> (levels, SEEDS)."""
    return values.reshape(levels, SEEDS)


@cache
def noise_floor(which: str) -> np.ndarray:
    """(levels, SEEDS) median over the pool of the tail KKT, noise in values ("f") or gradients ("g") alone."""
    levels = FLOORS_F if which == "f" else FLOORS_G
    seeds, noise = grid(levels)
    oracle = NoisyOracle(**{f"epsilon_{which}": noise}, kind="bounded" if which == "f" else "gaussian")
    iterations = 300 if which == "f" else 500
    found = [step_search_sqp(PROBLEMS[p], oracle, iterations=iterations, seeds=seeds).tail_kkt() for p in POOL]
    return per_level(np.median(found, axis=0), len(levels))


def floor_slope(which: str, seed: int) -> Measured:
    """Slope of log KKT against log noise."""
    levels = FLOORS_F if which == "f" else FLOORS_G
    return float(np.polyfit(np.log(levels), np.log(noise_floor(which)[:, seed]), 1)[0]), None


@cache
def majority(keep_gradient: bool) -> tuple[np.ndarray, np.ndarray]:
    """((deltas, SEEDS) share of the pool with KKT <= 1e-2 within 600 iterations, median hitting time)."""
    seeds, delta = grid(GARBAGE)
    oracle = NoisyOracle(failure_probability=delta)
    times = np.stack(
        [
            step_search_sqp(PROBLEMS[p], oracle, iterations=600, seeds=seeds, keep_gradient=keep_gradient).hitting_time(
                1e-2
            )
            for p in POOL
        ]
    )
    share = np.isfinite(times).mean(0)
    middle = np.minimum(np.median(times, axis=0), 600.0)
    return per_level(share, len(GARBAGE)), per_level(middle, len(GARBAGE))


def solved_with_garbage(delta: float, seed: int) -> Measured:
    return float(majority(False)[0][GARBAGE.index(delta), seed]), None


def collapse(seed: int) -> Measured:
    """Share solved at delta = 0.4 and at 0.8."""
    share = majority(False)[0]
    return float(share[GARBAGE.index(0.4), seed]), float(share[GARBAGE.index(0.8), seed])


def fresh_direction(seed: int) -> Measured:
    """Median hitting time at delta = 0.4 when a failed direction is kept, and when it is drawn anew (log10)."""
    kept, fresh = (np.log10(majority(flag)[1][GARBAGE.index(0.4), seed] + 1) for flag in (True, False))
    return float(kept), float(fresh)


@cache
def relaxed() -> np.ndarray:
    """(factors, SEEDS) median over the pool of the tail KKT at noise 1e-2, relaxation as a multiple of epsilon_f."""
    seeds, factor = grid(RELAXATIONS)
    found = [
        step_search_sqp(PROBLEMS[p], NoisyOracle(1e-2, 1e-2), seeds=seeds, relaxation=0.01 * factor).tail_kkt()
        for p in POOL
    ]
    return per_level(np.median(found, axis=0), len(RELAXATIONS))


def relaxation_costs(seed: int) -> Measured:
    return np.log10(relaxed()[:, seed]).tolist(), None


@cache
def adversarial(relaxation: float) -> tuple[np.ndarray, np.ndarray]:
    """(tail KKT, last step size) of the pool (12, levels) under adversarial values, without and with relaxation."""
    levels = np.array([1e-3, 1e-2, 1e-1])
    traces = [
        step_search_sqp(
            PROBLEMS[p],
            NoisyOracle(levels, kind="adversarial"),
            seeds=(0, 1, 2),
            iterations=600,
            relaxation=relaxation * levels,
        )
        for p in POOL
    ]
    return np.stack([t.tail_kkt() for t in traces]), np.stack([t.alpha[:, -1].numpy() for t in traces])


def stalls(seed: int) -> Measured:
    """Runs without relaxation that do not stall (step above 1e-10), of 36; nothing here is random."""
    return float((adversarial(0.0)[1] > 1e-10).sum()), None


def relaxation_rescues(seed: int) -> Measured:
    """Median tail KKT with relaxation epsilon_f, largest of three noise levels."""
    return float(np.median(adversarial(1.0)[0], axis=0).max()), None


@cache
def contest(noise: float, method: str) -> tuple[np.ndarray, np.ndarray]:
    """(best KKT, tail KKT) of all 28 problems (28, SEEDS) after 500 iterations, at the default settings."""
    methods: dict[str, Callable[..., Trace]] = {"step search": step_search_sqp, "adaptive": adaptive_sqp}
    run = methods[method]
    traces: list[Trace] = [run(PROBLEMS[p], NoisyOracle(noise, noise), seeds=range(SEEDS)) for p in ALL]
    best = [t.kkt.nan_to_num(torch.inf).amin(1).clamp(max=1e6).numpy() for t in traces]
    return np.stack(best), np.stack([np.minimum(np.nan_to_num(t.tail_kkt(), nan=1e6), 1e6) for t in traces])


def robustness(noise: float, seed: int) -> Measured:
    """log10 of the 90th percentile over problems of the best KKT: adaptive, and step search."""
    adaptive, ours = (np.log10(np.quantile(contest(noise, m)[0][:, seed], 0.9)) for m in ("adaptive", "step search"))
    return float(adaptive), float(ours)


def typical(noise: float, seed: int) -> Measured:
    """log10 of the median over problems of the tail KKT: step search, and adaptive."""
    ours, adaptive = (np.log10(np.median(contest(noise, m)[1][:, seed])) for m in ("step search", "adaptive"))
    return float(ours), float(adaptive)


@cache
def hitting(name: str) -> np.ndarray:
    """(SEEDS, 100) hitting times of KKT <= 5e-2 at noise 1e-2: a hundred runs a seed."""
    seeds = [1000 * seed + i for seed in range(SEEDS) for i in range(100)]
    trace = step_search_sqp(PROBLEMS[name], NoisyOracle(1e-2, 1e-2), iterations=120, seeds=seeds)
    return trace.hitting_time(5e-2).reshape(SEEDS, 100)


def tail_ratio(name: str, seed: int) -> Measured:
    """99 % quantile of the hitting time over its median."""
    times = hitting(name)[seed]
    return float(min(np.quantile(times, 0.99) / np.median(times), 1e3)), None


@cache
def accuracy_cost() -> np.ndarray:
    """(tolerances, SEEDS) median over the pool of iterations to reach 1e-1 … 1e-4.

    Noise is bounded: epsilon^2 / 100 in values, epsilon / 10 in gradients, so that every tolerance can be reached.
    """
    rows = []
    for tolerance in (1e-1, 1e-2, 1e-3, 1e-4):
        oracle = NoisyOracle(tolerance**2 / 100, tolerance / 10, kind="bounded")
        times = [
            step_search_sqp(PROBLEMS[p], oracle, iterations=800, seeds=range(SEEDS)).hitting_time(tolerance)
            for p in POOL
        ]
        rows.append(np.minimum(np.median(times, axis=0), 800.0))
    return np.stack(rows)


def complexity(seed: int) -> Measured:
    """Slope of log iterations against log 1 / tolerance."""
    return float(np.polyfit(np.log([1e1, 1e2, 1e3, 1e4]), np.log(accuracy_cost()[:, seed]), 1)[0]), None


@cache
def setting(**options: Any) -> np.ndarray:
    """(SEEDS,) median over the pool of the tail KKT at noise 1e-2 with other settings."""
    found = [
        step_search_sqp(PROBLEMS[p], NoisyOracle(1e-2, 1e-2), seeds=range(SEEDS), **options).tail_kkt() for p in POOL
    ]
    return np.median(found, axis=0)


def spread(name: str, values: tuple[float, ...], seed: int) -> Measured:
    """Largest over smallest median tail KKT when one setting takes these values."""
    found = [setting(**{name: value})[seed] for value in values]
    return float(max(found) / min(found)), None


@cache
def rounding(naive: bool) -> np.ndarray:
    """(SEEDS,) log10 of the 90th percentile over all problems of the best KKT at noise 1e-4."""
    runs = [step_search_sqp(PROBLEMS[p], NoisyOracle(1e-4, 1e-4), seeds=range(SEEDS), naive_q=naive) for p in ALL]
    best = np.stack([t.kkt.nan_to_num(1e6).amin(1).numpy() for t in runs])
    return np.log10(np.quantile(best, 0.9, axis=0))


def rounding_costs(seed: int) -> Measured:
    return float(rounding(True)[seed]), float(rounding(False)[seed])


@cache
def exact_runs() -> dict[str, Trace]:
    return {p: step_search_sqp(PROBLEMS[p], iterations=1000) for p in ALL}


def unsolved(seed: int) -> Measured:
    """Problems outside SLOW whose KKT error stays above 1e-3 in 1000 exact iterations."""
    return float(sum(float(t.kkt.min()) > 1e-3 for p, t in exact_runs().items() if p not in SLOW)), None


def wrong_values(seed: int) -> Measured:
    """Non-degenerate problems where the value reached differs from the best known by more than 1e-5 (1 + |f*|)."""
    wrong = 0
    for name, trace in exact_runs().items():
        if name not in DEGENERATE + SLOW:
            problem = PROBLEMS[name]
            assert problem.f_star is not None
            value = float(problem.objective(trace.x[0, -1]))
            wrong += abs(value - problem.f_star) > 1e-5 * (1 + abs(problem.f_star))
    return float(wrong), None


def reduction_gap(seed: int) -> Measured:
    """Largest violation of inequality (4), relative to |c|_1 + tau |d|^2, over noisy runs of all problems."""
    worst = 0.0
    for p in ALL:
        trace = step_search_sqp(PROBLEMS[p], NoisyOracle(1e-2, 1e-2), seeds=(seed,), iterations=200)
        dd = (trace.direction**2).sum(-1)
        c1 = PROBLEMS[p].constraints(trace.x[:, :-1]).abs().sum(-1)
        bound = trace.tau * dd + 0.1 * c1
        gap = (bound - trace.model_reduction) / (c1 + trace.tau * dd).clamp(min=1e-300)
        worst = max(worst, float(gap.nan_to_num(0).max()))
    return max(worst, 0.0), None


def bias_harmless(seed: int) -> Measured:
    """Problems of the pool whose accepted steps change when every value is biased by 7."""
    changed = 0
    for p in POOL:
        runs = [
            step_search_sqp(PROBLEMS[p], NoisyOracle(1e-2, 1e-2, kind="biased", bias=b), seeds=(seed,), iterations=200)
            for b in (0.0, 7.0)
        ]
        changed += not torch.equal(runs[0].accepted, runs[1].accepted)
    return float(changed), None


def singular_start(seed: int) -> Measured:
    """1 if HS61 ends with a reason at its standard start and no value of its trace after x0 is made up."""
    trace = step_search_sqp(PROBLEMS["HS61"], iterations=5)
    return float(trace.stopped == ["singular"] and bool((trace.x[:, 1:] == trace.x[:, :1]).all())), None


@cache
def logistic() -> dict[str, np.ndarray]:
    """{method: (SEEDS,) tail KKT} on the finite sum: best of three settings by another set of seeds, equal examples.

    Step search pays three minibatches an iteration, the others one, so these get three times as many iterations. The
    pilot that sizes the allowance (200 minibatches, once) is not counted.
    """
    problem = logistic_problem()
    oracle = MinibatchOracle(32)
    oracle = MinibatchOracle(32, oracle.pilot(problem))
    runs = {
        "step search": lambda a, s: step_search_sqp(problem, oracle, iterations=300, seeds=s, alpha_max=a),
        "fixed step": lambda a, s: fixed_step_sqp(problem, oracle, iterations=900, seeds=s, alpha=a),
        "subgradient": lambda a, s: subgradient(problem, oracle, iterations=900, seeds=s, alpha=a),
    }
    found = {}
    for name, run in runs.items():
        validation = {a: np.median(run(a, range(100, 105)).tail_kkt()) for a in (1.0, 0.3, 0.1)}
        found[name] = run(min(validation, key=validation.__getitem__), range(SEEDS)).tail_kkt()
    return found


def finite_sum(baseline: str, seed: int) -> Measured:
    """log10 tail KKT of step search and of a baseline."""
    found = logistic()
    return float(np.log10(found["step search"][seed])), float(np.log10(found[baseline][seed]))
