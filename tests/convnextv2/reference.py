"""Slow, plain re-implementations to compare with: one image, one visible site at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from firsthand.convnextv2.layers import GRN, Block
from firsthand.convnextv2.model import ConvNeXtV2


def grn_nchw(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Global response normalisation written out for (N, C, H, W)."""
    norm = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)
    share = norm / (norm.mean(1, keepdim=True) + 1e-6)
    return gamma.view(1, -1, 1, 1) * (x * share) + beta.view(1, -1, 1, 1) + x


def _sparse_block(block: Block, sites: dict[tuple[int, int], Tensor]) -> dict[tuple[int, int], Tensor]:
    """A block on a dictionary {(row, column): features} of occupied sites; nothing else exists."""
    kernel, hidden = block.dwconv.weight[:, 0], {}
    for i, j in sites:
        total = block.dwconv.bias.clone()
        for (k, l), value in sites.items():  # noqa: E741
            if abs(k - i) <= 3 and abs(l - j) <= 3:
                total = total + kernel[:, k - i + 3, l - j + 3] * value
        hidden[i, j] = F.gelu(block.pwconv1(block.norm(total)))
    if isinstance(block.grn, GRN):
        norm = torch.stack(list(hidden.values())).square().sum(0).sqrt()
        share = norm / (norm.mean() + 1e-6)
        hidden = {at: block.grn.gamma * h * share + block.grn.beta + h for at, h in hidden.items()}
    scale = 1.0 if block.gamma is None else block.gamma
    return {at: sites[at] + scale * block.pwconv2(h) for at, h in hidden.items()}


def sparse_encode(model: ConvNeXtV2, image: Tensor, mask: Tensor) -> Tensor:
    """(C, H, W) and (g, g) bool, True = hidden -> (g, g, width), zero where hidden."""
    patch, stem = model.size.patch, model.size.stem
    conv, norm = model.downsample_layers[0]
    sites: dict[tuple[int, int], Tensor] = {}
    for i in range(image.shape[1] // stem):
        for j in range(image.shape[2] // stem):
            if not mask[i * stem // patch, j * stem // patch]:
                window = image[:, i * stem : (i + 1) * stem, j * stem : (j + 1) * stem]
                sites[i, j] = norm((conv.weight * window).sum((1, 2, 3)) + conv.bias)
    for number, stage in enumerate(model.stages):
        if number:
            norm, conv = model.downsample_layers[number]
            new: dict[tuple[int, int], Tensor] = {}
            for i, j in sites:
                total = new.get((i // 2, j // 2), conv.bias)
                new[i // 2, j // 2] = total + conv.weight[:, :, i % 2, j % 2] @ norm(sites[i, j])
            sites = new
        for block in stage:
            sites = _sparse_block(block, sites)
    out = image.new_zeros(*mask.shape, model.size.dims[-1])
    for (i, j), value in sites.items():
        out[i, j] = value
    return out
