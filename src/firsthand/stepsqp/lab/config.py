"""Settings of the chapter's run, and their presets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from firsthand.stepsqp.lab.baselines import adaptive_sqp, fixed_step_sqp, subgradient
from firsthand.stepsqp.lab.measures import ALL, POOL
from firsthand.stepsqp.sqp import Trace, step_search_sqp

METHODS: dict[str, Callable[..., Trace]] = {
    "step search": step_search_sqp,
    "no relaxation": lambda *a, **k: step_search_sqp(*a, relaxation=0.0, **k),
    "adaptive": adaptive_sqp,
    "fixed step": fixed_step_sqp,
    "subgradient": subgradient,
}


@dataclass(frozen=True)
class Config:
    """Settings of the experiment, all ours: the paper's protocol could not be verified.

    Attributes:
        preset: name under which the result is stored.
        problems: keys of PROBLEMS.
        methods: keys of METHODS.
        noise: levels; values and gradients get the same.
        runs: seeds a problem and level.
        iterations: steps a run.
    """

    preset: str
    problems: tuple[str, ...] = POOL
    methods: tuple[str, ...] = tuple(METHODS)
    noise: tuple[float, ...] = field(default=(0.0, 1e-4, 1e-2, 1e-1))
    runs: int = 10
    iterations: int = 500


PRESETS = {
    "smoke": Config("smoke", problems=("HS7", "BT5"), noise=(1e-2,), runs=3, iterations=60),
    "book": Config("book", problems=("HS7", "HS40", "HS78", "BT5"), runs=10, iterations=300),
    "paper": Config("paper", problems=ALL, noise=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1), runs=1000, iterations=5000),
}
