"""What every claim of the chapter measures: measure(seed) -> (method, baseline or None)."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import spearmanr

from firsthand.ghost import runs
from firsthand.ghost.bits import allocate_bits, bit_operations, bits_closed_form, layer_sigmas, model_size_mb
from firsthand.ghost.detector import Detector, convolutions, count_macs, fold_batch_norm
from firsthand.ghost.quantizers import quantize_model
from firsthand.ghost.runs import FEW, SIZE, Study, allocation, score, student, teacher, teacher_score
from firsthand.ghost.training import mean_precision
from firsthand.kit.claims import NotTested

Value = tuple[float, float | None]
FLOOR = 50.0  # per cent that a teacher must reach
#: The bits that the authors left in their code, full network, convolution by convolution.
PUBLISHED = tuple(int(digit) for digit in "88888877878878787676776767656556664666676777887677776566665")
THRESHOLDS = (100.0, 300.0, 1000.0, 3000.0)  # at which our small networks' bits spread over the range


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


def largest_size(seed: int) -> Value:
    """Size (MB) of the full network with 8 bits everywhere, the most that hybrid quantisation gives."""
    return model_size_mb(_published("full", 3, 10), 8), None


def largest_operations(seed: int) -> Value:
    """Bit-operations (10 ** 9) of the full network with 8 bits everywhere, at 512 pixels."""
    return bit_operations(_published("full", 3, 10), 8, 512), None


def order_gap(seed: int) -> Value:
    """Bit-operations of the published bits along the graph over those in list order."""
    model = _published("full", 3, 10)
    return bit_operations(model, PUBLISHED, 512, order="graph") / bit_operations(model, PUBLISHED, 512), None


# ------------------------------------------------------------------------------------------- bits


def exact_share(seed: int) -> Value:
    """Share of layers whose bits are the closed form's, mean over thresholds; baseline: the mean bit for all."""
    floor(seed)
    sigmas, ours, mean = layer_sigmas(teacher(seed)), [], []
    for threshold in THRESHOLDS:
        bits = allocate_bits(teacher(seed), threshold=threshold)
        found = np.array(list(bits.values()))
        formula = np.array([bits_closed_form(sigmas[name], threshold=threshold) for name in bits])
        ours.append((found == formula).mean())
        mean.append((found == np.rint(found.mean())).mean())
    return float(np.mean(ours)), float(np.mean(mean))


def _map_sizes(model: Detector) -> np.ndarray:
    from firsthand.ghost.detector import conv_macs

    macs, convs = conv_macs(model, SIZE), convolutions(model)
    return np.array([macs[name] / convs[name].weight.numel() for name in convs])


def shallow(trained: bool, seed: int) -> Value:
    """Rank correlation of bits with the size of the map, mean over thresholds; of a teacher or of fresh weights."""
    floor(seed)
    model = teacher(seed) if trained else runs.new_detector(seed, runs.pictures("train", seed))
    sizes = _map_sizes(model)
    found = [list(allocate_bits(model, threshold=t).values()) for t in THRESHOLDS]
    return float(np.mean([spearmanr(bits, sizes).statistic for bits in found])), None


def as_before_training(seed: int) -> Value:
    """Share of layers with the same bits before and after training, mean over thresholds."""
    floor(seed)
    fresh = runs.new_detector(seed, runs.pictures("train", seed))
    pairs = [(allocate_bits(fresh, threshold=t), allocate_bits(teacher(seed), threshold=t)) for t in THRESHOLDS]
    return float(np.mean([[a[name] == b[name] for name in a] for a, b in pairs])), None


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


def hybrid(kind: str, other: str, seed: int) -> Value:
    """Precision of one allocation against another."""
    floor(seed)
    return score(Study(kind), seed), score(Study(other), seed)


def mean_bits(kind: str, seed: int) -> Value:
    """Size (kB) of an allocation over that of FEW bits everywhere."""
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


def weights_only(measured: bool, seed: int) -> Value:
    """The same with rounded weights and activations as they are."""
    floor(seed)
    bits = allocation("8", seed)
    model = quantize_model(teacher(seed), bits, activations="none")
    if measured:
        model = runs.rounded(seed, bits, activations="none")
    return mean_precision(model, runs.pictures("test", seed)) / teacher_score(seed), None  # type: ignore[arg-type]


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


def spectra(other: str, camouflage: bool, seed: int) -> Value:
    """Precision with colour and infrared against one of them, on scenes with or without camouflage."""
    floor(seed)
    return teacher_score(seed, "all", camouflage), teacher_score(seed, other, camouflage)


def not_here(reason: str, seed: int) -> Value:
    """A number of the paper that needs its data."""
    raise NotTested(reason)
