"""The checkers of the chapter's exercises: truths are computed, and so are the usual mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from firsthand.grnn.gradients import (
    gradient_distance,
    last_bias_gradient,
    layer_input,
    shared_gradient,
    split_gradient,
    total_variation,
    wasserstein,
)  # fmt: skip
from firsthand.grnn.networks import Generator
from firsthand.grnn.runs import PEOPLE, face_batch, untrained_victim
from firsthand.kit.exercises import Exercise, Wrong, call, need_function, need_number


def _array(value: Any, shape: tuple[int, ...]) -> Tensor:
    try:
        found = torch.as_tensor(np.asarray(value.detach() if isinstance(value, Tensor) else value, dtype=float))
    except (TypeError, ValueError):
        raise Wrong(f"A {type(value).__name__} came back; an array of shape {shape} is needed.") from None
    if tuple(found.shape) != shape:
        raise Wrong(f"The shape is {tuple(found.shape)}; it should be {shape}.")
    return found


def _label(answer: Any) -> str:
    function = need_function(answer, 1)
    for seed in range(6):
        x, y = face_batch(1, seed)
        model = untrained_victim(seed)
        bias = last_bias_gradient(model, shared_gradient(model, x, y), PEOPLE)
        value = need_number(call(function, bias.clone()))
        if value == int(y[0]):
            continue
        if value == int(bias.argmax()):
            raise Wrong("That is the largest entry, the class the model believes in; look for the sign.")
        if value == int(bias.abs().argmin()):
            raise Wrong("The entry nearest to zero says nothing; the sign does.")
        raise Wrong(f"For the victim with seed {seed} the label is not {value:.0f}.")
    return "Softmax minus one-hot: only the true class is below zero."


def _layer(answer: Any) -> str:
    function = need_function(answer, 2)
    for seed in range(4):
        model = untrained_victim(seed).double()
        x, y = face_batch(1, seed)
        parts = split_gradient(model, shared_gradient(model, x.double(), y))
        weight, bias = parts["fc1.weight"], parts["fc1.bias"]
        truth = layer_input(weight, bias)
        value = call(function, weight.clone(), bias.clone())
        found = _array(value.squeeze() if isinstance(value, Tensor) else value, tuple(truth.shape))
        if torch.allclose(found, truth, rtol=1e-4, atol=1e-6):
            continue
        row = int(bias.abs().argmax())
        slips = {
            "You did not divide by the bias's gradient.": weight[row],
            "You divided the wrong way round.": bias[row] / weight[row],
            "A sum of rows is not the input: divide it by the sum of the bias, or take one row.": weight.sum(0),
            "A mean of weight rows is not the input: divide by the bias's entry of the same row.": weight.mean(0),
        }
        for sentence, wrong in slips.items():
            if torch.allclose(found, wrong, rtol=1e-4, atol=1e-6):
                raise Wrong(sentence)
        raise Wrong("That is not what entered the layer; use a row whose bias has a gradient that is not zero.")
    return "The layer's input, exactly, without any search."


def _loss(answer: Any) -> str:
    function = need_function(answer, 3)
    for seed in range(3):
        rng = torch.Generator().manual_seed(seed)
        fake, true = (torch.randn(50, generator=rng, dtype=torch.float64) for _ in range(2))
        images = 30 * torch.rand(2, 3, 6, 6, generator=rng, dtype=torch.float64)  # so that its variation counts
        squares, norm = (float(v) for v in gradient_distance(fake, true))
        variation = 1e-3 * float(total_variation(images))
        value = need_number(call(function, fake, true, images))
        near = 1e-5 * (squares + norm)
        if abs(value - (squares + norm + variation)) < near:
            continue
        slips = {
            "The squares are summed, not averaged.": squares / 50 + norm + variation,
            "The norm is missing.": squares + variation,
            "The sum of squares is missing.": norm + variation,
            "Total variation is missing.": squares + norm,
            "Total variation has the weight 0.001.": squares + norm + 1e3 * variation,
            "The second term is the Euclidean norm; you sorted the values.": squares
            + float(wasserstein(fake, true))
            + variation,
        }
        for sentence, wrong in slips.items():
            if abs(value - wrong) < near:
                raise Wrong(sentence)
        raise Wrong(f"The loss is {squares + norm + variation:.4f} where yours is {value:.4f}.")
    return "Squares, norm and variation, as the released code adds them."


def _permuted(answer: Any) -> str:
    try:
        fake, true = (
            torch.as_tensor(np.asarray(v.detach() if isinstance(v, Tensor) else v, dtype=float)).flatten()
            for v in answer
        )
    except (TypeError, ValueError, RuntimeError):
        raise Wrong("Give a pair of vectors of numbers.") from None
    if fake.shape != true.shape or len(fake) < 2:
        raise Wrong("Both vectors must have the same length, two or more.")
    if not (fake.isfinite().all() and true.isfinite().all()):
        raise Wrong("Some entries are not finite.")
    sorted_distance, norm = float(wasserstein(fake, true)), float((fake - true).norm())
    if norm < 1:
        raise Wrong(f"Their Euclidean distance is {norm:.3g}; at least 1 is asked for.")
    if sorted_distance > 1e-9:
        raise Wrong(f"Their Wasserstein distance is {sorted_distance:.3g}; it should be zero, so use the same values.")
    return "The same values in another order: for the true Wasserstein distance they are one and the same gradient."


def _noise(answer: Any) -> str:
    value = need_number(answer)
    model = untrained_victim(0)
    x, y = face_batch(1, 0)
    gradient = shared_gradient(model, x, y)
    truth = float(gradient.norm()) / len(gradient) ** 0.5
    if abs(value - truth) < 0.02 * truth:
        return "There the noise has the gradient's energy: a first estimate of where an attack must give up."
    slips = {
        "That is the norm of the gradient; the noise has P entries.": float(gradient.norm()),
        "Take the root of P: energies add, not amplitudes.": float(gradient.norm()) / len(gradient),
        "That is the squared norm over P; take its root.": float(gradient.norm()) ** 2 / len(gradient),
    }
    for sentence, wrong in slips.items():
        if abs(value - wrong) < 0.02 * wrong:
            raise Wrong(sentence)
    raise Wrong("Set the expected squared length of the noise, sigma squared times P, equal to the gradient's.")


def _parameters(answer: Any) -> str:
    value = need_number(answer)
    sizes = {s: sum(p.numel() for p in Generator(10, image_size=s).parameters()) for s in (32, 64)}
    if value == sizes[64]:
        return "Every doubling of the side adds a step and doubles the width of all earlier ones."
    if value == sizes[32]:
        raise Wrong("That is the generator for images of 32 pixels.")
    if value == sum(p.numel() for p in Generator(100, image_size=64).parameters()):
        raise Wrong("That is right for a hundred classes; ten are asked for.")
    raise Wrong(f"{value:.0f} is not it: build the generator and count.")


EXERCISES: dict[int, Exercise] = {
    1: Exercise("Read the label", 10, 1, "The gradient of the bias is softmax minus one-hot.", _label),
    2: Exercise("Read the layer", 15, 2, "The gradient of W is an outer product.", _layer),
    3: Exercise("The attacker's loss", 15, 2, "Three terms; the first is a sum, not a mean.", _loss),
    4: Exercise("Same values, other gradient", 10, 1, "Sorting forgets which parameter a value belongs to.", _permuted),
    5: Exercise("Where the knee is", 15, 2, "The expected squared norm of the noise is sigma squared times P.", _noise),
    6: Exercise("A larger generator", 5, 1, "Generator(10, image_size=64) and a sum over parameters.", _parameters),
}
