"""The evidence's runs: a teacher a seed and its rounded copies; every network is trained once a seed and shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from firsthand.data.aerial import COMPACT, scenes
from firsthand.ghost.bits import allocate_bits, bit_operations, model_size_mb
from firsthand.ghost.detector import Detector, convolutions
from firsthand.ghost.quantizers import FULL, bits_of, quantize_model
from firsthand.ghost.teaching import OneToOneTeacher
from firsthand.ghost.training import (
    Pictures,
    Recipe,
    Trace,
    activation_ranges,
    mean_precision,
    measure_batch_norm,
    train_detector,
)
from firsthand.kit.shared import shared

SIZE, WIDTH, TRAIN, TEST = 128, 0.125, 600, 200  # pixels, factor on channels, scenes
TEACH, LEARN = Recipe(500, 5e-3, warmup=50), Recipe(100, 2e-3, warmup=10)
FEW = 3  # bits at which lessons and allocations are compared
SPECTRA = {"all": (0, 1, 2, 3), "colour": (0, 1, 2), "infrared": (3,)}
GATES = ("frozen", "always", "chance", "trained", "budget")  # "chance": open with the frozen gate's probability at 0
OPEN = 0.632  # 1 - 1 / e, the chance of a released switch whose logit is 0
BUDGET, HOLD = 0.6, 0.5  # the share of open switches that a budget asks for, and its penalty's weight
SHARE = 0.3  # of the detection loss that the lessons amount to at the start


@cache
def pictures(kind: str, seed: int, camouflage: bool = True, count: int | None = None) -> Pictures:
    """Scenes to train on, or to "test"; every seed has its own. `count`: only the first so many."""
    first = 1_000_000 * (seed + 1) + (500_000 if kind == "test" else 0)
    found = scenes(first, count or (TEST if kind == "test" else TRAIN), size=SIZE, camouflage=camouflage)
    truths = tuple({"boxes": one.boxes, "labels": one.labels} for one in found)
    return Pictures(torch.stack([one.image for one in found]), truths)


def chosen_anchors(data: Pictures) -> list[list[float]]:
    """Three anchors by k-means on the training boxes."""
    from sklearn.cluster import KMeans

    boxes = torch.cat([truth["boxes"] for truth in data.truths])
    sizes = (boxes[:, 2:] - boxes[:, :2]).numpy()
    centres = KMeans(3, n_init=10, random_state=0).fit(sizes).cluster_centers_
    return np.round(centres[np.argsort(centres.prod(1))], 1).tolist()


def new_detector(seed: int, data: Pictures) -> Detector:
    """An untrained compact detector for these pictures."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Detector(
            "small", channels=data.images.shape[1], classes=len(COMPACT), width=WIDTH, anchors=chosen_anchors(data)
        )


@shared
def teacher(seed: int, spectrum: str = "all", camouflage: bool = True) -> Detector:
    """A detector trained in full precision."""
    data = pictures("train", seed, camouflage).channels(SPECTRA[spectrum])
    return train_detector(new_detector(seed, data), data, TEACH, seed=seed)[0]


@shared
def teacher_score(seed: int, spectrum: str = "all", camouflage: bool = True) -> float:
    """Its mean average precision on test scenes, per cent."""
    data = pictures("test", seed, camouflage).channels(SPECTRA[spectrum])
    return mean_precision(teacher(seed, spectrum, camouflage), data)


@shared
def ranges(seed: int) -> dict[str, float]:
    """Ranges of the teacher's activations, on training scenes."""
    return activation_ranges(teacher(seed), pictures("train", seed))


# -------------------------------------------------------------------------------------------- who gets what


def _largest_within(model: Detector, cost: float, price: object) -> dict[str, int]:
    """Hybrid quantisation at the smallest threshold whose bits cost no more; by bisection on its logarithm."""
    low, high = -3.0, 6.0  # powers of ten
    for _ in range(12):
        middle = (low + high) / 2
        bits = allocate_bits(model, threshold=10**middle)
        low, high = (low, middle) if price(bits) <= cost else (middle, high)  # type: ignore[operator]
    return allocate_bits(model, threshold=10**high)


@shared
def allocation(kind: str, seed: int) -> dict[str, int]:
    """Bits by name.

    Args:
        kind: "8" and other numbers: all layers alike; "size": hybrid quantisation at no more than the size of FEW bits;
            "operations": at no more than its bit-operations along the graph; "permuted": those of "size", dealt out at
            random; "reversed": dealt out so that the layer with the most gets the fewest.
        seed: of the teacher, and of the deal.
    """
    model = teacher(seed)
    if kind.isdigit():
        return bits_of(model, int(kind))
    if kind == "size":
        return _largest_within(model, model_size_mb(model, FEW), lambda bits: model_size_mb(model, bits))
    if kind == "operations":
        cost = bit_operations(model, FEW, SIZE, order="graph")
        return _largest_within(model, cost, lambda bits: bit_operations(model, bits, SIZE, order="graph"))
    names, values = list(convolutions(model)), list(allocation("size", seed).values())
    if kind == "permuted":
        return dict(zip(names, np.random.default_rng([seed, 5]).permutation(values).tolist(), strict=True))
    if kind != "reversed":
        raise ValueError(f"Unknown allocation {kind!r}.")
    order = np.argsort(values, kind="stable")
    turned = np.empty(len(values), dtype=int)
    turned[order] = np.sort(values)[::-1]
    return dict(zip(names, turned.tolist(), strict=True))


def rounded(seed: int, bits: Mapping[str, int], *, own_ranges: bool = True, **options: str) -> Detector:
    """The teacher with so many bits, its batch norm measured anew.

    Args:
        seed: of the teacher.
        bits: from `allocation`.
        own_ranges: activations are clipped at each layer's own range; else at 1, as released.
        options: as `quantize_model`.
    """
    student = quantize_model(teacher(seed), bits, limits=ranges(seed) if own_ranges else None, **options)
    measure_batch_norm(student, pictures("train", seed))
    assert isinstance(student, Detector)
    return student


@dataclass(frozen=True)
class Study:
    """One student: how many bits, and who teaches it.

    Attributes:
        bits: a kind of `allocation`.
        gate: of GATES, or None: no lessons.
    """

    bits: str = str(FEW)
    gate: str | None = None


class Chance(OneToOneTeacher):
    """A gate that tosses a coin for every lesson, whatever the pictures are."""

    def logits(self, student, teacher):  # type: ignore[no-untyped-def]
        """All 0: the released switch is then open with probability 1 - 1 / e."""
        return torch.zeros(len(student[0]), len(student))


def gate_of(name: str, channels: list[int], seed: int) -> OneToOneTeacher:
    """A gate of GATES."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "chance":
            return Chance(channels)
        if name == "budget":
            return OneToOneTeacher(channels, gate="trained", budget=BUDGET, weight=HOLD)
        return OneToOneTeacher(channels, gate=name)


@torch.no_grad()
def _strength(student: Detector, seed: int, detection: float) -> float:
    """The weight at which lessons given always amount to SHARE of the detection loss at the start."""
    images = pictures("train", seed).images[:64].float() / 255
    maps, shown = student.maps(images), teacher(seed).maps(images)
    lessons, _ = OneToOneTeacher([m.shape[1] for m in maps], gate="always")(maps, shown)
    return SHARE * detection / float(lessons)


@torch.no_grad()
def _detection(student: Detector, seed: int) -> float:
    from firsthand.ghost.loss import detection_loss

    data = pictures("train", seed)
    loss, _ = detection_loss(student, student(data.images[:64].float() / 255), data.truths[:64], image_size=SIZE)
    return float(loss)


@shared
def student(study: Study, seed: int) -> tuple[Detector, Trace, float]:
    """A trained student, what its lessons reported, and their weight."""
    model = rounded(seed, allocation(study.bits, seed))
    if study.gate is None:
        return *train_detector(model, pictures("train", seed), LEARN, seed=seed), 0.0
    channels = [m.shape[1] for m in model.maps(pictures("train", seed).images[:1].float() / 255)]
    strength = _strength(model, seed, _detection(model, seed))
    found, trace = train_detector(
        model, pictures("train", seed), LEARN, seed=seed, teacher=teacher(seed), strength=strength,
        gate=gate_of(study.gate, channels, seed),
    )  # fmt: skip
    return found, trace, strength


@shared
def score(study: Study, seed: int) -> float:
    """A student's mean average precision on test scenes, per cent."""
    return mean_precision(student(study, seed)[0], pictures("test", seed))


@shared
def distance(study: Study, seed: int) -> float:
    """Mean over layers of the squared distance of energies between student and teacher, on test scenes."""
    images = pictures("test", seed).images[:50].float() / 255
    with torch.no_grad():
        maps, shown = student(study, seed)[0].maps(images), teacher(seed).maps(images)
        from firsthand.ghost.teaching import energy

        return float(
            torch.stack(
                [(energy(s) - energy(t)).square().sum(1).mean() for s, t in zip(maps, shown, strict=True)]
            ).mean()
        )


def full(seed: int) -> float:
    """The full-precision network after a student's training: what bits alone cost is counted from it."""
    return score(Study(str(FULL)), seed)


__all__ = [
    "FEW", "GATES", "LEARN", "SPECTRA", "Study", "allocation", "chosen_anchors", "distance", "full", "new_detector",
    "pictures", "ranges", "rounded", "score", "student", "teacher", "teacher_score",
]  # fmt: skip
