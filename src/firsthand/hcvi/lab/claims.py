"""The chapter's claims: what is said, how it is measured, and the rule that decides.

The paper's abstract claims that the method scores the clusterings of classic methods, finds the number of
clusters under noise and for arbitrary shapes, and outperforms existing indices on synthetic and real data. Rows of
source "paper" test these claims; how strictly is our choice, fixed before the run. The abstract gives no number, so
`paper` is None throughout.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from firsthand.data.readers.tables import REAL
from firsthand.hcvi.lab import measures as m
from firsthand.hcvi.lab.measures import FOREIGN, HARD, MANY_SEEDS, NOISY, SEEDS, SEPARATED
from firsthand.kit.lab.claims import Claim, Curve

#: Classes of the tables of scikit-learn (a test counts them).
CLASSES = {"iris": 3, "wine": 3, "breast_cancer": 2, "digits": 10}


def _claim(name: str, *, tolerance: float = 0.0, seeds: int = SEEDS, **rest: Any) -> Claim:
    return Claim(id=name, paper=None, tolerance=tolerance, seeds=seeds, **rest)


CLAIMS: list[Claim] = [
    *(
        _claim(
            f"finds-{s}",
            sentence=f"On {s}, HCVI-R finds the true number of clusters in nine draws of ten.",
            source=source,
            metric="share of draws with the true k",
            unit="share",
            rule="at_least",
            target=0.9,
            measure=partial(m.finds, s, 0.0, None),
            seeds=MANY_SEEDS,
        )
        for names, source in ((SEPARATED, "paper"), (HARD, "ours"))
        for s in names
    ),
    *(
        _claim(
            f"beats-classic-{s}",
            sentence=f"On {s}, HCVI-R's clusters are better, by 0.05 ARI, than the best of three classic indices' choices.",
            source="paper",
            metric="ARI, HCVI-R minus best classic index",
            unit="ARI",
            rule="at_least",
            target=0.05,
            measure=partial(m.against_classic, s),
        )
        for s in SEPARATED
    ),
    _claim(
        "beats-dbcv",
        sentence="Over the ten separated shapes, HCVI-R's clusters are better, by 0.05 ARI, than DBCV's choices.",
        source="paper",
        metric="mean ARI, HCVI-R minus DBCV",
        unit="ARI",
        rule="at_least",
        target=0.05,
        measure=m.against_dbcv,
    ),
    *(
        _claim(
            f"silhouette-wins-{s}",
            sentence=f"On {s}, where clusters touch or are thin, silhouette's clusters are better than HCVI-R's by 0.05 ARI.",
            source="ours",
            metric="ARI, silhouette minus HCVI-R",
            unit="ARI",
            rule="at_least",
            target=0.05,
            measure=partial(m.silhouette_wins, s),
        )
        for s in HARD
    ),
    *(
        _claim(
            f"noise-{percent}",
            sentence=f"With {percent} % uniform noise, HCVI-R still finds the true number in nine of ten draws, over seven shapes.",
            source=source,
            metric="mean share of draws with the true k",
            unit="share",
            rule="at_least",
            target=0.9,
            measure=partial(m.noise_hits, percent / 100),
            seeds=MANY_SEEDS,
        )
        for percent, source in ((2, "paper"), (5, "paper"), (10, "ours"), (20, "ours"))
    ),
    *(
        _claim(
            f"noise-5-{s}",
            sentence=f"With 5 % uniform noise, HCVI-R finds the true number on {s} in nine draws of ten.",
            source="paper",
            metric="share of draws with the true k",
            unit="share",
            rule="at_least",
            target=0.9,
            measure=partial(m.finds, s, 0.05, None),
            seeds=MANY_SEEDS,
        )
        for s in NOISY
    ),
    *(
        _claim(
            f"dropping-helps-{percent}",
            sentence=f"With {percent} % noise, dropping balls of one or two points accounts for at least 0.2 of the share of hits.",
            source="ours",
            metric="mean share of hits, dropped minus kept",
            unit="share",
            rule="at_least",
            target=0.2,
            measure=partial(m.dropping_gain, percent / 100),
        )
        for percent in (2, 5)
    ),
    *(
        _claim(
            f"balls-beat-points-{round(100 * f)}",
            sentence=(
                f"With {round(100 * f)} % noise, the index on balls finds the true "
                "number more often than the same index on raw points, by at least half of the draws."
            ),
            source="ours",
            metric="mean share of hits, balls minus points",
            unit="share",
            rule="at_least",
            target=0.5,
            measure=partial(m.against, f, "points"),
            seeds=MANY_SEEDS,
        )
        for f in (0.02, 0.05, 0.10)
    ),
    *(
        _claim(
            f"filter-helps-{round(100 * f)}",
            sentence=(
                f"With {round(100 * f)} % noise, also dropping sparse balls (our density "
                "filter) raises the share of hits by at least 0.05."
            ),
            source="ours",
            metric="mean share of hits, with filter minus without",
            unit="share",
            rule="at_least",
            target=0.05,
            measure=partial(m.filter_gain, f),
            seeds=MANY_SEEDS,
        )
        for f in (0.05, 0.10)
    ),
    *(
        _claim(
            f"hdbscan-noise-{percent}",
            sentence=f"With {percent} % noise, HCVI-R finds the true number at least as often as HDBSCAN with its default settings.",
            source="ours",
            metric="mean share of hits, HCVI-R minus HDBSCAN",
            unit="share",
            rule="at_least",
            target=0.0,
            measure=partial(m.against, percent / 100, "hdbscan"),
            seeds=MANY_SEEDS,
        )
        for percent in (2, 5, 10, 20)
    ),
    *(
        _claim(
            f"foreign-{s}",
            sentence=(
                f"On {s}, of all clusterings by five classic methods, the one that HCVI-R scores best is "
                "the true one (ARI of at least 0.95)."
            ),
            source="paper",
            metric="ARI of the clustering scored best",
            unit="ARI",
            rule="at_least",
            target=0.95,
            measure=partial(m.foreign_ari, s, False),
        )
        for s in FOREIGN
    ),
    *(
        _claim(
            f"foreign-beats-silhouette-{s}",
            sentence=(
                f"On {s}, the clustering that HCVI-R scores best is better than the one "
                "that silhouette scores best, by 0.2 ARI."
            ),
            source="paper",
            metric="ARI, HCVI-R's choice minus silhouette's",
            unit="ARI",
            rule="at_least",
            target=0.2,
            measure=partial(m.foreign_ari, s, True),
        )
        for s in FOREIGN
    ),
    _claim(
        "foreign-rank",
        sentence="Over all proposed clusterings, HCVI-R orders them by ARI better than silhouette does.",
        source="ours",
        metric="mean Spearman correlation, HCVI-R minus silhouette",
        unit="1",
        rule="at_least",
        target=0.0,
        measure=partial(m.foreign_rank, True),
    ),
    _claim(
        "foreign-rank-own",
        sentence="Over all proposed clusterings, HCVI-R's order and that of ARI correlate by at least 0.5.",
        source="ours",
        metric="mean Spearman correlation of HCVI-R and ARI",
        unit="1",
        rule="at_least",
        target=0.5,
        measure=partial(m.foreign_rank, False),
    ),
    _claim(
        "foreign-iris",
        sentence="On iris, the clustering that HCVI-R scores best has the three classes' number.",
        source="paper",
        metric="k of the clustering scored best",
        unit="clusters",
        rule="exact",
        target=3.0,
        measure=m.foreign_iris,
        seeds=5,
    ),
    *(
        _claim(
            f"real-{s}{suffix}",
            sentence=f"On {s}{words}, HCVI-R chooses as many clusters as there are classes.",
            source="paper",
            metric="chosen k",
            unit="clusters",
            rule="exact",
            target=float(CLASSES[s]),
            measure=partial(m.real_k, s, pca),
            seeds=1,
        )
        for pca, suffix, words in (
            (None, "", ""),
            (2, "-pca", ", projected to two components as the group's code does"),
        )
        for s in REAL
    ),
    _claim(
        "real-beats-classic",
        sentence=(
            "Over four real tables (80 % of the rows a draw), HCVI-R's clusters agree with the "
            "classes better, by 0.05 ARI, than those of the best single classic index."
        ),
        source="paper",
        metric="mean ARI, HCVI-R minus best classic index",
        unit="ARI",
        rule="at_least",
        target=0.05,
        measure=m.real_ari,
    ),
    _claim(
        "pca-harmless",
        sentence=("Projecting to two principal components changes the chosen k on none of the four real tables."),
        source="ours",
        metric="tables on which k changes",
        unit="tables",
        rule="exact",
        target=0.0,
        measure=m.pca_changes_k,
        seeds=1,
    ),
    _claim(
        "quarter",
        sentence="Ten thousand points of a plane Gaussian give about one hyper-ball for every four points.",
        source="ours",
        metric="kept balls / points",
        unit="1",
        rule="within",
        target=0.25,
        measure=m.balls_per_point,
        tolerance=0.05,
    ),
    _claim(
        "rounds",
        sentence="On plane Gaussians splitting ends after at most three rounds for every doubling of n.",
        source="ours",
        metric="rounds / log2(n), largest of three sizes",
        unit="1",
        rule="at_most",
        target=3.0,
        measure=m.rounds_per_doubling,
        seeds=5,
    ),
    _claim(
        "at-most-one",
        sentence="On single-linkage cuts HCVI-R lies between 0 and 1.",
        source="ours",
        metric="cuts outside (0, 1]",
        unit="cuts",
        rule="exact",
        target=0.0,
        measure=m.bound_violations,
    ),
    _claim(
        "ratio-is-difference",
        sentence="On those cuts HCVI-R equals one minus the mean normalised difference of sep and com.",
        source="ours",
        metric="largest gap",
        unit="1",
        rule="exact",
        target=0.0,
        measure=m.identity_gap,
        tolerance=1e-12,
    ),
    _claim(
        "moving-changes-nothing",
        sentence="Shifting the data and scaling them by one factor leaves every score as it was.",
        source="ours",
        metric="largest change of a score",
        unit="1",
        rule="exact",
        target=0.0,
        measure=m.moved_and_scaled,
        tolerance=1e-6,
    ),
    _claim(
        "rotation",
        sentence="A random rotation, which changes the scaling of features, leaves the chosen k of nine shapes in ten.",
        source="ours",
        metric="share of shapes with the same k",
        unit="share",
        rule="at_least",
        target=0.9,
        measure=m.rotated,
    ),
    _claim(
        "gaps",
        sentence="Moving true clusters together raises HCVI-R at every step.",
        source="ours",
        metric="HCVI-R at gap factors 1 to 0.7",
        unit="1",
        rule="monotone",
        target=0.0,
        measure=m.shrinking_gaps,
    ),
    *(
        _claim(
            f"variant-{variant.replace(' ', '-')}",
            sentence=f"{sentence} changes the share of hits on clean shapes by at most 0.1.",
            source="ours",
            metric="mean share of hits, variant minus default",
            unit="share",
            rule="within",
            target=0.0,
            measure=partial(m.variant_hits, variant),
            tolerance=0.1,
        )
        for variant, sentence in (
            ("point", "Measuring between the nearest points of two balls instead of their centres"),
            ("surface", "Measuring between the surfaces of two balls instead of their centres"),
            ("mean edge", "Taking the mean tree edge instead of the longest as com"),
            ("csp", "Replacing the index by CSP (mean edge, normalised difference)"),
            ("no singles", "Rejecting every cut with a single-ball cluster, as the group's code for DCVI does,"),
        )
    ),
    _claim(
        "surfaces-touch",
        sentence="In the 64 features of the digits at least nine balls in ten touch another ball.",
        source="ours",
        metric="share of balls that touch another",
        unit="share",
        rule="at_least",
        target=0.9,
        measure=m.touching_balls,
        seeds=5,
    ),
    _claim(
        "root-stops",
        sentence="One far point can stop the splitting at the very first ball.",
        source="ours",
        metric="balls before dropping any",
        unit="balls",
        rule="exact",
        target=1.0,
        measure=m.stopped_root,
        seeds=1,
    ),
]

#: Curves that the notebook draws its own run upon, measured over the same seeds.
CURVES: list[Curve] = [
    Curve(f"index-{s}", "number of clusters k", list(range(2, 11)), partial(m.index_curve, s), SEEDS)
    for s in ("rings3", "smile4")
]
