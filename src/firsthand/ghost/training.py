"""Training a detector and its quantised copy: batches, averages of weights, batch norm measured anew, evaluation.

Pictures are uint8 (N, channels, s, s), truths a dictionary a picture: "boxes" (n, 4) x1 y1 x2 y2, "labels" (n,).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from firsthand.ghost.detector import SIDES, Detector, convolutions
from firsthand.ghost.evaluation import average_precisions
from firsthand.ghost.loss import detection_loss
from firsthand.ghost.teaching import OneToOneTeacher
from firsthand.kit.train.distributed import gathered
from firsthand.kit.train.loop import Cosine, MicroBatch, epoch_indices, parameter_groups, train

Truth = dict[str, Tensor]
BATCH = 16
DECAY = 0.98  # of the average of weights; runs here are a few hundred steps
RANGE = 0.999  # share of activations that a layer's range covers


@dataclass(frozen=True)
class Pictures:
    """Pictures with what is in them.

    Attributes:
        images: uint8 (N, channels, s, s).
        truths: N dictionaries.
    """

    images: Tensor
    truths: tuple[Truth, ...]

    def channels(self, chosen: Sequence[int]) -> Pictures:
        """Only some channels: (0, 1, 2) colour, (3,) near infrared."""
        return Pictures(self.images[:, list(chosen)], self.truths)


@dataclass(frozen=True)
class Recipe:
    """How to train; ours, for some hundred steps.

    Attributes:
        steps, lr: of AdamW, with a warm-up and half a cosine down to a twentieth.
        warmup: steps. weight_decay: of convolutions. clip: largest gradient norm. batch: pictures a step.
    """

    steps: int
    lr: float
    warmup: int = 30
    weight_decay: float = 1e-3
    clip: float = 10.0
    batch: int = BATCH


class Average(nn.Module):
    """Exponential average of a model's weights and buffers."""

    def __init__(self, model: nn.Module, decay: float = DECAY) -> None:
        super().__init__()
        self.model, self.decay = copy.deepcopy(model).eval(), decay
        self.model.requires_grad_(False)
        self.count: Tensor
        self.register_buffer("count", torch.zeros(()))

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """One step; the first ones count more, so that the start is forgotten."""
        self.count += 1
        keep = min(self.decay, float(self.count / (self.count + 10)))
        for mine, theirs in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs.detach(), 1 - keep)
            else:
                mine.copy_(theirs)


def augmented(images: Tensor, truths: Sequence[Truth], generator: torch.Generator) -> tuple[Tensor, list[Truth]]:
    """Pictures in [0, 1], mirrored, turned by quarters, brighter or darker, with their boxes.

    Raises:
        ValueError: pictures that are not square; a quarter turn would change their shape.
    """
    if images.shape[-1] != images.shape[-2]:
        raise ValueError(f"Pictures must be square; got {tuple(images.shape)}.")
    size = images.shape[-1]
    draws = torch.rand(len(images), 4, generator=generator)
    found, boxes = [], []
    for pixels, truth, draw in zip(images.float() / 255, truths, draws.tolist(), strict=True):
        image, box = pixels, truth["boxes"]
        if draw[0] < 0.5:
            image, box = image.flip(2), torch.stack([size - box[:, 2], box[:, 1], size - box[:, 0], box[:, 3]], 1)
        if draw[1] < 0.5:
            image, box = image.flip(1), torch.stack([box[:, 0], size - box[:, 3], box[:, 2], size - box[:, 1]], 1)
        if draw[2] < 0.5:
            image, box = image.transpose(1, 2), box[:, [1, 0, 3, 2]]
        found.append((image * (0.8 + 0.4 * draw[3])).clamp(0, 1))
        boxes.append({"boxes": box, "labels": truth["labels"]})
    return torch.stack(found), boxes


@dataclass
class Trace:
    """What a training reported; after a resumption all but `loss` cover the steps since.

    Attributes:
        loss: of every step, lessons included. detection: without them.
        opened: share of open switches a layer, (steps, L).
    """

    loss: list[float] = field(default_factory=list)
    detection: list[float] = field(default_factory=list)
    opened: list[list[float]] = field(default_factory=list)


class Classroom(nn.Module):
    """A detector with the gate of its lessons, so that one call does what a step needs on any number of devices.

    Args:
        model: the student. gate: of the lessons, or None.
        teacher: full precision; no part of what is trained or kept.
    """

    def __init__(self, model: Detector, gate: OneToOneTeacher | None = None, teacher: Detector | None = None) -> None:
        super().__init__()
        self.model, self.gate = model, gate
        self._teacher = [teacher]  # in a list: not a submodule

    def forward(
        self, pictures: Tensor, noise: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor | None, Tensor | None]:
        """Raw predictions, the lessons' loss and the open switches, the last two None without a gate."""
        maps = self.model.maps(pictures)
        raw = self.model.heads_of(maps)
        if self.gate is None or self._teacher[0] is None:
            return raw, None, None
        with torch.no_grad():
            shown = self._teacher[0].maps(pictures)
        lessons, opened = self.gate(maps, shown, noise)
        return raw, lessons, opened


def train_detector(
    model: Detector, data: Pictures, recipe: Recipe, *, seed: int = 0, teacher: Detector | None = None,
    gate: OneToOneTeacher | None = None, strength: float = 0.0, accelerator: Any = None, progress: bool = False,
    **checkpoints: Any,
) -> tuple[Detector, Trace]:  # fmt: skip
    """Train in place, perhaps taught by equation (3); return the averaged weights, in evaluation mode, and a trace.

    Batch norm of the average is measured anew: averaged weights are rounded to other levels than those it followed.

    Args:
        model: detector or quantised copy.
        data: to train on.
        recipe: how.
        seed: of batches and augmentation.
        teacher: full precision, frozen. gate: of its lessons; its parameters are trained too where it wants that.
        strength: lambda, the weight of the lessons.
        accelerator, progress, checkpoints: as `kit.training.train`.

    Raises:
        ValueError: pictures whose sides are no multiples of what the network halves.
    """
    if any(side % SIDES[model.variant] for side in data.images.shape[2:]):
        raise ValueError(f"Sides must be multiples of {SIDES[model.variant]}; got {tuple(data.images.shape)}.")
    model.requires_grad_(True)  # a copy of an average is frozen
    whole = Classroom(model, gate, teacher)
    optimizer = torch.optim.AdamW(
        parameter_groups(whole, weight_decay=recipe.weight_decay), lr=recipe.lr, betas=(0.9, 0.99)
    )
    average, trace = Average(model), Trace()
    if teacher is not None:
        teacher.eval().requires_grad_(False)

    def loss(wrapped: nn.Module, share: MicroBatch) -> Tensor:
        rows = epoch_indices(share.step, recipe.batch, len(data.images), seed)
        device = next(wrapped.parameters()).device
        pictures, truths = augmented(data.images[rows], [data.truths[r] for r in rows], share.generator())
        noise = (
            None if gate is None else share.take(torch.rand(len(rows), len(gate.keys), generator=share.generator(2)))
        )
        raw, lessons, opened = wrapped(share.take(pictures).to(device), noise)
        raw = [gathered(y.float()) for y in raw]  # means over objects are the batch's, whoever has how many
        total, _ = detection_loss(model, raw, share.turn(truths), image_size=pictures.shape[-1])
        trace.detection.append(float(total.detach()))
        if lessons is None or opened is None:
            return total
        trace.opened.append(opened.mean(0).tolist())
        return total + strength * lessons

    trace.loss = train(
        whole, optimizer, loss, steps=recipe.steps, lr=Cosine(recipe.lr, recipe.steps, recipe.warmup, recipe.lr / 20),
        seed=seed, accelerator=accelerator, clip=recipe.clip, progress=progress, also=average,
        after_step=lambda _: average.update(model), **checkpoints,
    )  # fmt: skip
    measure_batch_norm(average.model, data)
    return average.model, trace  # type: ignore[return-value]


@torch.no_grad()
def measure_batch_norm(model: nn.Module, data: Pictures, *, batches: int = 10, batch: int = 32) -> None:
    """Measure the statistics of batch norm anew, as plain means over some batches, in place.

    Rounded weights have another scale, so the statistics of before are wrong for them.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    kept = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # type: ignore[assignment]  # a cumulative mean
    was_training = model.training
    model.train()
    device = next(model.parameters()).device
    for part in data.images[: batches * batch].split(batch):
        model(part.to(device).float() / 255)
    model.train(was_training)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum


@torch.no_grad()
def activation_ranges(model: Detector, data: Pictures, *, share: float = RANGE, count: int = 64) -> dict[str, float]:
    """What a share of the positive activations after every convolution stay below, by the convolution's name."""
    found: dict[str, list[float]] = {}
    hooks = []
    for name in convolutions(model):
        block: Any = model.get_submodule(name.rpartition(".")[0])

        def note(_: nn.Module, __: Any, output: Tensor, name: str = name) -> None:
            positive = output[output > 0]
            if len(positive):
                step = max(1, len(positive) // 100_000)
                found.setdefault(name, []).append(float(torch.quantile(positive[::step], share)))

        hooks.append(block[2].register_forward_hook(note))
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    for part in data.images[:count].split(16):
        model(part.to(device).float() / 255)
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return {name: float(np.mean(found[name])) if name in found else 1.0 for name in convolutions(model)}


@torch.no_grad()
def evaluate(
    model: Detector, data: Pictures, *, batch: int = 50, iou: float = 0.5, overlap: float = 0.5
) -> dict[int, float]:
    """Average precision by class, in [0, 1]; `overlap` of the suppression (released: 0.6 for VEDAI).

    Raises:
        ValueError: as `train_detector`.
    """
    if any(side % SIDES[model.variant] for side in data.images.shape[2:]):
        raise ValueError(f"Sides must be multiples of {SIDES[model.variant]}; got {tuple(data.images.shape)}.")
    was_training = model.training
    model.eval()
    device, found = next(model.parameters()).device, []
    for part in data.images.split(batch):
        found += model.decode(model(part.to(device).float() / 255), overlap=overlap)
    model.train(was_training)
    return average_precisions(found, data.truths, iou=iou)


def mean_precision(model: Detector, data: Pictures) -> float:
    """Mean average precision at an overlap of one half, in per cent.

    Raises:
        ValueError: there is nothing to find.
    """
    values = list(evaluate(model, data).values())
    if not values:
        raise ValueError("These pictures show no object, so no precision can be measured.")
    return 100 * sum(values) / len(values)
