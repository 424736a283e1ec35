"""Explanation maps of a grader: Grad-CAM, and tests of whether a map tells the truth."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from firsthand.drgnet.network import Grader, Grading


def grad_cam(grading: Grading, grades: Tensor, size: int | None = None, *, create_graph: bool = False) -> Tensor:
    """Grad-CAM on the last map: relu(sum_c alpha_c F_c) over its largest.

    Args:
        grading: of a grader, with its graph.
        grades: (N,), whose logits are explained.
        size: pixels a side of the result; None: as the last map.
        create_graph: keep the graph, where a loss is built on the map.

    Returns:
        (N, 1, h, w) in [0, 1]. By `torch.autograd.grad`: no parameter's gradient is touched.
    """
    chosen = grading.logits.gather(1, grades.unsqueeze(1)).sum()
    slope = torch.autograd.grad(chosen, grading.high, create_graph=create_graph, retain_graph=True)[0]
    found = F.relu((slope.mean((2, 3), keepdim=True) * grading.high).sum(1, keepdim=True))
    found = found / found.amax((2, 3), keepdim=True).clamp_min(1e-8)
    return found if size is None else enlarged(found, size)


def enlarged(maps: Tensor, size: int) -> Tensor:
    """Maps (N, 1, h, w) at another size."""
    return F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)


def explained(grader: Grader, images: Tensor, lesions: Tensor, grades: Tensor) -> tuple[Grading, Tensor]:
    """A grading in evaluation mode and its Grad-CAM (N, 1, h, w); batch norm's statistics stay as they are."""
    was_training = grader.training
    grader.eval()
    with torch.enable_grad():
        grading = grader(images, lesions)
        found = grad_cam(grading, grades, images.shape[-1])
    grader.train(was_training)
    return grading, found.detach()


def gate_map(grading: Grading, size: int) -> Tensor:
    """The gate A, enlarged to pictures: (N, 1, size, size)."""
    if grading.gate is None:
        raise ValueError("This grader has no attention at low level, so there is no gate to show.")
    return enlarged(grading.gate.detach(), size)


def most(scores: Tensor, share: float, where: Tensor) -> Tensor:
    """The pixels with the largest scores, a share of those in `where`: bool (N, h, w) from scores (N, h, w)."""
    found = torch.zeros_like(where)
    for place, (values, inside) in enumerate(zip(scores, where, strict=True)):
        count = max(1, int(share * int(inside.sum())))
        order = values.masked_fill(~inside, -torch.inf).flatten().topk(count).indices
        found[place].view(-1)[order] = True
    return found


RINGS = (9, 17, 33, 65, 129)  # pixels of the windows that a hole is filled from, the smallest that reaches it


def filled(images: Tensor, chosen: Tensor, retina: Tensor) -> Tensor:
    """Pictures (N, 3, h, w) with chosen pixels replaced by the mean of the retina around them that is not chosen.

    Args:
        images: in [0, 1]. chosen, retina: bool (N, h, w).
    """
    keep = (retina & ~chosen).unsqueeze(1).to(images.dtype)
    found, left = images.clone(), chosen.unsqueeze(1).clone()
    for ring in RINGS:
        if not left.any():
            break
        weights = F.avg_pool2d(keep, ring, 1, ring // 2)
        reached = left & (weights > 0.02)
        around = F.avg_pool2d(images * keep, ring, 1, ring // 2) / weights.clamp_min(1e-6)
        found = torch.where(reached, around, found)
        left &= ~reached
    return found


def elsewhere(chosen: Tensor, free: Tensor) -> Tensor:
    """Masks of the same shapes in other places: the mirror image of each that lies most on free ground, and only there.

    Args:
        chosen, free: bool (N, h, w).
    """
    found = []
    for mask, ground in zip(chosen, free, strict=True):
        mirrored = [mask.flip(-1), mask.flip(-2), mask.flip(-1).flip(-2)]
        best = max(mirrored, key=lambda one, ground=ground, mask=mask: int((one & ground & ~mask).sum()))  # type: ignore[misc]
        found.append(best & ground & ~mask)
    return torch.stack(found)
