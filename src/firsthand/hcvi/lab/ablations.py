"""Other definitions of the index, for the ablation: what if the distance or the compactness were another one?

Ours to compare, except CSP, which `testCSP.py` of GitHub xjnine/GB-CVIs holds, and the rejection of single balls, which
its `DCVI/origin_DCVI.py` does (both at commit fd22039).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import cKDTree

from firsthand.hcvi.balls import Balls, make_balls
from firsthand.hcvi.index import prim, scores_of_cuts, spanning_tree


def surface_distances(balls: Balls) -> np.ndarray:
    """(M, M) gaps between the spheres: centre distance less both radii, at least 0."""
    between = np.linalg.norm(balls.centers[:, None] - balls.centers[None], axis=2)
    gaps = np.maximum(0.0, between - balls.radii[:, None] - balls.radii[None])
    np.fill_diagonal(gaps, 0.0)
    return gaps


def point_distances(X: np.ndarray, balls: Balls) -> np.ndarray:
    """(M, M) smallest distance between a point of one ball and a point of another; X as the balls saw it."""
    members = [X[balls.labels == i] for i in range(len(balls))]
    trees = [cKDTree(points) for points in members]
    D = np.zeros((len(balls), len(balls)))
    for i, points in enumerate(members):
        for j in range(i):
            D[i, j] = D[j, i] = trees[j].query(points)[0].min()
    return D


def choose_with_matrix(D: np.ndarray) -> float:
    """The k that the index chooses when the distances between balls are D (M, M); nan if undefined."""
    scores = scores_of_cuts(prim(lambda i: D[i], len(D)), math.ceil(math.sqrt(len(D))))
    defined = {k: value for k, value in scores.items() if not math.isnan(value)}
    return float(min(defined, key=defined.__getitem__)) if defined else math.nan


def _cut_quantities(balls: Balls) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """{k: (mean edge, longest edge, sep, number of edges)} of every cluster of every single-linkage cut."""
    tree = spanning_tree(balls.centers)
    found = {}
    for k in range(2, math.ceil(math.sqrt(len(balls))) + 1):
        labels = tree.components(k)
        a, b = labels[tree.edges].T
        inside = a == b
        edges = np.bincount(a[inside], minlength=k)
        mean = np.bincount(a[inside], tree.lengths[inside], minlength=k) / np.maximum(edges, 1)
        longest, sep = np.zeros(k), np.full(k, np.inf)
        np.maximum.at(longest, a[inside], tree.lengths[inside])
        np.minimum.at(sep, a[~inside], tree.lengths[~inside])
        np.minimum.at(sep, b[~inside], tree.lengths[~inside])
        found[k] = mean, longest, sep, edges
    return found


def _filled(com: np.ndarray) -> np.ndarray:
    return np.where(com > 0, com, com[com > 0].min())


def choose_by_tree(balls: Balls) -> dict[str, float]:
    """The k of three other readings of compactness: "mean edge", "csp", "no singles" (nan if undefined)."""
    values: dict[str, dict[int, float]] = {"mean edge": {}, "csp": {}, "no singles": {}}
    for k, (mean, longest, sep, edges) in _cut_quantities(balls).items():
        if (mean > 0).any():
            com = _filled(mean)
            values["mean edge"][k] = float(np.mean(com / sep))
            values["csp"][k] = -float(np.mean((sep - com) / (sep + com)))
        if (edges > 0).all():
            values["no singles"][k] = float(np.mean(longest / sep))
    return {name: float(min(v, key=v.__getitem__)) if v else math.nan for name, v in values.items()}


def choose_all(X: np.ndarray) -> dict[str, float]:
    """The k that each definition chooses on scaled data X."""
    balls = make_balls(X, scale=None)
    if len(balls) < 4:
        return dict.fromkeys(("centre", "point", "surface", "mean edge", "csp", "no singles"), math.nan)
    centre = np.linalg.norm(balls.centers[:, None] - balls.centers[None], axis=2)
    return {
        "centre": choose_with_matrix(centre),
        "point": choose_with_matrix(point_distances(X, balls)),
        "surface": choose_with_matrix(surface_distances(balls)),
        **choose_by_tree(balls),
    }
