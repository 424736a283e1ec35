"""The checkers of the chapter's exercises: truths are computed, and so are the usual mistakes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firsthand.ghost.bits import bits_closed_form
from firsthand.ghost.evaluation import average_precision
from firsthand.ghost.quantizers import Activation, quantize_weight
from firsthand.ghost.teaching import open_probability
from firsthand.kit.page.exercises import Exercise, Wrong, call, compare, need_function, need_number, need_tensor


def _grid(answer: Any) -> str:
    function = need_function(answer, 2)
    w = torch.tensor([-1.7, -0.4, -0.05, 0.0, 0.3, 0.9, 2.2])
    for bits in (2, 3, 5):
        levels = 2**bits - 1
        tanh = w.tanh()
        unit, straight = (v / (2 * v.abs().max()) + 0.5 for v in (tanh, w))
        slips = {
            "Those are the weights between 0 and 1; stretch them to -1 and 1.": (levels * unit).round() / levels,
            "2 ** bits levels have 2 ** bits - 1 steps between them.": 2 * (2**bits * unit).round() / 2**bits - 1,
            "The weights go through tanh before they are scaled.": 2 * (levels * straight).round() / levels - 1,
        }  # fmt: skip
        found = need_tensor(call(function, w.clone(), bits), w.shape)
        compare(found, quantize_weight(w, bits), slips, f"With {bits} bits these are not DoReFa's weights.")
    return "A symmetric grid without zero: even a weight of exactly 0 has to choose a side."


def _kaiming(answer: Any) -> str:
    function = need_function(answer, 2)
    for fan_in in (9, 36, 144, 576, 4608):
        for threshold in (0.1, 100.0, 1000.0):
            deviation = math.sqrt(2 / fan_in)
            truth = bits_closed_form(deviation, threshold=threshold)
            value = need_number(call(function, fan_in, threshold))
            if not 2 <= value <= 8:
                raise Wrong("Bits stay between 2 and 8.")
            slips = {
                "2 / fan-in is the variance; the formula asks for its square root, or for the variance as it is.": (
                    bits_closed_form(2 / fan_in, threshold=threshold)
                ),
                "The factor of a million is missing.": bits_closed_form(deviation / 1e3, threshold=threshold),
            }
            otherwise = f"With fan-in {fan_in} and threshold {threshold:g} it is not {value:g} bits."
            compare(value, truth, slips, otherwise, within=0)
    return (
        "Half a bit less each time the fan-in doubles. How much of it survives training is what rows bits-fresh and "
        "bits-same test."
    )


def _half_open(answer: Any) -> str:
    value = need_number(answer)
    truth = math.log(math.log(2))
    if abs(value - truth) < 5e-3:
        assert abs(float(open_probability(torch.tensor(truth))) - 0.5) < 1e-6
        return "Below zero: with one Gumbel draw a switch without any opinion is open more often than not."
    if abs(value) < 5e-3:
        raise Wrong("So it would be with a sigmoid; at 0 this switch is open with 1 - 1 / e.")
    if abs(value - math.log(2)) < 5e-3 or abs(value + math.log(2)) < 5e-3:
        raise Wrong("One logarithm more: exp(-exp(a)) is to be one half.")
    raise Wrong(f"At {value:g} it is open with probability {float(open_probability(torch.tensor(value))):.3f}.")


def _two_gumbels(answer: Any) -> str:
    function = need_function(answer, 3)
    generator = torch.Generator().manual_seed(0)
    for logit in (-1.0, 0.0, 1.5):
        u, v = (torch.rand(20_000, generator=generator).clamp(1e-6, 1 - 1e-6) for _ in range(2))
        found = need_tensor(call(function, torch.full_like(u, logit), u.clone(), v.clone()), u.shape).double()
        if not set(found.unique().tolist()) <= {0.0, 1.0}:
            raise Wrong("A switch is 0 or 1.")
        rate, wanted = float(found.mean()), 1 / (1 + math.exp(-logit))
        single = float(open_probability(torch.tensor(logit)))
        slips = {
            "That is the released switch: it uses one draw. Compare with a second one.": single,
            "It is open where it should be shut.": 1 - wanted,
        }
        otherwise = f"At a logit of {logit:g} it is open {rate:.3f} of the time, not {wanted:.3f}."
        compare(rate, wanted, slips, otherwise, within=0.015)
    return "The difference of two Gumbels is logistic, so the switch is open with the sigmoid of its logit."


def _bottleneck(answer: Any) -> str:
    function = need_function(answer, 1)
    rng = np.random.default_rng(5)
    for _ in range(6):
        names = ("input", "cv1", "cv2", "m1", "m2")
        bits = dict(zip(names, rng.integers(2, 9, 5).tolist(), strict=True))
        skip = max(bits["cv1"], bits["m2"])
        truth = (skip + bits["cv2"]) / 2
        value = need_number(call(function, dict(bits)))
        slips = {
            "That is the convolution before it in the list, not what feeds it.": bits["cv2"],
            "The bottleneck adds its input: of the two sides of an addition the larger number of bits counts.": (
                (bits["m2"] + bits["cv2"]) / 2
            ),
            "Half of its channels come from cv2.": skip,
        }
        compare(value, truth, slips, f"With {bits} cv3 is not fed {value:g} bits.", within=1e-9)
    return "Down the list cv3 seems to be fed by cv2 alone; along the graph by both branches."


def _rounded(x: Tensor, bits: int) -> Tensor:
    return ((2**bits - 1) * x).round() / (2**bits - 1)


def _pact(answer: Any) -> str:
    function = need_function(answer, 3)
    for limit, bits in ((2.5, 4), (1.0, 8), (6.0, 3)):
        x = torch.linspace(-1, 8, 41)
        alpha, other = (torch.tensor(limit, requires_grad=True) for _ in range(2))
        raw = call(function, x.clone(), alpha, bits)
        found = need_tensor(raw, x.shape)
        layer = Activation(bits, limit, learned=True)
        layer.limit = torch.nn.Parameter(other)
        truth = layer(x)
        slips: dict[str, Tensor] = {
            "Clip before you round: nothing may exceed the limit.": _rounded(x.relu() / limit, bits) * limit,
            "Multiply by the limit again.": _rounded(x.clamp(0, limit) / limit, bits),
        }  # fmt: skip
        compare(
            found.detach(),
            truth.detach(),
            slips,
            f"With limit {limit:g} and {bits} bits these are not the activations.",
        )
        if not (isinstance(raw, Tensor) and raw.requires_grad):
            raise Wrong(
                "The limit gets no gradient: clip with torch.minimum(x, limit), and let only the rounding be detached."
            )
        raw.sum().backward()
        gradient = 0.0 if alpha.grad is None else float(alpha.grad)
        above = float((x > limit).sum())
        if abs(gradient - above) > 0.51 * len(x):
            raise Wrong(f"{above:g} values lie above the limit, but its gradient is {gradient:.1f}.")
        if gradient == 0:
            raise Wrong("Values above the limit must pass their gradient to it.")
    return "What is clipped asks for a larger limit, what is rounded for a smaller one: training settles between them."


def _precision(answer: Any) -> str:
    function = need_function(answer, 2)
    rng = np.random.default_rng(8)
    for count in (4, 7, 20):
        hits = rng.random(2 * count) < 0.5
        hits[np.flatnonzero(hits)[count:]] = False
        side = 10.0
        corner = np.arange(count)[:, None] * np.array([30.0, 0.0])
        boxes = np.concatenate([corner, corner + side], 1)
        found = np.array([boxes[hits[:k].sum()] if hit else [0, 500, 10, 510] for k, hit in enumerate(hits)])
        label = torch.zeros(len(found), dtype=torch.int64)
        truth = average_precision(
            [{"boxes": torch.from_numpy(found), "labels": label, "scores": torch.linspace(1, 0.1, len(found))}],
            [{"boxes": torch.from_numpy(boxes), "labels": torch.zeros(count, dtype=torch.int64)}],
        )
        value = need_number(call(function, hits.copy(), count))
        right = hits.cumsum()
        plain = right / np.arange(1, len(hits) + 1)
        place = np.searchsorted(right / count, np.linspace(0, 1, 101))
        jagged = np.where(place < len(plain), plain[np.minimum(place, len(plain) - 1)], 0).mean()
        slips = {
            "That is the mean precision at the hits; COCO reads a curve that never rises at 101 recalls.": (
                plain[hits].sum() / count
            ),
            "Make the curve fall first: at each recall take the best precision there or further on.": jagged,
        }
        otherwise = f"With {count} objects the average precision is {truth:.4f}, not {value:.4f}."
        compare(value, truth, slips, otherwise, within=1e-6)
    return "One number for a whole ranking; a late hit still counts, but little."


EXERCISES: dict[int, Exercise] = {
    1: Exercise("Weights with few bits", 15, 2, "tanh, scale to [0, 1], round, stretch to [-1, 1].", _grid),
    2: Exercise("Bits before training", 15, 2, "The closed form with a variance of 2 / fan-in.", _kaiming),
    3: Exercise("Half open", 10, 1, "Solve 1 - exp(-exp(a)) = 1/2.", _half_open),
    4: Exercise("A fair switch", 20, 2, "What is the difference of two Gumbel draws?", _two_gumbels),
    5: Exercise("Who feeds cv3?", 15, 2, "Draw the block: two branches, one with an addition.", _bottleneck),
    6: Exercise("A limit that learns", 20, 3, "torch.minimum passes its gradient to the smaller of the two.", _pact),
    7: Exercise("Average precision by hand", 20, 3, "Cumulate, make it fall, read it off at 101 places.", _precision),
}
