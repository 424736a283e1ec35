"""Building blocks of both encoders: attention, masked convolution, positions.

N images, L = g * g tokens, V of them visible, d channels. Tokens are (N, tokens, d), maps channels-last (N, H, W, d).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def positions(grid: int, width: int) -> Tensor:
    """The fixed sine and cosine code of every token of a grid, (grid * grid, width): half for columns, half for rows.

    Raises:
        ValueError: a width that four does not divide.
    """
    if width % 4:
        raise ValueError(f"A position code needs a width that 4 divides; got {width}.")
    frequency = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angle = torch.arange(grid, dtype=torch.float64)[:, None] * frequency  # (grid, width / 4)
    line = torch.cat([angle.sin(), angle.cos()], dim=1)  # (grid, width / 2)
    columns, rows = line[None].expand(grid, -1, -1), line[:, None].expand(-1, grid, -1)
    return torch.cat([columns, rows], dim=2).reshape(grid * grid, width).float()


def take_tokens(x: Tensor, ids: Tensor) -> Tensor:
    """x (N, L, d), ids (N, V) -> (N, V, d)."""
    return x.gather(1, ids.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


class Mlp(nn.Sequential):
    """Linear, GELU, linear."""

    def __init__(self, width: int, ratio: float) -> None:
        hidden = int(width * ratio)
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class AttentionBlock(nn.Module):
    """The transformer block: norm, attention, norm, two linear layers, each added to its input.

    Args:
        width: d.
        heads: of the attention.
        ratio: hidden width of the two linear layers over d.
        drop_path: probability that an image skips a branch while training.
    """

    def __init__(self, width: int, heads: int, ratio: float = 4.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.heads, self.drop_path = heads, drop_path
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = Mlp(width, ratio)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, d) -> (N, T, d)."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + drop_branch(self.proj(mixed), self.drop_path, self.training)
        return x + drop_branch(self.mlp(self.norm2(x)), self.drop_path, self.training)


class ConvBlock(nn.Module):
    """The masked convolution block: hidden sites are zeroed just before the only layer that mixes sites.

    x + PW(DW(visible * PW(norm(x)))), then two linear layers; DW is depthwise, 5 x 5.

    Args:
        width: d.
        ratio: as `AttentionBlock`; the release has 8, ConvMAE 4.
        drop_path: as `AttentionBlock`.
    """

    def __init__(self, width: int, ratio: float = 8.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.before, self.after = nn.Linear(width, width), nn.Linear(width, width)
        self.dwconv = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.mlp = Mlp(width, ratio)
        self.apply(keep_start)

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """x (N, H, W, d); visible (N, H, W, 1) bool or None = everything."""
        y = self.before(self.norm1(x))
        y = y if visible is None else y * visible
        y = self.dwconv(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = x + drop_branch(self.after(y), self.drop_path, self.training)
        return x + drop_branch(self.mlp(self.norm2(x)), self.drop_path, self.training)


class Down(nn.Module):
    """Patches to tokens: convolution with stride equal to its kernel, norm, GELU.

    Args:
        inside, outside: channels before and after.
        side: of the kernel.
    """

    def __init__(self, inside: int, outside: int, side: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(inside, outside, side, side), nn.LayerNorm(outside)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, inside) -> (N, H / side, W / side, outside)."""
        return F.gelu(self.norm(self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)))


def drop_branch(y: Tensor, rate: float, training: bool) -> Tensor:
    """Leave a residual branch out for whole images at random; what stays is scaled up."""
    if not rate or not training:
        return y
    return y * F.dropout(y.new_ones(len(y), *[1] * (y.ndim - 1)), rate)


def keep_start(module: nn.Module) -> None:
    """Mark layers that are convolutions of one site in the release, which leaves them as PyTorch starts them."""
    if isinstance(module, nn.Linear):
        module.keeps_start = True  # type: ignore[assignment]


def initialise(module: nn.Module) -> None:
    """Linear layers as the release starts them: Xavier uniform, biases zero."""
    if isinstance(module, nn.Linear) and not hasattr(module, "keeps_start"):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
