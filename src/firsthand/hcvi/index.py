"""HCVI-R: a connectivity index on hyper-balls, the choice of k, and the scoring of foreign clusterings.

We could not obtain the paper's full text, and with it the formula of its index. HCVI-R is our reconstruction: the
first author's earlier index DCVI (Information Sciences 506, 2020) carried over from density cores to hyper-balls.
Its com and sep are those of `DCVI/origin_DCVI.py` in GitHub xjnine/GB-CVIs at commit fd22039.

Shapes: n points, d features, M balls, k clusters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial import Delaunay, QhullError
from torch import Tensor

from firsthand.hcvi.balls import Array, Balls, as_points, make_balls

#: Above this many balls the tree of 2-D and 3-D centres is sought among Delaunay edges only.
DENSE_LIMIT = 4000


@dataclass(frozen=True)
class Tree:
    """A minimum spanning tree: edges (M - 1, 2) and their lengths (M - 1,), shortest first."""

    edges: np.ndarray
    lengths: np.ndarray

    @property
    def nodes(self) -> int:
        return len(self.lengths) + 1

    def components(self, k: int) -> np.ndarray:
        """(M,) labels after deleting the k - 1 longest edges, numbered by first appearance."""
        keep = self.edges[: self.nodes - k]
        graph = coo_array((np.ones(len(keep)), (keep[:, 0], keep[:, 1])), shape=(self.nodes, self.nodes))
        labels = connected_components(graph, directed=False)[1]
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[inverse]


def _sorted_tree(edges: np.ndarray, lengths: np.ndarray) -> Tree:
    """Order by length, then by the ends, so that equal lengths are cut in a reproducible order."""
    edges = np.sort(edges, axis=1)
    order = np.lexsort((edges[:, 1], edges[:, 0], lengths))
    return Tree(edges[order], lengths[order])


def prim(row: Callable[[int], np.ndarray], nodes: int) -> Tree:
    """Prim's algorithm from rows of distances, `row(i)` -> (nodes,): O(M^2) time, O(M) memory."""
    nearest = np.full(nodes, np.inf)
    parent = np.zeros(nodes, dtype=np.int64)
    outside = np.ones(nodes, dtype=bool)
    edges = np.empty((nodes - 1, 2), dtype=np.int64)
    lengths = np.empty(nodes - 1)
    current = 0
    for step in range(nodes - 1):
        outside[current] = False
        distance = row(current)
        closer = outside & (distance < nearest)
        nearest[closer] = distance[closer]
        parent[closer] = current
        nearest[current] = np.inf
        current = int(nearest.argmin())
        edges[step] = parent[current], current
        lengths[step] = nearest[current]
    return _sorted_tree(edges, lengths)


def _delaunay_tree(centers: np.ndarray) -> Tree:
    """The Euclidean tree from Delaunay edges, which contain it; O(M log M) in the plane."""
    mesh = Delaunay(centers)
    simplices = mesh.simplices
    corners = [(i, j) for i in range(simplices.shape[1]) for j in range(i)]
    # `coplanar` lists points left out of the mesh because they coincide with a corner (point, simplex, corner).
    edges = np.concatenate([*(simplices[:, list(pair)] for pair in corners), mesh.coplanar[:, [0, 2]]])
    edges = np.unique(np.sort(edges, axis=1), axis=0).astype(np.int64)
    lengths = np.linalg.norm(centers[edges[:, 0]] - centers[edges[:, 1]], axis=1)
    order = np.lexsort((edges[:, 1], edges[:, 0], lengths))
    # Ranks instead of lengths: SciPy reads a zero weight as "no edge".
    rank = np.empty(len(order))
    rank[order] = np.arange(1, len(order) + 1)
    graph = coo_array((rank, (edges[:, 0], edges[:, 1])), shape=(len(centers),) * 2)
    chosen = order[np.sort(minimum_spanning_tree(graph.tocsr()).data).astype(np.int64) - 1]
    return Tree(edges[chosen], lengths[chosen])


def spanning_tree(centers: np.ndarray) -> Tree:
    """Minimum spanning tree of points (M, d) under Euclidean distance; no (M, M) matrix is ever made."""
    if len(centers) > DENSE_LIMIT and centers.shape[1] in (2, 3):
        try:
            return _delaunay_tree(centers)
        except QhullError:  # all centres on a line or plane: no mesh to search
            pass
    return prim(lambda i: np.sqrt(((centers - centers[i]) ** 2).sum(1)), len(centers))


def _mean_ratio(com: np.ndarray, sep: np.ndarray) -> float:
    """Equation (3) from per-cluster com and sep (k,); nan where it is undefined."""
    if len(com) < 2 or not (com > 0).any() or not (sep > 0).all():
        return math.nan
    return float(np.mean(np.where(com > 0, com, com[com > 0].min()) / sep))


def com_and_sep(centers: Array, labels: Array) -> tuple[np.ndarray, np.ndarray]:
    """Compactness and separation (k,) of every cluster of balls, equation (3), in the order of the sorted labels.

    com is the longest edge of the cluster's own minimum spanning tree (0 for a single ball); sep is the
    shortest distance from one of its balls to a ball outside (infinite if there is none outside).
    """
    points = _numpy(as_points(centers)).astype(np.float64, copy=False)
    names, cluster = np.unique(_labels(labels, len(points), "centre"), return_inverse=True)
    com, sep = np.zeros(len(names)), np.full(len(names), np.inf)
    for i in range(len(names)):
        members = points[cluster == i]
        com[i] = spanning_tree(members).lengths[-1] if len(members) > 1 else 0.0
    # The lightest edge across any cut belongs to the tree of all balls, so that tree alone gives every sep.
    tree = spanning_tree(points)
    a, b = cluster[tree.edges].T
    across = a != b
    np.minimum.at(sep, a[across], tree.lengths[across])
    np.minimum.at(sep, b[across], tree.lengths[across])
    return com, sep


def hcvi(centers: Array, labels: Array) -> float:
    """HCVI-R of a partition of balls, equation (3): the mean over clusters of com / sep. Smaller is better.

    Where com = 0 (a single ball) the smallest positive com of the partition stands in, otherwise single balls would
    be rewarded. (The group's `extendDCVI.py` does so; its `origin_DCVI.py` rejects such partitions.) See `com_and_sep`
    for the two quantities.

    Args:
        centers: (M, d) ball centres.
        labels: (M,) integer label of each ball; every distinct value is a cluster.

    Returns:
        The index; nan if there are fewer than two clusters, if every com is 0, or if some sep is 0.

    Raises:
        ValueError: lengths that differ, non-finite centres, labels that are not integers.
    """
    return _mean_ratio(*com_and_sep(centers, labels))


def scores_of_cuts(tree: Tree, k_max: int) -> dict[int, float]:
    """HCVI-R of the single-linkage cuts k = 2 … k_max of a tree, in one pass over its k_max - 1 longest edges.

    Start from the finest cut and join clusters by ever longer edges. The joining edge is at least as long as
    any kept one, so it is the com of the new cluster; sep is the lightest deleted edge at a cluster. Scores are
    equation (3).
    """
    k_max = min(k_max, tree.nodes)
    atoms = tree.components(k_max)
    kept = tree.nodes - k_max
    com = np.zeros(k_max)
    np.maximum.at(com, atoms[tree.edges[:kept, 0]], tree.lengths[:kept])
    ends, lengths = atoms[tree.edges[kept:]], tree.lengths[kept:]
    group = np.arange(k_max)  # cluster of every atom
    scores = {}
    for k in range(k_max, 1, -1):
        removed = slice(k_max - k, None)
        a, b = group[ends[removed]].T
        sep = np.full(k_max, np.inf)
        np.minimum.at(sep, a, lengths[removed])
        np.minimum.at(sep, b, lengths[removed])
        alive = np.unique(group)
        scores[k] = _mean_ratio(com[alive], sep[alive])
        group[group == b[0]] = a[0]
        com[a[0]] = lengths[k_max - k]
    return dict(sorted(scores.items()))


@dataclass(frozen=True)
class Choice:
    """The chosen number of clusters `k`, `labels` (n,) with -1 for points of dropped balls, `scores` {k: HCVI-R}."""

    k: int
    labels: Array
    scores: dict[int, float]


def choose_from_balls(balls: Balls, *, k_max: int | None = None, k: int | None = None) -> Choice:
    """`choose_k` on balls already made; a given `k` of 1 to M is taken, without scores, instead of the best one."""
    count = len(balls)
    if k is not None and not 1 <= k <= count:
        raise ValueError(f"k must be between 1 and the {count} kept balls; got {k}.")
    if count < 4 and k is None:
        raise ValueError(
            f"Choosing k needs at least 4 kept balls; these data gave {count}. Try force_root_split=True "
            "(the first cut may have been refused), a smaller min_size, or more points."
        )
    if k_max is not None and k_max < 2:
        raise ValueError(f"k_max must be at least 2; got {k_max}.")
    tree = spanning_tree(_numpy(balls.centers).astype(np.float64, copy=False))
    scores: dict[int, float] = {}
    if k is None:
        scores = scores_of_cuts(tree, math.ceil(math.sqrt(count)) if k_max is None else k_max)
        defined = {k: value for k, value in scores.items() if not math.isnan(value)}
        if not defined:
            raise ValueError(f"HCVI-R is undefined for every k from 2 to {max(scores)}: ball centres coincide.")
        k = min(defined, key=defined.__getitem__)  # the first, so the smaller k, of equal scores
    of_ball = np.append(tree.components(k), -1)  # index -1 picks the label of dropped balls
    labels = of_ball[_numpy(balls.labels)]
    if isinstance(balls.labels, Tensor):
        labels = balls.labels.new_tensor(labels)
    return Choice(k, labels, scores)


def choose_k(X: Array, *, k_max: int | None = None, **ball_options: Any) -> Choice:
    """The number of clusters: the single-linkage cut of the balls with the least HCVI-R (procedure of DCVI).

    Args:
        X: (n, d) rows.
        k_max: largest k tried; None = ceil(sqrt(kept balls)).
        ball_options: as `make_balls`.

    Returns:
        Choice; ties go to the smaller k.

    Raises:
        ValueError: bad X, or fewer than 4 kept balls.
    """
    return choose_from_balls(make_balls(X, **ball_options), k_max=k_max)


def score_on_balls(balls: Balls, labels: Array) -> float:
    """`score` on balls already made."""
    point_labels = _labels(labels, len(balls.labels), "row")
    ball = _numpy(balls.labels)
    names, cluster = np.unique(point_labels, return_inverse=True)
    votes = np.zeros((len(balls), len(names)), dtype=np.int64)
    inside = ball >= 0
    np.add.at(votes, (ball[inside], cluster[inside]), 1)
    winner = names[votes.argmax(1)] if len(balls) else names[:0]  # argmax: ties go to the smaller label
    if set(names[names != -1]) - set(winner):
        return math.nan
    keep = winner != -1
    if not keep.any():
        return math.nan
    return hcvi(_numpy(balls.centers)[keep], winner[keep])


def score(X: Array, labels: Array, **ball_options: Any) -> float:
    """HCVI-R of any clustering of the points. Smaller is better.

    A ball takes the label that most of its rows carry, ties going to the smaller label; a ball whose
    majority is noise (-1) is left out.

    Args:
        X: (n, d) rows.
        labels: (n,) integer labels, -1 = noise.
        ball_options: as `make_balls`.

    Returns:
        The index; nan if a cluster owns no ball (never a good score) or there are fewer than two clusters.

    Raises:
        ValueError: bad X, or labels that do not fit it.
    """
    return score_on_balls(make_balls(X, **ball_options), labels)


def _numpy(array: Array) -> np.ndarray:
    if isinstance(array, Tensor) and array.dtype == torch.bfloat16:
        raise ValueError("NumPy has no bfloat16; give the tensor as .float() or, of labels, as .long().")
    return array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)


def _labels(labels: Array, expected: int, what: str) -> np.ndarray:
    array = _numpy(labels)
    if array.shape != (expected,):
        raise ValueError(f"labels must hold one label a {what}, shape ({expected},); got {array.shape}.")
    if array.dtype.kind in "cSUVMm" or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        raise ValueError(
            f"labels must be integers; got {array.dtype}{' that are not finite' * (array.dtype.kind == 'f')}."
        )
    if array.dtype.kind not in "iub" and not np.array_equal(array, np.round(array.astype(float))):
        raise ValueError(f"labels must be integers; got {array.dtype}.")
    if array.size and not (int(array.min()) >= -(2**63) and int(array.max()) < 2**63):
        raise ValueError(f"labels must lie within 64 bits with a sign; got {int(array.min())} to {int(array.max())}.")
    return array.astype(np.int64)
