"""The two encoders behind one interface: a vision transformer, and ConvViT, which begins with masked convolutions.

Both have `stem`, which sees whole images once, and `forward`, which sees a view. N views, B images, V visible of L
tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from firsthand.dmjd.layers import AttentionBlock, ConvBlock, Down, initialise, positions, take_tokens


@dataclass(frozen=True)
class Size:
    """A shape of the network.

    Attributes:
        kind: "vit" or "convvit".
        image: pixels a side; in_chans: colours.
        dims: channels of the stages (ConvViT), or of the only one.
        strides: of the patch embeddings.
        depth, heads: of the transformer.
        convs: masked convolution blocks a stage; conv_ratio: their hidden width.
        decoder_dim, decoder_heads, decoder_ratio: of the decoder.
        visible_dim: of the branch for visible tokens.
        cell: pixels a side of a HOG cell.
        mean, deviation: of the data, a number a colour.
    """

    kind: str
    image: int
    in_chans: int
    dims: tuple[int, ...]
    strides: tuple[int, ...]
    depth: int
    heads: int
    convs: int = 2
    conv_ratio: float = 8.0
    decoder_dim: int = 512
    decoder_heads: int = 16
    decoder_ratio: float = 8.0
    visible_dim: int = 512
    cell: int = 8
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # ImageNet's
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225)

    @property
    def sides(self) -> tuple[int, ...]:
        """Sites a side of a token, by stage; 1 at the last."""
        return tuple(math.prod(self.strides[i + 1 :]) for i in range(len(self.strides)))

    @property
    def token(self) -> int:
        """Pixels a side of a token."""
        return math.prod(self.strides)

    @property
    def grid(self) -> int:
        """Tokens a side."""
        return self.image // self.token

    @property
    def width(self) -> int:
        """Channels of a token."""
        return self.dims[-1]

    @property
    def target(self) -> int:
        """Numbers in a token's HOG target, nine bins a cell and colour."""
        return (self.token // self.cell) ** 2 * 9 * self.in_chans


_TINY: dict[str, Any] = {
    "image": 32, "in_chans": 1, "heads": 4, "conv_ratio": 4.0, "decoder_dim": 64, "decoder_heads": 4,
    "decoder_ratio": 4.0, "visible_dim": 64, "cell": 4, "mean": (0.2192,), "deviation": (0.3327,),
}  # fmt: skip

#: The released sizes and the book's two, for pictures of clothes. (The release has no plain vision transformer; ours
#: takes ConvViT's patch embedding, with norm and GELU.)
SIZES: dict[str, Size] = {
    "base": Size("convvit", 224, 3, (256, 384, 768), (4, 2, 2), depth=11, heads=12),
    "large": Size("convvit", 224, 3, (384, 768, 1024), (4, 2, 2), depth=23, heads=16),
    "tiny-vit": Size("vit", dims=(64,), strides=(4,), depth=3, convs=0, **_TINY),
    "tiny-convvit": Size("convvit", dims=(16, 32, 64), strides=(2, 2, 1), depth=2, convs=1, **_TINY),
}


def size_of(size: str | Size) -> Size:
    """A Size by name, or the Size itself.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(size, Size):
        return size
    if size not in SIZES:
        raise ValueError(f"Unknown size {size!r}: choose one of {', '.join(SIZES)}.")
    return SIZES[size]


class Encoder(nn.Module):
    """Patch embeddings, masked convolutions (ConvViT), transformer blocks on visible tokens.

    Args:
        size: a name of SIZES, or a Size.
        pretraining: with the layers that only pre-training uses: the fusion of early stages and the last norm.
        learnt_positions: let the position code be trained, as fine-tuning does.
        drop_path: of the last block; it grows evenly from 0 at the first.
    """

    def __init__(
        self, size: str | Size, *, pretraining: bool = True, learnt_positions: bool = False, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        shape = self.size = size_of(size)
        before = (shape.in_chans, *shape.dims)
        self.downs = nn.ModuleList(
            Down(before[i], width, stride)
            for i, (width, stride) in enumerate(zip(shape.dims, shape.strides, strict=True))
        )
        count = (len(shape.dims) - 1) * shape.convs + shape.depth
        rates = iter([drop_path * i / max(count - 1, 1) for i in range(count)])
        self.convs = nn.ModuleList(
            nn.ModuleList(ConvBlock(width, shape.conv_ratio, next(rates)) for _ in range(shape.convs))
            for width in shape.dims[:-1]
        )
        width = shape.width
        self.mix = nn.Linear(width, width) if shape.kind == "convvit" else nn.Identity()
        self.position = nn.Parameter(positions(shape.grid, width)[None], requires_grad=learnt_positions)
        self.blocks = nn.ModuleList(AttentionBlock(width, shape.heads, 4.0, next(rates)) for _ in range(shape.depth))
        self.fusion = nn.ModuleList(
            nn.Conv2d(dim, width, side, side)
            for dim, side in zip(shape.dims, shape.sides[:-1], strict=False)
            if pretraining
        )
        self.norm = nn.LayerNorm(width, eps=1e-6) if pretraining else nn.Identity()
        self.apply(initialise)
        last = self.downs[-1].conv
        assert isinstance(last, nn.Conv2d)
        nn.init.xavier_uniform_(last.weight.flatten(1))  # a view of the weight

    def standardise(self, images: Tensor) -> Tensor:
        """(N, C, H, W) bytes to (N, H, W, C) without the data's mean and deviation; floats have lost them already."""
        x = images.permute(0, 2, 3, 1)
        if images.dtype != torch.uint8:
            return x
        x = x.to(self.position.dtype) / 255
        mean, deviation = (x.new_tensor(v) for v in (self.size.mean, self.size.deviation))
        return (x - mean) / deviation

    def stem(self, images: Tensor) -> Tensor:
        """The first patch embedding of whole images, shared by all views: (B, C, H, W) -> (B, H', W', d')."""
        return self.downs[0](self.standardise(images))

    def forward(
        self, images: Tensor, ids: Tensor | None = None, mask: Tensor | None = None, *, bare: bool = False
    ) -> Tensor:
        """Encode the visible tokens of every view of every image.

        Args:
            images: (B, C, H, W) bytes, or floats, which are taken as standardised.
            ids: (K B, V) indices of visible tokens, all images of view 1 first; None: all tokens of whole images.
            mask: (K B, L) bool, True = hidden.
            bare: without fusion and last norm, which pre-training only uses.

        Returns:
            (K B, V, d), in the order of `ids`.

        Raises:
            ValueError: images of another size, whose tokens would lie at other places, or in whole numbers that are not
                bytes.
        """
        if images.shape[1:] != (self.size.in_chans, self.size.image, self.size.image):
            raise ValueError(
                f"Images of {self.size.in_chans} x {self.size.image} x {self.size.image} are needed; got "
                f"{tuple(images.shape)}."
            )
        if not (images.dtype == torch.uint8 or images.is_floating_point()):
            raise ValueError(f"Images must be bytes (uint8), or standardised floats; got {images.dtype}.")
        x = self.stem(images)
        if ids is not None:
            x = x.repeat(len(ids) // len(images), 1, 1, 1)
        early = []
        for stage, blocks in enumerate(self.convs):
            visible = None if mask is None else self._visible(mask, stage)
            for block in cast(nn.ModuleList, blocks):
                x = block(x, visible)
            early.append(x)
            x = self.downs[stage + 1](x)
        y = self._pick(self.mix(x.flatten(1, 2)) + self.position, ids)
        for block in self.blocks:
            y = block(y)
        if bare:
            return y
        for fuse, x in zip(self.fusion, early, strict=False):
            y = y + self._pick(fuse(x.permute(0, 3, 1, 2)).flatten(2).mT, ids)
        return self.norm(y)

    def _visible(self, mask: Tensor, stage: int) -> Tensor:
        """(N, L) tokens hidden -> (N, H, W, 1) sites of a stage visible."""
        side, grid = self.size.sides[stage], self.size.grid
        square = ~mask.view(-1, grid, grid)
        return square.repeat_interleave(side, 1).repeat_interleave(side, 2).unsqueeze(-1)

    @staticmethod
    def _pick(tokens: Tensor, ids: Tensor | None) -> Tensor:
        return tokens if ids is None else take_tokens(tokens, ids)
