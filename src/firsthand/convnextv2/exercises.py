"""The checkers of the chapter's exercises: truths are computed, and so are the usual mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from firsthand.convnextv2.diversity import feature_diversity
from firsthand.convnextv2.layers import GRN
from firsthand.convnextv2.model import SIZES, build
from firsthand.kit.exercises import Exercise, Wrong, call, need_function, need_number


def _tensor(value: Any, shape: tuple[int, ...]) -> Tensor:
    """A finite float64 tensor of a shape, or a sentence."""
    try:
        found = torch.as_tensor(np.asarray(value.detach() if isinstance(value, Tensor) else value, dtype=float))
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"A {type(value).__name__} came back; an array of shape {shape} is needed.") from None
    if tuple(found.shape) != shape:
        raise Wrong(f"The shape is {tuple(found.shape)}; it should be {shape}.")
    if not found.isfinite().all():
        raise Wrong("Some values are not finite.")
    return found


def _compare(found: Tensor, truth: Tensor, slips: dict[str, Tensor], otherwise: str) -> None:
    if torch.allclose(found, truth, rtol=1e-4, atol=1e-6):
        return
    for sentence, wrong in slips.items():
        if torch.allclose(found, wrong, rtol=1e-4, atol=1e-6):
            raise Wrong(sentence)
    raise Wrong(otherwise)


def _features(seed: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.3


def _grn(answer: Any) -> str:
    function = need_function(answer, 3)
    for seed, shape in enumerate([(2, 3, 4, 5), (1, 2, 2, 3), (4, 5, 5, 8)]):
        x = _features(seed, shape)
        gamma, beta = _features(10 + seed, shape[-1:]), _features(20 + seed, shape[-1:])
        layer = GRN(shape[-1]).double()
        with torch.no_grad():
            layer.gamma.copy_(gamma)
            layer.beta.copy_(beta)
            truth = layer(x)
        found = _tensor(call(function, x.clone(), gamma.clone(), beta.clone()), shape)

        def by(norm: Tensor, x: Tensor = x, gamma: Tensor = gamma, beta: Tensor = beta) -> Tensor:
            return x + gamma * x * norm / norm.mean(-1, keepdim=True) + beta

        each = x.square().sum((1, 2), keepdim=True).sqrt()
        by_sum = x + gamma * x * each / each.sum(-1, keepdim=True) + beta
        over_channels = x.square().sum(-1, keepdim=True).sqrt().expand_as(x)
        slips = {
            "You divide by the sum of the norms; the code divides by their mean.": by_sum,
            "The residual is missing: add x.": truth - x,
            "The shift beta is missing.": truth - beta,
            "The norm runs over the batch as well; every image is normalised by itself.": by(
                x.square().sum((0, 1, 2), keepdim=True).sqrt()
            ),
            "The norm runs over channels; it runs over sites, one norm a channel.": by(over_channels),
            "The root is missing: that is the squared norm.": by(each.square()),
        }
        _compare(found, truth, slips, f"On an input of shape {shape} the values differ from GRN's.")
    return "Your layer equals the book's on every input."


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
        gamma, beta = (_tensor(v.squeeze() if isinstance(v, Tensor) else v, shape[-1:]) for v in value)
        assert layer.beta.grad is not None
        assert layer.gamma.grad is not None
        slips = {
            "For beta you average over sites; the derivative is a sum.": delta.mean((0, 1)),
            "The order is gamma first, then beta.": layer.gamma.grad,
        }
        _compare(beta, layer.beta.grad, slips, "The gradient for beta is the sum of delta over sites.")
        product = delta * x
        slips = {
            "For gamma you left out the share N: the layer multiplies X by N.": product.sum((0, 1)),
            "For gamma you left out X itself.": (delta * share).sum((0, 1)),
            "For gamma you divide by the sum of norms; N divides by the mean.": (product * share).sum((0, 1))
            / shape[-1],
            "For gamma you average over sites; the derivative is a sum.": (product * share).mean((0, 1)),
        }
        _compare(gamma, layer.gamma.grad, slips, "The gradient for gamma is not the sum of delta X N over sites.")
    return "A layer that is the identity still knows which way to go, because only one factor of the product is zero."


def _diversity(answer: Any) -> str:
    function = need_function(answer, 1)
    for seed, shape in enumerate([(3, 3, 4), (4, 5, 9), (6, 6, 2)]):
        x = _features(seed, shape)
        value = need_number(call(function, x.clone()))
        truth = float(feature_diversity(x[None]))
        unit = x.flatten(0, 1) / x.flatten(0, 1).norm(dim=0)
        length, c = float(unit.sum(1).norm()), shape[-1]
        if abs(value - truth) < 1e-5:
            continue
        slips = {
            "The factor one half is missing.": 2 * truth,
            "That is the mean cosine; D is half of one minus it.": length**2 / c**2,
            "The length of the sum must be squared.": (1 - length / c) / 2,
            "Divide by C squared: there are C squared pairs.": (1 - length**2 / c) / 2,
            "Channels must have length one before they are added.": float(1 - x.flatten(0, 1).sum(1).norm() ** 2 / c**2)
            / 2,
            "The pairs of a channel with itself belong to the sum.": truth * c / (c - 1),
        }
        for sentence, wrong in slips.items():
            if abs(value - wrong) < 1e-5:
                raise Wrong(sentence)
        raise Wrong(f"On features of shape {shape} your D is {value:.4f}, which is not it.")
    return "If it took neither a double loop nor a C x C matrix, it is the closed form."


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


def _parameters(answer: Any) -> str:
    function = need_function(answer, 2)
    for size in SIZES.values():
        with torch.device("meta"):
            counts = [sum(p.numel() for p in build(size, version=version).parameters()) for version in (1, 2)]
        truth = counts[1] - counts[0]
        value = need_number(call(function, size.depths, size.dims))
        if value == truth:
            continue
        slips = {
            "GRN has two vectors, gamma and beta.": truth * 3 / 7,
            "Version 2 also loses something: LayerScale.": truth * 8 / 7,
            "GRN sits on the expanded features, four times as wide as the block.": truth / 7,
            "Count every block of a stage.": 7.0 * sum(size.dims),
        }
        for sentence, wrong in slips.items():
            if value == wrong:
                raise Wrong(sentence)
        raise Wrong(f"For depths {size.depths} and widths {size.dims} the difference is not {value:.0f}.")
    return "Seven widths a block, for all eight sizes."


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
    1: Exercise("Write GRN", 15, 2, "One norm a channel and image, then its share of the mean norm.", _grn),
    2: Exercise(
        "Learning from the identity", 15, 2, "Differentiate gamma X N + beta + X at gamma = beta = 0.", _gradient
    ),
    3: Exercise("Diversity without pairs", 15, 2, "A double sum of dot products is the square of a sum.", _diversity),
    4: Exercise("The smallest patch", 10, 1, "Multiply the strides.", _patch),
    5: Exercise("What version 2 costs", 10, 1, "Two vectors come, one goes.", _parameters),
    6: Exercise("Neighbours in the batch", 15, 2, "Two images that are active in different channels.", _pooled),
}
