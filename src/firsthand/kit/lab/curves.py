"""Curves of a training's log, for a reader's own run to be laid upon."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from firsthand.kit.lab.claims import Curve


def mean_every(values: Sequence[float], steps: int) -> list[float]:
    """Means over every so many values; what is left at the end is dropped."""
    return [float(sum(values[n : n + steps]) / steps) for n in range(0, len(values) - steps + 1, steps)]


def along_steps(name: str, steps: int, every: int, log: Callable[[int], Sequence[float]]) -> Curve:
    """A training's loss by step, `log(seed)`, as means over `every` steps, each drawn at the middle of them."""

    x = [every * (n + 0.5) for n in range(steps // every)]
    return Curve(name, "step", x, lambda seed: mean_every(log(seed), every))
