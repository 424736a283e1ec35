"""Whom the chapter attacks: networks that nobody has trained, and batches of the shipped faces."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from firsthand.data.readers.images import faces
from firsthand.grnn.networks import LeNet, uniform_init_

PEOPLE = 100  # classes: every face is an identity of its own


def face_batch(batch: int, seed: int) -> tuple[Tensor, Tensor]:
    """(B, 3, 32, 32) different faces, grey repeated to three channels, and their identities (B,)."""
    who = torch.from_numpy(np.random.default_rng([seed, batch]).choice(PEOPLE, batch, replace=False))
    return faces()[who].repeat(1, 3, 1, 1), who


def untrained_victim(seed: int, num_classes: int = PEOPLE, channels: int = 3) -> LeNet:
    """A LeNet as federated learning starts it here: every weight from U(-0.5, 0.5)."""
    model = LeNet(num_classes, channels)
    uniform_init_(model, generator=torch.Generator().manual_seed(seed))
    return model


def guess(who: int) -> Tensor:
    """What one would say without any gradient: the mean of all other faces, (3, 32, 32)."""
    others = torch.cat([faces()[:who], faces()[who + 1 :]])
    return others.mean(0).repeat(3, 1, 1)
