"""Training by stages: lesions all in one, lesions by kind, grades, and everything together.

Learning rates, steps and batch are ours, for minutes on a processor; the released ones are in `experiment.PRESETS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from firsthand.drgnet.explain import enlarged, grad_cam
from firsthand.drgnet.losses import consistency_loss, erased, erasure_loss, grade_loss, segmentation_loss
from firsthand.drgnet.network import Grader, UNet
from firsthand.drgnet.system import DRGNet, Retinas, unit
from firsthand.kit.train.distributed import gathered
from firsthand.kit.train.loop import Cosine, MicroBatch, epoch_indices, train


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        steps, lr, warmup: of Adam, with half a cosine down to a twentieth.
        batch: pictures a step. crop: pixels a side of a random part of them; None: whole pictures.
    """

    steps: int
    lr: float = 2e-3
    warmup: int = 10
    batch: int = 8
    crop: int | None = 96


@dataclass(frozen=True)
class Terms:
    """Weights of a grader's losses; 0 switches a term off.

    Attributes:
        erasure: of the erased picture's grade. sign: as `erasure_loss`. consistency: of explanation and lesions.
    """

    erasure: float = 0.5
    sign: str = "released"
    consistency: float = 0.5


CENTRED = 0.5  # share of the crops that lie around a lesion, any kind that there is alike (ours: lesions are rare)


def chances(count: int, generator: torch.Generator) -> Tensor:
    """The chance that `cut_out` takes, for so many pictures."""
    return torch.rand(count, 8, generator=generator)


def cut_out(data: Retinas, rows: Any, crop: int | None, draws: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures in [0, 1], masks and field of view of some rows: a part of each, mirrored.

    Args:
        data, rows: which pictures. crop: pixels a side; None: whole pictures. draws: from `chances`, a row each.
    """
    images, masks, retina = data.images[rows], data.masks[rows], data.retina[rows]
    size = images.shape[-1] if crop is None else crop
    found: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    for place, draw in enumerate(draws.tolist()):
        top, left = _corner(masks[place], size, draw)
        for parts, whole in zip(found, (images[place], masks[place], retina[place]), strict=True):
            part = whole[..., top : top + size, left : left + size]
            part = part.flip(-1) if draw[2] < 0.5 else part
            part = part.flip(-2) if draw[3] < 0.5 else part
            parts.append(part.transpose(-1, -2) if draw[4] < 0.5 else part)
    return unit(torch.stack(found[0])), torch.stack(found[1]), torch.stack(found[2])


def _corner(masks: Tensor, size: int, draw: list[float]) -> tuple[int, int]:
    """Top and left of a crop: anywhere, or so that a pixel of some lesion lies at a random place in it."""
    free = masks.shape[-1] - size
    kinds = masks.flatten(1).any(1).nonzero().flatten().tolist()
    if not free or not kinds or draw[5] >= CENTRED:
        return int(draw[0] * (free + 1)), int(draw[1] * (free + 1))
    spots = masks[kinds[int(draw[6] * len(kinds))]].nonzero()
    y, x = spots[int(draw[7] * len(spots))].tolist()
    return min(max(y - int(draw[0] * size), 0), free), min(max(x - int(draw[1] * size), 0), free)


def _run(model: nn.Module, loss: Any, recipe: Recipe, seed: int, **options: Any) -> list[float]:
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=recipe.lr)
    rate = Cosine(recipe.lr, recipe.steps, recipe.warmup, recipe.lr / 20)
    return train(model, optimizer, loss, steps=recipe.steps, lr=rate, seed=seed, clip=5.0, **options)


def train_segmenter(
    net: UNet, data: Retinas, recipe: Recipe, *, seed: int = 0, union: bool = False, **options: Any
) -> list[float]:
    """Train a segmenter in place; returns its losses.

    Args:
        net: with four outputs, or one where `union` is set.
        data: with masks.
        recipe: how.
        seed: of batches and crops.
        union: all lesions are one (the task-agnostic pre-training of the released code).
        options: of `kit.training.train`.
    """

    def loss(wrapped: nn.Module, share: MicroBatch) -> Tensor:
        rows = share.turn(epoch_indices(share.step, recipe.batch, len(data), seed))
        draws = share.turn(chances(recipe.batch, share.generator()))
        images, masks, _ = cut_out(data, rows, recipe.crop, draws)
        device = next(wrapped.parameters()).device
        target = masks.any(1, keepdim=True) if union else masks
        logits = gathered(wrapped(share.own(images).to(device)).float())  # Dice counts over the whole batch
        return segmentation_loss(logits, target.to(device))

    return _run(net, loss, recipe, seed, **options)


def take_over(net: UNet, pretrained: UNet) -> UNet:
    """Give a network another one's weights, all but the head; returns it."""
    own = net.state_dict()
    found = {name: value for name, value in pretrained.state_dict().items() if not name.startswith("head.")}
    net.load_state_dict({**own, **found})
    return net


def train_grader(
    grader: Grader, data: Retinas, lesions: Tensor, recipe: Recipe, *, terms: Terms | None = None, seed: int = 0,
    **options: Any,
) -> list[float]:  # fmt: skip
    """Train a grader in place on given lesions; returns its losses.

    Args:
        grader: to train, but for the levels that it shares: what they see is computed once.
        data: pictures, masks (for the consistency term) and grades.
        lesions: (N, 4, s, s), probabilities of a segmenter that stays as it is, in half precision or full.
        recipe: how; whole pictures whatever its crop says.
        terms: further losses; None: the grade alone.
        seed: of batches and mirrorings.
        options: of `kit.training.train`.
    """

    def loss(wrapped: nn.Module, share: MicroBatch) -> Tensor:
        rows = share.turn(epoch_indices(share.step, recipe.batch, len(data), seed))
        device = next(wrapped.parameters()).device
        images, seen = unit(data.images[rows]).to(device), lesions[rows].float().to(device)
        masks, grades, maps = data.masks[rows].to(device), data.grades[rows].to(device), low[rows].float().to(device)
        mirror = share.turn(torch.rand(recipe.batch, 2, generator=share.generator())) < 0.5
        for axis in (0, 1):
            chosen = mirror[:, axis].to(device)
            for whole in (images, seen, masks, maps):
                whole[chosen] = whole[chosen].flip(-1 - axis)
        images, seen, grades, maps = (share.own(one) for one in (images, seen, grades, maps))
        return grading_terms(wrapped, images, seen, masks, grades, terms, low=maps)

    low = _low_maps(grader, data.images)
    return _run(grader, loss, recipe, seed, **options)


@torch.no_grad()
def _low_maps(grader: Grader, images: Tensor) -> Tensor:
    device = next(grader.parameters()).device
    grader.eval()
    return torch.cat([grader.low_maps(unit(part.to(device))).half().cpu() for part in images.split(20)])


def grading_terms(
    grader: nn.Module, images: Tensor, lesions: Tensor, masks: Tensor, grades: Tensor, terms: Terms | None,
    *, smoothing: float = 0.0, low: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The grade's loss and the terms on its explanation.

    Args:
        grader: called as `Grader`. images: (N, 3, h, w) in [0, 1]. lesions: (N, 4, h, w).
        masks: bool (N, 4, h, w), of the consistency term; of all processes where there are several. grades: (N,).
        terms: None: the grade alone. smoothing: of labels. low: as `Grader`.
    """
    grading = grader(images, lesions, low)
    total = grade_loss(grading.logits.float(), grades, smoothing=smoothing)
    if terms is None or not (terms.erasure or terms.consistency):
        return total
    found = grad_cam(grading, grades, create_graph=True)
    if terms.erasure:
        again = grader(erased(images, enlarged(found, images.shape[-1])), lesions)
        total = total + terms.erasure * erasure_loss(again.logits.float(), grades, sign=terms.sign)
    if terms.consistency:
        total = total + terms.consistency * consistency_loss(gathered(found), masks)
    return total


def train_together(
    system: DRGNet, data: Retinas, recipe: Recipe, *, terms: Terms | None = None, joint: bool = True, seed: int = 0,
    **options: Any,
) -> list[float]:  # fmt: skip
    """Fine-tune segmenter and grader together, the levels that they shared too; returns the losses.

    Gradients of the grade reach both networks; without `joint` the grader's alone.
    Batch norm's statistics stay as they are, as in the rounds of correction: those of a few whole pictures are not
    those of the crops on which the segmenter learned.
    """

    def loss(wrapped: nn.Module, share: MicroBatch) -> Tensor:
        system.segmenter.eval()
        rows = share.turn(epoch_indices(share.step, recipe.batch, len(data), seed))
        device = next(wrapped.parameters()).device
        masks, rows = data.masks[rows].to(device), share.own(rows)
        images, grades = unit(data.images[rows]).to(device), data.grades[rows].to(device)
        logits, grading = wrapped(images, joint=joint)
        total = segmentation_loss(gathered(logits.float()), masks) + grade_loss(grading.logits.float(), grades)
        if terms is not None and terms.consistency:
            found = grad_cam(grading, grades, create_graph=True)
            total = total + terms.consistency * consistency_loss(gathered(found), masks)
        return total

    system.grader.stem.requires_grad_(True)
    return _run(system, loss, recipe, seed, **options)
