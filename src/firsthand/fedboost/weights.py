"""How much each client counts: FedBoosting's weights, slices, the weighted sum, and the mixing of updates.

N clients, P numbers a model. An update is global minus local, as the paper's "gradient"; arrays are float64.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

Metric = Literal["loss", "accuracy", "softmax"]
Rounding = Literal["published", "largest_remainder"]
SLICES = 100
KEEP = 0.9  # of its own update in a mixture


def is_real(values: Any) -> bool:
    """Whether NumPy can take something as real numbers: not complex, not bfloat16, no tensor that wants a gradient."""
    try:
        return np.asarray(values).dtype.kind != "c"
    except (TypeError, ValueError, RuntimeError):  # NumPy's and torch's
        return False


def _checked(values: ArrayLike, name: str, clients: int | None = None) -> np.ndarray:
    """Finite, non-negative numbers; a wrong entry is named."""
    if not is_real(values):
        raise ValueError(f"{name} must be real numbers of a type that NumPy has; got {type(values).__name__}.")
    array = np.asarray(values, dtype=float)
    if clients is None and array.ndim != 1:
        raise ValueError(f"{name} needs one number a client; its shape is {array.shape}.")
    if clients is not None and array.shape != (clients, clients):
        raise ValueError(f"{name} must have shape ({clients}, {clients}); it has {array.shape}.")
    wrong = np.argwhere(~np.isfinite(array) | (array < 0))
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        whose = f"client {place[0]}" + (f" on the data of client {place[1]}" if len(place) > 1 else "")
        raise ValueError(f"{name} of {whose} is {array[place]}; it must be finite and not negative.")
    return array


def boosting_weights(
    train: ArrayLike, validation: ArrayLike, *, metric: Metric = "loss", floor: float = 0.0
) -> np.ndarray:
    """FedBoosting's weights of a round, equation (2).

    "loss" (released code): p_i in proportion to 1 / (T_i Vbar_i). "accuracy" (released code): p_i in proportion to
    T_i Vbar_i of accuracies. "softmax": softmax(softmax(T)_i sum_j V_ij) of accuracies; it stands for a formula that
    we could not verify in the paper.

    Args:
        train: T (N,), every client's own training loss or accuracy.
        validation: V (N, N), [i, j] is model i on client j's data; Vbar_i is the mean over j, itself included.
        metric: what the numbers are and how they are put together.
        floor: losses below it count as this; without it a loss near 0 takes all the weight.

    Returns:
        p (N,), sum 1.

    Raises:
        ValueError: shapes that do not fit, or a value that is not finite or negative; the client is named.
    """
    t = _checked(train, "The training value")
    v = _checked(validation, "The validation value", len(t))
    if metric == "loss":
        low = max(floor, 1e-12)
        score = 1 / (np.maximum(t, low) * np.maximum(v, low).mean(1))
    elif metric == "accuracy":
        score = np.maximum(t, 1e-8) * np.maximum(v, 1e-8).mean(1)
    elif metric == "softmax":
        inner = np.exp(t - t.max())
        outer = inner / inner.sum() * v.sum(1)
        score = np.exp(outer - outer.max())
    else:
        raise ValueError(f"Unknown metric {metric!r}: choose loss, accuracy or softmax.")
    return score / score.sum()


def slice_weights(p: ArrayLike, slices: int = SLICES, *, rounding: Rounding = "published") -> np.ndarray:
    """Weights as whole numbers of slices, all that encrypted numbers can be multiplied by: S times equation (3).

    Args:
        p: (N,), sum 1.
        slices: S.
        rounding: "published" rounds every S p_i by itself (half to even), so the sum need not be S; with
            "largest_remainder" it is.

    Returns:
        int64 (N,).

    Raises:
        ValueError: no slice, or weights that are not finite or negative.
    """
    if slices < 1:
        raise ValueError(f"At least one slice is needed; got {slices}.")
    parts = _checked(p, "The weight") * slices
    if rounding == "published":
        return np.rint(parts).astype(np.int64)
    if rounding != "largest_remainder":
        raise ValueError(f"Unknown rounding {rounding!r}: choose published or largest_remainder.")
    whole = np.floor(parts + 1e-9).astype(np.int64)  # 0.29 * 100 is 28.999…
    missing = int(np.rint(parts.sum())) - int(whole.sum())
    whole[np.argsort(whole - parts, kind="stable")[:missing]] += 1
    return whole


def aggregate(updates: ArrayLike, p: ArrayLike) -> np.ndarray:
    """The weighted sum of updates, sum_i p_i u_i (P,): the new global model is the old one minus this, equation (2).

    Args:
        updates: (N, P).
        p: (N,).

    Raises:
        ValueError: shapes that do not fit, or numbers that are not real.
    """
    if not (is_real(updates) and is_real(p)):
        raise ValueError("Updates and weights must be real numbers of a type that NumPy has.")
    u, weights = np.asarray(updates, dtype=float), np.asarray(p, dtype=float)
    if u.ndim != 2 or weights.shape != (len(u),):
        raise ValueError(f"Updates (N, P) and weights (N,) are needed; got {u.shape} and {weights.shape}.")
    return weights @ u


def mixing_matrix(clients: int, *, keep: float = KEEP, slices: int | None = None) -> np.ndarray:
    """The matrix (N, N) of the mixtures, equation (4): `keep` on the diagonal, the rest shared among the others.

    Args:
        clients: N, at least two.
        keep: share of its own update in a client's mixture.
        slices: None: these real weights; S: rounded to slices as encrypted numbers need it, divided by S again.
    """
    if clients < 2:
        raise ValueError("Mixing needs at least two clients.")
    if not 0 < keep <= 1:
        raise ValueError(f"keep must lie in (0, 1]; got {keep}.")
    own, other = keep, (1 - keep) / (clients - 1)
    if slices is not None:
        own, other = (float(np.rint(value * slices)) / slices for value in (own, other))
    return np.full((clients, clients), other) + (own - other) * np.eye(clients)


def mix(updates: ArrayLike, *, keep: float = KEEP, slices: int | None = None) -> np.ndarray:
    """Every client's mixture (N, P), equation (4), which is what the others are given to validate."""
    u = np.asarray(updates, dtype=float)
    return mixing_matrix(len(u), keep=keep, slices=slices) @ u


def unmix(mixtures: ArrayLike, *, keep: float = KEEP, slices: int | None = None) -> np.ndarray:
    """All updates (N, P) from all mixtures: the matrix is public, so this is a linear system.

    Raises:
        ValueError: keep is 1/N, the one share at which all mixtures are the same and nothing can be told apart.
    """
    m = np.asarray(mixtures, dtype=float)
    matrix: Any = mixing_matrix(len(m), keep=keep, slices=slices)
    if np.linalg.cond(matrix) > 1e12:
        raise ValueError("All mixtures are equal at this share; the updates cannot be told apart.")
    return np.linalg.solve(matrix, m)
