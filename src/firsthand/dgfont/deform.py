"""Modulated deformable convolution in plain torch, and the skip connection that moves strokes with it.

    y(p) = b + sum_j w_j x(p + p_j + dp_j(p)) m_j(p)

(Zhu and others, *Deformable ConvNets v2*, CVPR 2019). The same values and gradients as torchvision's operator, whose
backward pass on a CPU is slow; here sampling is `grid_sample`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FDSC = ("conv", "attn", "plain", "none")
SHARE = 8  # an attention's keys have so many times fewer channels


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """Convolution whose taps are moved, equation (1); the semantics of `torchvision.ops.deform_conv2d` with one group.

    Args:
        x: (B, C, H, W).
        offset: pixels, (B, 2 kh kw, h, w), for every tap first down, then right; taps row by row.
        weight: (O, C, kh, kw). bias: (O,).
        stride, padding, dilation: as in a convolution.
        mask: factors of the taps, (B, kh kw, h, w); None: ones.

    Returns:
        (B, O, h, w). A tap between pixels reads them bilinearly; outside the picture is nought.

    Raises:
        ValueError: shapes that do not belong together; the sentence names them.
    """
    (batch, channels, height, width), (out, within, rows, columns) = x.shape, weight.shape
    (sy, sx), (py, px), (dy, dx) = _pair(stride), _pair(padding), _pair(dilation)
    h = (height + 2 * py - dy * (rows - 1) - 1) // sy + 1
    w = (width + 2 * px - dx * (columns - 1) - 1) // sx + 1
    taps = rows * columns
    if within != channels:
        raise ValueError(f"The weight reads {within} channels, x has {channels}; groups are not supported.")
    if offset.shape != (batch, 2 * taps, h, w) or (mask is not None and mask.shape != (batch, taps, h, w)):
        given = f"offset {tuple(offset.shape)}" + ("" if mask is None else f", mask {tuple(mask.shape)}")
        raise ValueError(f"For {taps} taps and a result of {h} by {w} the {given} do not fit.")
    down, right = offset.view(batch, taps, 2, h, w).unbind(2)

    def count(number: int) -> Tensor:
        return torch.arange(number, dtype=x.dtype, device=x.device)

    row = count(rows).repeat_interleave(columns).view(taps, 1, 1) * dy - py
    column = count(columns).repeat(rows).view(taps, 1, 1) * dx - px
    y = down + row + sy * count(h).view(h, 1)
    z = right + column + sx * count(w)
    grid = torch.stack([(2 * z + 1) / width - 1, (2 * y + 1) / height - 1], -1).view(batch, taps * h, w, 2)
    read = F.grid_sample(x, grid, "bilinear", "zeros", align_corners=False).view(batch, channels, taps, h, w)
    if mask is not None:
        read = read * mask.unsqueeze(1)
    found = weight.reshape(out, channels * taps) @ read.reshape(batch, channels * taps, h * w)
    found = found.view(batch, out, h, w)
    return found if bias is None else found + bias.view(1, -1, 1, 1)


class Offsets(nn.Module):
    """From feature maps the moves and factors of a deformable convolution's taps.

    Args:
        channels: of the maps. kernel, stride, padding: of that convolution.
        zero: start with no moves and factors of one half; otherwise as the release, whose initialisation of all
            convolutions overwrites that of this one (moves of about half a pixel at the start).
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1, padding: int = 0, *, zero: bool = True) -> None:
        super().__init__()
        self.taps, self.zero = kernel * kernel, zero
        self.conv = nn.Conv2d(channels, 3 * self.taps, kernel, stride, padding)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(offset (B, 2 k k, h, w), mask (B, k k, h, w))."""
        found = self.conv(maps)
        return found[:, : 2 * self.taps], found[:, 2 * self.taps :].sigmoid()


class DeformConv(nn.Module):
    """A deformable convolution that finds its moves in the map that it reads (DG-Font's content encoder).

    Args:
        inputs, outputs: channels. kernel, stride, padding: as in a convolution. zero: see `Offsets`.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, *, zero: bool = True
    ) -> None:
        super().__init__()
        self.stride, self.padding = stride, padding
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.offsets = Offsets(inputs, kernel, stride, padding, zero=zero)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, h, w)."""
        offset, mask = self.offsets(x)
        return deform_conv2d(x, offset, self.weight, self.bias, self.stride, self.padding, mask=mask)


class Attention(nn.Module):
    """What the content's map says at the places that resemble those of the styled one; our form of DGFont++'s.

    Args:
        channels: of both maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // SHARE)
        self.query, self.key = nn.Conv2d(channels, inner, 1), nn.Conv2d(channels, inner, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.strength = nn.Parameter(torch.tensor(0.1))  # at nought moves and attention would wait for each other

    def forward(self, styled: Tensor, content: Tensor) -> Tensor:
        """(B, C, H, W) twice -> content plus what attention adds."""
        q, k, v = (f(x).flatten(2).mT for f, x in ((self.query, styled), (self.key, content), (self.value, content)))
        found = F.scaled_dot_product_attention(q, k, v).mT.reshape(content.shape)
        return content + self.strength * found


class Skip(nn.Module):
    """Feature deformation skip connection, FDSC, equation (2): content features, moved to where the style wants them.

    Args:
        channels: of both maps.
        kind: "conv", DG-Font's; "attn", with attention before the moves are found; "plain", an ordinary convolution.
        zero: see `Offsets`.
    """

    def __init__(self, channels: int, kind: str = "conv", *, zero: bool = True) -> None:
        super().__init__()
        if kind not in FDSC[:3]:
            raise ValueError(f"Unknown skip connection {kind!r}: choose one of {', '.join(FDSC[:3])}.")
        self.attention = Attention(channels) if kind == "attn" else None
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.offsets = None if kind == "plain" else Offsets(2 * channels, 3, 1, 1, zero=zero)

    def forward(self, content: Tensor, styled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, H, W) twice -> (moved content, offset (B, 18, H, W), mask (B, 9, H, W))."""
        if self.offsets is None:
            shape = (len(content), *content.shape[2:])
            moved = F.conv2d(content, self.weight, self.bias, padding=1)
            return moved, content.new_zeros(shape[0], 18, *shape[1:]), content.new_ones(shape[0], 9, *shape[1:])
        seen = content if self.attention is None else self.attention(styled, content)
        offset, mask = self.offsets(torch.cat([styled, seen], 1))
        return deform_conv2d(content, offset, self.weight, self.bias, padding=1, mask=mask), offset, mask
