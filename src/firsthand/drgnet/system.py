"""DRG-AI-System: a segmenter and a grader together, and the pictures that they work on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from firsthand.data.drawn.fundus import Fundus
from firsthand.drgnet.network import Grader, Grading, UNet


@dataclass(frozen=True)
class Retinas:
    """Pictures with what is known of them.

    Attributes:
        images: uint8 (N, 3, s, s). masks: bool (N, 4, s, s). retina: bool (N, s, s). grades: int64 (N,).
    """

    images: Tensor
    masks: Tensor
    retina: Tensor
    grades: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def pick(self, rows: Sequence[int] | np.ndarray | slice) -> Retinas:
        """Some of them, in this order."""
        chosen = torch.arange(len(self))[rows if isinstance(rows, slice) else torch.as_tensor(np.asarray(rows))]
        return Retinas(self.images[chosen], self.masks[chosen], self.retina[chosen], self.grades[chosen])

    def hashes(self) -> list[str]:
        """A hash of every picture's pixels: by it two sets are shown to have none in common."""
        return [hashlib.sha256(image.numpy().tobytes()).hexdigest()[:16] for image in self.images]


def gathered(pictures: Sequence[Fundus]) -> Retinas:
    """Drawn pictures as one set."""
    return Retinas(
        torch.stack([one.image for one in pictures]), torch.stack([one.masks for one in pictures]),
        torch.stack([one.retina for one in pictures]), torch.tensor([one.grade for one in pictures]),
    )  # fmt: skip


def need_apart(**sets: Retinas) -> None:
    """Raise ValueError if two of the named sets share a picture."""
    seen: dict[str, str] = {}
    for name, data in sets.items():
        for key in data.hashes():
            if seen.setdefault(key, name) != name:
                raise ValueError(f"A picture is in {seen[key]} and in {name}: results on it would mean nothing.")


def unit(images: Tensor) -> Tensor:
    """uint8 pictures as float in [0, 1]."""
    return images.float() / 255


class DRGNet(nn.Module):
    """Segmenter and grader.

    Args:
        width: of the segmenter, and of the levels that the grader shares with it.
        attention: of the grader, as there.
    """

    def __init__(self, *, width: int = 8, attention: str = "both") -> None:
        super().__init__()
        self.segmenter = UNet(width=width)
        self.grader = Grader(attention, width=width)

    def forward(self, images: Tensor, *, joint: bool = False) -> tuple[Tensor, Grading]:
        """Lesion logits (N, 4, h, w) and a grading of pictures (N, 3, h, w) in [0, 1].

        `joint`: gradients of the grade reach the segmenter too; else the grader takes the lesions as they are.
        """
        logits = self.segmenter(images)
        lesions = logits.sigmoid()
        return logits, self.grader(images, lesions if joint else lesions.detach())


@torch.no_grad()
def lesion_probabilities(segmenter: nn.Module, images: Tensor, *, batch: int = 20) -> Tensor:
    """Probabilities (N, 4, s, s) of uint8 pictures, in evaluation mode."""
    was_training = segmenter.training
    segmenter.eval()
    device = next(segmenter.parameters()).device
    found = [segmenter(unit(part.to(device))).sigmoid().cpu() for part in images.split(batch)]
    segmenter.train(was_training)
    return torch.cat(found)


@torch.no_grad()
def predicted_grades(grader: Grader, images: Tensor, lesions: Tensor, *, batch: int = 40) -> Tensor:
    """Probabilities of grades (N, 5)."""
    was_training = grader.training
    grader.eval()
    device = next(grader.parameters()).device
    found = []
    for part, seen in zip(images.split(batch), lesions.split(batch), strict=True):
        found.append(grader(unit(part.to(device)), seen.to(device)).logits.softmax(1).cpu())
    grader.train(was_training)
    return torch.cat(found)
