"""Step-search SQP: minimise f(x) subject to c(x) = 0 when values and gradients of f are noisy.

Paper: A. S. Berahas, M. Xie, B. Zhou, "A Sequential Quadratic Programming Method with High Probability Complexity
Bounds for Nonlinear Equality Constrained Stochastic Optimization", arXiv 2301.00477.

In this folder, in reading order: `problems` (29 test problems, your own, a finite sum), `oracles` (noise), `sqp` (the
method). `lab` is how it is measured, `page` what its chapter draws and asks.

What differs from the paper: its full text could not be obtained. The algorithm follows the paper as reconstructed
from the line of work it belongs to, with default values from the authors' public MATLAB package (GitHub
frankecurtis/StochasticSQP) where that has them. The Hessian model is the identity throughout. The scalar q of the merit
parameter's update is computed as c^T y, which is the same number without the cancellation.
"""

from typing import Any

from firsthand.kit.lazy import from_lab
from firsthand.stepsqp.oracles import MinibatchOracle, NoisyOracle
from firsthand.stepsqp.problems import PROBLEMS, FiniteSum, Problem, logistic_problem
from firsthand.stepsqp.sqp import Trace, exact_kkt, step_search_sqp

__all__ = [
    "CLAIMS",
    "PRESETS",
    "PROBLEMS",
    "Config",
    "FiniteSum",
    "MinibatchOracle",
    "NoisyOracle",
    "Problem",
    "Trace",
    "adaptive_sqp",
    "exact_kkt",
    "fixed_step_sqp",
    "logistic_problem",
    "run",
    "scipy_reference",
    "step_search_sqp",
    "subgradient",
]

_LAB = {
    "baselines": "adaptive_sqp fixed_step_sqp scipy_reference subgradient",
    "claims": "CLAIMS",
    "config": "PRESETS Config",
    "pipeline": "run",
}


def __getattr__(name: str) -> Any:
    return from_lab(__name__, _LAB, name)
