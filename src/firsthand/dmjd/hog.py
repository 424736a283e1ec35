"""Histograms of oriented gradients as a target: what stands in a token, without its colours and its brightness.

N images, C colours, cells of c x c pixels, tokens of t x t pixels, b bins.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

SPAN = 511  # differences of two bytes: -255 … 255


@lru_cache(maxsize=8)
def _table(bins: int, device: torch.device) -> Tensor:
    """(SPAN * SPAN, bins): for every pair of differences (row, column), its magnitude at its bin, else 0.

    Pixels are bytes, so a root and an arc tangent a pixel become one look-up.
    """
    d = torch.arange(-255, 256, device=device, dtype=torch.float64)
    return _votes(d[:, None].expand(SPAN, SPAN), d.expand(SPAN, SPAN), bins).flatten(0, 1)


def _votes(row: Tensor, column: Tensor, bins: int) -> Tensor:
    """(…, bins) float32: a gradient's magnitude at the bin of its unsigned orientation, 0 to 180 degrees."""
    magnitude = (row.square() + column.square()).sqrt().float()
    angle = torch.rad2deg(torch.atan2(row, column)) % 180
    which = (angle / (180 / bins)).long().clamp_max(bins - 1)
    return F.one_hot(which, bins) * magnitude.unsqueeze(-1)


def hog_cells(images: Tensor, *, cell: int = 8, bins: int = 9) -> Tensor:
    """Mean magnitude of a cell's gradients by orientation; central differences without the half, 0 at the border.

    The histogram of a cell is a sum of rows of a table, one a pixel: what an embedding bag computes.

    Args:
        images: (N, C, H, W) uint8.
        cell: pixels a side; H and W are multiples.
        bins: over 180 degrees.

    Returns:
        (N, C, H / cell, W / cell, bins) float32.

    Raises:
        ValueError: images that are not bytes, or that cells do not fill.
    """
    count, colours, height, width = images.shape
    if images.dtype != torch.uint8:
        raise ValueError(f"HOG takes the image's bytes (uint8, before it is normalised); got {images.dtype}.")
    if height % cell or width % cell:
        raise ValueError(f"Images of {height} x {width} pixels do not divide into cells of {cell}.")
    x = images.int()
    place = torch.full_like(x, 255 * SPAN + 255)  # no difference in either direction
    place[..., 1:-1, :] += SPAN * (x[..., 2:, :] - x[..., :-2, :])
    place[..., 1:-1] += x[..., 2:] - x[..., :-2]
    shape = (count, colours, height // cell, width // cell, bins)
    pixels = place.view(count, colours, shape[2], cell, shape[3], cell).transpose(3, 4).reshape(-1, cell * cell)
    return F.embedding_bag(pixels, _table(bins, images.device), mode="mean").view(shape)


def hog_targets(images: Tensor, *, cell: int = 8, bins: int = 9, token: int = 16, whiten: bool = True) -> Tensor:
    """What DMJD regresses at every token.

    Args:
        images: (N, C, H, W) uint8, the crop that the encoder sees, not normalised.
        cell, bins: as `hog_cells`.
        token: pixels a side, a multiple of `cell`.
        whiten: each histogram gets mean 0 and variance 1 over its bins (eps 1e-5), in place of the usual block norm.
            A cell without any gradient becomes 0.

    Returns:
        (N, tokens, D) with D = (token / cell)^2 * bins * C, ordered cell row, cell column, bin, colour.

    Raises:
        ValueError: cells that do not fill a token, or tokens that do not fill the image.
    """
    if token % cell:
        raise ValueError(f"A token of {token} pixels does not divide into cells of {cell}.")
    if images.shape[-1] % token or images.shape[-2] % token:
        raise ValueError(
            f"Images of {images.shape[-2]} x {images.shape[-1]} pixels do not divide into tokens of {token}."
        )
    cells = hog_cells(images, cell=cell, bins=bins)
    if whiten:
        cells = F.layer_norm(cells, (bins,), eps=1e-5)
    count, colours, down, right, _ = cells.shape
    side = token // cell
    x = cells.view(count, colours, down // side, side, right // side, side, bins)
    return x.permute(0, 2, 4, 3, 5, 6, 1).reshape(count, down // side * (right // side), -1)
