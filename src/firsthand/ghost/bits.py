"""How many bits each layer gets, and what a network then weighs and costs.

Hybrid quantisation: a layer gets the fewest bits n for which 2 ** n centres stand for its weights within a threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from firsthand.ghost.detector import C3, FROM, OUT, SPP, Detector, conv_macs, convolutions
from firsthand.ghost.quantizers import FULL, bits_of

ROUNDS = 50  # of Lloyd's iteration
SHARE = 1e6  # the released code scales the mean squared distance by it


def kmeans_error(weights: np.ndarray, centres: int, *, seed: int = 0) -> float:
    """Mean squared distance of numbers (n,) to the nearest of so many centres, by k-means++ and Lloyd's iteration.

    At most `centres` different values have error 0.
    """
    values, counts = np.unique(weights, return_counts=True)
    if len(values) <= centres:
        return 0.0
    # In one dimension clusters are intervals of the sorted values: sums over them come from cumulated sums.
    total = np.concatenate([[0], np.cumsum(counts)])
    first = np.concatenate([[0], np.cumsum(values * counts)])
    second = np.concatenate([[0], np.cumsum(values**2 * counts)])
    middle = _plus_plus(values, counts, centres, np.random.default_rng(seed))
    edges = np.empty(0)
    for _ in range(ROUNDS):
        edges = np.concatenate([[0], np.searchsorted(values, (middle[1:] + middle[:-1]) / 2), [len(values)]])
        inside = np.diff(total[edges])
        means = np.where(inside > 0, np.diff(first[edges]) / np.maximum(inside, 1), middle)
        if np.array_equal(means, middle):
            break
        middle = np.sort(means)
    inside, sums = np.diff(total[edges]), np.diff(first[edges])
    error = np.diff(second[edges]) - np.where(inside > 0, sums**2 / np.maximum(inside, 1), 0)
    return float(max(error.sum(), 0.0) / counts.sum())


def _plus_plus(values: np.ndarray, counts: np.ndarray, centres: int, rng: np.random.Generator) -> np.ndarray:
    """Start centres, each drawn in proportion to the squared distance from those before; sorted."""
    found = [float(rng.choice(values, p=counts / counts.sum()))]
    distance = (values - found[0]) ** 2
    for _ in range(centres - 1):
        mass = distance * counts
        found.append(float(rng.choice(values, p=mass / mass.sum())))
        distance = np.minimum(distance, (values - found[-1]) ** 2)
    return np.sort(np.array(found))


def kmeans_errors(
    weights: nn.Module | Mapping[str, Tensor], *, minimum: int = 2, maximum: int = 8, seed: int = 0
) -> dict[str, list[float]]:
    """d of equation (2) for every layer: 10 ** 6 times the error of 2 ** n centres, `minimum` <= n < `maximum`."""
    if isinstance(weights, nn.Module):
        weights = {name: module.weight for name, module in convolutions(weights).items()}
    found = {}
    for name, tensor in weights.items():
        values = tensor.detach().double().flatten().cpu().numpy()
        found[name] = [SHARE * kmeans_error(values, 2**n, seed=seed) for n in range(minimum, maximum)]
    return found


def bits_within(errors: Mapping[str, Sequence[float]], threshold: float, *, minimum: int = 2) -> dict[str, int]:
    """B of equation (2): the fewest bits whose error lies below a threshold, from `kmeans_errors`."""
    return {
        name: minimum + next((k for k, error in enumerate(row) if error < threshold), len(row))
        for name, row in errors.items()
    }


def allocate_bits(
    weights: nn.Module | Mapping[str, Tensor],
    *,
    threshold: float = 0.1,
    minimum: int = 2,
    maximum: int = 8,
    seed: int = 0,
) -> dict[str, int]:
    """Hybrid quantisation's bits, equation (2): the fewest n with 10 ** 6 times the k-means error below the threshold.

    Args:
        weights: a detector, of which every convolution outside the heads counts; or tensors by name.
        threshold: T; the released code has 0.1.
        minimum, maximum: the range of n; `maximum` where no n passes.
        seed: of the starting centres.

    Returns:
        {name: bits}, in the order of the modules.
    """
    errors = kmeans_errors(weights, minimum=minimum, maximum=maximum, seed=seed)
    return bits_within(errors, threshold, minimum=minimum)


def bits_closed_form(sigma: float, *, threshold: float = 0.1, minimum: int = 2, maximum: int = 8) -> int:
    """Ours, equation (4): the bits that Panter and Dite's law gives for Gaussian weights of deviation sigma.

    The error of 2 ** n centres is about sqrt(3) pi / 2 * sigma ** 2 / 4 ** n: one more bit each time sigma doubles.
    """
    if sigma <= 0:
        return minimum
    exact = 0.5 * math.log2(math.sqrt(3) * math.pi / 2 * SHARE * sigma**2 / threshold)
    return int(min(max(math.ceil(exact), minimum), maximum))


# ------------------------------------------------------------------------------------------- what it costs


def _heads(model: Detector) -> int:
    return sum(p.numel() for p in model.heads.parameters())


def model_size_mb(model: Detector, bits: int | Sequence[int] | Mapping[str, int]) -> float:
    """Size in 10 ** 6 bytes: convolutions at their bits, heads with biases at 32; batch norm is not counted."""
    chosen = bits_of(model, bits)
    total = sum(convolutions(model)[name].weight.numel() * count for name, count in chosen.items())
    return (total / 8 + 4 * _heads(model)) / 1e6


def bit_operations(
    model: Detector, bits: int | Sequence[int] | Mapping[str, int], image_size: int, *, order: str = "list"
) -> float:
    """Bit-operations of one picture in 10 ** 9: multiply-adds times bits of weights times bits of inputs.

    Args:
        model: a detector.
        bits: as `bits_of`.
        image_size: pixels a side.
        order: "list": the input of a convolution has the bits of the one before it in the list of modules, as in the
            released script. "graph": it has those of what really feeds it, the mean over its input channels.
    """
    chosen, macs = bits_of(model, bits), conv_macs(model, image_size)
    if order not in ("list", "graph"):
        raise ValueError(f"Unknown order {order!r}: choose list or graph.")
    names = list(chosen)
    incoming = (
        dict(zip(names, [float(FULL), *(float(chosen[n]) for n in names[:-1])], strict=True))
        if order == "list"
        else input_bits(model, chosen)
    )
    total = sum(macs[name] * chosen[name] * incoming[name] for name in names)
    total += FULL * FULL * sum(count for name, count in macs.items() if name not in chosen)
    return total / 1e9


def input_bits(model: Detector, bits: Mapping[str, int]) -> dict[str, float]:
    """Bits of what feeds each convolution, along the graph.

    The picture has 32. A concatenation has the mean, weighted by channels; an addition the larger of both; maxima and
    up-sampling pass on what they get.
    """
    feeds: dict[str, float] = {}
    found: list[tuple[float, int]] = []  # bits and channels of every block's output
    state = (float(FULL), convolutions(model)["layers.0.0"].in_channels)
    for number, layer in enumerate(model.layers):
        name = f"layers.{number}"
        if number in FROM:
            state = _join(state, found[FROM[number]])
        elif isinstance(layer, C3):
            state = _through_c3(name, layer, state, bits, feeds)
        elif isinstance(layer, SPP):
            inner = _through(f"{name}.cv1", layer.cv1, state, bits, feeds)
            state = _through(f"{name}.cv2", layer.cv2, (inner[0], 4 * inner[1]), bits, feeds)
        elif isinstance(layer, nn.Sequential):
            state = _through(name, layer, state, bits, feeds)
        found.append(state)
    assert max(OUT[model.variant]) < len(found)
    return {name: feeds[name] for name in bits}


State = tuple[float, int]


def _through(name: str, block: nn.Module, state: State, bits: Mapping[str, int], feeds: dict[str, float]) -> State:
    feeds[f"{name}.0"] = state[0]
    return float(bits[f"{name}.0"]), block[0].out_channels  # type: ignore[index]


def _join(first: State, second: State) -> State:
    channels = first[1] + second[1]
    return (first[0] * first[1] + second[0] * second[1]) / channels, channels


def _through_c3(name: str, layer: C3, state: State, bits: Mapping[str, int], feeds: dict[str, float]) -> State:
    inner = _through(f"{name}.cv1", layer.cv1, state, bits, feeds)
    beside = _through(f"{name}.cv2", layer.cv2, state, bits, feeds)
    for number, block in enumerate(layer.m):
        middle = _through(f"{name}.m.{number}.cv1", block.cv1, inner, bits, feeds)  # type: ignore[arg-type]
        outer = _through(f"{name}.m.{number}.cv2", block.cv2, middle, bits, feeds)  # type: ignore[arg-type]
        inner = (max(inner[0], outer[0]), outer[1]) if block.skip else outer
    return _through(f"{name}.cv3", layer.cv3, _join(inner, beside), bits, feeds)


def layer_sigmas(model: nn.Module) -> dict[str, float]:
    """Standard deviation of every convolution's weights outside the heads."""
    return {name: float(torch.std(m.weight.detach(), correction=0)) for name, m in convolutions(model).items()}
