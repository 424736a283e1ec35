"""Batches of glyphs: drawn, turned a little, and the statistics that batch norm ends with."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from firsthand.data.readers.glyphs import Glyphs
from firsthand.dgfont.networks import StyleEncoder

TURN, SHIFT, SCALE = 20.0, 0.1, (0.9, 1.1)  # of the picture that a self-made positive shows; never mirrored
NORM_BATCHES, NORM_BATCH = 8, 64  # of glyphs on which batch norm is measured at the end


def chance(seed: int, step: int) -> torch.Generator:
    """All that is random in a step of a seed."""
    return torch.Generator().manual_seed(1_000_003 * seed + step)


class Sampler:
    """Batches of glyphs that their fonts have.

    Args:
        glyphs: whose seen fonts and characters are used. channels: equal ones. device: of the batches.
    """

    def __init__(self, glyphs: Glyphs, channels: int = 1, device: torch.device | str = "cpu") -> None:
        fonts, characters = glyphs.seen
        self.images = glyphs.images(fonts, characters).expand(-1, -1, channels, -1, -1).to(device)
        self.present = torch.from_numpy(glyphs.present[fonts, characters])
        self.pairs = self.present.nonzero()

    def __call__(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures (N, channels, H, W) and their fonts (N,)."""
        chosen = self.pairs[torch.randint(len(self.pairs), (count,), generator=generator)]
        return self.images[chosen[:, 0], chosen[:, 1]], chosen[:, 0].to(self.images.device)

    def partners(self, fonts: Tensor, generator: torch.Generator) -> Tensor:
        """Another glyph of each font, drawn from all that it has."""
        chances = self.present[fonts.cpu()].float()
        return self.images[fonts, torch.multinomial(chances, 1, generator=generator)[:, 0]]


def turned(images: Tensor, generator: torch.Generator) -> Tensor:
    """The same glyphs, each a little turned, shifted and scaled; paper stays white."""
    draw = torch.rand(len(images), 4, generator=generator) * 2 - 1
    found = []
    for image, (turn, right, down, scale) in zip(images, draw.tolist(), strict=True):
        size = 1 + scale * (SCALE[1] - SCALE[0]) / 2
        shift = [SHIFT * right * image.shape[-1], SHIFT * down * image.shape[-2]]
        options = v2.InterpolationMode.BILINEAR, [0.0]
        found.append(1 - v2.functional.affine(1 - image, TURN * turn, shift, size, [0.0, 0.0], *options))  # ink moves
    return torch.stack(found)


@torch.no_grad()
def normed(encoder: StyleEncoder, sampler: Sampler) -> StyleEncoder:
    """The same encoder in eval mode, its batch norm measured anew on glyphs to train on."""
    norms = [layer for layer in encoder.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # type: ignore[assignment]  # a plain mean
    encoder.train()
    generator = torch.Generator().manual_seed(0)
    for _ in range(NORM_BATCHES):
        encoder(sampler(NORM_BATCH, generator)[0])
    return encoder.eval()
