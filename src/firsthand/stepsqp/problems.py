"""Equality-constrained test problems: minimise f(x) subject to c(x) = 0.

Shapes: n variables, m constraints, … any batch. Formulas are those of the Hock-Schittkowski and Boggs-Tolle
collections as CUTEst states them (BT2's constant rounded as there). Derivatives come from torch's automatic
differentiation of the formulas. Everything is float64: residuals of 1e-8 need it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor

R2 = math.sqrt(2.0)


@dataclass(frozen=True)
class Problem:
    """A problem whose functions take any batch of points.

    Attributes:
        name: as in the collections.
        n, m: numbers of variables and constraints.
        x0: (n,) float64, the standard start.
        f_star: least known objective value at a feasible point, or None.
        source: where f_star comes from.
    """

    name: str
    n: int
    m: int
    x0: Tensor
    f_star: float | None
    source: str
    _objective: Callable[[Tensor], Tensor]
    _constraints: Callable[[Tensor], Tensor]

    def objective(self, x: Tensor) -> Tensor:
        """f: (…, n) -> (…)."""
        if x.shape[-1:] != (self.n,):
            raise ValueError(_misfit(self, x))
        return self._objective(x)

    def constraints(self, x: Tensor) -> Tensor:
        """c: (…, n) -> (…, m)."""
        if x.shape[-1:] != (self.n,):
            raise ValueError(_misfit(self, x))
        return self._constraints(x)

    def gradient(self, x: Tensor) -> Tensor:
        """Gradient of f: (…, n) -> (…, n)."""
        if x.shape[-1:] != (self.n,):
            raise ValueError(_misfit(self, x))
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = self._objective(x).sum()
            return _gradient(value, x)

    def jacobian(self, x: Tensor) -> Tensor:
        """Jacobian of c: (…, n) -> (…, m, n)."""
        if x.shape[-1:] != (self.n,):
            raise ValueError(_misfit(self, x))
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            values = self._constraints(x)
            return torch.stack([_gradient(values[..., i].sum(), x) for i in range(self.m)], dim=-2)

    @staticmethod
    def from_callables(
        objective: Callable[[Tensor], Tensor],
        constraints: Callable[[Tensor], Tensor],
        x0: Any,
        *,
        name: str = "user",
        f_star: float | None = None,
    ) -> Problem:
        """A problem from torch functions of one point.

        Args:
            objective: (n,) -> scalar.   constraints: (n,) -> (m,) or scalar. One that `torch.func.vmap` cannot batch,
                since it asks numbers (`if x[0] > 0`), is called point by point.
            x0: (n,) start.
            name, f_star: for tables.

        Raises:
            ValueError: shapes that do not fit, more constraints than variables, non-finite values at x0.
        """
        start = _real(x0)
        if start.ndim != 1 or len(start) == 0:
            raise ValueError(f"x0 must be one point, shape (n,); got {tuple(start.shape)}.")
        value, residual = _try(objective, start, "objective"), _try(constraints, start, "constraints")
        if value.ndim != 0:
            raise ValueError(f"objective must return a scalar; got shape {tuple(value.shape)}.")
        if residual.ndim > 1:
            raise ValueError(f"constraints must return shape (m,); got {tuple(residual.shape)}.")
        m = residual.numel()
        if not 1 <= m <= len(start):
            raise ValueError(f"there must be 1 to n = {len(start)} constraints; got {m}.")
        if not (torch.isfinite(value) and torch.isfinite(residual).all()):
            raise ValueError("objective and constraints must be finite at x0.")

        f, c = _batched(objective, (), start), _batched(constraints, (m,), start)
        return Problem(name, len(start), m, start, f_star, "user", f, c)


@dataclass(frozen=True)
class FiniteSum(Problem):
    """A problem whose objective is a mean over examples: `loss(x, rows)` is the mean over some of them."""

    examples: int = 0
    _loss: Callable[[Tensor, Tensor], Tensor] = lambda x, rows: x

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:
        """Mean loss of the examples rows (…, B) at x (…, n)."""
        if x.shape[-1:] != (self.n,):
            raise ValueError(_misfit(self, x))
        return self._loss(x, rows)


def logistic_problem(*, equations: int = 5, seed: int = 0) -> FiniteSum:
    """Logistic regression on breast cancer with x of length 1 and random linear equations A x = b.

    Args:
        equations: rows of A (5 in our protocol), standard normal over sqrt(n); b = A u for a random unit u, so that
            the constraints can be met.
        seed: of A and u.

    Returns:
        n = 30 weights (z-scored features, labels -1 and 1), m = equations + 1; x0 = u moved off the constraints.
    """
    features, labels = load_breast_cancer(return_X_y=True)
    Z = torch.from_numpy((features - features.mean(0)) / features.std(0)) * torch.from_numpy(2.0 * labels - 1)[:, None]
    rng = np.random.default_rng(seed)
    n = Z.shape[1]
    A = torch.from_numpy(rng.standard_normal((equations, n)) / n**0.5)
    u = rng.standard_normal(n)
    unit = torch.from_numpy(u / np.linalg.norm(u))
    b = A @ unit

    def constraints(x: Tensor) -> Tensor:
        A_, b_ = A.to(x.device), b.to(x.device)
        return torch.cat([(x * x).sum(-1, keepdim=True) - 1, x @ A_.mT - b_], dim=-1)

    def loss(x: Tensor, rows: Tensor) -> Tensor:
        margins = (Z.to(x.device)[rows] * x[..., None, :]).sum(-1)
        return torch.nn.functional.softplus(-margins).mean(-1)

    def objective(x: Tensor) -> Tensor:
        return torch.nn.functional.softplus(-(x @ Z.to(x.device).mT)).mean(-1)

    x0 = unit + torch.from_numpy(0.3 * rng.standard_normal(n))
    return FiniteSum("LOGISTIC", n, equations + 1, x0, None, "none", objective, constraints, len(Z), loss)


def _gradient(value: Tensor, x: Tensor) -> Tensor:
    """Derivative of a sum over the batch; zero where the function does not depend on x."""
    if not value.requires_grad:
        return torch.zeros_like(x)
    found = torch.autograd.grad(value, x, allow_unused=True, retain_graph=True)[0]
    return torch.zeros_like(x) if found is None else found


def _real(x0: Any) -> Tensor:
    """A start as float64 on the CPU, whatever kind of real numbers it is given as."""
    values = x0.detach().cpu() if isinstance(x0, Tensor) else np.asarray(x0)
    if values.is_complex() if isinstance(values, Tensor) else values.dtype.kind not in "fiub":
        raise ValueError(f"x0 must hold real numbers; got {values.dtype}.")
    return values.double().clone() if isinstance(values, Tensor) else torch.from_numpy(values.astype(np.float64))


def _try(function: Callable[[Tensor], Tensor], x: Tensor, name: str) -> Tensor:
    try:
        value = function(x)
    except Exception as error:
        raise ValueError(f"{name} failed at x0 with {type(error).__name__}: {error}") from None
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} must return a torch tensor; got {type(value).__name__}.")
    return value


def _misfit(problem: Problem, x: Tensor) -> str:
    return f"{problem.name} takes points of shape (…, {problem.n}); got {tuple(x.shape)}."


def _batched(function: Callable[[Tensor], Tensor], tail: tuple[int, ...], start: Tensor) -> Callable[[Tensor], Tensor]:
    """A function of one point (n,) as one of any batch (…, n) -> (…, *tail)."""

    def one_by_one(flat: Tensor) -> Tensor:
        return torch.stack([function(x) for x in flat])

    together: Callable[[Tensor], Tensor] = torch.func.vmap(function)
    try:
        together(start[None])
    except Exception:  # whatever vmap cannot do: Python's `if` on a number, numbers taken out, changes in place
        together = one_by_one
        with warnings.catch_warnings(action="ignore"):  # torch's own about numbers taken out
            sloped = function(start.clone().requires_grad_()).requires_grad
        if not sloped:
            raise ValueError("objective and constraints must keep to torch; a number taken out has no slope.") from None

    def over_batch(x: Tensor) -> Tensor:
        shape = (*x.shape[:-1], *tail)
        flat = x.reshape(-1, x.shape[-1])
        return together(flat).reshape(shape) if len(flat) else x.new_zeros(shape)

    return over_batch


Formula = Callable[..., Any]


def _make(name: str, x0: Sequence[float], f_star: float, f: Formula, c: Formula, exact: bool = False) -> Problem:
    """A problem from formulas of the coordinates: f(x1, …, xn) and c(x1, …, xn) -> tuple."""
    start = torch.tensor(x0, dtype=torch.float64)
    m = len(c(*start))

    def constraints(x: Tensor) -> Tensor:
        return torch.stack(c(*x.unbind(-1)), dim=-1)

    source = "closed form" if exact else "computed: SLSQP, then Newton steps on the KKT system"
    return Problem(name, len(start), m, start, f_star, source, lambda x: f(*x.unbind(-1)), constraints)


def _hs46(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    return (a - b) ** 2 + (c - 1) ** 2 + (d - 1) ** 4 + (e - 1) ** 6


def _hs51(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    return (a - b) ** 2 + (b + c - 2) ** 2 + (d - 1) ** 2 + (e - 1) ** 2


def _hs52(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    return (4 * a - b) ** 2 + (b + c - 2) ** 2 + (d - 1) ** 2 + (e - 1) ** 2


def _hs79(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    return (a - 1) ** 2 + (a - b) ** 2 + (b - c) ** 2 + (c - d) ** 4 + (d - e) ** 4


def _linear52(a: Any, b: Any, c: Any, d: Any, e: Any) -> tuple:
    return a + 3 * b, c + d - 2 * e, b - e


_ALL = [
    _make("HS6", (-1.2, 1), 0.0, lambda a, b: (1 - a) ** 2, lambda a, b: (10 * (b - a**2),), True),
    _make(
        "HS7", (2, 2), -math.sqrt(3), 
        lambda a, b: torch.log(1 + a**2) - b, lambda a, b: ((1 + a**2) ** 2 + b**2 - 4,), True,
    ),
    _make(
        "HS9", (0, 0), -0.5,
        lambda a, b: torch.sin(math.pi * a / 12) * torch.cos(math.pi * b / 16), lambda a, b: (4 * a - 3 * b,), True,
    ),
    _make(
        "HS26", (-2.6, 2, 2), 0.0,
        lambda a, b, c: (a - b) ** 2 + (b - c) ** 4, lambda a, b, c: ((1 + b**2) * a + c**4 - 3,), True,
    ),
    _make(
        "HS27", (2, 2, 2), 0.04,
        lambda a, b, c: 0.01 * (a - 1) ** 2 + (b - a**2) ** 2, lambda a, b, c: (a + c**2 + 1,), True,
    ),
    _make(
        "HS28", (-4, 1, 1), 0.0, 
        lambda a, b, c: (a + b) ** 2 + (b + c) ** 2, lambda a, b, c: (a + 2 * b + 3 * c - 1,), True,
    ),
    _make(
        "HS39", (2, 2, 2, 2), -1.0,
        lambda a, b, c, d: -a, lambda a, b, c, d: (b - a**3 - c**2, a**2 - b - d**2), True,
    ),
    _make(
        "HS40", (0.8,) * 4, -0.25,
        lambda a, b, c, d: -a * b * c * d, lambda a, b, c, d: (a**3 + b**2 - 1, a**2 * d - c, d**2 - b), True,
    ),
    _make(
        "HS42", (1,) * 4, 28 - 10 * R2,
        lambda a, b, c, d: (a - 1) ** 2 + (b - 2) ** 2 + (c - 3) ** 2 + (d - 4) ** 2,
        lambda a, b, c, d: (a - 2, c**2 + d**2 - 2), True,
    ),
    _make(
        "HS46", (R2 / 2, 1.75, 0.5, 2, 2), 0.0,
        _hs46, lambda a, b, c, d, e: (a**2 * d + torch.sin(d - e) - 1, b + c**4 * d**2 - 2), True,
    ),
    _make(
        "HS47", (2, R2, -1, 2 - R2, 0.5), 0.0,
        lambda a, b, c, d, e: (a - b) ** 2 + (b - c) ** 3 + (c - d) ** 4 + (d - e) ** 4,
        lambda a, b, c, d, e: (a + b**2 + c**3 - 3, b - c**2 + d - 1, a * e - 1), True,
    ),
    _make(
        "HS48", (3, 5, -3, 2, -2), 0.0,
        lambda a, b, c, d, e: (a - 1) ** 2 + (b - c) ** 2 + (d - e) ** 2,
        lambda a, b, c, d, e: (a + b + c + d + e - 5, c - 2 * (d + e) + 3), True,
    ),
    _make(
        "HS49", (10, 7, 2, -3, 0.8), 0.0,
        _hs46, lambda a, b, c, d, e: (a + b + c + 4 * d - 7, c + 5 * e - 6), True,
    ),
    _make(
        "HS50", (35, -31, 11, 5, -5), 0.0,
        lambda a, b, c, d, e: (a - b) ** 2 + (b - c) ** 2 + (c - d) ** 4 + (d - e) ** 2,
        lambda a, b, c, d, e: (a + 2 * b + 3 * c - 6, b + 2 * c + 3 * d - 6, c + 2 * d + 3 * e - 6), True,
    ),
    _make(
        "HS51", (2.5, 0.5, 2, -1, 0.5), 0.0, _hs51, lambda a, b, c, d, e: (a + 3 * b - 4, c + d - 2 * e, b - e), True
    ),
    _make("HS52", (2,) * 5, 1859 / 349, _hs52, _linear52, True),
    _make(
        "HS61", (0, 0, 0), -143.6461422,
        lambda a, b, c: 4 * a**2 + 2 * b**2 + 2 * c**2 - 33 * a + 16 * b - 24 * c,
        lambda a, b, c: (3 * a - 2 * b**2 - 7, 4 * a - c**2 - 11),
    ),
    _make(
        "HS77", (2,) * 5, 0.2415051288,
        lambda a, b, c, d, e: (a - 1) ** 2 + (a - b) ** 2 + (c - 1) ** 2 + (d - 1) ** 4 + (e - 1) ** 6,
        lambda a, b, c, d, e: (a**2 * d + torch.sin(d - e) - 2 * R2, b + c**4 * d**2 - 8 - R2),
    ),
    _make(
        "HS78", (-2, 1.5, 2, -1, -1), -2.919700409,
        lambda a, b, c, d, e: a * b * c * d * e,
        lambda a, b, c, d, e: (a**2 + b**2 + c**2 + d**2 + e**2 - 10, b * c - 5 * d * e, a**3 + b**3 + 1),
    ),
    _make(
        "HS79", (2,) * 5, 0.07877682087,
        _hs79, lambda a, b, c, d, e: (a + b**2 + c**3 - 2 - 3 * R2, b - c**2 + d + 2 - 2 * R2, a * e - 2),
    ),
    _make(
        "BT1", (0.08, 0.06), -1.0, lambda a, b: 100 * a**2 + 100 * b**2 - a - 100, lambda a, b: (a**2 + b**2 - 1,), True
    ),
    _make(
        "BT2", (10,) * 3, 0.03256820039,
        lambda a, b, c: (a - 1) ** 2 + (a - b) ** 2 + (b - c) ** 4,
        lambda a, b, c: (a * (1 + b**2) + c**4 - 8.2426407,),
    ),
    _make("BT3", (20,) * 5, 4.093023256, _hs51, _linear52),
    _make(
        "BT4", (4.0382, -2.947, -0.09115), -45.51055074,
        lambda a, b, c: a - b + b**3, lambda a, b, c: (a**2 + b**2 + c**2 - 25, a + b + c - 1),
    ),
    _make(
        "BT5", (2,) * 3, 961.7151721,
        lambda a, b, c: 1000 - a**2 - 2 * b**2 - c**2 - a * b - a * c,
        lambda a, b, c: (a**2 + b**2 + c**2 - 25, 8 * a + 14 * b + 7 * c - 56),
    ),
    _make(
        "BT11", (2,) * 5, 0.8248917783,
        _hs79, lambda a, b, c, d, e: (a + b**2 + c**3 + 2 - 3 * R2, b - c**2 + d + 2 - 2 * R2, a - e - 2),
    ),
    _make(
        "BT12", (15.811, 1.5811, 0, 15.083, 3.7164), 6.188118812,
        lambda a, b, c, d, e: 0.01 * a**2 + b**2,
        lambda a, b, c, d, e: (a + b - c**2 - 25, a**2 + b**2 - d**2 - 25, a - e**2 - 2),
    ),
    _make(
        "MARATOS", (1.1, 0.1), -1.0,
        lambda a, b: -a + 1e-6 * (a**2 + b**2 - 1), lambda a, b: (a**2 + b**2 - 1,), True,
    ),
    _make(
        "BYRDSPHR", (5, 1e-4, -1e-4), -4.683300133,
        lambda a, b, c: -a - b - c, lambda a, b, c: (a**2 + b**2 + c**2 - 9, (a - 1) ** 2 + b**2 + c**2 - 9),
    ),
]  # fmt: skip

#: The 29 problems by name. HS61 starts where its Jacobian is singular; BYRDSPHR starts near such a point.
PROBLEMS: dict[str, Problem] = {problem.name: problem for problem in _ALL}
