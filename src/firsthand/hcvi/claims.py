"""The chapter's claims: what is said, how it is measured, and the rule that decides.

The paper's abstract claims that the method scores the clusterings of classic methods, finds the number of
clusters under noise and for arbitrary shapes, and outperforms existing indices on synthetic and real data. It
gives no number that we could verify, so `paper` is None throughout; targets are ours and were fixed before the run.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from firsthand.data.tables import REAL, real_table
from firsthand.hcvi import measures as m
from firsthand.hcvi.measures import FOREIGN, HARD, NOISY, SEEDS, SEPARATED
from firsthand.kit.claims import Claim, Curve


def _claim(name: str, *, tolerance: float = 0.0, seeds: int = SEEDS, **rest: Any) -> Claim:
    return Claim(id=name, paper=None, tolerance=tolerance, seeds=seeds, **rest)


CLAIMS: list[Claim] = [
    *(
        _claim(
            f"finds-{s}",
            sentence=f"On {s}, HCVI-R finds the true number of clusters in nine draws of ten.",
            source="paper",
            metric="share of draws with the true k",
            unit="share",
            rule="at_least",
            target=0.9,
            measure=partial(m.finds, s, 0.0, None),
        )
        for s in (*SEPARATED, *HARD)
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
            sentence=(
                f"On {s}, where clusters touch or are thin, silhouette finds the true number more "
                "often than HCVI-R, by half of the draws or more."
            ),
            source="ours",
            metric="share of draws with the true k, silhouette minus HCVI-R",
            unit="share",
            rule="at_least",
            target=0.5,
            measure=partial(m.silhouette_wins, s),
        )
        for s in HARD
    ),
    *(
        _claim(
            f"noise-{round(100 * f)}",
            sentence=(
                f"With {round(100 * f)} % uniform noise, HCVI-R still finds the true number in at "
                "least nine of ten draws, on average over seven shapes."
            ),
            source="paper",
            metric="mean share of draws with the true k",
            unit="share",
            rule="at_least",
            target=0.9,
            measure=partial(m.noise_hits, f),
        )
        for f in (0.02, 0.05, 0.10, 0.20)
    ),
    *(
        _claim(
            f"noise-5-{s}",
            sentence=f"With 5 % uniform noise, HCVI-R finds the true number on {s} in at least nine draws of ten.",
            source="paper",
            metric="share of draws with the true k",
            unit="share",
            rule="at_least",
            target=0.9,
            measure=partial(m.finds, s, 0.05, None),
        )
        for s in NOISY
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
        )
        for f in (0.02, 0.05, 0.10)
    ),
    _claim(
        "noise-20-ends-it",
        sentence="With 20 % noise HCVI-R finds the true number in at most one draw of ten.",
        source="ours",
        metric="mean share of draws with the true k",
        unit="share",
        rule="at_most",
        target=0.1,
        measure=partial(m.noise_hits, 0.20),
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
        )
        for f in (0.05, 0.10)
    ),
    _claim(
        "hdbscan-noise-5",
        sentence=(
            "With 5 % noise, HCVI-R finds the true number at least as often as HDBSCAN with its default settings."
        ),
        source="ours",
        metric="mean share of hits, HCVI-R minus HDBSCAN",
        unit="share",
        rule="at_least",
        target=0.0,
        measure=partial(m.against, 0.05, "hdbscan"),
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
        measure=m.foreign_rank,
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
            f"real-{s}",
            sentence=f"On {s}, HCVI-R chooses as many clusters as there are classes.",
            source="paper",
            metric="chosen k",
            unit="clusters",
            rule="exact",
            target=float(len(np.unique(real_table(s)[1]))),
            measure=partial(m.real_k, s),
            seeds=1,
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
        sentence=(
            "Projecting to two principal components, as the group's code does, changes the chosen k on none "
            "of the four real tables."
        ),
        source="code",
        metric="tables on which k changes",
        unit="tables",
        rule="exact",
        target=0.0,
        measure=m.pca_changes_k,
        seeds=1,
    ),
    _claim(
        "quarter",
        sentence="There is about one hyper-ball for every four points.",
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
        sentence="Splitting ends after at most three rounds for every doubling of n, so its cost is n log n.",
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
            f"variant-{v.replace(' ', '-')}",
            sentence=f"{sentence} changes the share of hits on clean shapes by at most 0.1.",
            source=source,
            metric="mean share of hits, variant minus default",
            unit="share",
            rule="within",
            target=0.0,
            measure=partial(m.variant_hits, v),
            tolerance=0.1,
        )
        for v, sentence, source in (
            ("point", "Measuring between the nearest points of two balls instead of their centres", "ours"),
            ("surface", "Measuring between the surfaces of two balls instead of their centres", "ours"),
            ("mean edge", "Taking the mean tree edge instead of the longest as compactness", "code"),
        )
    ),
    _claim(
        "surfaces-touch",
        sentence=(
            "In the 64 features of the digits at least nine balls in ten touch another, so surface "
            "distances say nothing there."
        ),
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
