"""How good: average precision over pixels, kappa over grades."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import average_precision_score, cohen_kappa_score
from torch import Tensor

Array = np.ndarray | Tensor


def pixel_average_precision(scores: Array, masks: Array) -> float:
    """Average precision over the pixels of all pictures together.

    Args:
        scores, masks: of one shape; higher scores mean lesion.

    Returns:
        in [0, 1]; nan without a single lesion pixel, since nothing can then be found.

    Raises:
        ValueError: other shapes.
    """
    s, m = np.asarray(scores), np.asarray(masks).astype(bool)
    if s.shape != m.shape:
        raise ValueError(f"Scores and masks differ in shape: {s.shape} and {m.shape}.")
    return float(average_precision_score(m.ravel(), s.ravel())) if m.any() else float("nan")


def binned_average_precision(scores: Tensor, masks: Tensor) -> float:
    """The same for half-precision scores of many pixels, exactly, in a tenth of the time: few values are possible.

    Args:
        scores: float16 in [0, 1]. masks: bool, the same shape.
    """
    places = scores.flatten().view(torch.int16).long()  # positive halves are ordered like their bits
    truth = masks.flatten()
    size = int(places.max()) + 1
    hits = torch.bincount(places[truth], minlength=size).flip(0).double()
    all_ = torch.bincount(places, minlength=size).flip(0).double()
    if not hits.sum():
        return float("nan")
    precision = hits.cumsum(0) / all_.cumsum(0).clamp_min(1)
    return float((precision * hits).sum() / hits.sum())


def positive_only(scores: Array, masks: Array) -> float:
    """The same over the pictures (first axis) that have a lesion, as the released code tests: what it leaves out are
    the false alarms on all others."""
    s, m = np.asarray(scores), np.asarray(masks).astype(bool)
    has = m.reshape(len(m), -1).any(1)
    return pixel_average_precision(s[has], m[has]) if has.any() else float("nan")


def quadratic_kappa(truth: Array, predicted: Array) -> float:
    """Cohen's kappa of grades 0 to 4 with quadratic weights; nan if both are constant and equal."""
    pairs = np.asarray(truth).astype(int), np.asarray(predicted).astype(int)
    if len(set(pairs[0].tolist()) | set(pairs[1].tolist())) < 2:
        return float("nan")
    return float(cohen_kappa_score(*pairs, labels=range(5), weights="quadratic"))
