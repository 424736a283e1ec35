"""Pre-training, linear probe and fine-tuning, as appendix A of the paper and its code do them, at any size."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.convnextv2.fcmae import FCMAE, random_mask
from firsthand.convnextv2.model import ConvNeXtV2, Size, build
from firsthand.kit.train.loop import Cosine, MicroBatch, parameter_groups, train

Batches = Callable[[MicroBatch], tuple[Tensor, Any]]


def pretrain(
    model: FCMAE,
    batches: Batches,
    *,
    steps: int,
    batch: int,
    lr: float,
    warmup: int,
    weight_decay: float = 0.05,
    betas: tuple[float, float] = (0.9, 0.95),
    seed: int = 0,
    **loop: Any,
) -> list[float]:
    """Masked pre-training with AdamW and a cosine schedule.

    Args:
        model: trained in place, on its device.
        batches: share -> (images, anything); normalised images on any device.
        steps, warmup: of the schedule.
        batch: images a step over all shares: the masks of a step are drawn for all of them at once.
        lr: peak rate. The paper's is 1.5e-4 batch / 256.
        weight_decay, betas: of AdamW; tensors with one axis (biases, norms, GRN, mask token) do not decay.
        seed: of batches and masks.
        loop: further arguments of `kit.training.train`.

    Returns:
        The loss of every step.
    """
    optimizer = torch.optim.AdamW(parameter_groups(model, weight_decay=weight_decay), lr=lr, betas=betas)

    def loss(wrapped: nn.Module, share: MicroBatch) -> Tensor:
        images = batches(share)[0].to(model.mask_token.device, non_blocking=True)
        tokens = (images.shape[-1] // model.patch) ** 2
        mask = share.take(random_mask(batch, tokens, model.mask_ratio, share.generator()))
        return wrapped(images, mask.to(images.device, non_blocking=True))[0]

    return train(model, optimizer, loss, steps=steps, lr=Cosine(lr, steps, warmup), seed=seed, **loop)


def classifier_from(
    encoder: ConvNeXtV2 | None, size: Size | str, *, num_classes: int, head_scale: float = 0.001, **options: Any
) -> ConvNeXtV2:
    """A classifier with the weights of a pre-trained encoder, a fresh last norm and a nearly silent head.

    Args:
        encoder: as pre-trained, or None for random weights. Layers that only one of the two models has (a GRN
            dropped or added, say) are left out or start as the identity.
        size, num_classes, options: as `build`.
        head_scale: factor on the head's start weights; the paper's code takes 0.001.
    """
    model = build(size, num_classes=num_classes, **options)
    assert model.head is not None
    with torch.no_grad():
        if encoder is not None:
            found = model.load_state_dict(encoder.state_dict(), strict=False)
            foreign = [n for n in (*found.missing_keys, *found.unexpected_keys) if not _may_differ(n)]
            if foreign:
                raise ValueError(f"The encoder does not fit the classifier: {', '.join(foreign)}.")
        model.head.weight.mul_(head_scale)
        model.head.bias.mul_(head_scale)
    return model


def _may_differ(name: str) -> bool:
    """Parameters that an encoder and a classifier need not share."""
    return (
        name.startswith(("norm.", "head.")) or ".grn." in name or bool(re.fullmatch(r"stages\.\d+\.\d+\.gamma", name))
    )


def layer_scales(depths: tuple[int, ...], decay: float, *, groups: bool = False) -> Callable[[str], float]:
    """Layer-wise decay of the learning rate: parameter name -> decay ** (distance from the head).

    Args:
        depths: blocks a stage.
        decay: factor from one layer to the one before it; 1 = none.
        groups: as base and large are tuned: twelve groups of three blocks, for depths (3, 3, 27, 3) only.
    """
    if groups and tuple(depths) != (3, 3, 27, 3):
        raise ValueError(f"Groups of three blocks are defined for depths (3, 3, 27, 3); got {tuple(depths)}.")
    last = 12 if groups else sum(depths)

    def layer(name: str) -> int:
        found = re.match(r"(downsample_layers|stages)\.(\d+)(?:\.(\d+))?", name)
        if found is None:
            return last + 1
        stage, block = int(found[2]), int(found[3] or 0)
        if not groups:
            return sum(depths[:stage]) + 1 + (block if found[1] == "stages" else 0)
        if found[1] == "downsample_layers":
            return (0, 2, 3, 12)[stage]
        return (1, 2, 3 + block // 3, 12)[stage]

    return lambda name: decay ** (last + 1 - layer(name))


def fine_tune(
    model: ConvNeXtV2,
    batches: Batches,
    *,
    steps: int,
    lr: float,
    warmup: int = 0,
    weight_decay: float = 0.05,
    layer_decay: float = 0.9,
    groups: bool = False,
    smoothing: float = 0.1,
    seed: int = 0,
    **loop: Any,
) -> list[float]:
    """Train a classifier end to end: AdamW, cosine, layer-wise decay, label smoothing.

    Args:
        model: from `classifier_from`, trained in place.
        batches: share -> (images, labels); labels (N,) or, mixed, (N, classes).
        steps, warmup, lr, weight_decay: of AdamW and its schedule; nothing with one axis decays.
        layer_decay, groups: as `layer_scales`.
        smoothing: of the labels.
        seed, loop: as `pretrain`.

    Returns:
        The loss of every step.
    """
    scale = layer_scales(model.size.depths, layer_decay, groups=groups)
    optimizer = torch.optim.AdamW(parameter_groups(model, weight_decay=weight_decay, scale=scale), lr=lr)
    device = next(model.parameters()).device

    def loss(wrapped: nn.Module, share: MicroBatch) -> Tensor:
        images, labels = batches(share)
        logits = wrapped(images.to(device, non_blocking=True))
        return F.cross_entropy(logits.float(), labels.to(device), label_smoothing=smoothing)

    return train(model, optimizer, loss, steps=steps, lr=Cosine(lr, steps, warmup), seed=seed, **loop)


@torch.no_grad()
def embed(model: ConvNeXtV2, images: Tensor, *, batch: int = 250) -> np.ndarray:
    """Features averaged over sites, (N, last width), of whole images."""
    model.eval()
    device = next(model.parameters()).device
    return torch.cat([model.features(x.to(device)).mean((1, 2)).float().cpu() for x in images.split(batch)]).numpy()
