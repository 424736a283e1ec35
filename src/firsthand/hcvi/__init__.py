"""HCVI: a cluster validity index computed on hyper-balls, and the choice of the number of clusters.

Paper: Jiang Xie, Pengfei Zhao, Shuyin Xia, Guoyin Wang, Dongdong Cheng, "A novel cluster internal evaluation
index based on hyper-balls", arXiv 2212.14524 (2022).

In this folder: `balls` splits points into hyper-balls; `index` holds the index, the choice of k and the
scoring of foreign clusterings; `estimator` wraps them for scikit-learn; `peers` and `variants` are what it is compared
with; `claims` and `experiment` measure; `exercises` checks the reader's answers.

What differs from the paper: its index formula could not be obtained. HCVI-R is a reconstruction from the first
author's earlier index DCVI; the splitting follows the group's public code (GitHub xjnine/GB-CVIs), without its
removal of the first row and with full-dimensional min-max scaling as the default.
"""

from firsthand.hcvi.balls import Balls, make_balls
from firsthand.hcvi.estimator import HyperBallClustering
from firsthand.hcvi.experiment import CLAIMS, PRESETS, Config, run
from firsthand.hcvi.index import Choice, choose_k, com_and_sep, hcvi, score, spanning_tree

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
