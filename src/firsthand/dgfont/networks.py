"""Generator, style encoder and discriminator of DG-Font, at the released sizes and at ours.

Pictures (B, channels, H, W) in [-1, 1], white paper at +1. Released sizes: 80 pixels, three equal channels, width 64.
"""

from __future__ import annotations

import math
import zlib

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from firsthand.dgfont.deform import FDSC, DeformConv, Offsets, Skip

EPSILON = 1e-5
RESIDUAL = 0.1  # of a residual branch, as released
VGG11 = (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool")
COMPACT = (16, "pool", 32, "pool", 64, "pool", 64, "pool", 64)  # ours
HEADS = ("pooled", "official", "single")


def adain(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Adaptive instance normalisation (Huang and Belongie, 2017): each channel gets the mean and spread it is told.

    Args:
        h: (B, C, H, W). weight, bias: (B, C), used as they are.
    """
    variance, mean = torch.var_mean(h, (2, 3), correction=0, keepdim=True)
    return weight[..., None, None] * (h - mean) * (variance + EPSILON).rsqrt() + bias[..., None, None]


class Block(nn.Module):
    """Two convolutions and a small residual. Without numbers from a style it normalises each picture by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, 1, 1, padding_mode="reflect") for _ in range(2))

    def forward(self, x: Tensor, styles: list[tuple[Tensor, Tensor]] | None = None) -> Tensor:
        """(B, C, H, W) -> the same; styles: weight and bias for both convolutions, (B, C) each."""
        found = self.first(x)
        found = (F.instance_norm(found) if styles is None else adain(found, *styles[0])).relu()
        found = self.second(found)
        found = F.instance_norm(found) if styles is None else adain(found, *styles[1])
        return x + RESIDUAL * found


class ContentEncoder(nn.Module):
    """What is written, and where its strokes are: the code and two maps of fine features.

    Args:
        channels: of pictures. width: of the first map. first: its kernel, odd. zero: see `Offsets`.
    """

    def __init__(self, channels: int, width: int, first: int, *, zero: bool) -> None:
        super().__init__()
        self.fine = DeformConv(channels, width, first, 1, first // 2, zero=zero)
        self.middle = DeformConv(width, 2 * width, 4, 2, 1, zero=zero)
        self.coarse = DeformConv(2 * width, 4 * width, 4, 2, 1, zero=zero)
        self.blocks = nn.ModuleList(Block(4 * width) for _ in range(2))

    def forward(self, content: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(code (B, 4 w, H/4, W/4), K1 (B, w, H, W), K2 (B, 2 w, H/2, W/2))."""
        fine = F.instance_norm(self.fine(content)).relu()
        middle = F.instance_norm(self.middle(fine)).relu()
        code = F.instance_norm(self.coarse(middle)).relu()
        for block in self.blocks:
            code = block(code)
        return code, fine, middle


class Generator(nn.Module):
    """Content encoder and mixer: a glyph's strokes, moved and restyled.

    Args:
        size: pixels, a multiple of 4. width: of the first map. channels: of pictures. style_dim: of style codes.
        fdsc: "conv", DG-Font; "attn", with attention at the lower level, our form of DGFont++'s; "plain", ordinary
            convolutions; "none", no skip connection.
        zero_offsets: start without moves; False: as released.
        levels: which skip connections there are, 1 at full and 2 at half resolution.
        first: kernel of the first convolution. hidden: width of the style's perceptron.
        unit_scale: start AdaIN's weights around one; False: around nought, as released.
    """

    def __init__(
        self, *, size: int = 80, width: int = 64, channels: int = 3, style_dim: int = 128, fdsc: str = "conv",
        zero_offsets: bool = True, levels: tuple[int, ...] = (1, 2), first: int = 7, hidden: int = 256,
        unit_scale: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if fdsc not in FDSC:
            raise ValueError(f"Unknown fdsc {fdsc!r}: choose one of {', '.join(FDSC)}.")
        if size % 4:
            raise ValueError(f"The size must be a multiple of 4; got {size}.")
        levels = () if fdsc == "none" else levels
        self.encoder = ContentEncoder(channels, width, first, zero=zero_offsets)
        self.blocks = nn.ModuleList(Block(4 * width) for _ in range(2))
        self.skips = nn.ModuleDict()
        for level in levels:  # attention over a full-size map would compare every pixel with every other
            kind = "conv" if fdsc == "attn" and level == 1 else fdsc
            self.skips[str(level)] = Skip(level * width, kind, zero=zero_offsets)
        both = {level: 2 if level in levels else 1 for level in (1, 2)}
        self.up2 = nn.Conv2d(4 * width, 2 * width, 5, 1, 2, padding_mode="reflect")
        self.up1 = nn.Conv2d(2 * width * both[2], width, 5, 1, 2, padding_mode="reflect")
        self.paint = nn.Conv2d(width * both[1], channels, 7, 1, 3, padding_mode="reflect")
        self.sizes = [4 * width] * 4 + [2 * width, width]
        last = nn.Linear(hidden, 2 * sum(self.sizes))
        self.style = nn.Sequential(
            nn.Linear(style_dim, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), last
        )  # fmt: skip
        initialise(self)
        if unit_scale:
            with torch.no_grad():
                last.bias.copy_(torch.cat([torch.arange(2.0).repeat_interleave(count) for count in self.sizes]))

    def encode(self, content: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `ContentEncoder`."""
        return self.encoder(content)

    def styles(self, code: Tensor) -> list[tuple[Tensor, Tensor]]:
        """AdaIN's (weight, bias) of every layer from a style code; in the numbers biases come first."""
        found = []
        for part in self.style(code).split([2 * count for count in self.sizes], 1):
            bias, weight = part.chunk(2, 1)
            found.append((weight, bias))
        return found

    def mix(self, maps: tuple[Tensor, Tensor, Tensor], code: Tensor) -> tuple[Tensor, dict[int, tuple[Tensor, Tensor]]]:
        """Paint encoded content in a style.

        Returns:
            pictures, and by level the moves and factors of its skip connection.
        """
        h, fine, middle = maps
        styles, seen = self.styles(code), {}
        for number, block in enumerate(self.blocks):
            h = block(h, styles[2 * number : 2 * number + 2])
        for level, conv, content, style in ((2, self.up2, middle, styles[4]), (1, self.up1, fine, styles[5])):
            h = adain(conv(F.interpolate(h, scale_factor=2)), *style).relu()
            if str(level) in self.skips:
                moved, offset, mask = self.skips[str(level)](content, h)
                h, seen[level] = torch.cat([moved, h], 1), (offset, mask)
        return self.paint(h).tanh(), seen

    def forward(self, content: Tensor, style_code: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, channels, H, W) and (B, style_dim) -> pictures, and the moves of the skip connections, level 1 first."""
        pictures, seen = self.mix(self.encode(content), style_code)
        return pictures, [seen[level][0] for level in sorted(seen)]


def initialise(network: nn.Module) -> None:
    """Kaiming's normal start for all weights, biases nought; moves' convolutions at nought where they shall be.

    Each layer draws by its name from torch's seed, so that networks that differ in a part share all others' start.
    """
    for name, module in network.named_modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(weight, nn.Parameter) and weight.dim() > 1:
            generator = torch.Generator().manual_seed(torch.initial_seed() + zlib.crc32(name.encode()))
            nn.init.kaiming_normal_(weight, generator=None if weight.is_meta else generator)
            if isinstance(bias, nn.Parameter):
                nn.init.zeros_(bias)
    for module in network.modules():
        if isinstance(module, Offsets) and module.zero:
            nn.init.zeros_(module.conv.weight)


class StyleEncoder(nn.Module):
    """VGG-11 with batch norm from a picture to its font's code.

    Args:
        channels: of pictures. style_dim: of codes. fonts: of the released head that nothing uses; 0: no such head.
        plan: channels and pools. spread: deviation of the last layer's weights at the start; 0.01 as released.
    """

    def __init__(
        self, *, channels: int = 3, style_dim: int = 128, fonts: int = 400, plan: tuple[int | str, ...] = VGG11,
        spread: float = 0.01,
    ) -> None:  # fmt: skip
        super().__init__()
        layers: list[nn.Module] = []
        width = channels
        for step in plan:
            if isinstance(step, str):
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(width, step, 3, 1, 1), nn.BatchNorm2d(step), nn.ReLU(inplace=True)]
            width = step
        self.features = nn.Sequential(*layers)
        self.code = nn.Linear(width, style_dim)
        self.unused = nn.Linear(width, fonts) if fonts else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=spread)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, style_dim), not normalised."""
        return self.code(self.features(images).mean((2, 3)))


class FRN(nn.Module):
    """Filter response normalisation with its thresholded activation (Singh and Krishnan, 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.shift, self.floor = (nn.Parameter(torch.zeros(1, channels, 1, 1)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        found = self.scale * x * (x.square().mean((2, 3), keepdim=True) + 1e-6).rsqrt() + self.shift
        return torch.maximum(found, self.floor)


class PreActivated(nn.Module):
    """Pre-activation residual block of the discriminator, perhaps halving its map."""

    def __init__(self, inputs: int, outputs: int, *, down: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleList([FRN(inputs), FRN(inputs)])
        self.first, self.second = nn.Conv2d(inputs, inputs, 3, 1, 1), nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.short = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H or H/2, W or W/2)."""
        found, short = self.first(self.norms[0](x)), self.short(x)
        if self.down:
            found, short = F.avg_pool2d(found, 2), F.avg_pool2d(short, 2)
        return (short + self.second(self.norms[1](found))) / math.sqrt(2)


class Discriminator(nn.Module):
    """As many judges as fonts with one trunk: logit s says whether a picture is a real glyph of font s.

    Args:
        size: pixels. fonts: S. channels: of pictures. width, most: of the first map, and at most.
        head: "pooled", mean over what is left of the map; "official", as released, where a map that is not one pixel
            is flattened and then indexed by the font, so that at 80 pixels four fonts share a channel; "single", one
            judge for all fonts.
    """

    def __init__(
        self, *, size: int = 80, fonts: int = 400, channels: int = 3, head: str = "pooled", width: int = 64,
        most: int = 1024,
    ) -> None:  # fmt: skip
        super().__init__()
        if head not in HEADS:
            raise ValueError(f"Unknown head {head!r}: choose one of {', '.join(HEADS)}.")
        if size < 16:
            raise ValueError(f"The size must be at least 16; got {size}.")
        self.head = head
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, 1, 1)]
        for _ in range(int(math.log2(size)) - 2):
            wider = min(2 * width, most)
            layers += [PreActivated(width, width, down=False), PreActivated(width, wider, down=True)]
            width = wider
        self.trunk = nn.Sequential(*layers)
        self.last = nn.Conv2d(width, width, 4)
        self.judges = nn.Conv2d(width, 1 if head == "single" else fonts, 1)
        initialise(self)

    def raw(self, images: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, S, h, w): 1 by 1 where the size is a power of two, 2 by 2 at 80."""
        found = F.leaky_relu(self.trunk(images), 0.2)
        return self.judges(F.leaky_relu(self.last(found), 0.2))

    def forward(self, images: Tensor, fonts: Tensor) -> Tensor:
        """The logit (B,) that trains, for pictures of fonts (B,)."""
        found = self.raw(images)
        if self.head == "official":
            return found.flatten(1).gather(1, fonts[:, None])[:, 0]
        found = found.mean((2, 3))
        return found[:, 0] if self.head == "single" else found.gather(1, fonts[:, None])[:, 0]
