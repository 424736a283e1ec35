"""HCVI: a cluster validity index computed on hyper-balls, and the choice of the number of clusters.

Paper: Jiang Xie, Pengfei Zhao, Shuyin Xia, Guoyin Wang, Dongdong Cheng, "A novel cluster internal evaluation
index based on hyper-balls", arXiv 2212.14524 (2022).

In this folder, in reading order: `balls` (splitting points into hyper-balls), `index` (the index, the choice of k,
scoring foreign clusterings), `estimator` (both as a scikit-learn estimator). `lab` is how it is measured, `page` what
its chapter draws and asks.

What differs from the paper: its index formula could not be obtained. HCVI-R is a reconstruction from the first
author's earlier index DCVI; the splitting follows the group's public code (GitHub xjnine/GB-CVIs), without its
removal of the first row and with full-dimensional min-max scaling as the default.
"""

from typing import Any

from firsthand.hcvi.balls import Balls, make_balls
from firsthand.hcvi.estimator import HyperBallClustering
from firsthand.hcvi.index import Choice, choose_k, com_and_sep, hcvi, score, spanning_tree
from firsthand.kit.lazy import from_lab

__all__ = [
    "CLAIMS",
    "PRESETS",
    "Balls",
    "Choice",
    "Config",
    "HyperBallClustering",
    "choose_k",
    "com_and_sep",
    "hcvi",
    "make_balls",
    "run",
    "score",
    "spanning_tree",
]

_LAB = {
    "claims": "CLAIMS",
    "config": "PRESETS Config",
    "pipeline": "run",
}


def __getattr__(name: str) -> Any:
    return from_lab(__name__, _LAB, name)
