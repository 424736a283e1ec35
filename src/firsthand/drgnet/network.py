"""The two networks: a U-Net that marks lesions, and a grader that looks where lesions are.

The U-Net's widths are the released code's; the grader completes an unfinished file of it (tifat58/drg-net-transformer
at c5ad871), as far as we could reconstruct: its lesion stem, its gate, and our attention over lesions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.data.drawn.lesions import KINDS

ATTENTION = ("none", "low", "high", "both")


#: What an untrained segmenter says of every pixel (the idea is RetinaNet's; the number is ours). Starting at one half
#: it spends its first hundreds of steps learning that nearly nothing is a lesion, and may never learn the rare kinds.
RARE = 0.05


class DoubleConv(nn.Sequential):
    """Two 3 by 3 convolutions with batch norm and ReLU."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__(
            nn.Conv2d(inner, outer, 3, padding=1, bias=False), nn.BatchNorm2d(outer), nn.ReLU(inplace=True),
            nn.Conv2d(outer, outer, 3, padding=1, bias=False), nn.BatchNorm2d(outer), nn.ReLU(inplace=True),
        )  # fmt: skip


class UNet(nn.Module):
    """A U-Net with widths width, 2, 4, 8 and 8 times width, and a logit a pixel for every output.

    Args:
        in_channels: of the pictures.
        out_channels: one for every lesion.
        width: 64 as released; 8 here.
    """

    def __init__(self, in_channels: int = 3, out_channels: int = len(KINDS), *, width: int = 64) -> None:
        super().__init__()
        down = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        up = [4 * width, 2 * width, width, width]
        self.down = nn.ModuleList(DoubleConv(a, b) for a, b in zip([in_channels, *down], down, strict=False))
        below = [down[-1], *up[:-1]]
        self.up = nn.ModuleList(DoubleConv(a + b, c) for a, b, c in zip(below, down[-2::-1], up, strict=True))
        self.head = nn.Conv2d(up[-1], out_channels, 1)
        nn.init.constant_(self.head.bias, math.log(RARE / (1 - RARE)))  # type: ignore[arg-type]

    def encode(self, images: Tensor) -> list[Tensor]:
        """Maps of all five levels, (N, c, h / 2**level, w / 2**level); the last is the bottleneck."""
        maps: list[Tensor] = []
        x = images
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            maps.append(x)
        return maps

    def decode(self, maps: list[Tensor]) -> Tensor:
        """Logits (N, out_channels, h, w) from all maps."""
        x = maps[-1]
        for block, skip in zip(self.up, maps[-2::-1], strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([skip, x], 1))
        return self.head(x)  # type: ignore[no-any-return]

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, out_channels, h, w) of pictures (N, in_channels, h, w) in [0, 1]; sides a multiple of 16."""
        return self.decode(self.encode(images))


# ------------------------------------------------------------------------------------------------- attention


def gated_attention(low: Tensor, context: Tensor) -> Tensor:
    """Where a context finds its like, equation (1): A = sigmoid(sum_c low_c context_c / sqrt(C)).

    Args:
        low: (N, C, H, W), evidence with its place.
        context: (N, C), one vector a picture.

    Returns:
        (N, 1, H, W) in (0, 1). The released fragment has the sum without root and sigmoid.
    """
    scores = torch.einsum("nchw,nc->nhw", low, context) / low.shape[1] ** 0.5
    return scores.unsqueeze(1).sigmoid()


LEVELS = 3  # of the U-Net that the grader shares


class Residual(nn.Module):
    """Two convolutions beside a shortcut; halves the sides where stride is 2.

    Without norms, and the second convolution starts at nought: a norm over a picture would take away how much there is
    of anything, and that is what a grade is.
    """

    def __init__(self, inner: int, outer: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inner, outer, 3, stride, 1)
        self.second = nn.Conv2d(outer, outer, 3, 1, 1)
        nn.init.zeros_(self.second.weight)
        self.past = nn.Conv2d(inner, outer, 1, stride) if stride > 1 or inner != outer else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.past(x))


@dataclass
class Grading:
    """What a grader says, and why.

    Attributes:
        logits: (N, 5).
        gate: A (N, 1, h / 4, w / 4), where it looked; None without attention at low level.
        shares: beta (N, 4), which lesion counted; None without attention at high level.
        high: last map (N, c, h / 32, w / 32), on which Grad-CAM is computed.
    """

    logits: Tensor
    gate: Tensor | None
    shares: Tensor | None
    high: Tensor


class Grader(nn.Module):
    """A small residual network for grades, with attention to lesions at low and at high level.

    Its first three levels have a U-Net's shape and, after `share`, a segmenter's weights, where the released grader
    starts from ImageNet's: a few hundred pictures do not teach a grader to see. They rest until both networks are
    trained together, and then go on, apart from the segmenter's.

    Args:
        attention: "none", "low", "high" or "both".
        width: of the U-Net whose levels it shares; the first gated map has 4 times as many channels.
        grades: 5.
    """

    def __init__(self, attention: str = "both", *, width: int = 8, grades: int = 5) -> None:
        super().__init__()
        if attention not in ATTENTION:
            raise ValueError(f"Unknown attention {attention!r}: choose one of {', '.join(ATTENTION)}.")
        self.low, self.by_lesion = attention in ("low", "both"), attention in ("high", "both")
        self.stem = UNet(width=width).down[:LEVELS]
        low, top = 4 * width, 16 * width
        self.layers = nn.Sequential(Residual(low, low, 2), Residual(low, 2 * low, 2), Residual(2 * low, top, 2))
        if self.low:
            self.lesions = nn.Conv2d(len(KINDS), low, 7, 4, 3)
            self.context = nn.Linear(top, 2 * low)
        if self.by_lesion:
            self.query = nn.Linear(top, top, bias=False)
        self.head = nn.Linear(2 * top if self.by_lesion else top, grades)

    def share(self, segmenter: UNet) -> None:
        """Take over a segmenter's first levels, which then rest."""
        self.stem.load_state_dict(segmenter.down[:LEVELS].state_dict())
        self.stem.requires_grad_(False)

    def train(self, mode: bool = True) -> Grader:
        """As usual, but the shared levels keep their batch norm's statistics."""
        super().train(mode)
        self.stem.eval()
        return self

    def low_maps(self, images: Tensor) -> Tensor:
        """What the shared levels see in pictures (N, 3, h, w) in [0, 1]: (N, 4 width, h / 4, w / 4)."""
        low = images
        for level, block in enumerate(self.stem):
            low = block(F.max_pool2d(low, 2) if level else low)
        return low

    def forward(self, images: Tensor, lesions: Tensor, low: Tensor | None = None) -> Grading:
        """Grade pictures, with the gate of equation (1) and the lesions' shares of equation (2).

        Args:
            images: (N, 3, h, w) in [0, 1], sides a multiple of 32. lesions: probabilities (N, 4, h, w).
            low: their `low_maps`, where somebody has kept them.
        """
        low = self.low_maps(images) if low is None else low
        gate = None
        if self.low:
            context = self.context(self.layers(low).mean((2, 3)))
            gate = gated_attention(torch.cat([self.lesions(lesions), low], 1), context)
            low = low * (1 + gate)
        high = self.layers(low)
        pooled, shares = high.mean((2, 3)), None
        if self.by_lesion:
            shares, found = self._by_lesion(high, lesions, pooled)
            pooled = torch.cat([pooled, found], 1)
        return Grading(self.head(pooled), gate, shares, high)

    def _by_lesion(self, high: Tensor, lesions: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """beta (N, 4) of equation (2), and the features of all lesions weighted by it (N, c)."""
        small = F.adaptive_max_pool2d(lesions, high.shape[-2:])  # a lesion is smaller than a cell: its peak counts
        peak = small.amax((2, 3))
        within = torch.einsum("nchw,nkhw->nkc", high, small) / small.sum((2, 3)).clamp_min(1e-3).unsqueeze(-1)
        scores = torch.einsum("nkc,nc->nk", within, self.query(pooled)) / within.shape[-1] ** 0.5
        shares = (scores + peak.clamp_min(1e-4).log()).softmax(1)  # what is not there cannot count
        return shares, torch.einsum("nk,nkc->nc", shares, within)
