"""How a server puts updates together: one interface for FedAvg, FedProx, FedBoosting, the median and q-FFL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from firsthand.fedboost.weights import Metric, boosting_weights


@dataclass(frozen=True)
class Reports:
    """What a server knows of n clients in a round.

    Attributes:
        updates: (n, P). sizes: examples (n,). train_loss, train_score: (n,).
        validation_loss, validation_score: (n, n), [i, j] = model i on client j's data; nan if not asked for.
        start_loss: (n,) of the global model on the clients' training data; nan if not asked for.
    """

    updates: np.ndarray
    sizes: np.ndarray
    train_loss: np.ndarray
    train_score: np.ndarray
    validation_loss: np.ndarray
    validation_score: np.ndarray
    start_loss: np.ndarray


@dataclass(frozen=True)
class Strategy:
    """A way to weight clients.

    Attributes:
        name: in tables.
        weigh: reports to weights (n,), sum 1; None where the update is no weighted sum.
        reduce: updates (n, P) to (P,), where `weigh` is None.
        validates: clients validate each other's models.
        start_loss: clients tell the loss of the model they are given.
        proximal: FedProx's mu.
    """

    name: str
    weigh: Callable[[Reports], np.ndarray] | None = None
    reduce: Callable[[np.ndarray], np.ndarray] = lambda updates: np.median(updates, axis=0)
    validates: bool = False
    start_loss: bool = False
    proximal: float = 0.0


def _uniform(reports: Reports) -> np.ndarray:
    return np.full(len(reports.sizes), 1 / len(reports.sizes))


def fedavg(*, by_size: bool = False) -> Strategy:
    """FedAvg: equal weights as the released code has it, or by numbers of examples as McMahan et al. do."""
    if by_size:
        return Strategy("FedAvg by size", lambda reports: reports.sizes / reports.sizes.sum())
    return Strategy("FedAvg", _uniform)


def fedprox(mu: float = 0.01) -> Strategy:
    """FedProx (Li et al. 2020): FedAvg with mu / 2 |w - w_r|^2 in every client's loss."""
    return Strategy("FedProx", _uniform, proximal=mu)


def fedboosting(*, metric: Metric = "loss", floor: float = 0.0) -> Strategy:
    """FedBoosting: `boosting_weights` of what clients report."""

    def weigh(reports: Reports) -> np.ndarray:
        if metric == "loss":
            return boosting_weights(reports.train_loss, reports.validation_loss, floor=floor)
        return boosting_weights(reports.train_score, reports.validation_score, metric=metric)

    return Strategy("FedBoosting", weigh, validates=True)


def median() -> Strategy:
    """The median of every number by itself: robust to a minority of bad clients. Of two clients it is the mean."""
    return Strategy("median")


def qffl(q: float = 1.0) -> Strategy:
    """After q-FFL (Li et al. 2020): weights in proportion to the loss of the global model to the q, so that the worst
    served client counts most. Their step size is left out: it belongs to plain gradient descent (ours)."""

    def weigh(reports: Reports) -> np.ndarray:
        score = np.maximum(reports.start_loss, 1e-12) ** q
        return score / score.sum()

    return Strategy("q-FFL", weigh, start_loss=True)


#: Every strategy by name, made with its keyword arguments: `STRATEGIES["fedprox"](mu=0.1)`.
STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "fedavg": fedavg,
    "fedavg-size": lambda **rest: fedavg(by_size=True, **rest),
    "fedprox": fedprox,
    "fedboosting": fedboosting,
    "median": median,
    "qffl": qffl,
}


def strategy(name: str, **options: Any) -> Strategy:
    """A strategy by name.

    Raises:
        ValueError: an unknown name.
    """
    if name not in STRATEGIES:
        raise ValueError(f"Unknown strategy {name!r}: choose one of {', '.join(STRATEGIES)}.")
    return STRATEGIES[name](**options)
