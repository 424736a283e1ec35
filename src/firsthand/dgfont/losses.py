"""What the networks are trained on: judges, the price of being right, strokes kept, and styles told apart.

The adversarial term is the hinge of the released code. The contrastive style loss is DGFont++'s, whose code was not
released; its form is TUNIT's (Baek and others, 2021), which DG-Font's code comes from.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

STYLE = ("none", "self", "font", "masked")


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Mean of max(0, 1 - real) and of max(0, 1 + fake); logits (B,)."""
    return (1 - real).relu().mean() + (1 + fake).relu().mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """Minus the mean logit."""
    return -fake.mean()


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Squared norm of the gradient of logits (B,) by images (B, C, H, W) that want one: sum over pixels, mean over B.

    Without its factor (10 as released, and no half).
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def offset_loss(offsets: Sequence[Tensor]) -> Tensor:
    """Half the sum over skip connections of the mean length, in pixels and per axis, of their moves.

    A term of equation (3).
    """
    if not offsets:
        return torch.zeros(())
    return torch.stack([offset.abs().mean() for offset in offsets]).sum() / 2


def info_nce(
    query: Tensor, positive: Tensor, negatives: Tensor, *, temperature: float = 0.07, exclude: Tensor | None = None
) -> Tensor:
    """Minus the log probability of a query's positive among it and the negatives, equation (4), of codes as they are.

    Args:
        query, positive: (B, D). negatives: (K, D). temperature: divides products.
        exclude: bool (B, K), negatives that are none for that query.

    Returns:
        (B,).
    """
    right = (query * positive).sum(1, keepdim=True)
    wrong = query @ negatives.mT
    if exclude is not None:
        wrong = wrong.masked_fill(exclude, -torch.inf)
    return -F.log_softmax(torch.cat([right, wrong], 1) / temperature, 1)[:, 0]


class Queue:
    """The last K codes and their fonts, first in, first out.

    Args:
        length: K. dim: D. device: where.
    """

    def __init__(self, length: int, dim: int, device: torch.device | str = "cpu") -> None:
        self.codes = torch.zeros(length, dim, device=device)
        self.fonts = torch.full((length,), -1, device=device)
        self.filled = self.at = 0

    def push(self, codes: Tensor, fonts: Tensor) -> None:
        """Put a batch in, (B, D) and (B,); the oldest leave."""
        place = (torch.arange(len(codes), device=self.codes.device) + self.at) % len(self.codes)
        self.codes[place], self.fonts[place] = codes.detach(), fonts
        self.at = int(place[-1] + 1) % len(self.codes)
        self.filled = min(len(self.codes), self.filled + len(codes))

    def content(self) -> tuple[Tensor, Tensor]:
        """(codes, fonts) of what is in it."""
        return self.codes[: self.filled], self.fonts[: self.filled]


def style_loss(query: Tensor, key: Tensor, fonts: Tensor, queue: Queue, *, mode: str) -> Tensor:
    """Contrastive loss, equation (4), of normalised codes with keys of an averaged encoder; mean over the batch.

    Args:
        query: (B, D). key: (B, D), positives in the same order. fonts: (B,). queue: negatives.
        mode: "self" or "font", which differ in what the positive is a picture of; "masked": as "font", and entries of a
            query's own font are no negatives.
    """
    codes, owners = queue.content()
    exclude = owners[None] == fonts[:, None] if mode == "masked" else None
    query, key = F.normalize(query), F.normalize(key)
    return info_nce(query, key, F.normalize(codes), exclude=exclude).mean()
