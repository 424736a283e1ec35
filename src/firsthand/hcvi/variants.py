"""Other definitions of the index, for the ablation: what if the distance or the compactness were another one?

Ours to compare, except the mean-edge form, which appears in the group's public code (GitHub xjnine/GB-CVIs).
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


def choose_with_mean_edge(balls: Balls) -> float:
    """The k of the mean-edge form: the largest mean of (sep - com) / (sep + com), com the mean tree edge."""
    tree = spanning_tree(balls.centers)
    values = {}
    for k in range(2, math.ceil(math.sqrt(len(balls))) + 1):
        labels = tree.components(k)
        a, b = labels[tree.edges].T
        inside = a == b
        edges = np.bincount(a[inside], minlength=k)
        com = np.bincount(a[inside], tree.lengths[inside], minlength=k) / np.maximum(edges, 1)
        sep = np.full(k, np.inf)
        np.minimum.at(sep, a[~inside], tree.lengths[~inside])
        np.minimum.at(sep, b[~inside], tree.lengths[~inside])
        if (com > 0).any():
            com = np.where(com > 0, com, com[com > 0].min())
            values[k] = float(np.mean((sep - com) / (sep + com)))
    return float(max(values, key=values.__getitem__)) if values else math.nan


def choose_all(X: np.ndarray) -> dict[str, float]:
    """The k that each definition chooses on scaled data X."""
    balls = make_balls(X, scale=None)
    if len(balls) < 4:
        return dict.fromkeys(("centre", "point", "surface", "mean edge"), math.nan)
    centre = np.linalg.norm(balls.centers[:, None] - balls.centers[None], axis=2)
    return {
        "centre": choose_with_matrix(centre),
        "point": choose_with_matrix(point_distances(X, balls)),
        "surface": choose_with_matrix(surface_distances(balls)),
        "mean edge": choose_with_mean_edge(balls),
    }
