"""Two questions to a network: how many labels does it get right, and what does a linear classifier read off it?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor, *, batch: int = 250) -> float:
    """Share of images whose largest logit is the label's."""
    model.eval()
    device = next(model.parameters()).device
    hits = [
        (model(x.to(device)).argmax(1).cpu() == y).sum()
        for x, y in zip(images.split(batch), labels.split(batch), strict=True)
    ]
    return float(torch.stack(hits).sum()) / len(images)


def ridge_probe(train: np.ndarray, y: np.ndarray, test: np.ndarray, y_test: np.ndarray) -> float:
    """Accuracy of a linear classifier on standardised features: ridge, its strength by leave-one-out.

    Args:
        train, test: (N, D) features.
        y, y_test: (N,) labels.
    """
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=np.logspace(-2, 4, 13)))
    return float(probe.fit(train, y).score(test, y_test))
