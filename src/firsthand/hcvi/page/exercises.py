"""The checkers of the chapter's exercises: truths are computed, not stored, and so are the usual mistakes."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from firsthand.data.drawn.shapes import rings3
from firsthand.hcvi.balls import make_balls
from firsthand.hcvi.index import choose_k, com_and_sep, hcvi, spanning_tree
from firsthand.hcvi.lab.ablations import surface_distances
from firsthand.hcvi.lab.baselines import points_pick, scaled
from firsthand.kit.page.exercises import Exercise, Wrong, call, compare, need_function, need_number

#: The seven ball centres of the worked example.
CENTRES = np.array([(0, 0), (1, 0), (2, 0), (5, 0), (6, 0), (6, 2), (12, 0)], dtype=float)
TWO_CLUSTERS = np.array([0, 0, 0, 1, 1, 1, 1])


def _mean_edges(centers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """com with the mean tree edge, a common misreading."""
    members = (centers[labels == i] for i in np.unique(labels))
    return np.array([spanning_tree(m).lengths.mean() if len(m) > 1 else 0.0 for m in members])


def _to_centroid(centers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """com as the largest distance from the cluster's mean, as centre-based indices have it."""
    members = (centers[labels == i] for i in np.unique(labels))
    return np.array([np.linalg.norm(m - m.mean(0), axis=1).max() for m in members])


def _filled(com: np.ndarray) -> np.ndarray:
    return np.where(com > 0, com, com[com > 0].min())


def _mistakes(centers: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """What typical wrong readings of equation (3) give here."""
    com, sep = com_and_sep(centers, labels)
    full = _filled(com)
    return {
        "That is the sum over clusters; the index is their mean.": float(np.sum(full / sep)),
        "The ratio is upside down: compactness goes above, separation below.": float(np.mean(sep / full)),
        "com is the longest edge of the tree, not the mean edge.": float(
            np.mean(_filled(_mean_edges(centers, labels)) / sep)
        ),
        "com is a tree edge, not a distance from the cluster's mean.": float(
            np.mean(_filled(_to_centroid(centers, labels)) / sep)
        ),
        "A single ball has com = 0 and takes the smallest positive com; here it was left at 0.": float(
            np.mean(com / sep)
        ),
    }


def _name_mistake(value: float, truth: float, mistakes: dict[str, float]) -> None:
    """Raise the sentence of the mistake that gives this value, or a plain one."""
    otherwise = f"{value:.4g} is not the index, and not one of the usual slips: write out com and sep for each cluster."
    compare(value, truth, mistakes, otherwise, same=partial(math.isclose, rel_tol=1e-3))


def _by_hand(answer: Any) -> str:
    truth = hcvi(CENTRES, TWO_CLUSTERS)
    _name_mistake(need_number(answer), truth, _mistakes(CENTRES, TWO_CLUSTERS))
    return "One cluster is as wide as two gaps, so the mean exceeds one: this is not a single-linkage cut."


def _own_index(answer: Any) -> str:
    function = need_function(answer, 2)
    rng = np.random.default_rng()
    for size in (12, 30, 47):
        centers = rng.normal(size=(size, rng.integers(1, 5)))
        labels = np.append(rng.permutation(np.arange(size - 1) % 4), 9)  # the last cluster is a single ball
        value = need_number(call(function, centers.copy(), labels.copy()))
        _name_mistake(value, hcvi(centers, labels), _mistakes(centers, labels))
    return "Your function agrees with the book's on random partitions in one to four dimensions."


def _stopped_root(answer: Any) -> str:
    X = np.asarray(answer)
    if X.dtype.kind not in "fiu" or X.ndim != 2:
        raise Wrong(f"A 2-D array of numbers is asked for; this has shape {X.shape}.")
    if not np.isfinite(X).all():
        raise Wrong("The array holds NaN or infinity.")
    if len(np.unique(X, axis=0)) < 20:
        raise Wrong(f"There are only {len(np.unique(X, axis=0))} distinct points; bring at least 20.")
    balls = len(make_balls(X, min_size=1))
    if balls > 1:
        raise Wrong(
            f"The first ball was split: there are {balls} balls. The children's mean DM must not be below its own."
        )
    forced = len(make_balls(X, force_root_split=True))
    if forced < 4:
        raise Wrong(f"The root stops, but one forced cut leads to only {forced} kept balls. Give the rest structure.")
    return f"The root stops at one ball, and one forced cut leads to {forced} kept balls."


def _kept_and_removed(answer: Any) -> str:
    function = need_function(answer, 2)
    rng = np.random.default_rng()
    for size, k in ((15, 2), (30, 4), (40, 7)):
        centers = rng.normal(size=(size, 2))
        lengths = spanning_tree(centers).lengths
        value = np.asarray(call(function, centers.copy(), k), dtype=float)
        if value.shape != (2,):
            raise Wrong("Return two numbers: the longest kept edge and the shortest removed one.")
        truth = np.array([lengths[-k], lengths[-k + 1]])
        slips = {
            "The two are swapped: the longest kept edge comes first.": truth[::-1],
            "k clusters need k - 1 cuts; you made k.": [lengths[-k - 1], lengths[-k]],
            "Those are the shortest and the longest edge of the whole tree; the cut lies between.": lengths[[0, -1]],
        }
        otherwise = "Those are not the two edges on either side of the cut of the spanning tree."
        compare(value, truth, slips, otherwise, same=np.allclose)
    return (
        "No kept edge is longer than a removed one: so com is at most sep in every cluster, and the mean at most one."
    )


def _spoiler(answer: Any) -> str:
    function = need_function(answer, 1)
    for seed in (101, 202, 303):
        X, _ = rings3(seed)
        point = np.asarray(call(function, X.copy()), dtype=float)
        if point.shape != (2,) or not np.isfinite(point).all():
            raise Wrong(f"Return one point, two finite numbers; this has shape {point.shape}.")
        if not ((X.min(0) <= point) & (point <= X.max(0))).all():
            raise Wrong("The point lies outside the box of the data: that would change the scaling, not the index.")
        more = np.vstack([X, point])
        without, with_balls = points_pick(scaled(more)).k, choose_k(more).k
        if with_balls != 3:
            raise Wrong(
                f"The balls are fooled too: they now choose {with_balls}. Place it where no ball would keep it."
            )
        if without == 3:
            raise Wrong("The index on raw points still chooses 3: the point is too close to a ring to matter.")
    return "One point fools the index on raw points; among the balls it is isolated and dropped, or swallowed."


def _share_touching(d: int) -> float:
    """Mean share of balls that touch another, for 500 uniform points in d dimensions over three draws."""
    shares = []
    for seed in range(3):
        gaps = surface_distances(make_balls(np.random.default_rng(seed).random((500, d))))
        np.fill_diagonal(gaps, np.inf)
        shares.append((gaps.min(1) == 0).mean())
    return float(np.mean(shares))


def _dimension(answer: Any) -> str:
    value = need_number(answer)
    if value not in (1, 2, 4, 8, 16):
        if 0 < value < 1:
            raise Wrong("That looks like a share; the dimension is asked for.")
        raise Wrong("Answer with one of the dimensions 1, 2, 4, 8, 16.")
    shares = {d: _share_touching(d) for d in (1, 2, 4, 8, 16)}
    truth = next(d for d, share in shares.items() if share >= 0.95)
    if value > truth:
        raise Wrong(f"Already in fewer than {value:g} dimensions almost every ball touches another.")
    if value < truth:
        raise Wrong(f"In {value:g} dimensions only {shares[int(value)]:.0%} of the balls touch another.")
    return "From there on almost every ball touches another: two radii add up to more than the centres' distance."


EXERCISES: dict[int, Exercise] = {
    1: Exercise("The index by hand", 10, 1, "The tree of the second cluster has edges 1, 2 and 6.", _by_hand),
    2: Exercise(
        "The index in code", 25, 3, "SciPy's `minimum_spanning_tree` gives the edges of one cluster.", _own_index
    ),
    3: Exercise(
        "Stop the splitting", 15, 2, "One point far away makes a child of one point, whose DM is 1.", _stopped_root
    ),
    4: Exercise(
        "Why the index is at most one", 20, 2, "Sort the edges of the spanning tree of all centres.", _kept_and_removed
    ),
    5: Exercise("One point against the index", 20, 2, "Which place is far from two rings at once?", _spoiler),
    6: Exercise(
        "When surfaces touch",
        20,
        2,
        "Compare `surface_distances(make_balls(X))` with zero, off the diagonal.",
        _dimension,
    ),
}
