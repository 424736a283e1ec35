"""How different the channels of a layer are, and how much each belongs to one class."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from firsthand.convnextv2.model import ConvNeXtV2


def feature_diversity(x: Tensor) -> Tensor:
    """Mean cosine distance between the channels of an image, section 3.2 of the paper, in closed form: equation (3).

    D = 1/C^2 sum_ij (1 - cos(X_i, X_j)) / 2 = (1 - ||sum_i u_i||^2 / C^2) / 2 with u_i = X_i / ||X_i||, which takes
    O(HWC) instead of O(HWC^2). 0: all channels are one; 1/2: the most there can be. A channel that is zero
    everywhere counts as distance 1/2 from all, so look at `dead_channels` too.

    Args:
        x: (N, H, W, C).

    Returns:
        (N,) in [0, 1/2].
    """
    sites = x.flatten(1, -2)
    norm = torch.linalg.vector_norm(sites, dim=1, keepdim=True)
    unit = sites / norm.clamp_min(torch.finfo(x.dtype).tiny)
    total = unit.sum(-1).square().sum(1)
    return (1 - total / x.shape[-1] ** 2) / 2


def dead_channels(x: Tensor, *, below: float = 1e-3) -> Tensor:
    """(N,) share of channels whose norm is less than `below` times the mean norm; x (N, H, W, C)."""
    norm = torch.linalg.vector_norm(x.flatten(1, -2), dim=1)
    return (norm <= below * norm.mean(1, keepdim=True)).to(x.dtype).mean(1)


def class_selectivity(activations: Tensor, labels: Tensor, *, eps: float = 1e-7) -> Tensor:
    """(largest class mean - mean of the other class means) / (their sum + eps), for every channel.

    1: active for one class only; 0: for all alike. The index was made for activations that are not negative;
    with others it may leave [0, 1]. The formula is the usual one; the paper's own wording could not be checked.

    Args:
        activations: (N, C), or (N, H, W, C), which is averaged over sites.
        labels: (N,) class indices.
        eps: against division by zero.

    Returns:
        (C,).

    Raises:
        ValueError: fewer than two classes, so that there is no other mean.
    """
    if len(labels) != len(activations) or len(labels.unique()) < 2:
        raise ValueError(
            f"Labels of two classes or more are needed, one a row; got {len(labels)} for {len(activations)}."
        )
    if activations.ndim > 2:
        activations = activations.flatten(1, -2).mean(1)
    means = torch.stack([activations[labels == label].mean(0) for label in labels.unique()])
    top = means.amax(0)
    rest = (means.sum(0) - top) / (len(means) - 1)
    return (top - rest) / (top + rest + eps)


@contextmanager
def _recording(modules: list[nn.Module]) -> Iterator[list[Tensor]]:
    found: list[Tensor] = []
    handles = [module.register_forward_hook(lambda _, __, out: found.append(out.detach())) for module in modules]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def expanded_features(model: ConvNeXtV2, images: Tensor) -> list[Tensor]:
    """The (N, H, W, 4d) features of every block: after GRN in version 2, after GELU where there is none."""
    with _recording([block.grn for block in model.blocks]) as found:
        model.eval().features(images)
    return found


@torch.no_grad()
def around_grn(model: ConvNeXtV2, images: Tensor) -> dict[str, list[Tensor]]:
    """{"before GRN", "after GRN"}: the (N, H, W, 4d) features of every block on either side of the layer."""
    with _recording([block.act for block in model.blocks]) as before:
        model.eval().features(images)
    return {"before GRN": before, "after GRN": expanded_features(model, images)}


@torch.no_grad()
def block_outputs(model: ConvNeXtV2, images: Tensor) -> list[Tensor]:
    """The (N, H, W, d) output of every block."""
    with _recording(list(model.blocks)) as found:
        model.eval().features(images)
    return found


def diversity_by_block(model: ConvNeXtV2, images: Tensor, *, batch: int = 250) -> Tensor:
    """Mean `feature_diversity` of every block over whole (unmasked) images; (blocks,)."""
    parts = [
        torch.stack([feature_diversity(x).sum() for x in expanded_features(model, piece)])
        for piece in images.split(batch)
    ]
    return torch.stack(parts).sum(0) / len(images)
