"""What step-search SQP is compared with, in the same form: all runs at once, the same oracles, the same Trace.

The adaptive method is that of Berahas, Curtis, Robinson and Zhou (arXiv 2007.10525) with the option values of the
authors' public MATLAB package; the others are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor

from firsthand.stepsqp.oracles import NoisyOracle, Oracle
from firsthand.stepsqp.problems import Problem
from firsthand.stepsqp.sqp import Recorder, Trace, check_settings, solve_direction, start_point, update_tau

Stepper = Callable[[int, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def _run(
    problem: Problem,
    oracle: Oracle | None,
    iterations: int,
    seeds: Sequence[int],
    device: str,
    step: Stepper,
    *,
    subgradient: bool = False,
    tau: float = 0.1,
    sigma: float = 0.1,
    epsilon_tau: float = 0.01,
) -> Trace:
    """Gradient-only methods: `step(k, direction, tau, reduction, c1, dd, alpha)` gives each run's step size."""
    if iterations < 1:
        raise ValueError(f"iterations must be positive; got {iterations}.")
    x = start_point(problem, len(seeds), device)
    draws = (oracle or NoisyOracle()).start(problem, seeds, x.device)
    a = torch.ones(len(seeds), dtype=x.dtype, device=x.device)
    t = torch.full_like(a, tau)
    recorder = Recorder(problem, len(seeds), iterations, x, a)
    for k in range(iterations):
        c, J = problem.constraints(x), problem.jacobian(x)
        g = draws.gradient(x)
        d, y, singular = solve_direction(g, c, J)
        if subgradient:
            d = -(t[:, None] * g + (J.mT @ c.sign()[..., None])[..., 0])
        else:
            recorder.stop(singular, "singular")
        recorder.stop(~torch.isfinite(d).all(1), "non-finite")
        c1, dd, q = c.abs().sum(1), (d * d).sum(1), (c * y).sum(1)
        if not subgradient:
            t = torch.where(recorder.alive, update_tau(t, q, c1, sigma, epsilon_tau), t)
        reduction = t * (dd - q) + c1
        a = torch.where(recorder.alive, step(k, d, t, reduction, c1, dd, a), a)
        trial = x + a[:, None] * d
        recorder.stop(~torch.isfinite(problem.objective(trial)) | (trial.abs() > 1e8).any(1), "diverged")
        x = torch.where(recorder.alive[:, None], trial, x)
        recorder.step(
            k, x, a, (1, 0),
            tau=t, direction=d, multipliers=y, model_reduction=reduction, accepted=recorder.alive.clone(),
        )  # fmt: skip
    return recorder.finish()


def fixed_step_sqp(
    problem: Problem,
    oracle: Oracle | None = None,
    *,
    iterations: int = 500,
    seeds: Sequence[int] = (0,),
    alpha: float = 0.1,
    device: str = "cpu",
) -> Trace:
    """The same direction, equation (1), with the same step every time. One gradient an iteration, no value."""
    check_settings(alpha=alpha)
    return _run(problem, oracle, iterations, seeds, device, lambda k, d, t, r, c1, dd, a: torch.full_like(a, alpha))


def subgradient(
    problem: Problem,
    oracle: Oracle | None = None,
    *,
    iterations: int = 500,
    seeds: Sequence[int] = (0,),
    alpha: float = 0.1,
    tau: float = 0.1,
    device: str = "cpu",
) -> Trace:
    """Steps alpha / sqrt(k + 1) along minus the subgradient of the exact penalty, tau g + J^T sign(c).

    The trace's multipliers are still those of (1); its model reduction means nothing here.
    """
    check_settings(alpha=alpha)

    def step(k: int, d: Tensor, t: Tensor, r: Tensor, c1: Tensor, dd: Tensor, a: Tensor) -> Tensor:
        return torch.full_like(a, alpha / (k + 1) ** 0.5)

    return _run(problem, oracle, iterations, seeds, device, step, subgradient=True, tau=tau)


def estimate_lipschitz(
    problem: Problem, seeds: Sequence[int], device: str, *, directions: int = 10
) -> tuple[Tensor, Tensor]:
    """L of the gradient and Gamma, summed over constraints, (S,): largest differences over random displacements.

    Displacements have length 1e-4 at x0. Noise would cancel in the difference (the same draw at both ends), so exact
    derivatives are used. One direction underestimates L; ten are the default.
    """
    x0 = problem.x0.to(device)
    shifts = np.stack([np.random.default_rng((seed, 1)).standard_normal((directions, problem.n)) for seed in seeds])
    v = torch.from_numpy(shifts).to(device)
    v = 1e-4 * v / v.norm(dim=-1, keepdim=True)
    moved = x0 + v
    L = (problem.gradient(moved) - problem.gradient(x0)).norm(dim=-1) / 1e-4
    rows = (problem.jacobian(moved) - problem.jacobian(x0)).norm(dim=-1) / 1e-4
    return L.amax(1), rows.amax(1).sum(-1)


def adaptive_sqp(
    problem: Problem,
    oracle: Oracle | None = None,
    *,
    iterations: int = 500,
    seeds: Sequence[int] = (0,),
    directions: int = 10,
    device: str = "cpu",
) -> Trace:
    """Adaptive stochastic SQP: step sizes from estimated Lipschitz constants, gradients only.

    The step grows by factors of 1.1 while the model promises decrease and is projected on [a_min, a_min + 1e4].
    Values eta = 1/2, beta = 1, xi = 1 and its factor 0.99 as in the authors' package.
    """
    L, gamma = estimate_lipschitz(problem, seeds, device, directions=directions)
    xi = torch.ones(len(seeds), dtype=torch.float64, device=device)

    def step(k: int, d: Tensor, t: Tensor, r: Tensor, c1: Tensor, dd: Tensor, a: Tensor) -> Tensor:
        nonlocal xi
        curvature = (t * L + gamma).clamp(min=1e-12)
        dd = dd.clamp(min=1e-300)
        trial = r / (t * dd)
        xi = torch.where(xi > trial, torch.minimum(0.99 * xi, trial), xi)
        lowest = xi * t / curvature

        def promises(alpha: Tensor) -> Tensor:
            linear = (1 - alpha).abs() * c1 - c1 + alpha * c1
            return -0.5 * alpha * r + linear + 0.5 * curvature * alpha**2 * dd <= 0

        alpha = torch.minimum(torch.ones_like(r), r / (curvature * dd))
        growing = torch.ones_like(alpha, dtype=torch.bool)
        for _ in range(100):
            growing = growing & promises(1.1 * alpha)
            if not bool(growing.any()):
                break
            alpha = torch.where(growing, 1.1 * alpha, alpha)
        return torch.maximum(torch.minimum(alpha, lowest + 1e4), lowest)

    return _run(problem, oracle, iterations, seeds, device, step)


def scipy_reference(problem: Problem, method: str = "SLSQP", *, x0: Any = None, maxiter: int = 2000) -> OptimizeResult:
    """SciPy's SLSQP or trust-constr on exact functions and derivatives."""

    def t(x: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(x, dtype=float))

    constraint = {
        "type": "eq",
        "fun": lambda x: problem.constraints(t(x)).numpy(),
        "jac": lambda x: problem.jacobian(t(x)).numpy(),
    }
    options: dict[str, Any] = {"maxiter": maxiter} | ({"ftol": 1e-14} if method == "SLSQP" else {})
    return minimize(
        lambda x: float(problem.objective(t(x))),
        problem.x0.numpy() if x0 is None else x0,
        jac=lambda x: problem.gradient(t(x)).numpy(),
        method=method,
        constraints=[constraint],
        options=options,
    )
