"""The evidence's runs: a teacher a seed and its rounded copies; every network is trained once a seed and shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from firsthand.data.drawn.aerial import CAMOUFLAGE, COMPACT, Scene, scenes
from firsthand.ghost.bits import bit_operations, bits_within, kmeans_errors, model_size_mb
from firsthand.ghost.detector import Detector
from firsthand.ghost.loss import detection_loss
from firsthand.ghost.quantizers import bits_of, quantize_model
from firsthand.ghost.teaching import OneToOneTeacher, energy, open_probability
from firsthand.ghost.training import (
    Pictures,
    Recipe,
    Trace,
    activation_ranges,
    mean_precision,
    measure_batch_norm,
    train_detector,
)
from firsthand.kit.lab.cached import cached

SIZE, WIDTH, TRAIN, TEST = 128, 0.125, 600, 200  # pixels, factor on channels, scenes
TEACH, LEARN = Recipe(350, 5e-3, warmup=50), Recipe(70, 2e-3, warmup=10)
LEAST = 0.3  # confidence from which a vehicle counts as found
FEW = 3  # bits at which lessons and allocations are compared
SPECTRA = {"all": (0, 1, 2, 3), "colour": (0, 1, 2), "infrared": (3,)}
GATES = ("frozen", "always", "chance", "trained", "budget")  # "chance": open with the frozen gate's probability at 0
OPEN = 0.632  # 1 - 1 / e, the chance of a released switch whose logit is 0
BUDGET, HOLD = 0.6, 0.02  # the share of open switches that a budget asks for, and its penalty's weight
SHARE = 0.3  # of the detection loss that the lessons amount to at the start


def scenes_to_test(seed: int, count: int = TEST) -> tuple[Scene, ...]:
    """The test scenes of a seed, with their vehicles' camouflage."""
    return scenes(1_000_000 * (seed + 1) + 500_000, count, size=SIZE)


@cache
def pictures(kind: str, seed: int, count: int | None = None) -> Pictures:
    """Scenes to train on, or to "test"; every seed has its own. `count`: only the first so many."""
    found = (
        scenes_to_test(seed, count or TEST)
        if kind == "test"
        else scenes(1_000_000 * (seed + 1), count or TRAIN, size=SIZE)
    )
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


@cached
def _teacher(seed: int, spectrum: str) -> Detector:
    data = pictures("train", seed).channels(SPECTRA[spectrum])
    return train_detector(new_detector(seed, data), data, TEACH, seed=seed)[0]


def teacher(seed: int, spectrum: str = "all") -> Detector:
    """A detector trained in full precision, once a process."""
    return _teacher(seed, spectrum)


@cached
def teacher_score(seed: int) -> float:
    """Its mean average precision on test scenes, per cent."""
    return mean_precision(teacher(seed), pictures("test", seed))


@cached
def recall(seed: int, spectrum: str, state: str) -> float:
    """Share (per cent) of the test vehicles in a state of camouflage that a teacher finds, class and half of the box
    right, with a confidence of at least LEAST."""
    found, whole = 0, 0
    model, data = teacher(seed, spectrum), pictures("test", seed).channels(SPECTRA[spectrum])
    states = [one.camouflage for one in scenes_to_test(seed)]
    with torch.no_grad():
        for start in range(0, len(data.images), 50):
            raw = model(data.images[start : start + 50].float() / 255)
            for place, one in enumerate(model.decode(raw, confidence=LEAST, overlap=0.5), start):
                truth, wanted = data.truths[place], states[place] == CAMOUFLAGE.index(state)
                same = one["labels"].unsqueeze(1) == truth["labels"].unsqueeze(0)
                near = (box_iou(one["boxes"], truth["boxes"]) >= 0.5) & same
                found += int(near.any(0)[wanted].sum())
                whole += int(wanted.sum())
    return 100 * found / whole


@cached
def ranges(seed: int) -> dict[str, float]:
    """Ranges of the teacher's activations, on training scenes."""
    return activation_ranges(teacher(seed), pictures("train", seed))


# -------------------------------------------------------------------------------------------- who gets what


Price = Callable[[Mapping[str, int]], float]


def turned(bits: Mapping[str, int]) -> dict[str, int]:
    """The same bits upside down: the layer with most gets fewest; among equals the earlier one gets more."""
    found = dict(zip(sorted(bits, key=bits.__getitem__), sorted(bits.values(), reverse=True), strict=True))
    return {name: found[name] for name in bits}


def hybrid_within(
    weights: Detector, cost: float, price: Price, deal: Callable[[dict[str, int]], dict[str, int]] = dict
) -> dict[str, int]:
    """Hybrid quantisation of some weights, its bits dealt anew, at the smallest threshold that costs no more; by
    bisection."""
    errors = kmeans_errors(weights)
    low, high = -6.0, 8.0  # powers of ten
    for _ in range(30):
        middle = (low + high) / 2
        if price(deal(bits_within(errors, 10**middle))) <= cost:
            high = middle
        else:
            low = middle
    return deal(bits_within(errors, 10**high))


@cached
def allocation(kind: str, seed: int) -> dict[str, int]:
    """Bits by name.

    Args:
        kind: "8" and other numbers: all layers alike; "size": hybrid quantisation at no more than the size of FEW bits;
            "operations": at no more than its bit-operations along the graph; "fresh": as "size", but of the weights
            before training; "permuted": the bits of "size" dealt out at random until the size is the same; "reversed":
            as "size", but `turned`.
        seed: of the teacher, and of the deal.
    """
    model = teacher(seed)
    if kind.isdigit():
        return bits_of(model, int(kind))
    size = partial(model_size_mb, model)
    if kind == "operations":
        price = partial(bit_operations, model, image_size=SIZE, order="graph")
        return hybrid_within(model, price(FEW), price)  # type: ignore[arg-type]
    if kind in ("size", "fresh", "reversed"):
        weights = new_detector(seed, pictures("train", seed)) if kind == "fresh" else model
        return hybrid_within(weights, size(FEW), size, turned if kind == "reversed" else dict)
    if kind != "permuted":
        raise ValueError(f"Unknown allocation {kind!r}.")
    return _dealt(allocation("size", seed), size, np.random.default_rng([seed, 5]))


def _dealt(bits: Mapping[str, int], size: Price, rng: np.random.Generator, swaps: int = 3000) -> dict[str, int]:
    """The same bits on other layers: dealt out at random, then random pairs changed while that mends the size."""
    names, goal = list(bits), size(bits)
    found = dict(zip(names, rng.permutation(list(bits.values())).tolist(), strict=True))
    gap = abs(size(found) - goal)
    for _ in range(swaps):
        a, b = rng.choice(len(names), 2, replace=False)
        other = {**found, names[a]: found[names[b]], names[b]: found[names[a]]}
        if abs(size(other) - goal) < gap:
            found, gap = other, abs(size(other) - goal)
        if gap < 0.01 * goal:
            break
    return found


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
        learned: with steps and limits that learn, LSQ and PACT, in place of DoReFa.
    """

    bits: str = str(FEW)
    gate: str | None = None
    learned: bool = False


class Chance(OneToOneTeacher):
    """A gate that tosses a coin for every lesson, whatever the pictures are.

    Args:
        channels: as `OneToOneTeacher`.
        chances: of each layer's coin.
    """

    def __init__(self, channels: list[int], chances: Tensor) -> None:
        super().__init__(channels)
        self.fixed: Tensor
        self.register_buffer("fixed", torch.log(-torch.log1p(-chances.clamp(1e-3, 1 - 1e-3))))

    def logits(self, student, teacher):  # type: ignore[no-untyped-def]
        """The same for all pictures, (N, L)."""
        return self.fixed.expand(len(student[0]), -1)


def gate_of(
    name: str, student_maps: list[Tensor], teacher_maps: list[Tensor], strength: float, seed: int
) -> OneToOneTeacher:
    """A gate of GATES, for maps of some pictures.

    The coin of "chance" has each layer's mean chance under the frozen gate; a budget's penalty does not grow with the
    weight of the lessons.
    """
    channels = [m.shape[1] for m in teacher_maps]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "chance":
            frozen = OneToOneTeacher(channels).to(teacher_maps[0].device)
            with torch.no_grad():
                return Chance(channels, open_probability(frozen.logits(student_maps, teacher_maps)).mean(0))
        if name == "budget":
            return OneToOneTeacher(channels, gate="trained", budget=BUDGET, weight=HOLD / strength)
        return OneToOneTeacher(channels, gate=name)


@torch.no_grad()
def lessons_for(
    student: Detector, teacher: Detector, data: Pictures, gate: str, seed: int, strength: float | None = None
) -> tuple[OneToOneTeacher, float]:
    """A gate and the weight of its lessons.

    Args:
        student, teacher: before self-teaching. data: to train on.
        gate: of GATES. seed: of its projections.
        strength: lambda; None: open in the mean as often as the released switch without opinion, lessons then amount
            to SHARE of the detection loss at the start. Lessons that are always given count so much less.
    """
    device = next(student.parameters()).device
    images = data.images[:32].to(device).float() / 255
    maps, shown = student.maps(images), teacher.maps(images)
    if strength is None:
        loss, _ = detection_loss(student, student.heads_of(maps), data.truths[:32], image_size=images.shape[-1])
        always, _ = OneToOneTeacher([m.shape[1] for m in maps], gate="always")(maps, shown)
        strength = SHARE * float(loss) / (OPEN * float(always))
        strength *= OPEN if gate == "always" else 1.0
    return gate_of(gate, maps, shown, strength, seed).to(device), strength


@cached
def student(study: Study, seed: int) -> tuple[Detector, Trace, float]:
    """A trained student, what its lessons reported, and their weight."""
    weights, activations = ("lsq", "pact") if study.learned else ("dorefa", "dorefa")
    model = rounded(seed, allocation(study.bits, seed), weights=weights, activations=activations)
    if study.gate is None:
        return *train_detector(model, pictures("train", seed), LEARN, seed=seed), 0.0
    gate, strength = lessons_for(model, teacher(seed), pictures("train", seed), study.gate, seed)
    found, trace = train_detector(
        model, pictures("train", seed), LEARN, seed=seed, teacher=teacher(seed), strength=strength, gate=gate
    )
    return found, trace, strength


@cached
def score(study: Study, seed: int) -> float:
    """A student's mean average precision on test scenes, per cent."""
    return mean_precision(student(study, seed)[0], pictures("test", seed))


@cached
def distance(study: Study, seed: int) -> float:
    """Mean over layers of the squared distance of energies between student and teacher, on test scenes."""
    images = pictures("test", seed).images[:50].float() / 255
    with torch.no_grad():
        maps, shown = student(study, seed)[0].maps(images), teacher(seed).maps(images)
        return float(
            torch.stack(
                [(energy(s) - energy(t)).square().sum(1).mean() for s, t in zip(maps, shown, strict=True)]
            ).mean()
        )


__all__ = [
    "FEW", "GATES", "LEARN", "SPECTRA", "Study", "allocation", "chosen_anchors", "distance", "lessons_for",
    "new_detector", "pictures", "ranges", "recall", "rounded", "score", "student", "teacher", "teacher_score",
]  # fmt: skip
