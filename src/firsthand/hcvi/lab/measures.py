"""How the chapter's claims are measured: cells that several claims share, and one function a claim.

Every measurement takes a seed and returns (method, baseline or None).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.spatial.transform import Rotation
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import adjusted_rand_score

from firsthand.data.drawn.shapes import NOISE_SEED, SHAPES, add_noise
from firsthand.data.readers.tables import REAL, real_table
from firsthand.hcvi.balls import grow, make_balls, preprocess
from firsthand.hcvi.index import choose_from_balls, choose_k, com_and_sep, score_on_balls, spanning_tree
from firsthand.hcvi.lab.ablations import choose_all, surface_distances
from firsthand.hcvi.lab.baselines import (
    CLASSIC,
    ball_cuts,
    best,
    hcvi_pick,
    hdbscan_pick,
    index_functions,
    points_pick,
    proposals,
    scaled,
)

SEEDS = 20
MANY_SEEDS = 40  # for hit rates: forty hits of forty leave no room for a true rate below 0.9
SEPARATED = (
    "rings3", "smile4", "bars4", "interlock2", "squares5", "gauss6", "spirals3", "moons2", "circles2", "lsun3",
)  # fmt: skip
NOISY = SEPARATED[:7]
HARD = ("blobs4", "gauss6-overlap", "spirals3-thin")
FOREIGN = ("moons2", "circles2", "lsun3", "interlock2")
K_MAX = 12  # largest k proposed to every peer
CORE_AND_OUTLIER = (0, 1, 2, 3, 20, 21, 22, 23, 24, 60)  # one far point: the root is not split

Measured = tuple[float, float | None]


# ---------------------------------------------------------------------------- cells that claims share


@lru_cache(maxsize=64)
def data(name: str, seed: int, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A shape, or 80 % of a real table, min-max scaled, with its labels."""
    if name in REAL:
        X, y = real_table(name)
        rows = np.random.default_rng(seed).permutation(len(X))[: int(0.8 * len(X))]
        return scaled(X[rows]), y[rows]
    X, y = SHAPES[name](seed)
    return scaled(add_noise(X, noise, NOISE_SEED + seed) if noise else X), y


@lru_cache(maxsize=512)
def own(name: str, seed: int, noise: float, density: float | None) -> tuple[float, float]:
    """(1 if HCVI-R chose the true k, ARI of its clusters)."""
    X, y = data(name, seed, noise)
    pick = hcvi_pick(X, density=density)
    return float(pick.k == len(np.unique(y))), pick.ari(y)


@lru_cache(maxsize=512)
def peer(name: str, seed: int, noise: float, method: str) -> float:
    """1 if "points" (the index without balls) or "hdbscan" chose the true k."""
    X, y = data(name, seed, noise)
    pick = points_pick(X) if method == "points" else hdbscan_pick(X)
    return float(pick.k == len(np.unique(y)))


@lru_cache(maxsize=64)
def chosen_by_indices(name: str, seed: int) -> dict[str, float]:
    """{index: ARI of its choice} among k-means, Ward, single linkage and the cuts of the balls, k to 12."""
    X, y = data(name, seed)
    k_values = range(2, K_MAX + 1)
    partitions = proposals(X, k_values, seed) | ball_cuts(X, make_balls(X), k_values)
    found = {}
    for index, function in index_functions(X, (*CLASSIC, "dbcv")).items():
        pick = best(partitions, function)
        found[index] = pick.ari(y)
    return found


@lru_cache(maxsize=16)
def foreign(name: str, seed: int) -> dict[str, tuple[float, float]]:
    """{index: (ARI of the proposal it likes best, Spearman correlation of index and ARI over all proposals)}.

    Proposals: k-means, Ward, single linkage and spectral clustering with k = 2 … 10, and HDBSCAN.
    """
    X, y = data(name, seed)
    partitions = proposals(X, range(2, 11), seed, spectral=True)
    partitions["HDBSCAN"] = hdbscan_pick(X).labels
    balls = make_balls(X)
    functions = {
        "hcvi": lambda labels: -score_on_balls(balls, labels),
        "silhouette": index_functions(X, ("silhouette",))["silhouette"],
    }
    truth = [adjusted_rand_score(y, labels) for labels in partitions.values()]
    found = {}
    for index, function in functions.items():
        values = [function(labels) for labels in partitions.values()]
        ranked = [-math.inf if math.isnan(v) else v for v in values]  # undefined ranks last
        order = rankdata(ranked)
        found[index] = float(truth[int(np.argmax(ranked))]), float(spearmanr(order, truth).statistic)
    return found


# ------------------------------------------------------------------------------------- measurements


def finds(name: str, noise: float, density: float | None, seed: int) -> Measured:
    return own(name, seed, noise, density)[0], None


def mean_hits(noise: float, density: float | None, seed: int) -> float:
    return float(np.mean([own(name, seed, noise, density)[0] for name in NOISY]))


def noise_hits(noise: float, seed: int) -> Measured:
    return mean_hits(noise, None, seed), None


def against(noise: float, method: str, seed: int) -> Measured:
    """Mean hits over the seven shapes, with balls and with `method`."""
    return mean_hits(noise, None, seed), float(np.mean([peer(name, seed, noise, method) for name in NOISY]))


def dropping_gain(noise: float, seed: int) -> Measured:
    """Mean hits with balls of one or two points dropped, and with all balls kept."""
    every = [_every_ball(name, seed, noise) for name in NOISY]
    return mean_hits(noise, None, seed), float(np.mean(every))


def _every_ball(name: str, seed: int, noise: float) -> float:
    X, y = data(name, seed, noise)
    return float(hcvi_pick(X, min_size=1).k == len(np.unique(y)))


def filter_gain(noise: float, seed: int) -> Measured:
    return mean_hits(noise, 0.25, seed), mean_hits(noise, None, seed)


def against_classic(name: str, seed: int) -> Measured:
    """ARI of HCVI-R's clusters and the best ARI among the three classic indices' choices."""
    peers = chosen_by_indices(name, seed)
    return own(name, seed, 0.0, None)[1], max(peers[index] for index in CLASSIC)


def against_dbcv(seed: int) -> Measured:
    ours = np.mean([own(name, seed, 0.0, None)[1] for name in SEPARATED])
    return float(ours), float(np.mean([chosen_by_indices(name, seed)["dbcv"] for name in SEPARATED]))


def silhouette_wins(name: str, seed: int) -> Measured:
    return chosen_by_indices(name, seed)["silhouette"], own(name, seed, 0.0, None)[1]


def foreign_ari(name: str, versus: bool, seed: int) -> Measured:
    found = foreign(name, seed)
    return found["hcvi"][0], found["silhouette"][0] if versus else None


def foreign_rank(versus: bool, seed: int) -> Measured:
    """Mean rank correlation of HCVI-R and ARI over all proposals, and that of silhouette."""
    found = [foreign(name, seed) for name in FOREIGN]
    if not versus:
        return float(np.mean([f["hcvi"][1] for f in found])), None
    return tuple(float(np.mean([f[index][1] for f in found])) for index in ("hcvi", "silhouette"))  # type: ignore[return-value]


def real_k(name: str, pca: int | None, seed: int) -> Measured:
    return float(choose_k(real_table(name)[0], pca=pca).k), None


def real_ari(seed: int) -> Measured:
    """Mean ARI over the four tables: HCVI-R's, and that of the best single classic index."""
    ours = float(np.mean([own(name, seed, 0.0, None)[1] for name in REAL]))
    peers = {i: np.mean([chosen_by_indices(name, seed)[i] for name in REAL]) for i in CLASSIC}
    return ours, float(max(peers.values()))


def pca_changes_k(seed: int) -> Measured:
    """Number of the four tables on which two principal components give another k than all features."""
    return float(sum(choose_k(X).k != choose_k(X, pca=2).k for X in (real_table(name)[0] for name in REAL))), None


def foreign_iris(seed: int) -> Measured:
    X, _ = real_table("iris")
    X = scaled(X)
    balls = make_balls(X)
    pick = best(proposals(X, range(2, 11), seed, spectral=True), lambda labels: -score_on_balls(balls, labels))
    return pick.k, None


def balls_per_point(seed: int) -> Measured:
    X = np.random.default_rng(seed).normal(size=(10_000, 2))
    return len(make_balls(X)) / len(X), None


def rounds_per_doubling(seed: int) -> Measured:
    """Rounds of splitting over log2(n), the largest of n = 1000, 10 000, 100 000."""
    worst = 0.0
    for n in (1_000, 10_000, 100_000):
        history: list = []
        points, _ = preprocess(np.random.default_rng(seed).normal(size=(n, 2)))
        grow(points, history=history)
        worst = max(worst, (len(history) - 1) / math.log2(n))
    return worst, None


def bound_violations(seed: int) -> Measured:
    """Single-linkage cuts of the ten shapes whose HCVI-R lies outside (0, 1]."""
    scores = [v for name in SEPARATED for v in choose_k(data(name, seed)[0]).scores.values()]
    return float(sum(not 0 < v <= 1 for v in scores)), None


def identity_gap(seed: int) -> Measured:
    """Largest |HCVI-R - (1 - mean (sep - com) / max(sep, com))| over the cuts of the ten shapes."""
    worst = 0.0
    for name in SEPARATED:
        balls = make_balls(data(name, seed)[0])
        tree = spanning_tree(balls.centers)
        for k, value in choose_from_balls(balls).scores.items():
            com, sep = com_and_sep(balls.centers, tree.components(k))
            com = np.where(com > 0, com, com[com > 0].min())
            worst = max(worst, abs(value - (1 - np.mean((sep - com) / np.maximum(sep, com)))))
    return float(worst), None


def moved_and_scaled(seed: int) -> Measured:
    """Largest change of the scores when the data are shifted and scaled by one factor."""
    worst = 0.0
    for name in SEPARATED:
        X = SHAPES[name](seed)[0]
        before, after = choose_k(X).scores, choose_k(8 * X + 3).scores
        worst = max(worst, max(abs(before[k] - after[k]) for k in before) if before.keys() == after.keys() else 1.0)
    return worst, None


def rotated(seed: int) -> Measured:
    """Share of the seven shapes whose chosen k survives a random rotation, which changes min-max scaling."""
    same = 0
    for name in NOISY:
        X = SHAPES[name](seed)[0]
        turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
        if X.shape[1] == 2:
            angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        same += choose_k(X).k == choose_k(X @ turn.T).k
    return same / len(NOISY), None


def shrinking_gaps(seed: int) -> tuple[list[float], None]:
    """HCVI-R of the true partition of five squares whose centres move together: factors 1, 0.9, 0.8, 0.7."""
    X, y = SHAPES["squares5"](seed)
    centres = np.array([X[y == i].mean(0) for i in range(5)])[y]
    balls = [make_balls(X - centres + f * centres, scale=None) for f in (1.0, 0.9, 0.8, 0.7)]
    return [score_on_balls(b, y) for b in balls], None


def variant_hits(variant: str, seed: int) -> Measured:
    found = {name: choose_all_cached(name, seed) for name in NOISY}
    true = {name: len(np.unique(data(name, seed)[1])) for name in NOISY}
    return tuple(float(np.mean([found[n][v] == true[n] for n in NOISY])) for v in (variant, "centre"))  # type: ignore[return-value]


@lru_cache(maxsize=16)
def choose_all_cached(name: str, seed: int) -> dict[str, float]:
    return choose_all(data(name, seed)[0])


def touching_balls(seed: int) -> Measured:
    """Share of balls of the digits (64 features) whose sphere meets another."""
    balls = make_balls(data("digits", seed)[0])
    gaps = surface_distances(balls)
    np.fill_diagonal(gaps, np.inf)
    return float((gaps.min(1) == 0).mean()), None


def stopped_root(seed: int) -> Measured:
    points, _ = preprocess(np.array(CORE_AND_OUTLIER, dtype=float)[:, None])
    return float(len(grow(points).counts)), None


def index_curve(name: str, seed: int) -> list[float | None]:
    """HCVI-R of k = 2 … 10; None where it is undefined or beyond the range tried."""
    scores = choose_from_balls(make_balls(data(name, seed)[0])).scores
    return [None if math.isnan(scores.get(k, math.nan)) else scores[k] for k in range(2, 11)]
