"""What a method sees of the objective: noisy values and gradients. Constraints are always exact.

Every run draws from its own generator, in blocks, so its noise depends on its seed alone: not on the runs beside
it, not on the device, not on how many numbers another kind of noise would need.

Shapes: S runs, n variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from firsthand.stepsqp.problems import FiniteSum, Problem

KINDS = ("gaussian", "bounded", "subexponential", "biased", "adversarial")
BLOCK = 128  # iterations whose noise is drawn at once


class Oracle(Protocol):
    """What a method needs: noise for some runs, and the size of the errors in values."""

    @property
    def epsilon_f(self) -> Any:
        """Size of the error of a value, in units of f; what the relaxation takes."""

    def start(self, problem: Problem, seeds: Sequence[int], device: torch.device) -> Draws:
        """The noise of runs with these seeds."""


@dataclass(frozen=True)
class NoisyOracle:
    """A probabilistic zeroth- and first-order oracle; numbers, or one value a run (S,).

    Attributes:
        epsilon_f: size of the error of a value, in units of f.
        epsilon_g: size of the error of a gradient: its root mean square (gaussian) or its bound (bounded).
        kind: "gaussian": f + epsilon_f N(0, 1), g + epsilon_g / sqrt(n) N(0, I). "bounded": uniform in
            [-epsilon_f, epsilon_f] and in the ball of radius epsilon_g. "subexponential": Laplace with mean error
            epsilon_f. "biased": gaussian plus `bias`. "adversarial": +epsilon_f at the trial point, -epsilon_f at the
            current one, gradients exact but for failures.
        bias: added to every value of kind "biased".
        failure_probability: with this probability a gradient is replaced by -10 grad f + 10 N(0, I).
    """

    epsilon_f: Any = 0.0
    epsilon_g: Any = 0.0
    kind: str = "gaussian"
    bias: Any = 0.0
    failure_probability: Any = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {self.kind!r}.")
        for name in ("epsilon_f", "epsilon_g", "failure_probability"):
            values = np.asarray(getattr(self, name), dtype=float)
            if not (np.isfinite(values).all() and (values >= 0).all()):
                raise ValueError(f"{name} must be finite and at least 0; got {getattr(self, name)}.")
        if (np.asarray(self.failure_probability) > 1).any():
            raise ValueError(f"failure_probability must be at most 1; got {self.failure_probability}.")

    def start(self, problem: Problem, seeds: Sequence[int], device: torch.device) -> Draws:
        """The noise of runs with these seeds on this problem."""
        return Draws(self, problem, seeds, device)


class Draws:
    """Noise of S runs, one iteration after the other: call `gradient`, then `values`, once an iteration."""

    def __init__(self, oracle: NoisyOracle, problem: Problem, seeds: Sequence[int], device: torch.device) -> None:
        self.oracle, self.problem, self.device = oracle, problem, device
        self.generators = [np.random.default_rng(seed) for seed in seeds]
        self.step = 0
        names = ("epsilon_f", "epsilon_g", "bias", "failure_probability")
        self.size = {name: self.per_run(name, getattr(oracle, name)) for name in names}

    def per_run(self, name: str, value: Any) -> Tensor:
        """A setting as one number a run (S,)."""
        array = np.asarray(value, dtype=float)
        runs = len(self.generators)
        if array.shape not in ((), (1,), (runs,)):
            raise ValueError(f"{name} must be a number or one value for each of {runs} runs; got shape {array.shape}.")
        return torch.tensor(np.broadcast_to(array, (runs,)).copy(), device=self.device)

    def _draw(self) -> None:
        """The next block: normals (BLOCK, S, 2n + 2) and uniforms (BLOCK, S, 4)."""
        n = self.problem.n
        normal = np.stack([g.standard_normal((BLOCK, 2 * n + 2)) for g in self.generators], axis=1)
        uniform = np.stack([g.random((BLOCK, 4)) for g in self.generators], axis=1)
        self.normal = torch.from_numpy(normal).to(self.device)
        self.uniform = torch.from_numpy(uniform).to(self.device)

    def gradient(self, x: Tensor) -> Tensor:
        """Estimates of the gradients at x (S, n); begins a new iteration."""
        exact = self.problem.gradient(x)
        if self.step % BLOCK == 0:
            self._draw()
        row, n = self.step % BLOCK, self.problem.n
        self.step += 1
        self.z, self.u = self.normal[row], self.uniform[row]
        z, epsilon = self.z[:, :n], self.size["epsilon_g"][:, None]
        if self.oracle.kind == "bounded":
            radius = self.u[:, 0:1] ** (1 / n)
            noise = epsilon * radius * z / z.norm(dim=1, keepdim=True)
        elif self.oracle.kind == "adversarial":
            noise = torch.zeros_like(z)
        else:
            noise = epsilon / n**0.5 * z
        garbage = -10 * exact + 10 * self.z[:, n : 2 * n]
        failed = self.u[:, 1] < self.size["failure_probability"]
        return torch.where(failed[:, None], garbage, exact + noise)

    def values(self, x: Tensor, trial: Tensor) -> Tensor:
        """(S, 2) estimates of the values at the current and the trial points, drawn independently."""
        exact = torch.stack([self.problem.objective(x), self.problem.objective(trial)], dim=1)
        epsilon = self.size["epsilon_f"][:, None]
        kind = self.oracle.kind
        if kind == "adversarial":
            return exact + epsilon * torch.tensor([-1.0, 1.0], dtype=exact.dtype, device=self.device)
        if kind == "bounded":
            return exact + epsilon * (2 * self.u[:, 2:4] - 1)
        if kind == "subexponential":
            v = self.u[:, 2:4] - 0.5
            return exact - epsilon * v.sign() * torch.log1p(-2 * v.abs())
        noisy = exact + epsilon * self.z[:, 2 * self.problem.n :]
        return noisy + self.size["bias"][:, None] if kind == "biased" else noisy


@dataclass(frozen=True)
class MinibatchOracle:
    """Values and gradients of a finite sum from fresh minibatches of `batch` examples, drawn with replacement.

    It has NoisyOracle's interface. `epsilon_f` is what the relaxation takes; estimate it with `pilot`.
    """

    batch: int = 32
    epsilon_f: float = 0.0

    def start(self, problem: Problem, seeds: Sequence[int], device: torch.device) -> MinibatchDraws:
        """The minibatches of runs with these seeds."""
        if not isinstance(problem, FiniteSum):
            raise ValueError(f"a minibatch oracle needs a FiniteSum problem; got {problem.name}.")
        return MinibatchDraws(self, problem, seeds, device)

    def pilot(self, problem: FiniteSum, *, seed: int = 0, samples: int = 200) -> float:
        """Standard deviation of a minibatch value at the start, in units of f."""
        rng = np.random.default_rng(seed)
        rows = torch.from_numpy(rng.integers(0, problem.examples, (samples, self.batch)))
        values = problem.loss(problem.x0.expand(samples, -1), rows)
        return float(values.std())


class MinibatchDraws(Draws):
    """Minibatches of S runs; every estimate uses its own."""

    def __init__(self, oracle: MinibatchOracle, problem: FiniteSum, seeds: Sequence[int], device: torch.device) -> None:
        self.batch, self.sum, self.device = oracle.batch, problem, device
        self.generators = [np.random.default_rng(seed) for seed in seeds]

    def _rows(self) -> Tensor:
        drawn = [g.integers(0, self.sum.examples, self.batch) for g in self.generators]
        return torch.from_numpy(np.stack(drawn)).to(self.device)

    def gradient(self, x: Tensor) -> Tensor:
        """Gradients of fresh minibatches at x (S, n)."""
        rows = self._rows()
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            return torch.autograd.grad(self.sum.loss(point, rows).sum(), point)[0]

    def values(self, x: Tensor, trial: Tensor) -> Tensor:
        """(S, 2) losses of two independent minibatches, at the current and the trial points."""
        return torch.stack([self.sum.loss(x, self._rows()), self.sum.loss(trial, self._rows())], dim=1)
