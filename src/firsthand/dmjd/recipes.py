"""Pre-training with its learning-rate rule and fine-tuning, as the release does them, at any size.

Two small departures: the mask token does not decay and, in fine-tuning, the position code does (the release has both
the other way round).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.dmjd.encoders import Encoder, Size
from firsthand.dmjd.model import DMJD, Classifier
from firsthand.kit.train.loop import Cosine, MicroBatch, parameter_groups, train

Batches = Callable[[MicroBatch], tuple[Tensor, Any]]


def scaled_lr(blr: float, images: int, *, corruption: float, prediction: float = 1.0) -> float:
    """The release's rule: blr * images / 256 * prediction / corruption.

    Args:
        blr: rate for 256 images.
        images: distinct images a step, not views.
        corruption, prediction: of the masks; a view more does not count as an image more.
    """
    return blr * images / 256 * prediction / corruption


def pretrain(
    model: DMJD,
    batches: Batches,
    *,
    steps: int,
    batch: int,
    lr: float,
    warmup: int,
    weight_decay: float = 0.05,
    betas: tuple[float, float] = (0.9, 0.95),
    clip: float | None = None,
    seed: int = 0,
    **loop: Any,
) -> list[float]:
    """Train a DMJD with AdamW and a cosine schedule.

    Args:
        model: trained in place, on its device.
        batches: share -> (images, anything); images in bytes.
        steps, warmup: of the schedule.
        batch: distinct images a step over all shares.
        lr: peak rate, from `scaled_lr`.
        weight_decay, betas: of AdamW; tensors with one axis do not decay.
        clip: largest gradient norm; the release has 3 for the large model, none for base.
        seed: of batches, masks and the order of tokens.
        loop: further arguments of `kit.training.train`.

    Returns:
        The loss of every step.
    """
    optimizer = torch.optim.AdamW(parameter_groups(model, weight_decay=weight_decay), lr=lr, betas=betas)

    def loss(wrapped: nn.Module, share: MicroBatch) -> Tensor:
        images = batches(share)[0].to(model.decoder.mask_token.device, non_blocking=True)
        masks = model.draw_masks(batch, share.generator())  # for the whole batch, whoever computes which part
        ids = model.draw_order(masks, generator=share.generator(4))
        mine, order = (share.take(x.transpose(0, 1)).transpose(0, 1) for x in (masks, ids))
        return wrapped(images, mine.to(images.device), None, order.flatten(0, 1))[0]

    return train(model, optimizer, loss, steps=steps, lr=Cosine(lr, steps, warmup), clip=clip, seed=seed, **loop)


def layer_scales(size: Size, decay: float) -> Callable[[str], float]:
    """Layer-wise decay of the learning rate: parameter name -> decay ** (distance from the head).

    All embeddings and convolution stages share the number of the first layer, as in the release.

    Args:
        size: of the encoder.
        decay: factor from one layer to the one before it.
    """

    def layer(name: str) -> int:
        if not name.startswith("encoder."):
            return size.depth + 1
        found = re.match(r"encoder\.blocks\.(\d+)\.", name)
        return 0 if found is None else int(found[1]) + 1

    return lambda name: decay ** (size.depth + 1 - layer(name))


def fine_tune(
    model: Classifier,
    batches: Batches,
    *,
    steps: int,
    lr: float,
    warmup: int = 0,
    weight_decay: float = 0.05,
    layer_decay: float = 0.65,
    smoothing: float = 0.1,
    seed: int = 0,
    **loop: Any,
) -> list[float]:
    """Train a classifier end to end: AdamW, cosine, layer-wise decay, label smoothing.

    Args:
        model: trained in place.
        batches: share -> (images, labels); labels (N,) or, mixed, (N, classes).
        steps, warmup, lr, weight_decay, layer_decay: of AdamW and its schedule.
        smoothing: of the labels.
        seed, loop: as `pretrain`.

    Returns:
        The loss of every step.
    """
    scale = layer_scales(model.encoder.size, layer_decay)
    optimizer = torch.optim.AdamW(parameter_groups(model, weight_decay=weight_decay, scale=scale), lr=lr)
    device = model.head.weight.device

    def loss(wrapped: nn.Module, share: MicroBatch) -> Tensor:
        images, labels = batches(share)
        logits = wrapped(images.to(device, non_blocking=True))
        return F.cross_entropy(logits.float(), labels.to(device), label_smoothing=smoothing)

    return train(model, optimizer, loss, steps=steps, lr=Cosine(lr, steps, warmup), seed=seed, **loop)


@torch.no_grad()
def embed(encoder: Encoder, images: Tensor, *, batch: int = 250) -> np.ndarray:
    """Features of whole images for a linear probe, (N, d): the last block's output, averaged over all tokens."""
    encoder.eval()
    device = encoder.position.device
    return torch.cat([encoder(x.to(device), bare=True).mean(1).float().cpu() for x in images.split(batch)]).numpy()


@dataclass(frozen=True)
class Recipe:
    """Settings of the release for one model on ImageNet (its guides at 881b21d).

    Attributes:
        epochs, warmup, batch, blr: of pre-training; `batch` counts distinct images.
        clip: largest gradient norm.
        tune_epochs, tune_warmup, tune_blr, layer_decay, drop_path: of fine-tuning at a batch of 1024.
    """

    epochs: int
    clip: float | None
    tune_epochs: int
    layer_decay: float
    drop_path: float
    warmup: int = 20
    batch: int = 512
    blr: float = 6e-4
    tune_warmup: int = 5
    tune_blr: float = 5e-4


RECIPES = {"base": Recipe(400, None, 100, 0.65, 0.1), "large": Recipe(400, 3.0, 50, 0.75, 0.2)}
CROP = (0.5, 1.0)  # share of the area that a crop covers in pre-training
