"""What every claim of the chapter measures: measure(seed) -> (method, baseline or None)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from firsthand.data.drawn.aerial import COMPACT
from firsthand.ghost.bits import (
    allocate_bits,
    bit_operations,
    bits_closed_form,
    bits_within,
    kmeans_errors,
    layer_sigmas,
    model_size_mb,
)  # fmt: skip
from firsthand.ghost.detector import Detector, conv_macs, convolutions, count_macs, fold_batch_norm
from firsthand.ghost.evaluation import average_precisions
from firsthand.ghost.lab import runs
from firsthand.ghost.lab.export import export_int8
from firsthand.ghost.lab.runs import FEW, SIZE, Study, allocation, score, student, teacher, teacher_score
from firsthand.ghost.quantizers import quantize_model
from firsthand.ghost.training import mean_precision
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.claims import NotTested

Value = tuple[float, float | None]
FLOOR = 50.0  # per cent that a teacher must reach
#: The bits that the authors left in their code, full network, convolution by convolution.
PUBLISHED = tuple(int(digit) for digit in "88888877878878787676776767656556664666676777887677776566665")
MEANS = (3, 4, 5, 6)  # bits in the mean at which allocations are compared
LADDER = (2, 4, 8, 32)


def floor(seed: int) -> None:
    """The chapter's quality floor: a teacher that finds something."""
    if teacher_score(seed) < FLOOR:
        raise NotTested(f"the full-precision detector stays below {FLOOR:.0f} % mean average precision")


# -------------------------------------------------------------------------------------- sizes, costs


def _published(variant: str, channels: int, classes: int) -> Detector:
    with torch.device("meta"):
        return Detector(variant, channels=channels, classes=classes)


def parameters(seed: int) -> Value:
    """Parameters of the small network, batch norm folded."""
    return float(sum(p.numel() for p in fold_batch_norm(Detector("small")).parameters())), None


def multiply_adds(variant: str, channels: int, classes: int, seed: int) -> Value:
    """Multiply-adds at 512 pixels, in 10 ** 9, additions of biases left out."""
    return count_macs(_published(variant, channels, classes), 512) / 1e9, None


def published_size(seed: int) -> Value:
    """Size (MB) of the full network under the bits that the authors left."""
    return model_size_mb(_published("full", 3, 10), PUBLISHED), None


EVERY = tuple(
    (variant, channels, classes) for variant in ("small", "full") for channels in (3, 4) for classes in (8, 20)
)


def largest_size(seed: int) -> Value:
    """Size (MB) with 8 bits everywhere, the most that hybrid quantisation gives; the largest of all networks."""
    return max(model_size_mb(_published(*case), 8) for case in EVERY), None


def largest_operations(seed: int) -> Value:
    """Bit-operations (10 ** 9) with 8 bits everywhere, at 512 pixels; the largest of all networks."""
    return max(bit_operations(_published(*case), 8, 512) for case in EVERY), None


def order_gap(seed: int) -> Value:
    """Bit-operations of the published bits along the graph over those in list order."""
    model = _published("full", 3, 10)
    return bit_operations(model, PUBLISHED, 512, order="graph") / bit_operations(model, PUBLISHED, 512), None


# ------------------------------------------------------------------------------------------- bits


def _spread(model: Detector) -> list[tuple[float, dict[str, int]]]:
    """Thresholds at which a network gets 3, 4, 5 and 6 bits in the mean, or the next it can, with the bits."""
    errors = kmeans_errors(model)
    grid = np.logspace(-2, 7, 181)
    table = [(t, bits_within(errors, t)) for t in grid]
    means = np.array([np.mean(list(bits.values())) for _, bits in table])
    return [table[int(np.abs(means - goal).argmin())] for goal in MEANS]


def exact_share(seed: int) -> Value:
    """Share of layers whose bits are the closed form's, mean over thresholds; baseline: the commonest bits for all."""
    floor(seed)
    sigmas, ours, mode = layer_sigmas(teacher(seed)), [], []
    for threshold, bits in _spread(teacher(seed)):
        found = np.array(list(bits.values()))
        ours.append(np.mean([bits[name] == bits_closed_form(sigmas[name], threshold=threshold) for name in bits]))
        mode.append(np.bincount(found).max() / len(found))
    return float(np.mean(ours)), float(np.mean(mode))


def formula_near(gap: int, seed: int) -> Value:
    """Share of layers whose bits are the closed form's give or take `gap`, mean over thresholds."""
    floor(seed)
    sigmas = layer_sigmas(teacher(seed))
    return float(
        np.mean(
            [
                abs(count - bits_closed_form(sigmas[name], threshold=threshold)) <= gap
                for threshold, bits in _spread(teacher(seed))
                for name, count in bits.items()
            ]
        )
    ), None


def _map_sizes(model: Detector) -> np.ndarray:
    macs, convs = conv_macs(model, SIZE), convolutions(model)
    return np.array([macs[name] / convs[name].weight.numel() for name in convs])


def _fresh(seed: int) -> Detector:
    return runs.new_detector(seed, runs.pictures("train", seed))


def shallow(trained: bool, seed: int) -> Value:
    """Rank correlation of bits with the size of the map, mean over thresholds; of a teacher or of fresh weights."""
    floor(seed)
    model = teacher(seed) if trained else _fresh(seed)
    sizes = _map_sizes(model)
    return float(np.mean([spearmanr(list(bits.values()), sizes).statistic for _, bits in _spread(model)])), None


def as_before_training(seed: int) -> Value:
    """Rank correlation of the layers' bits after training with those before, mean over mean bits of 3 to 6."""
    floor(seed)
    pairs = zip(_spread(_fresh(seed)), _spread(teacher(seed)), strict=True)
    return float(np.mean([spearmanr(list(a.values()), list(b.values())).statistic for (_, a), (_, b) in pairs])), None


def all_eight(seed: int) -> Value:
    """Mean bits that the released threshold, 0.1, gives our teacher."""
    floor(seed)
    return float(np.mean(list(allocate_bits(teacher(seed)).values()))), None


# ---------------------------------------------------------------------------------------- precision


def teacher_precision(seed: int) -> Value:
    """Mean average precision (per cent) of the full-precision detector."""
    return teacher_score(seed), None


def uniform(bits: int, other: int, seed: int) -> Value:
    """Precision with so many bits against another number, both trained alike from the teacher."""
    floor(seed)
    return score(Study(str(bits)), seed), score(Study(str(other)), seed)


def learned(seed: int) -> Value:
    """Precision with FEW bits: PACT and LSQ against DoReFa."""
    floor(seed)
    return score(Study(learned=True), seed), score(Study(), seed)


def by_bits(seed: int) -> tuple[list[float], None]:
    """Precision with 2, 4, 8 and 32 bits."""
    floor(seed)
    return [score(Study(str(bits)), seed) for bits in LADDER], None


def hybrid(kind: str, other: str, seed: int) -> Value:
    """Precision of one allocation against another."""
    floor(seed)
    return score(Study(kind), seed), score(Study(other), seed)


def sizes(kind: str, seed: int) -> Value:
    """Size of an allocation over that of FEW bits everywhere."""
    floor(seed)
    model = teacher(seed)
    return model_size_mb(model, allocation(kind, seed)) / model_size_mb(model, FEW), None


def operations(kind: str, seed: int) -> Value:
    """Bit-operations of an allocation along the graph over those of FEW bits everywhere."""
    floor(seed)
    model = teacher(seed)
    cost = [bit_operations(model, bits, SIZE, order="graph") for bits in (allocation(kind, seed), FEW)]
    return cost[0] / cost[1], None


def converted(own_ranges: bool, measured: bool, seed: int) -> Value:
    """Precision right after conversion to 8 bits without training, as a share of full precision."""
    floor(seed)
    bits = allocation("8", seed)
    if measured:
        model = runs.rounded(seed, bits, own_ranges=own_ranges)
    else:
        limits = runs.ranges(seed) if own_ranges else None
        model = quantize_model(teacher(seed), bits, limits=limits)  # type: ignore[assignment]
    return mean_precision(model, runs.pictures("test", seed)) / teacher_score(seed), None


def _converted_otherwise(seed: int, **options: str) -> float:
    model = runs.rounded(seed, allocation("8", seed), own_ranges=False, **options)
    return mean_precision(model, runs.pictures("test", seed)) / teacher_score(seed)


def weights_only(seed: int) -> Value:
    """The same with rounded weights and activations as they are, batch norm measured anew."""
    floor(seed)
    return _converted_otherwise(seed, activations="none"), None


def clipped_only(seed: int) -> Value:
    """The same with activations clipped at 1 but nothing rounded, batch norm measured anew."""
    floor(seed)
    return _converted_otherwise(seed, weights="none", activations="clip"), None


@cached
def exported(seed: int) -> dict[str, tuple[float, float]]:
    """The integer network against the one in floats: "bytes", "milliseconds", and "precision" in per cent."""
    model, data = teacher(seed), runs.pictures("test", seed)
    with tempfile.TemporaryDirectory() as folder:
        pair = export_int8(model, runs.pictures("train", seed).images[:64], Path(folder))
    precision = []
    for one in pair:
        found = []
        for part in data.images.split(50):
            found += model.decode(one.raw(part.float() / 255, len(COMPACT)), overlap=0.5)
        values = average_precisions(found, data.truths)
        precision.append(100 * sum(values.values()) / len(values))
    integer, plain = pair
    return {
        "bytes": (float(integer.bytes), float(plain.bytes)),
        "milliseconds": (integer.milliseconds, plain.milliseconds),
        "precision": (precision[0], precision[1]),
    }


def export(what: str, seed: int) -> Value:
    """One of `exported`: integers over floats, or the points that integers cost."""
    floor(seed)
    integer, plain = exported(seed)[what]
    return (integer, plain) if what == "precision" else (integer / plain, None)


# ------------------------------------------------------------------------------------------ lessons


def lessons(gate: str, other: str | None, seed: int) -> Value:
    """Precision with FEW bits under one gate against another, or against no lessons."""
    floor(seed)
    return score(Study(gate=gate), seed), score(Study(gate=other), seed)


def open_share(gate: str, seed: int) -> Value:
    """Share of open switches in the last tenth of the training."""
    floor(seed)
    opened = np.array(student(Study(gate=gate), seed)[1].opened)
    return float(opened[-max(1, len(opened) // 10) :].mean()), None


def nearer(gate: str, seed: int) -> Value:
    """Distance of energies to the teacher's on test scenes, with lessons over without."""
    floor(seed)
    return runs.distance(Study(gate=gate), seed) / runs.distance(Study(), seed), None


# ----------------------------------------------------------------------------------------- modality


def spectra(other: str, state: str, seed: int) -> Value:
    """Share (per cent) of the vehicles in a state of camouflage that are found, by both spectra against one."""
    floor(seed)
    return runs.recall(seed, "all", state), runs.recall(seed, other, state)


def not_here(reason: str, seed: int) -> Value:
    """A number of the paper that needs its data."""
    raise NotTested(reason)
