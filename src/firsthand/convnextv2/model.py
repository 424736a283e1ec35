"""The ConvNeXt V2 backbone, its eight published sizes, and weights from other files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.convnextv2.layers import Block, Sites


@dataclass(frozen=True)
class Size:
    """A shape of the network.

    Attributes:
        depths: blocks a stage.
        dims: channels a stage.
        stem: side and stride of the first convolution; every further stage halves the resolution.
    """

    depths: tuple[int, ...]
    dims: tuple[int, ...]
    stem: int = 4

    @property
    def patch(self) -> int:
        """Pixels a side that one site of the last stage covers: the patch that masking removes."""
        return self.stem * 2 ** (len(self.depths) - 1)


def _published(depths: tuple[int, ...], width: int) -> Size:
    return Size(depths, tuple(width * 2**i for i in range(4)))


#: The published sizes (the paper's Table 8 and its code), and the book's own, which has three stages and stem 2.
SIZES: dict[str, Size] = {
    "atto": _published((2, 2, 6, 2), 40),
    "femto": _published((2, 2, 6, 2), 48),
    "pico": _published((2, 2, 6, 2), 64),
    "nano": _published((2, 2, 8, 2), 80),
    "tiny": _published((3, 3, 9, 3), 96),
    "base": _published((3, 3, 27, 3), 128),
    "large": _published((3, 3, 27, 3), 192),
    "huge": _published((3, 3, 27, 3), 352),
}
MICRO = Size((1, 1, 3), (16, 32, 64), stem=2)


def size_of(size: str | Size) -> Size:
    """A Size by name ("micro" and the published ones), or the Size itself.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(size, Size):
        return size
    known = {**SIZES, "micro": MICRO}
    if size not in known:
        raise ValueError(f"Unknown size {size!r}: choose one of {', '.join(known)}.")
    return known[size]


class ConvNeXtV2(nn.Module):
    """The backbone with its classifier; `build` chooses the version.

    Args:
        size: depths, widths and stem.
        num_classes: outputs; 0 leaves the last norm and the classifier out, as pre-training does.
        in_chans: channels of the image.
        grn, layer_scale: of every block.
        drop_path: of the last block; it grows evenly from 0 at the first.
    """

    def __init__(
        self,
        size: Size,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        grn: bool = True,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.size = size
        widths = size.dims
        self.downsample_layers = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(in_chans, widths[0], size.stem, size.stem), nn.LayerNorm(widths[0], eps=1e-6))]
        )
        for narrow, wide in pairwise(widths):
            self.downsample_layers.append(nn.Sequential(nn.LayerNorm(narrow, eps=1e-6), nn.Conv2d(narrow, wide, 2, 2)))
        rates = iter([drop_path * i / max(sum(size.depths) - 1, 1) for i in range(sum(size.depths))])
        self.stages = nn.ModuleList(
            nn.ModuleList(Block(width, grn=grn, layer_scale=layer_scale, drop_path=next(rates)) for _ in range(depth))
            for depth, width in zip(size.depths, widths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], eps=1e-6) if num_classes else None
        self.head = nn.Linear(widths[-1], num_classes) if num_classes else None
        self.apply(_initialise)

    @property
    def blocks(self) -> list[Block]:
        """All blocks, first to last."""
        return [block for stage in self._stages() for block in stage]

    def _stages(self) -> list[list[Block]]:
        return [list(cast(nn.ModuleList, stage)) for stage in self.stages]  # type: ignore[arg-type]

    def _ends(self, number: int) -> tuple[nn.Module, nn.Module]:
        """Convolution and norm of the stem (number 0), norm and convolution of the later downsamplings."""
        first, second = cast(nn.Sequential, self.downsample_layers[number])
        return first, second

    def features(self, images: Tensor) -> Tensor:
        """images (N, C, H, W) -> (N, H / patch, W / patch, last width), before the last norm.

        Raises:
            ValueError: H or W is no multiple of the patch; a border would be cut off.
        """
        if images.ndim != 4 or images.shape[2] % self.size.patch or images.shape[3] % self.size.patch:
            raise ValueError(
                f"Images must be (N, C, H, W), multiples of {self.size.patch} pixels; got {tuple(images.shape)}."
            )
        x = images
        for number, stage in enumerate(self._stages()):
            x = self._down(number, x)
            for block in stage:
                x = block(x)
        return x

    def _down(self, number: int, x: Tensor) -> Tensor:
        """Stem (from an image, N C H W) or downsampling (from features, N H W C) on whole maps -> N H W C."""
        first, second = self._ends(number)
        if number == 0:
            return second(first(x).permute(0, 2, 3, 1))
        return second(first(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    def features_masked(self, images: Tensor, visible: Tensor) -> Tensor:
        """As `features`, with hidden patches kept at zero: the plain form of masked computing.

        Args:
            images: (N, C, H, W).
            visible: (N, g, g) bool, or (N, H / patch, W / patch).

        Raises:
            ValueError: another shape of `visible`.
        """
        if visible.shape != (len(images), *(side // self.size.patch for side in images.shape[2:])):
            raise ValueError(
                f"Which of the patches of {tuple(images.shape)} are visible has another shape; got "
                f"{tuple(visible.shape)}."
            )
        x = images
        for number, stage in enumerate(self._stages()):
            x = self._down(number, x)
            side = x.shape[1] // visible.shape[1]
            here = visible.repeat_interleave(side, 1).repeat_interleave(side, 2)
            x = x * here.unsqueeze(-1)  # biases have filled the hidden sites
            for block in stage:
                x = block.forward_masked(x, here)
        return x

    def features_visible(self, images: Tensor, visible: Tensor, grid: int) -> Tensor:
        """As `features_masked`, but what works on single sites runs on visible ones only.

        Args:
            images: (N, C, H, W).
            visible: (N, V) indices of visible patches in raster order, as many for every image.
            grid: g.

        Returns:
            (N, V, last width).
        """
        patch = self.size.patch
        x = images.permute(0, 2, 3, 1).contiguous()
        x = Sites(visible, grid, patch).gather(x)  # (N, V patch patch, channels)
        side = patch
        for number, stage in enumerate(self._stages()):
            first, second = self._ends(number)
            x = _merge(x, side, first) if number == 0 else first(x)
            x = second(x) if number == 0 else _merge(x, side, second)
            side //= self.size.stem if number == 0 else 2
            sites = Sites(visible, grid, side)
            for block in stage:
                x = block(x, sites)
        return x

    def forward(self, images: Tensor) -> Tensor:
        """images (N, C, H, W), H and W multiples of the patch -> logits (N, classes)."""
        x = self.features(images).mean((1, 2))
        return x if self.head is None or self.norm is None else self.head(self.norm(x))


def _merge(x: Tensor, side: int, conv: nn.Module) -> Tensor:
    """A convolution with stride equal to its kernel, on visible patches (N, V side side, C)."""
    assert isinstance(conv, nn.Conv2d)
    images, sites, channels = x.shape
    k = conv.kernel_size[0]
    x = x.view(images, sites // side**2, side // k, k, side // k, k, channels).transpose(3, 4)
    x = x.reshape(images, sites // k**2, k * k * channels)
    return F.linear(x, conv.weight.permute(0, 2, 3, 1).flatten(1), conv.bias)


def _initialise(module: nn.Module) -> None:
    """Truncated normal of standard deviation 0.02, biases zero."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def build(
    size: str | Size,
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    version: int = 2,
    grn: bool | None = None,
    layer_scale: float | None = None,
    drop_path: float = 0.0,
) -> ConvNeXtV2:
    """A ConvNeXt of version 1 or 2, or a mixture of both.

    Args:
        size: a name of SIZES, "micro", or a Size.
        num_classes: 0 for no classifier.
        in_chans: channels of the images.
        version: 1 has LayerScale (1e-6) and no GRN, 2 has GRN and no LayerScale.
        grn: overrides the version's; `version=2, grn=False` is "V2 minus GRN".
        layer_scale: overrides the version's start value; 0 leaves it out of version 1.
        drop_path: of the last block.

    Raises:
        ValueError: an unknown size or version.
    """
    if version not in (1, 2):
        raise ValueError(f"version must be 1 or 2; got {version!r}.")
    scale = layer_scale if layer_scale is not None else (1e-6 if version == 1 else None)
    return ConvNeXtV2(
        size_of(size),
        num_classes=num_classes,
        in_chans=in_chans,
        grn=version == 2 if grn is None else grn,
        layer_scale=scale or None,
        drop_path=drop_path,
    )


# ------------------------------------------------------------------------------------- weights of others


@dataclass(frozen=True)
class Report:
    """What `load_weights` could not place: names of the model without a tensor, names of the file without a place."""

    missing: list[str]
    unexpected: list[str]


_RENAMED = (  # timm's names, and the extra level of the sparse release
    (r"^stem\.", "downsample_layers.0."),
    (r"^stages\.(\d+)\.downsample\.", r"downsample_layers.\1."),
    (r"^stages\.(\d+)\.blocks\.", r"stages.\1."),
    (r"\.conv_dw\.", ".dwconv."),
    (r"\.mlp\.fc1\.", ".pwconv1."),
    (r"\.mlp\.fc2\.", ".pwconv2."),
    (r"\.mlp\.grn\.weight$", ".grn.gamma"),
    (r"\.mlp\.grn\.bias$", ".grn.beta"),
    (r"^head\.norm\.", "norm."),
    (r"^head\.fc\.", "head."),
    (r"\.(?:linear|ln)\.(weight|bias)$", r".\1"),
    (r"\.kernel$", ".weight"),
)


def _renamed(name: str) -> str:
    name = name.removeprefix("module.").removeprefix("encoder.")
    for pattern, new in _RENAMED:
        name = re.sub(pattern, new, name)
    return name


def _dense_kernel(kernel: Tensor) -> Tensor:
    """A kernel of the sparse release, (k k, C) or (k k, in, out), as (out, in, k, k); its axes are (column, row)."""
    side = math.isqrt(kernel.shape[0])
    if kernel.ndim == 2:
        kernel = kernel.unsqueeze(1)
    return kernel.unflatten(0, (side, side)).permute(3, 2, 1, 0)


def load_weights(model: nn.Module, state_dict: Mapping[str, Tensor]) -> Report:
    """Copy weights under official or timm names into a ConvNeXtV2 or into the encoder of an FCMAE.

    Takes the release's dense files, its sparse pre-training files and timm's. Names without a counterpart, such as
    a decoder's or another classifier's, are reported and nothing is guessed.

    Args:
        model: where to.
        state_dict: {name: tensor}; a file's outer {"model": ...} is unwrapped.

    Raises:
        ValueError: a tensor of another shape, with both shapes; the model is then unchanged.
    """
    inner = state_dict.get("model", state_dict)
    target = getattr(model, "encoder", model)
    own = target.state_dict()
    new: dict[str, Tensor] = {}
    unexpected = []
    for name, tensor in inner.items():  # type: ignore[union-attr]
        place = _renamed(name)
        if place not in own:
            unexpected.append(name)
            continue
        dense = _dense_kernel(tensor) if name.endswith(".kernel") else tensor
        if dense.squeeze().shape != own[place].squeeze().shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, the model {tuple(own[place].shape)}.")
        new[place] = dense.reshape(own[place].shape)  # others write vectors and matrices with axes of length 1
    with torch.no_grad():
        target.load_state_dict(new, strict=False)
    return Report(sorted(own.keys() - new.keys()), unexpected)
