"""The networks: a field of density and features, HeadNeRF's size by default, and its renderer to pictures.

There is no public code of NeRF-Gaze and its full text could not be obtained. Sizes are HeadNeRF's (CrisHY1995/headnerf
at f874574), on which the contemporaneous GazeNeRF stands as well.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.nerfgaze.rendering import encode


class Field(nn.Module):
    """Density and features at points, under codes of shape and of look.

    Args:
        shape, look: lengths of the codes; shape enters the density, look the features alone.
        frequencies: of the encoding of points. width, depth: of the layers before the density.
        again: after so many layers the input is given once more; None: never.
        features: numbers a point. hidden: width of the layer before them.
        density: "relu" as in HeadNeRF, or "softplus".
    """

    def __init__(
        self, shape: int, look: int, *, frequencies: int, width: int, depth: int, features: int, hidden: int,
        again: int | None = None, density: str = "relu",
    ) -> None:  # fmt: skip
        super().__init__()
        if density not in ("relu", "softplus"):
            raise ValueError(f"Unknown density {density!r}: choose relu or softplus.")
        inputs = 3 * (1 + 2 * frequencies) + shape
        sizes = [inputs] + [width + (inputs if n == again else 0) for n in range(1, depth)]
        self.layers = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.sigma, self.feature = nn.Linear(width, 1), nn.Linear(width, width)
        self.first, self.last = nn.Linear(width + look, hidden), nn.Linear(hidden, features)
        self.frequencies, self.again, self.density = frequencies, again, density

    def forward(self, x: Tensor, shape: Tensor, look: Tensor) -> tuple[Tensor, Tensor]:
        """Points (..., 3) in about [-1, 1], codes (..., shape), (..., look) -> densities (...), features (..., C)."""
        inputs = torch.cat([encode(x, self.frequencies), shape], -1)
        h = inputs
        for number, layer in enumerate(self.layers):
            h = torch.cat([inputs, h], -1) if number and number == self.again else h
            h = layer(h).relu()
        raw = self.sigma(h)[..., 0]
        density = raw.relu() if self.density == "relu" else 3 * F.softplus(raw)
        return density, self.last(self.first(torch.cat([self.feature(h), look], -1)).relu())


class FaceField(Field):
    """HeadNeRF's field: codes of identity (100) and expression (79), of albedo (100) and illumination (27)."""

    def __init__(self, *, features: int = 256) -> None:
        super().__init__(179, 127, frequencies=10, width=384, depth=8, again=5, features=features, hidden=192)


class Renderer(nn.Module):
    """HeadNeRF's way from a map of features to a picture: doublings by 1 by 1 convolutions and a fixed blur.

    No wider kernels: what a place shows depends on its own ray, so that views stay consistent.

    Args:
        features: of the map. scale: picture over map, a power of two.
    """

    def __init__(self, features: int = 256, scale: int = 8) -> None:
        super().__init__()
        widths = [max(features // 2**n, 32) for n in range(int(math.log2(scale)) + 1)]
        pairs = list(itertools.pairwise(widths))
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, 2 * a, 1), nn.LeakyReLU(0.2), nn.Conv2d(2 * a, 4 * a, 1), nn.LeakyReLU(0.2))
            for a, _ in pairs
        )
        self.down = nn.ModuleList(nn.Sequential(nn.Conv2d(a, b, 1), nn.LeakyReLU(0.2)) for a, b in pairs)
        self.paint = nn.ModuleList(nn.Conv2d(width, 3, 1) for width in widths)
        self.blur: Tensor
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("blur", (line[:, None] * line)[None, None], persistent=False)

    def _blurred(self, x: Tensor) -> Tensor:
        kernel = self.blur.expand(x.shape[1], 1, 3, 3)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), "replicate"), kernel, groups=x.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """(N, features, h, w) -> (N, 3, scale h, scale w) in (0, 1)."""
        picture = self.paint[0](x)
        for up, down, paint in zip(self.up, self.down, list(self.paint)[1:], strict=True):
            x = down(self._blurred(F.pixel_shuffle(up(x) + x.repeat(1, 4, 1, 1), 2)))
            larger = F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
            picture = self._blurred(larger) + paint(x)
        return picture.sigmoid()
