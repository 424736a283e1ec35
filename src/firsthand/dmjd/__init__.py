"""DMJD: more signal from every masked image, by disjoint views and a loss on visible tokens too.

Paper: X. Ma, C. Liu, C. Xie, L. Ye, Y. Deng, X. Ji, "Disjoint Masking with Joint Distillation for Efficient Masked
Image Modeling", IEEE Transactions on Multimedia 26, 2024, arXiv 2301.00230.

In this folder, in reading order: `masks` (disjoint views), `hog` (the target), `layers`, `encoders` (a vision
transformer, ConvViT), `model` (two branches and their losses), `recipes` (pre-training and fine-tuning). `lab` is how
it is measured, `page` what its chapter draws and asks.

What differs from the paper: we could not obtain its body, so the method follows the released code (mx-mark/DMJD). The
visible branch compares a prediction with the target of its own token, which is what the paper describes; the released
order is a switch. The coverage that is asked for reaches the masks (the release always asks for all); more than two
views; grids of any size; the book's own nets for pictures of 32 pixels.
"""

from typing import Any

from firsthand.dmjd.encoders import SIZES, Encoder, Size
from firsthand.dmjd.hog import hog_cells, hog_targets
from firsthand.dmjd.masks import (
    Counts,
    counts,
    coverage,
    disjoint_masks,
    independent_masks,
    partition_masks,
    variance_ratio,
    views_needed,
    visible_order,
)
from firsthand.dmjd.model import DMJD, Classifier, build, classifier, hidden_loss, visible_loss
from firsthand.dmjd.recipes import RECIPES, fine_tune, pretrain, scaled_lr
from firsthand.kit.lazy import from_lab

__all__ = [
    "CLAIMS", "DMJD", "PRESETS", "RECIPES", "SIZES", "Classifier", "Config", "Counts", "Encoder", "Size", "build",
    "classifier", "counts", "coverage", "disjoint_masks", "fine_tune", "hidden_loss", "hog_cells", "hog_targets",
    "independent_masks", "partition_masks", "pretrain", "run", "scaled_lr", "variance_ratio", "views_needed",
    "visible_loss", "visible_order",
]  # fmt: skip

_LAB = {
    "claims": "CLAIMS",
    "config": "PRESETS Config",
    "pipeline": "run",
}


def __getattr__(name: str) -> Any:
    return from_lab(__name__, _LAB, name)
