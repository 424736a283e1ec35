"""Which cell answers for which object, and the loss of a detector, as YOLOv5 of the released code's time has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import complete_box_iou_loss

from firsthand.ghost.detector import Detector

STRETCH = 4.0  # an anchor answers for boxes up to so many times longer or shorter
LEVELS = (4.0, 1.0, 0.4)  # weights of the heads in the objectness loss


@dataclass(frozen=True)
class Assigned:
    """Which predictions of a head answer for something: k of them.

    Attributes:
        image, anchor, row, column: (k,) places in the head's output.
        box: (k, 4) centre and size in cells, the centre counted from the cell's corner.
        label: (k,).
    """

    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    box: Tensor
    label: Tensor


def stack_truths(truths: Sequence[dict[str, Tensor]], device: torch.device | None = None) -> Tensor:
    """All objects of a batch: (k, 6) image, label, centre x, centre y, width, height in pixels."""
    rows = []
    for number, truth in enumerate(truths):
        box = truth["boxes"].to(device)
        size = box[:, 2:] - box[:, :2]
        head = torch.stack([torch.full_like(box[:, 0], number), truth["labels"].to(device, box.dtype)], 1)
        rows.append(torch.cat([head, (box[:, :2] + box[:, 2:]) / 2, size], 1))
    return torch.cat(rows) if rows else torch.zeros(0, 6, device=device)


def assign(objects: Tensor, shape: tuple[int, int], anchors: Tensor, stride: int) -> Assigned:
    """Predictions of one head that answer for objects.

    An anchor answers if width and height differ from its own by less than a factor of four. The cell that holds the
    centre answers, and of its neighbours the nearer one across and the nearer one up or down.

    Args:
        objects: (k, 6) of `stack_truths`.
        shape: rows and columns of the head.
        anchors: (3, 2) pixels.
        stride: pixels a cell.
    """
    sizes = objects[:, 4:] / stride
    ratio = sizes.unsqueeze(1) / (anchors / stride).unsqueeze(0)
    fits = torch.maximum(ratio, 1 / ratio).amax(2) < STRETCH
    which, anchor = fits.nonzero(as_tuple=True)
    chosen, centre = objects[which], objects[which, 2:4] / stride
    limit = torch.tensor([shape[1], shape[0]], device=objects.device)
    inside = centre % 1
    steps = [torch.zeros_like(centre)]
    valid = [torch.ones(len(centre), dtype=torch.bool, device=objects.device)]
    for axis in (0, 1):
        for sign in (-1.0, 1.0):
            step = torch.zeros_like(centre)
            step[:, axis] = sign
            near = inside[:, axis] < 0.5 if sign < 0 else inside[:, axis] > 0.5
            place = centre[:, axis].floor() + sign
            steps.append(step)
            valid.append(near & (place >= 0) & (place < limit[axis]))
    keep = torch.stack(valid)
    cell = (centre.floor() + torch.stack(steps))[keep]
    repeat = keep.nonzero(as_tuple=True)[1]
    cell = torch.minimum(cell.clamp_min(0), limit - 1)
    box = torch.cat([centre[repeat] - cell, sizes[which][repeat]], 1)
    return Assigned(
        chosen[repeat, 0].long(), anchor[repeat], cell[:, 1].long(), cell[:, 0].long(), box, chosen[repeat, 1].long()
    )


def detection_loss(
    model: Detector, raw: Sequence[Tensor], truths: Sequence[dict[str, Tensor]], *, image_size: int
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch, and its parts.

    Gains as released, for nl heads and nc classes: boxes 0.05 * 3 / nl, classes 0.5 * nc / 80 * 3 / nl, objectness
    (image_size / 640) ** 2 * 3 / nl. Boxes by 1 - CIoU, objectness and classes by binary cross-entropy; the target of
    objectness is the overlap reached. Mean over the batch; the released code multiplies by its size.

    Args:
        model: whose anchors and strides count.
        raw: its predictions.
        truths: a dictionary an image, "boxes" (n, 4), "labels" (n,).
        image_size: pixels a side.
    """
    objects = stack_truths(truths, raw[0].device)
    heads = len(raw)
    zero = raw[0].sum() * 0
    box, kind, there = zero, zero, zero
    for level, (y, stride) in enumerate(zip(raw, model.strides, strict=True)):
        anchors = model.anchors[level]
        found = assign(objects, (y.shape[2], y.shape[3]), anchors, stride)
        target = torch.zeros_like(y[..., 4])
        if len(found.label):
            chosen = y[found.image, found.anchor, found.row, found.column]
            centre = 2 * chosen[:, :2].sigmoid() - 0.5
            size = (2 * chosen[:, 2:4].sigmoid()).square() * (anchors / stride)[found.anchor]
            loss = complete_box_iou_loss(_corners(centre, size), _corners(found.box[:, :2], found.box[:, 2:]))
            box = box + loss.mean()
            place = ((found.image * 3 + found.anchor) * y.shape[2] + found.row) * y.shape[3] + found.column
            overlap = (1 - loss.detach()).clamp_min(0).to(target.dtype)
            target = target.flatten().scatter_reduce(0, place, overlap, "amax").view_as(target)
            if model.classes > 1:
                wanted = F.one_hot(found.label, model.classes).to(chosen.dtype)
                kind = kind + F.binary_cross_entropy_with_logits(chosen[:, 5:], wanted)
        there = there + LEVELS[level] * F.binary_cross_entropy_with_logits(y[..., 4], target)
    share = 3 / heads
    parts = {
        "box": 0.05 * share * box,
        "object": (image_size / 640) ** 2 * share * there,
        "class": 0.5 * model.classes / 80 * share * kind,
    }
    return sum(parts.values(), zero), {name: float(value.detach()) for name, value in parts.items()}


def _corners(centre: Tensor, size: Tensor) -> Tensor:
    return torch.cat([centre - size / 2, centre + size / 2], 1)
