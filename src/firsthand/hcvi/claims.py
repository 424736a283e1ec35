"""The chapter's claims: what is said, how it is measured, and the rule that decides.

The paper's abstract claims that the method scores the clusterings of classic methods, finds the number of
clusters under noise and for arbitrary shapes, and outperforms existing indices on synthetic and real data. It
gives no number that we could verify, so `paper` is None throughout; targets are ours and were fixed before the run.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial

import numpy as np
from scipy.spatial.transform import Rotation
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import adjusted_rand_score

from firsthand.data.shapes import NOISE_SEED, SHAPES, add_noise
from firsthand.data.tables import REAL, real_table
from firsthand.hcvi.balls import grow, make_balls, preprocess
from firsthand.hcvi.index import choose_from_balls, choose_k, com_and_sep, score_on_balls, spanning_tree
from firsthand.hcvi.peers import (
    CLASSIC,
    best,
    hcvi_pick,
    hdbscan_pick,
    index_functions,
    points_pick,
    proposals,
    scaled,
)
from firsthand.hcvi.variants import choose_all, surface_distances
from firsthand.kit.claims import Claim, Curve

SEEDS = 20
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
def chosen_by_indices(name: str, seed: int) -> dict[str, tuple[float, float]]:
    """{index: (1 if the true k was chosen, ARI)}: each index picks among k-means, Ward, single linkage, k to 12."""
    X, y = data(name, seed)
    partitions = proposals(X, range(2, K_MAX + 1), seed)
    found = {}
    for index, function in index_functions(X, (*CLASSIC, "dbcv")).items():
        pick = best(partitions, function)
        found[index] = float(pick.k == len(np.unique(y))), pick.ari(y)
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


def filter_gain(noise: float, seed: int) -> Measured:
    return mean_hits(noise, 0.25, seed), mean_hits(noise, None, seed)


def against_classic(name: str, seed: int) -> Measured:
    """ARI of HCVI-R's clusters and the best ARI among the three classic indices' choices."""
    peers = chosen_by_indices(name, seed)
    return own(name, seed, 0.0, None)[1], max(peers[index][1] for index in CLASSIC)


def against_dbcv(seed: int) -> Measured:
    ours = np.mean([own(name, seed, 0.0, None)[1] for name in SEPARATED])
    return float(ours), float(np.mean([chosen_by_indices(name, seed)["dbcv"][1] for name in SEPARATED]))


def silhouette_wins(name: str, seed: int) -> Measured:
    return chosen_by_indices(name, seed)["silhouette"][0], own(name, seed, 0.0, None)[0]


def foreign_ari(name: str, versus: bool, seed: int) -> Measured:
    found = foreign(name, seed)
    return found["hcvi"][0], found["silhouette"][0] if versus else None


def foreign_rank(seed: int) -> Measured:
    found = [foreign(name, seed) for name in FOREIGN]
    return tuple(float(np.mean([f[index][1] for f in found])) for index in ("hcvi", "silhouette"))  # type: ignore[return-value]


def real_k(name: str, seed: int) -> Measured:
    return float(choose_k(real_table(name)[0]).k), None


def real_ari(seed: int) -> Measured:
    """Mean ARI over the four tables: HCVI-R's, and that of the best single classic index."""
    ours = float(np.mean([own(name, seed, 0.0, None)[1] for name in REAL]))
    peers = {i: np.mean([chosen_by_indices(name, seed)[i][1] for name in REAL]) for i in CLASSIC}
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


# ------------------------------------------------------------------------------------------- the rows


def _claim(id, sentence, source, metric, rule, target, measure, *, unit="", tolerance=0.0, seeds=SEEDS):
    return Claim(id, sentence, source, metric, unit, None, rule, target, tolerance, measure, seeds=seeds)


CLAIMS: list[Claim] = [
    *(
        _claim(f"finds-{s}", f"On {s}, HCVI-R finds the true number of clusters in at least nine draws of ten.", "paper",
               "share of draws with the true k", "at_least", 0.9, partial(finds, s, 0.0, None))
        for s in (*SEPARATED, *HARD)
    ),
    *(
        _claim(f"beats-classic-{s}", f"On {s}, the clusters chosen by HCVI-R agree with the truth better, by 0.05 ARI, "
               "than the best of those chosen by silhouette, Calinski-Harabasz and Davies-Bouldin.", "paper",
               "ARI, HCVI-R minus best classic index", "at_least", 0.05, partial(against_classic, s))
        for s in SEPARATED
    ),
    _claim("beats-dbcv", "Over the ten separated shapes, HCVI-R's clusters agree with the truth better, by 0.05 ARI, "
           "than those chosen by DBCV, an index made for arbitrary shapes.", "paper",
           "mean ARI, HCVI-R minus DBCV", "at_least", 0.05, against_dbcv),
    *(
        _claim(f"silhouette-wins-{s}", f"On {s}, where clusters touch or are thin, silhouette finds the true number more "
               "often than HCVI-R, by half of the draws or more.", "ours",
               "share of draws with the true k, silhouette minus HCVI-R", "at_least", 0.5, partial(silhouette_wins, s))
        for s in HARD
    ),
    *(
        _claim(f"noise-{round(100 * f)}", f"With {round(100 * f)} % uniform noise, HCVI-R still finds the true number in at "
               "least nine of ten draws, on average over seven shapes.", "paper",
               "mean share of draws with the true k", "at_least", 0.9, partial(noise_hits, f))
        for f in (0.02, 0.05, 0.10, 0.20)
    ),
    *(
        _claim(f"noise-5-{s}", f"With 5 % uniform noise, HCVI-R finds the true number on {s} in at least nine draws of ten.",
               "paper", "share of draws with the true k", "at_least", 0.9, partial(finds, s, 0.05, None))
        for s in NOISY
    ),
    *(
        _claim(f"balls-beat-points-{round(100 * f)}", f"With {round(100 * f)} % noise, the index on balls finds the true "
               "number more often than the same index on raw points, by at least half of the draws.", "ours",
               "mean share of hits, balls minus points", "at_least", 0.5, partial(against, f, "points"))
        for f in (0.02, 0.05, 0.10)
    ),
    _claim("noise-20-ends-it", "With 20 % noise HCVI-R finds the true number in at most one draw of ten.", "ours",
           "mean share of draws with the true k", "at_most", 0.1, partial(noise_hits, 0.20)),
    *(
        _claim(f"filter-helps-{round(100 * f)}", f"With {round(100 * f)} % noise, also dropping sparse balls (our density "
               "filter) raises the share of hits by at least 0.05.", "ours",
               "mean share of hits, with filter minus without", "at_least", 0.05, partial(filter_gain, f))
        for f in (0.05, 0.10)
    ),
    _claim("hdbscan-noise-5", "With 5 % noise, HCVI-R finds the true number at least as often as HDBSCAN with its "
           "default settings.", "ours", "mean share of hits, HCVI-R minus HDBSCAN", "at_least", 0.0,
           partial(against, 0.05, "hdbscan")),
    *(
        _claim(f"foreign-{s}", f"On {s}, of all clusterings by five classic methods, the one that HCVI-R scores best is "
               "the true one (ARI of at least 0.95).", "paper", "ARI of the clustering scored best", "at_least", 0.95,
               partial(foreign_ari, s, False))
        for s in FOREIGN
    ),
    *(
        _claim(f"foreign-beats-silhouette-{s}", f"On {s}, the clustering that HCVI-R scores best is better than the one "
               "that silhouette scores best, by 0.2 ARI.", "paper", "ARI, HCVI-R's choice minus silhouette's",
               "at_least", 0.2, partial(foreign_ari, s, True))
        for s in FOREIGN
    ),
    _claim("foreign-rank", "Over all proposed clusterings, HCVI-R orders them by ARI better than silhouette does.", "ours",
           "mean Spearman correlation, HCVI-R minus silhouette", "at_least", 0.0, foreign_rank),
    _claim("foreign-iris", "On iris, the clustering that HCVI-R scores best has the three classes' number.", "paper",
           "k of the clustering scored best", "exact", 3.0, foreign_iris, seeds=5),
    *(
        _claim(f"real-{s}", f"On {s}, HCVI-R chooses as many clusters as there are classes.", "paper", "chosen k", "exact",
               float(len(np.unique(real_table(s)[1]))), partial(real_k, s), seeds=1)
        for s in REAL
    ),
    _claim("real-beats-classic", "Over four real tables (80 % of the rows a draw), HCVI-R's clusters agree with the "
           "classes better, by 0.05 ARI, than those of the best single classic index.", "paper",
           "mean ARI, HCVI-R minus best classic index", "at_least", 0.05, real_ari),
    _claim("pca-harmless", "Projecting to two principal components, as the group's code does, changes the chosen k on none "
           "of the four real tables.", "code", "tables on which k changes", "exact", 0.0, pca_changes_k, seeds=1),
    _claim("quarter", "There is about one hyper-ball for every four points.", "ours", "kept balls / points", "within", 0.25,
           balls_per_point, tolerance=0.05),
    _claim("rounds", "Splitting ends after at most three rounds for every doubling of n, so its cost is n log n.", "ours",
           "rounds / log2(n), largest of three sizes", "at_most", 3.0, rounds_per_doubling, seeds=5),
    _claim("at-most-one", "On single-linkage cuts HCVI-R lies between 0 and 1.", "ours", "cuts outside (0, 1]", "exact", 0.0,
           bound_violations),
    _claim("ratio-is-difference", "On those cuts HCVI-R equals one minus the mean normalised difference of sep and com.",
           "ours", "largest gap", "exact", 0.0, identity_gap, tolerance=1e-12),
    _claim("moving-changes-nothing", "Shifting the data and scaling them by one factor leaves every score as it was.", "ours",
           "largest change of a score", "exact", 0.0, moved_and_scaled, tolerance=1e-6),
    _claim("rotation", "A random rotation, which changes the scaling of features, leaves the chosen k of nine shapes in ten.",
           "ours", "share of shapes with the same k", "at_least", 0.9, rotated),
    _claim("gaps", "Moving true clusters together raises HCVI-R at every step.", "ours", "HCVI-R at gap factors 1 to 0.7",
           "monotone", 0.0, shrinking_gaps),
    *(
        _claim(f"variant-{v.replace(' ', '-')}", f"{sentence} changes the share of hits on clean shapes by at most 0.1.",
               source, "mean share of hits, variant minus default", "within", 0.0, partial(variant_hits, v), tolerance=0.1)
        for v, sentence, source in (
            ("point", "Measuring between the nearest points of two balls instead of their centres", "ours"),
            ("surface", "Measuring between the surfaces of two balls instead of their centres", "ours"),
            ("mean edge", "Taking the mean tree edge instead of the longest as compactness", "code"),
        )
    ),
    _claim("surfaces-touch", "In the 64 features of the digits at least nine balls in ten touch another, so surface "
           "distances say nothing there.", "ours", "share of balls that touch another", "at_least", 0.9, touching_balls,
           seeds=5),
    _claim("root-stops", "One far point can stop the splitting at the very first ball.", "ours", "balls before dropping any",
           "exact", 1.0, stopped_root, seeds=1),
]  # fmt: skip

#: Curves that the notebook draws its own run upon, measured over the same seeds.
CURVES: list[Curve] = [
    Curve(f"index-{s}", "number of clusters k", list(range(2, 11)), partial(index_curve, s), SEEDS) for s in ("rings3", "smile4")
]
