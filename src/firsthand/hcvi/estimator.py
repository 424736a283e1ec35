"""HCVI-R as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import validate_data

from firsthand.hcvi.balls import make_balls
from firsthand.hcvi.index import choose_from_balls


class HyperBallClustering(ClusterMixin, BaseEstimator):
    """Single linkage on hyper-balls, cut where HCVI-R is least.

    Args:
        n_clusters: "auto" takes the cut with the least HCVI-R; a number is taken as it is (at most the number
            of kept balls).
        min_size, scale, pca, density, force_root_split: as `make_balls`.

    Attributes:
        labels_: (n,) cluster of each row, -1 for rows of dropped balls.
        n_clusters_: number of clusters found.
        balls_: the `Balls` they were found on.

    With fewer than 4 kept balls "auto" puts everything in one cluster, and a UserWarning says so.

    >>> import numpy as np
    >>> from firsthand.data.drawn.shapes import rings3
    >>> int(HyperBallClustering().fit(rings3(seed=0)[0]).n_clusters_)
    3
    """

    def __init__(
        self,
        n_clusters: int | str = "auto",
        *,
        min_size: int = 3,
        scale: str | None = "minmax",
        pca: int | None = None,
        density: float | None = None,
        force_root_split: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.min_size = min_size
        self.scale = scale
        self.pca = pca
        self.density = density
        self.force_root_split = force_root_split

    def fit(self, X: Any, y: Any = None) -> HyperBallClustering:
        """Cluster the rows of X (n, d); y is ignored."""
        X = validate_data(self, X, dtype=(np.float64, np.float32))
        if self.n_clusters != "auto" and not (isinstance(self.n_clusters, (int, np.integer)) and self.n_clusters >= 1):
            raise ValueError(f'n_clusters must be "auto" or a positive integer; got {self.n_clusters!r}.')
        self.balls_ = make_balls(
            X,
            min_size=self.min_size,
            scale=self.scale,
            pca=self.pca,
            density=self.density,
            force_root_split=self.force_root_split,
        )
        auto = self.n_clusters == "auto"
        if len(self.balls_) < (4 if auto else 1):
            warnings.warn(
                f"Only {len(self.balls_)} hyper-balls were kept, too few to choose a number of clusters: all rows "
                "are put in one cluster. Try force_root_split=True or more rows.",
                UserWarning,
                stacklevel=2,
            )
            self.labels_ = np.zeros(len(X), dtype=np.int64)
            self.n_clusters_ = 1
            return self
        choice = choose_from_balls(self.balls_, k=None if auto else min(int(self.n_clusters), len(self.balls_)))
        self.labels_ = choice.labels
        self.n_clusters_ = choice.k
        return self
