"""The checkers of the chapter's exercises: truths are computed, and so are the usual mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from firsthand.convnextv2.diversity import feature_diversity
from firsthand.convnextv2.layers import GRN
from firsthand.convnextv2.model import SIZES
from firsthand.kit.page.exercises import Exercise, Wrong, call, compare, need_function, need_number, need_tensor


def _features(seed: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.3


def _competition(answer: Any) -> str:
    function = need_function(answer, 2)
    for channels, factor in ((4, 2.0), (10, 5.0), (64, 3.0), (2, 0.5)):
        value = need_number(call(function, channels, factor))
        total = channels - 1 + factor
        slips = {
            "The mean of all norms grows too: the channel is part of it.": factor,
            "That divides by the sum of the norms; a share is over their mean.": factor / total,
            "That is the share of one of the other channels.": channels / total,
            "The mean is over all channels, not only over the others.": factor * (channels - 1) / total,
        }
        otherwise = f"With {channels} channels and a factor of {factor:g} the share is not {value:.4g}."
        compare(value, channels * factor / total, slips, otherwise, within=1e-4)
    return "And the others' shares fall: however large the factor, all shares together are C."


def _gradient(answer: Any) -> str:
    function = need_function(answer, 2)
    for seed, shape in enumerate([(3, 4, 2), (5, 5, 6)]):
        x, delta = _features(seed, shape), _features(7 + seed, shape)
        layer = GRN(shape[-1]).double()
        layer(x[None]).backward(delta[None])
        norm = x.square().sum((0, 1)).sqrt()
        share = norm / norm.mean()
        value = call(function, x.clone(), delta.clone())
        if isinstance(value, Tensor) and value.ndim == 2:
            value = tuple(value)
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise Wrong("Return two arrays, the gradients for gamma and for beta.")
        gamma, beta = (need_tensor(v.squeeze() if isinstance(v, Tensor) else v, shape[-1:]) for v in value)
        assert layer.beta.grad is not None
        assert layer.gamma.grad is not None
        slips = {
            "For beta you average over sites; the derivative is a sum.": delta.mean((0, 1)),
            "The order is gamma first, then beta.": layer.gamma.grad,
        }
        compare(beta, layer.beta.grad, slips, "The gradient for beta is the sum of delta over sites.")
        product = delta * x
        slips = {
            "For gamma you left out the share N: the layer multiplies X by N.": product.sum((0, 1)),
            "For gamma you left out X itself.": (delta * share).sum((0, 1)),
            "For gamma you divide by the sum of norms; N divides by the mean.": (product * share).sum((0, 1))
            / shape[-1],
            "For gamma you average over sites; the derivative is a sum.": (product * share).mean((0, 1)),
        }
        compare(gamma, layer.gamma.grad, slips, "The gradient for gamma is not the sum of delta X N over sites.")
    return "A layer that is the identity still knows which way to go, because only one factor of the product is zero."


def _shift(answer: Any) -> str:
    beta = need_tensor(answer, (4,))
    worst = 1.0
    for seed in range(4):
        copies = _features(seed, (1, 5, 5, 1)).abs().expand(1, 5, 5, 4)
        worst = min(worst, float(feature_diversity(copies + beta)))
    if worst >= 0.45:
        return f"D is {worst:.2f}, and every channel still carries the same picture: D looks at shifts as well."
    if (beta == 0).all():
        raise Wrong("Without a shift the channels stay copies, and D stays 0.")
    if (beta == beta[0]).all():
        raise Wrong("The same shift for all channels leaves them copies of one another.")
    if (beta >= 0).all() or (beta <= 0).all():
        raise Wrong(f"D is {worst:.2f}: large constants of one sign all point the same way. Use both signs.")
    if beta.abs().max() < 10:
        raise Wrong(f"D is {worst:.2f}: make the shift large beside the features, which are of order one.")
    raise Wrong(f"D is {worst:.2f}: balance the signs, so that the unit vectors cancel.")


def _patch(answer: Any) -> str:
    value = need_number(answer)
    if value == SIZES["atto"].patch:
        return "Stem and all three downsamplings then read windows that are wholly visible or wholly hidden."
    if value in (4, 8, 16):
        raise Wrong(f"At {value:.0f} pixels a later 2 x 2 downsampling reads a window with visible and hidden sites.")
    if value > 32 and value % 32 == 0:
        raise Wrong("That works, but a smaller patch does too.")
    raise Wrong(
        "Follow one site of the last stage back to the image: how many pixels a side feed it through the strides?"
    )


def _saving(answer: Any) -> str:
    function = need_function(answer, 2)
    for width, hidden in ((40, 0.6), (16, 0.6), (352, 0.9), (64, 0.25)):
        value = need_number(call(function, width, hidden))
        seen = 1 - hidden

        def ratio(mixing: float, linear: float, seen: float = seen) -> float:
            return (mixing + linear) / (mixing + linear * seen)

        truth = ratio(49 * width, 8 * width**2)
        slips = {
            "The depthwise convolution mixes sites: it still runs on all of them.": 1 / seen,
            "That is the share that is left; how many times cheaper is its inverse.": 1 / truth,
            "There are two linear layers, to four times the width and back.": ratio(49 * width, 4 * width**2),
            "A window of 7 x 7 has forty-nine weights.": ratio(7 * width, 8 * width**2),
            "A depthwise convolution has one window a channel, not one for every pair.": ratio(
                49 * width**2, 8 * width**2
            ),
            "You used the hidden share where the visible one counts.": ratio(49 * width, 8 * width**2, hidden),
        }
        otherwise = f"At width {width} with a share of {hidden:g} hidden it is not {value:.4g} times."
        compare(value, truth, slips, otherwise, within=1e-4)
    return "The wider the block, the closer to the ideal: linear layers grow with the square of the width."


def _pooled(answer: Any) -> str:
    try:
        x = torch.as_tensor(np.asarray(answer.detach() if isinstance(answer, Tensor) else answer, dtype=float))
    except (TypeError, ValueError, RuntimeError):
        raise Wrong("Give an array of numbers.") from None
    if x.ndim != 4 or len(x) < 2 or x.shape[-1] < 2:
        raise Wrong(f"The shape is {tuple(x.shape)}; it must be (N, H, W, C) with two images and two channels or more.")
    if not x.isfinite().all() or not (x != 0).any():
        raise Wrong("The features must be finite and not all zero.")
    each = x.square().sum((1, 2), keepdim=True).sqrt()
    pooled = x.square().sum((0, 1, 2), keepdim=True).sqrt()
    if (each.mean(-1) == 0).any():
        raise Wrong("One image is zero everywhere; then its shares are not defined.")
    share, released = each / each.mean(-1, keepdim=True), pooled / pooled.mean(-1, keepdim=True)
    gap = float((share - released).norm() / share.norm())
    if gap >= 0.5:
        return f"They differ by {100 * gap:.0f} %: what an image's channels get depends on its neighbours in the batch."
    if gap < 1e-6:
        raise Wrong("Both give the same: the images share one profile of norms, whatever its scale.")
    raise Wrong(f"They differ by {100 * gap:.0f} % only; let the images use different channels.")


EXERCISES: dict[int, Exercise] = {
    1: Exercise("One channel grows", 10, 1, "Write down the mean of all norms before and after.", _competition),
    2: Exercise(
        "Learning from the identity", 15, 2, "Differentiate gamma X N + beta + X at gamma = beta = 0.", _gradient
    ),
    3: Exercise("A shift that looks like diversity", 15, 2, "When do four unit vectors cancel?", _shift),
    4: Exercise("The smallest patch", 10, 1, "Multiply the strides.", _patch),
    5: Exercise("What hiding saves", 15, 2, "Count the weights that every site meets, layer by layer.", _saving),
    6: Exercise("Neighbours in the batch", 15, 2, "Two images that are active in different channels.", _pooled),
}
