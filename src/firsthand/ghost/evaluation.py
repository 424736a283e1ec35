"""What a detector found against what is there: non-maximum suppression, average precision as COCO counts it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_iou

Detections = dict[str, Tensor]  # "boxes" (n, 4) x1 y1 x2 y2, "labels" (n,), "scores" (n,)
MOST = 100  # detections of an image that count, as in COCO
CANDIDATES = 1000  # boxes of an image that enter suppression
RECALLS = np.linspace(0, 1, 101)


def suppress(boxes: Tensor, scores: Tensor, *, confidence: float, overlap: float) -> list[Detections]:
    """Non-maximum suppression within classes.

    Args:
        boxes: (N, cells, 4). scores: (N, cells, classes).
        confidence: least score. overlap: IoU above which the lower score goes.
    """
    found = []
    for box, score in zip(boxes, scores, strict=True):
        cell, label = (score > confidence).nonzero(as_tuple=True)
        value = score[cell, label]
        if len(value) > CANDIDATES:
            value, order = value.topk(CANDIDATES)
            cell, label = cell[order], label[order]
        keep = batched_nms(box[cell].float(), value.float(), label, overlap)[:MOST]
        found.append({"boxes": box[cell][keep], "labels": label[keep], "scores": value[keep]})
    return found


def _matches(
    found: Detections, truth: dict[str, Tensor], label: int, ious: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n,) of an image's detections of a class, best first, and which hit (thresholds, n).

    Greedy as in COCO: each detection, by score, takes the free object that it overlaps most.
    """
    mine = found["labels"] == label
    scores = found["scores"][mine].double().cpu().numpy()
    order = np.argsort(-scores, kind="mergesort")[:MOST]
    boxes = found["boxes"][mine].double().cpu()[torch.from_numpy(order.copy())]
    there = truth["boxes"][truth["labels"] == label].double().cpu()
    hits = np.zeros((len(ious), len(order)), dtype=bool)
    if len(there) and len(order):
        overlap = box_iou(boxes, there).numpy()
        for t, least in enumerate(ious):
            free = np.ones(len(there), dtype=bool)
            for d in range(len(order)):
                best = np.where(free, overlap[d], -1.0)
                # Of equal overlaps COCO takes the last object.
                at = len(best) - 1 - int(best[::-1].argmax())
                if best[at] >= min(least, 1 - 1e-10):
                    hits[t, d], free[at] = True, False
    return scores[order], hits


def average_precision(
    detections: Sequence[Detections], truths: Sequence[dict[str, Tensor]], *, iou: float | Sequence[float] = 0.5
) -> float:
    """Mean average precision: COCO's 101 points of recall, mean over the classes present in `truths`.

    Args:
        detections: a dictionary an image, "boxes" (n, 4), "labels" (n,), "scores" (n,).
        truths: the same without scores.
        iou: overlap that counts as a hit, or several to take the mean over.

    Returns:
        in [0, 1]; nan where there is nothing to find.
    """
    per_class = average_precisions(detections, truths, iou=iou)
    return float(np.mean(list(per_class.values()))) if per_class else float("nan")


def average_precisions(
    detections: Sequence[Detections], truths: Sequence[dict[str, Tensor]], *, iou: float | Sequence[float] = 0.5
) -> dict[int, float]:
    """`average_precision` by class."""
    ious = np.atleast_1d(np.asarray(iou, dtype=float))
    labels = sorted({int(label) for truth in truths for label in truth["labels"]})
    found = {}
    for label in labels:
        pairs = [_matches(d, t, label, ious) for d, t in zip(detections, truths, strict=True)]
        scores = np.concatenate([p[0] for p in pairs])
        hits = np.concatenate([p[1] for p in pairs], axis=1)[:, np.argsort(-scores, kind="mergesort")]
        count = sum(int((truth["labels"] == label).sum()) for truth in truths)
        found[label] = float(np.mean([_area(row, count) for row in hits]))
    return found


def _area(hits: np.ndarray, count: int) -> float:
    """Mean over 101 recalls of the best precision at that recall or above."""
    if not len(hits):
        return 0.0
    right = hits.cumsum()
    recall, precision = right / count, right / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, RECALLS, side="left")
    return float(np.where(place < len(best), best[np.minimum(place, len(best) - 1)], 0.0).mean())
