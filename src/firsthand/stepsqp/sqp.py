"""Step-search SQP: one direction, one step, one noisy test an iteration, for many runs at once.

Follows the paper (arXiv 2301.00477) as reconstructed; equation numbers are those of the chapter. The Hessian
model is the identity. Shapes: S runs, T iterations, n variables, m constraints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firsthand.stepsqp.oracles import NoisyOracle, Oracle
from firsthand.stepsqp.problems import Problem


@dataclass
class Trace:
    """Everything that happened. A run that stopped repeats x; its per-step fields are NaN or False, its counters stop.

    Attributes:
        x (S, T+1, n), alpha (S, T+1): iterates and step sizes.
        tau (S, T): merit parameter after the update of step k.
        direction (S, T, n), multipliers (S, T, m): solution of (1).
        model_reduction (S, T): Delta l of (2).
        merit (S, T, 2): the two values compared, at the current and the trial point.
        accepted (S, T): bool.
        kkt, feasibility (S, T+1): exact, never seen by the method. Feasibility is the largest entry of c; kkt is that
            or, if larger, the largest entry of the gradient of the Lagrangian at the least-squares multipliers.
        stopped: why each run ended early, or None.
        gradient_calls, objective_calls (S,): oracle calls.
    """

    x: Tensor
    alpha: Tensor
    tau: Tensor
    direction: Tensor
    multipliers: Tensor
    model_reduction: Tensor
    merit: Tensor
    accepted: Tensor
    gradient_calls: Tensor
    objective_calls: Tensor
    stopped: list[str | None]
    kkt: Tensor = field(default_factory=lambda: torch.empty(0))
    feasibility: Tensor = field(default_factory=lambda: torch.empty(0))

    def hitting_time(self, tolerance: float) -> np.ndarray:
        """(S,) first iteration with kkt <= tolerance; infinity where there is none."""
        below = (self.kkt <= tolerance).cpu().numpy()
        return np.where(below.any(1), below.argmax(1).astype(float), np.inf)

    def tail_kkt(self, share: float = 0.1) -> np.ndarray:
        """(S,) median kkt over the last share of the iterations."""
        last = max(1, int(share * self.kkt.shape[1]))
        return self.kkt[:, -last:].median(dim=1).values.cpu().numpy()


def solve_direction(g: Tensor, c: Tensor, J: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Direction d (S, n), multipliers y (S, m) of equation (1) with H = I, and (S,) where it is exactly singular.

    Near a singular system d and y are large but finite; the step search then shortens the step.
    """
    S, m, n = J.shape
    K = torch.zeros(S, n + m, n + m, dtype=g.dtype, device=g.device)
    K[:, range(n), range(n)] = 1
    K[:, n:, :n] = J
    K[:, :n, n:] = J.mT
    solution, info = torch.linalg.solve_ex(K, -torch.cat([g, c], dim=1)[..., None])
    solution = solution[..., 0]
    return solution[:, :n], solution[:, n:], info != 0


def update_tau(tau: Tensor, q: Tensor, c1: Tensor, sigma: float, epsilon_tau: float) -> Tensor:
    """The merit parameter, equation (3): unchanged while at most its trial value, else lowered by at least a little.

    With it the model's reduction keeps inequality (4).
    """
    trial = torch.where(q > 0, (1 - sigma) * c1 / q, torch.inf)
    return torch.where(tau <= trial, tau, torch.minimum((1 - epsilon_tau) * tau, trial))


def exact_kkt(problem: Problem, x: Tensor) -> tuple[Tensor, Tensor]:
    """KKT residual and feasibility error at x (…, n), from exact derivatives.

    The least-squares multiplier removes from the gradient its part in the row space of J; rows of J that depend on
    others (to 1e-12) are skipped.
    """
    g, c, J = problem.gradient(x), problem.constraints(x), problem.jacobian(x)
    basis: list[Tensor] = []
    for i in range(problem.m):
        row = J[..., i, :]
        size = row.norm(dim=-1, keepdim=True)
        for _ in range(2):  # twice, for orthogonality to rounding
            for b in basis:
                row = row - (row * b).sum(-1, keepdim=True) * b
        rest = row.norm(dim=-1, keepdim=True)
        basis.append(torch.where(rest > 1e-12 * size, row / rest.clamp(min=1e-300), torch.zeros_like(row)))
    for b in basis:
        g = g - (g * b).sum(-1, keepdim=True) * b
    feasibility = c.abs().amax(-1)
    return torch.maximum(g.abs().amax(-1), feasibility), feasibility


class Recorder:
    """Collects the fields of a Trace iteration by iteration; shared by the method and its baselines."""

    def __init__(self, problem: Problem, runs: int, iterations: int, x: Tensor, alpha: Tensor) -> None:
        def empty(*shape: int) -> Tensor:
            return torch.full((runs, *shape), torch.nan, dtype=x.dtype, device=x.device)

        T, n, m = iterations, problem.n, problem.m
        self.problem = problem
        self.trace = Trace(
            empty(T + 1, n), empty(T + 1), empty(T), empty(T, n), empty(T, m), empty(T), empty(T, 2),
            torch.zeros(runs, T, dtype=torch.bool, device=x.device),
            torch.zeros(runs, dtype=torch.int64, device=x.device),
            torch.zeros(runs, dtype=torch.int64, device=x.device),
            [None] * runs,
        )  # fmt: skip
        self.trace.x[:, 0], self.trace.alpha[:, 0] = x, alpha
        self.alive = torch.ones(runs, dtype=torch.bool, device=x.device)

    def stop(self, where: Tensor, reason: str) -> None:
        """End runs (S,) with a reason."""
        for run in (where & self.alive).nonzero().flatten().tolist():
            self.trace.stopped[run] = reason
        self.alive = self.alive & ~where

    def step(self, k: int, x: Tensor, alpha: Tensor, calls: tuple[int, int], **fields: Tensor) -> None:
        """Store iteration k of the runs that are alive, and the point it led to."""
        for name, value in fields.items():
            stored = getattr(self.trace, name)
            mask = self.alive.view(-1, *[1] * (value.ndim - 1))
            stored[:, k] = value & mask if value.dtype == torch.bool else torch.where(mask, value, torch.nan)
        self.trace.gradient_calls += calls[0] * self.alive
        self.trace.objective_calls += calls[1] * self.alive
        self.trace.x[:, k + 1], self.trace.alpha[:, k + 1] = x, alpha

    def finish(self) -> Trace:
        """Add the exact measures, a slice of iterations at a time to bound memory."""
        parts = [exact_kkt(self.problem, part) for part in self.trace.x.split(64, dim=1)]
        self.trace.kkt, self.trace.feasibility = (torch.cat(p, dim=1) for p in zip(*parts, strict=True))
        return self.trace


def check_settings(**settings: float) -> None:
    """Every named setting must lie in (0, 1]."""
    for name, value in settings.items():
        if not 0 < value <= 1:
            raise ValueError(f"{name} must be in (0, 1]; got {value}.")


def start_point(problem: Problem, runs: int, device: str | torch.device) -> Tensor:
    """(S, n) copies of the standard start."""
    if runs < 1:
        raise ValueError("seeds must name at least one run.")
    return problem.x0.to(device).expand(runs, -1).clone()


def step_search_sqp(
    problem: Problem,
    oracle: Oracle | None = None,
    *,
    iterations: int = 500,
    seeds: Sequence[int] = (0,),
    relaxation: Any = None,
    tau: float = 0.1,
    sigma: float = 0.1,
    epsilon_tau: float = 0.01,
    gamma: float = 0.5,
    theta: float = 1e-4,
    alpha: float = 1.0,
    alpha_max: float = 1.0,
    device: str = "cpu",
    naive_q: bool = False,
    keep_gradient: bool = False,
) -> Trace:
    """SS-SQP for S runs at once.

    Each iteration draws a gradient, solves one KKT system, equation (1), and lowers the merit parameter if it must,
    equation (3). It tries one step, draws both merit values of equation (2) afresh and accepts if the trial value is
    low enough, inequality (5). Success lengthens the step, failure shortens it, and the next iteration draws a new
    gradient, hence a new direction.

    Args:
        problem: n variables, m constraints.
        oracle: noise; None is exact.
        iterations: T.
        seeds: one a run.
        relaxation: e in units of f, a number or one value a run; the test adds 2 tau e. None = oracle.epsilon_f.
        tau, sigma, epsilon_tau: start and update of the merit parameter, equation (3).
        gamma, theta, alpha, alpha_max: step search: factor, required share of the model's reduction, first and
            largest step (at most 1, or the model does not hold).
        device: where the runs live.
        naive_q: evaluate q as g^T d + d^T d instead of c^T y; loses the merit parameter to rounding.
        keep_gradient: after a failure search on along the same direction, as a line search does.

    Returns:
        Trace. A singular system ends its run with a reason, never with an exception.

    Raises:
        ValueError: settings out of range.
    """
    check_settings(gamma=gamma, theta=theta, alpha=alpha, alpha_max=alpha_max, sigma=sigma, epsilon_tau=epsilon_tau)
    if iterations < 1 or tau <= 0:
        raise ValueError(f"iterations and tau must be positive; got {iterations} and {tau}.")
    oracle = oracle or NoisyOracle()
    x = start_point(problem, len(seeds), device)
    draws = oracle.start(problem, seeds, x.device)
    slack = draws.per_run("relaxation", oracle.epsilon_f if relaxation is None else relaxation)
    a = torch.full((len(seeds),), min(alpha, alpha_max), dtype=x.dtype, device=x.device)
    t = torch.full_like(a, tau)
    recorder = Recorder(problem, len(seeds), iterations, x, a)
    g = torch.zeros_like(x)
    renew = torch.ones_like(a, dtype=torch.bool)
    for k in range(iterations):
        c, J = problem.constraints(x), problem.jacobian(x)
        g = torch.where(renew[:, None], draws.gradient(x), g)
        d, y, singular = solve_direction(g, c, J)
        recorder.stop(singular, "singular")
        recorder.stop(~torch.isfinite(d).all(1), "non-finite")
        alive = recorder.alive

        c1, dd = c.abs().sum(1), (d * d).sum(1)
        q = (g * d).sum(1) + dd if naive_q else (c * y).sum(1)
        t = torch.where(alive, update_tau(t, q, c1, sigma, epsilon_tau), t)
        reduction = t * (dd - q) + c1  # (2), with g^T d = q - d^T d

        trial = torch.where(alive[:, None], x + a[:, None] * d, x)
        values = draws.values(x, trial)
        infeasible = torch.stack([c1, problem.constraints(trial).abs().sum(1)], dim=1)
        merit = t[:, None] * values + infeasible
        enough = merit[:, 1] <= merit[:, 0] - a * theta * reduction + 2 * t * slack
        accepted = enough & torch.isfinite(merit).all(1) & alive

        renew = accepted | (not keep_gradient)
        x = torch.where(accepted[:, None], trial, x)
        longer, shorter = torch.clamp(a / gamma, max=alpha_max), gamma * a
        a = torch.where(alive, torch.where(accepted, longer, shorter), a)
        recorder.step(
            k, x, a, (1, 2),
            tau=t, direction=d, multipliers=y, model_reduction=reduction, merit=merit, accepted=accepted,
        )  # fmt: skip
    return recorder.finish()
