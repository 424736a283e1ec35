"""Settings of the chapter's run, and their presets."""

from __future__ import annotations

from dataclasses import dataclass

from firsthand.hcvi.lab.measures import NOISY


@dataclass(frozen=True)
class Config:
    """Settings of the experiment. All are ours: the paper's own protocol could not be obtained.

    Attributes:
        preset: name under which the result is stored.
        shapes: generators of `firsthand.data.drawn.shapes`, drawn with the run's seed.
        tables: scikit-learn's bundled sets.
        noise: share of uniform noise points added to each shape.
        k_max: largest k proposed to the peer indices (2 … k_max by three clusterers and by cutting the balls).
        dbcv: also score the proposals by DBCV, which costs most of the time.
        data: a CSV file, or a folder in the layout of clustering-data-v1, used instead of shapes and tables.
        needs_data: refuse to run without `data`.
        max_points: peers skip larger sets, since their indices need all pairs, and sets of at most k_max points.
    """

    preset: str
    shapes: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    noise: float = 0.0
    k_max: int = 12
    dbcv: bool = False
    data: str | None = None
    needs_data: bool = False
    max_points: int = 5000


PRESETS = {
    "smoke": Config("smoke", shapes=("bars4",), k_max=5),
    "book": Config("book", shapes=NOISY, k_max=10),
    "paper": Config("paper", k_max=50, dbcv=True, needs_data=True),
}
