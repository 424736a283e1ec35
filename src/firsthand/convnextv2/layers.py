"""The layers of ConvNeXt V2: global response normalisation, the block, and which sites of an image are visible.

N images, H x W sites, C channels, g x g patches of which V are visible, s sites a side of a patch, T = V s s.
Features are channels-last: (N, H, W, C) for a whole image, (N, T, C) where only visible sites are kept.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALL_MAP = 64  # sites; on a CPU a convolution on so few is faster as one matrix product


class GRN(nn.Module):
    """Global response normalisation, section 3.2 of the paper: channels compete through their norms, equation (1).

    G_i = ||X_i||_2 over the sites, N_i = G_i / (mean_j G_j + eps), output = X_i + gamma_i X_i N_i + beta_i.

    The paper's formula divides by the sum over channels, its pseudo-code and its code by the mean; this is the mean.
    Both parameters start at 0, so that a new layer changes nothing.

    Args:
        channels: C; parameters gamma and beta have shape (C,).
        eps: added to the mean.
    """

    def __init__(self, channels: int, *, eps: float = 1e-6) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """Normalise each image by itself.

        Args:
            x: (N, H, W, C), or (N, T, C) with visible sites only.
            visible: (N, H, W) bool; only these sites enter the norm. None: all.

        Returns:
            The shape of x.
        """
        counted = x if visible is None else x * visible.unsqueeze(-1)
        exact = torch.promote_types(x.dtype, torch.float32)  # half precision overflows in a sum of squares
        squares = counted.to(exact).square().sum(tuple(range(1, x.ndim - 1)), keepdim=True)
        norm = squares.clamp_min(torch.finfo(exact).tiny).sqrt()  # the clamp: an empty channel has gradient 0, not nan
        share = norm / (norm.mean(-1, keepdim=True) + self.eps)
        return torch.addcmul(self.beta.to(x.dtype), x, (1 + self.gamma * share).to(x.dtype))


@lru_cache(maxsize=64)
def _kernel_index(height: int, width: int, kernel: int, device: torch.device) -> Tensor:
    """(HW, HW): which weight of the kernel leads from site q to site p; kernel * kernel where none does."""
    row = torch.arange(height, device=device).repeat_interleave(width)
    column = torch.arange(width, device=device).repeat(height)
    down = row[None] - row[:, None] + kernel // 2
    right = column[None] - column[:, None] + kernel // 2
    inside = (down >= 0) & (down < kernel) & (right >= 0) & (right < kernel)
    return torch.where(inside, down * kernel + right, kernel * kernel)


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Each channel convolved by itself, zeros beyond the border.

    Args:
        x: (N, H, W, C).
        weight: (C, 1, k, k), k odd.
        bias: (C,).

    Returns:
        (N, H, W, C).
    """
    _, height, width, channels = x.shape
    kernel = weight.shape[-1]
    if x.device.type != "cpu" or height * width > SMALL_MAP:
        y = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=kernel // 2, groups=channels)
        return y.permute(0, 2, 3, 1)
    weights = F.pad(weight.flatten(1), (0, 1))  # (C, k k + 1), the last is 0
    matrix = weights[:, _kernel_index(height, width, kernel, x.device)]  # (C, HW, HW)
    y = x.flatten(1, 2).permute(2, 0, 1) @ matrix.mT  # (C, N, HW)
    y = y.permute(1, 2, 0).reshape(x.shape)
    return y if bias is None else y + bias


class Sites:
    """The visible sites of a batch at one resolution: `gather` keeps them, `scatter` puts them back among zeros.

    Args:
        visible: (N, V) indices of the visible patches, raster order.
        grid: g, patches a side.
        side: s, sites a side of a patch.
    """

    def __init__(self, visible: Tensor, grid: int, side: int) -> None:
        images, width = visible.shape[0], grid * side
        inside = torch.arange(side, device=visible.device)
        corner = (visible // grid) * side * width + (visible % grid) * side  # (N, V)
        site = corner[:, :, None, None] + inside[:, None] * width + inside  # (N, V, s, s)
        first = torch.arange(images, device=visible.device) * width * width
        self.rows = (site + first[:, None, None, None]).flatten()
        self.images, self.width = images, width

    def gather(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, T, C), patch after patch, each in raster order."""
        return _Gather.apply(x, self.rows)

    def scatter(self, x: Tensor) -> Tensor:
        """(N, T, C) -> (N, H, W, C), zero where nothing is visible."""
        return _Scatter.apply(x, self.rows, self.width)


class _Gather(torch.autograd.Function):
    """Rows of an image; no row is taken twice, so the gradient is written and need not be added up."""

    @staticmethod
    def forward(ctx, x: Tensor, rows: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(rows)
        ctx.width = x.shape[1]
        return _take(x, rows)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _put(gradient, ctx.saved_tensors[0], ctx.width), None


class _Scatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, rows: Tensor, width: int) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(rows)
        return _put(x, rows, width)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return _take(gradient, ctx.saved_tensors[0]), None, None


def _take(x: Tensor, rows: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1]).index_select(0, rows).view(x.shape[0], -1, x.shape[-1])


def _put(x: Tensor, rows: Tensor, width: int) -> Tensor:
    images, channels = x.shape[0], x.shape[-1]
    whole = x.new_zeros(images * width * width, channels)
    return whole.index_copy_(0, rows, x.reshape(-1, channels)).view(images, width, width, channels)


class Block(nn.Module):
    """The ConvNeXt block: depthwise 7 x 7, norm, expand four times, GELU, GRN, project, add to the input.

    With `grn` and without `layer_scale` it is version 2, the other way round version 1.

    Args:
        channels: d.
        grn: normalise the expanded features.
        layer_scale: start value of a factor a channel on the branch; None leaves the factor out.
        drop_path: probability that an image skips the branch while training.
    """

    def __init__(
        self, channels: int, *, grn: bool = True, layer_scale: float | None = None, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.act = nn.GELU()
        self.grn = GRN(4 * channels) if grn else nn.Identity()
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = None if layer_scale is None else nn.Parameter(torch.full((channels,), layer_scale))
        self.drop_path = drop_path

    def forward(self, x: Tensor, sites: Sites | None = None) -> Tensor:
        """x: (N, H, W, C); with `sites` (N, T, C): only the convolution, which mixes sites, sees the map."""
        y = depthwise_conv(x if sites is None else sites.scatter(x), self.dwconv.weight, self.dwconv.bias)
        y = self.norm(y if sites is None else sites.gather(y))
        y = self.pwconv2(self.grn(self.act(self.pwconv1(y))))
        return x + self._scaled(y)

    def forward_masked(self, x: Tensor, visible: Tensor) -> Tensor:
        """The same on whole maps with zeros at hidden sites, as the paper's TPU code does; visible (N, H, W)."""
        keep = visible.unsqueeze(-1)
        y = self.norm(depthwise_conv(x * keep, self.dwconv.weight, self.dwconv.bias))
        y = self.act(self.pwconv1(y))
        y = self.grn(y, visible) if isinstance(self.grn, GRN) else y
        return x + self._scaled(self.pwconv2(y) * keep)

    def _scaled(self, y: Tensor) -> Tensor:
        if self.gamma is not None:
            y = y * self.gamma
        if self.drop_path and self.training:
            kept = y.new_ones(len(y), *[1] * (y.ndim - 1))
            y = y * F.dropout(kept, self.drop_path)
        return y
