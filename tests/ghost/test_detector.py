"""The detector's published counts, folding, matching of anchors, a loss that learns, precision as COCO's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from firsthand.data.drawn.aerial import scenes
from firsthand.ghost.detector import Detector, boxes_of, conv_macs, convolutions, count_macs, fold_batch_norm
from firsthand.ghost.evaluation import average_precision, average_precisions, suppress
from firsthand.ghost.loss import assign, detection_loss, stack_truths
from firsthand.ghost.training import Pictures, Recipe, augmented, evaluate, train_detector


def _small(**rest) -> Detector:
    torch.manual_seed(0)
    return Detector("small", **{"channels": 4, "classes": 4, "width": 0.125, **rest})


@pytest.mark.parametrize(
    ("variant", "channels", "classes", "count", "weights", "macs"),
    [
        ("small", 3, 8, 47, 4_818_695, 16_548_626_432),
        ("small", 4, 8, 47, 4_818_983, 16_624_123_904),
        ("full", 3, 10, 59, 7_065_959, 20_255_866_880),
    ],
)
def test_published_counts(variant, channels, classes, count, weights, macs):
    with torch.device("meta"):
        model = Detector(variant, channels=channels, classes=classes)
    convs = convolutions(model)
    assert len(convs) == count
    heads = sum(p.numel() for p in model.heads.parameters())
    assert sum(m.weight.numel() for m in convs.values()) + heads == weights
    assert count_macs(model, 512) == macs


def test_the_small_network_with_folded_batch_norm():
    folded = fold_batch_norm(Detector("small"))
    macs = conv_macs(folded, 64)
    # The published 16.606 G at 512 pixels counts one addition for the bias of every output.
    biases = sum(
        count // (convolutions(folded)[name].weight[0].numel() if name in convolutions(folded) else 128)
        for name, count in macs.items()
    )
    assert round((16_548_626_432 + 64 * biases) / 1e9, 3) == 16.606


def test_folding_changes_nothing():
    model = _small()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    model.eval()
    x = torch.rand(2, 4, 64, 64)
    with torch.no_grad():
        assert torch.allclose(model(x)[0], fold_batch_norm(model)(x)[0], atol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fold_batch_norm(model).modules())


def test_a_box_that_was_written_is_read():
    anchors = torch.tensor([[10.0, 13.0], [16.0, 30.0], [33.0, 23.0]])
    raw = torch.full((1, 3, 8, 8, 9), -10.0)
    raw[0, 1, 3, 5] = torch.tensor([0.0, 0.0, 0.0, 0.0, 10.0, -10, 10.0, -10, -10])  # middle of the cell, anchor's size
    boxes, rest = boxes_of(raw, anchors, 4)
    assert boxes[0, 1, 3, 5].tolist() == [22 - 8, 14 - 15, 22 + 8, 14 + 15]
    found = suppress(boxes.flatten(1, 3), (rest[..., :1] * rest[..., 1:]).flatten(1, 3), confidence=0.3, overlap=0.6)
    assert found[0]["labels"].tolist() == [1]


def test_which_cells_answer():
    anchors = torch.tensor([[10.0, 10.0], [16.0, 30.0], [100.0, 100.0]])
    objects = torch.tensor([[0, 2, 17.0, 22.0, 12.0, 12.0]])  # cell (row 5, column 4), offset (0.25, 0.5)
    found = assign(objects, (16, 16), anchors, 4)
    cells = set(zip(found.anchor.tolist(), found.row.tolist(), found.column.tolist(), strict=True))
    assert cells == {(a, 5, c) for a in (0, 1) for c in (3, 4)}  # left of the middle: the left neighbour too
    assert set(found.label.tolist()) == {2}
    inner = found.column == 4
    assert found.box[inner][0].tolist() == pytest.approx([0.25, 0.5, 3.0, 3.0])
    assert found.box[~inner][0].tolist() == pytest.approx([1.25, 0.5, 3.0, 3.0])
    edge = assign(torch.tensor([[0, 0, 1.0, 1.0, 12.0, 12.0]]), (16, 16), anchors, 4)
    assert edge.row.min() == edge.column.min() == 0  # no neighbour outside
    assert len(assign(torch.zeros(0, 6), (16, 16), anchors, 4).label) == 0


def test_the_loss_falls_and_boxes_are_found():
    batch = scenes(50_000, 4, size=64)
    model = _small(anchors=((12, 6), (6, 12), (16, 16)))
    images = torch.stack([one.image for one in batch]) / 255
    truths = [{"boxes": one.boxes, "labels": one.labels} for one in batch]
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(40):
        loss, parts = detection_loss(model, model(images), truths, image_size=64)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        assert loss.item() == pytest.approx(sum(parts.values()), rel=1e-5)
    assert losses[-1] < 0.5 * losses[0]
    with torch.no_grad():
        assert average_precision(model.decode(model(images)), truths) > 0.5
    empty, _ = detection_loss(
        model, model(images), [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0)}] * 4, image_size=64
    )
    assert torch.isfinite(empty)
    assert stack_truths([]).shape == (0, 6)


def _random_case(seed: int):
    rng = np.random.default_rng(seed)
    detections, truths = [], []
    for _ in range(12):
        corner = rng.uniform(0, 90, (rng.integers(1, 8), 2))
        boxes = np.concatenate([corner, corner + rng.uniform(8, 30, corner.shape)], 1)
        labels = rng.integers(0, 3, len(boxes))
        keep = rng.random(len(boxes)) < 0.8
        moved = boxes[keep] + rng.normal(0, 2, (keep.sum(), 4))
        extra = np.concatenate([rng.uniform(0, 90, (5, 2)), rng.uniform(91, 120, (5, 2))], 1)
        found = np.concatenate([moved, moved + 1, extra])
        names = np.concatenate([labels[keep], labels[keep], rng.integers(0, 3, 5)])
        detections.append({
            "boxes": torch.tensor(found), "labels": torch.tensor(names),
            "scores": torch.tensor(rng.permutation(len(found)) / 50 + rng.random()),
        })  # fmt: skip
        truths.append({"boxes": torch.tensor(boxes), "labels": torch.tensor(labels)})
    return detections, truths


def _coco(detections, truths, iou):
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    reference, annotations, results = coco.COCO(), [], []
    for image, (found, truth) in enumerate(zip(detections, truths, strict=True)):
        for box, label in zip(truth["boxes"].tolist(), truth["labels"].tolist(), strict=True):
            w, h = box[2] - box[0], box[3] - box[1]
            annotations.append({
                "id": len(annotations) + 1, "image_id": image, "category_id": label, "bbox": [box[0], box[1], w, h],
                "area": w * h, "iscrowd": 0,
            })  # fmt: skip
        for box, label, score in zip(*(found[k].tolist() for k in ("boxes", "labels", "scores")), strict=True):
            results.append({
                "image_id": image, "category_id": label, "score": score,
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            })  # fmt: skip
    reference.dataset = {
        "images": [{"id": k} for k in range(len(truths))], "annotations": annotations,
        "categories": [{"id": k} for k in range(3)], "info": {},
    }  # fmt: skip
    reference.createIndex()
    judge = COCOeval(reference, reference.loadRes(results), "bbox")
    judge.params.iouThrs = np.atleast_1d(iou)
    judge.evaluate()
    judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, -1]
    return float(precision[:, :, precision[0].max(0) > -1].mean())


@pytest.mark.parametrize("iou", [0.5, (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_average_precision_is_cocos(seed, iou, capsys):
    detections, truths = _random_case(seed)
    assert average_precision(detections, truths, iou=iou) == pytest.approx(_coco(detections, truths, iou), abs=1e-6)


def test_precision_of_nothing():
    truth = [{"boxes": torch.tensor([[0.0, 0, 10, 10]]), "labels": torch.tensor([1])}]
    nothing = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0), "scores": torch.zeros(0)}]
    assert average_precisions(nothing, truth) == {1: 0.0}
    assert np.isnan(average_precision(nothing, [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0)}]))
    right = [{**truth[0], "scores": torch.tensor([0.9])}]
    assert average_precision(right, truth) == 1.0


def test_unknown_variants_are_refused():
    with pytest.raises(ValueError, match="Unknown variant 'huge'"):
        Detector("huge")


def test_sides_that_the_network_cannot_halve_are_refused():
    for variant, side, needed in (("small", 56, 16), ("full", 48, 32)):
        data = Pictures(
            torch.zeros(1, 3, 64, side, dtype=torch.uint8), ({"boxes": torch.zeros(0, 4), "labels": torch.zeros(0)},)
        )
        model = Detector(variant, width=0.0625)
        words = rf"multiples of {needed}; got \(1, 3, 64, {side}\)"
        with pytest.raises(ValueError, match=words):
            evaluate(model, data)
        with pytest.raises(ValueError, match=words):
            train_detector(model, data, Recipe(1, 1e-3, batch=1))


def test_pictures_that_are_not_square_are_not_turned():
    truth = {"boxes": torch.tensor([[1.0, 2.0, 3.0, 4.0]]), "labels": torch.tensor([0])}
    with pytest.raises(ValueError, match="must be square"):
        augmented(torch.zeros(1, 3, 32, 64, dtype=torch.uint8), [truth], torch.Generator().manual_seed(0))
