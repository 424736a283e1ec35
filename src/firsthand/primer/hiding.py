"""Hiding parts of pictures and guessing them from the rest: a masked autoencoder with one matrix for a network."""

from __future__ import annotations

import torch
from torch import Tensor

PATCH = 2  # pixels
RIDGE = 1.0


def hide(side: int, share: float, seed: int) -> Tensor:
    """Which pixels are hidden: square patches of PATCH pixels drawn at random, (side * side,) of bool."""
    patches = side // PATCH
    order = torch.randperm(patches * patches, generator=torch.Generator().manual_seed(seed))
    chosen = torch.zeros(patches * patches, dtype=torch.bool)
    chosen[order[: round(share * patches * patches)]] = True
    grid = chosen.reshape(patches, patches)
    return grid.repeat_interleave(PATCH, 0).repeat_interleave(PATCH, 1).flatten()


def guess(train: Tensor, test: Tensor, hidden: Tensor) -> Tensor:
    """Hidden pixels of `test` (n, d), guessed from its shown ones by ridge regression fitted on `train` (m, d).

    Returns:
        A copy of `test` with hidden pixels replaced by the guess.
    """
    mean = train.mean(0)
    shown = (train - mean)[:, ~hidden]
    square = shown.T @ shown + RIDGE * torch.eye(shown.shape[1], dtype=train.dtype)
    weights = torch.linalg.solve(square, shown.T @ (train - mean)[:, hidden])
    found = test.clone()
    found[:, hidden] = mean[hidden] + (test - mean)[:, ~hidden] @ weights
    return found
