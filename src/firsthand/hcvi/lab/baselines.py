"""What HCVI-R is measured against: clusterers that propose partitions, indices that choose among them.

HCVI-R cuts its own tree of balls. The peer indices choose among partitions by three clusterers on all points, and
among the very cuts that HCVI-R considers. All methods see the same min-max scaled data.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hdbscan.validity import validity_index
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import HDBSCAN, KMeans, SpectralClustering
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_score,
)

from firsthand.hcvi.balls import Balls, make_balls
from firsthand.hcvi.index import choose_from_balls, scores_of_cuts, spanning_tree

CLASSIC = ("silhouette", "calinski-harabasz", "davies-bouldin")


@dataclass(frozen=True)
class Pick:
    """What a method chose: k clusters, labels (n,) without noise; k is nan, and one cluster, if it chose nothing."""

    k: float
    labels: np.ndarray

    def ari(self, y: np.ndarray) -> float:
        """Agreement with the truth on the first len(y) rows (added noise comes after them), where y is not noise."""
        known = y >= 0
        return float(adjusted_rand_score(y[known], self.labels[: len(y)][known]))


def scaled(X: np.ndarray) -> np.ndarray:
    """Min-max per feature; a constant feature becomes 0."""
    width = np.ptp(X, axis=0)
    return (X - X.min(0)) / np.where(width > 0, width, 1)


def fill_noise(X: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Labels with every -1 replaced by the label of the nearest labelled row."""
    known = labels >= 0
    if known.all() or not known.any():
        return labels
    filled = labels.copy()
    filled[~known] = labels[known][cKDTree(X[known]).query(X[~known])[1]]
    return filled


def proposals(X: np.ndarray, k_values: Iterable[int], seed: int, *, spectral: bool = False) -> dict[str, np.ndarray]:
    """Partitions {"clusterer k": labels (n,)} by k-means, Ward, single linkage and, if asked, spectral (10-NN)."""
    condensed = pdist(X)
    ward, single = linkage(X, "ward"), linkage(condensed, "single")
    found = {}
    for k in k_values:
        found[f"k-means {k}"] = KMeans(k, n_init=10, random_state=seed).fit_predict(X)
        found[f"Ward {k}"] = fcluster(ward, k, "maxclust") - 1
        found[f"single linkage {k}"] = fcluster(single, k, "maxclust") - 1
        if spectral:
            with warnings.catch_warnings():  # a 10-NN graph of separated clusters is not connected; that is the point
                warnings.simplefilter("ignore", UserWarning)
                model = SpectralClustering(k, affinity="nearest_neighbors", n_neighbors=10, random_state=seed)
                found[f"spectral {k}"] = model.fit_predict(X)
    return {name: labels.astype(np.int64) for name, labels in found.items()}


def ball_cuts(X: np.ndarray, balls: Balls, k_values: Iterable[int]) -> dict[str, np.ndarray]:
    """The partitions {"balls k": labels (n,)} that HCVI-R chooses from, rows of dropped balls filled in."""
    return {f"balls {k}": fill_noise(X, choose_from_balls(balls, k=k).labels) for k in k_values if 4 <= len(balls) >= k}


def index_functions(X: np.ndarray, names: Iterable[str]) -> dict[str, Callable[[np.ndarray], float]]:
    """Index functions of labels (n,), larger is better for all of them (Davies-Bouldin negated)."""
    D = squareform(pdist(X))

    def dbcv(labels: np.ndarray) -> float:
        if np.bincount(labels).min() < 2:
            return math.nan  # DBCV is undefined for a cluster of one point
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return float(validity_index(X.astype(np.float64), labels))

    known: dict[str, Callable[[np.ndarray], float]] = {
        "silhouette": lambda labels: float(silhouette_score(D, labels, metric="precomputed")),
        "calinski-harabasz": lambda labels: float(calinski_harabasz_score(X, labels)),
        "davies-bouldin": lambda labels: -float(davies_bouldin_score(X, labels)),
        "dbcv": dbcv,
    }
    return {name: _if_several(known[name]) for name in names}


def _if_several(index: Callable[[np.ndarray], float]) -> Callable[[np.ndarray], float]:
    """The index, nan for fewer than two clusters."""
    return lambda labels: index(labels) if len(np.unique(labels)) > 1 else math.nan


def nothing(n: int) -> Pick:
    """No choice: all n rows in one cluster."""
    return Pick(math.nan, np.zeros(n, dtype=np.int64))


def best(partitions: dict[str, np.ndarray], index: Callable[[np.ndarray], float]) -> Pick:
    """The partition that an index likes best; an undefined value never wins."""
    values = {name: index(labels) for name, labels in partitions.items()}
    defined = {name: value for name, value in values.items() if not math.isnan(value)}
    if not defined:
        return nothing(len(next(iter(partitions.values()))))
    labels = partitions[max(defined, key=defined.__getitem__)]
    return Pick(float(len(np.unique(labels))), labels)


def hcvi_pick(X: np.ndarray, balls: Balls | None = None, **ball_options: Any) -> Pick:
    """HCVI-R's own procedure, on balls already made or made with these options; no choice if they are too few."""
    if balls is None:
        balls = make_balls(X, **ball_options)
    if len(balls) < 4:
        return nothing(len(X))
    choice = choose_from_balls(balls)
    return Pick(float(choice.k), fill_noise(X, choice.labels))


def points_pick(X: np.ndarray) -> Pick:
    """The same index and procedure on the raw points: no balls, the same range of k as with balls.

    Strays stay in: dropping them is a part of what balls do (the evidence measures that part by itself).
    """
    points, inverse = np.unique(X, axis=0, return_inverse=True)
    if len(points) < 4:
        return nothing(len(X))
    tree = spanning_tree(points)
    scores = scores_of_cuts(tree, max(2, math.ceil(math.sqrt(len(make_balls(X))))))
    defined = {k: value for k, value in scores.items() if not math.isnan(value)}
    if not defined:
        return nothing(len(X))
    k = min(defined, key=defined.__getitem__)
    return Pick(float(k), tree.components(k)[inverse.reshape(-1)])


def hdbscan_pick(X: np.ndarray) -> Pick:
    """HDBSCAN with scikit-learn's defaults, which chooses the number of clusters by itself."""
    labels = HDBSCAN(copy=True).fit_predict(X)
    found = len(np.unique(labels[labels >= 0]))
    return Pick(float(found), fill_noise(X, labels)) if found else nothing(len(X))
