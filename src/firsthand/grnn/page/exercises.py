"""The checkers of the chapter's exercises: truths are computed, and so are the usual mistakes."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firsthand.grnn.gradients import cross_entropy, shared_gradient, split_gradient, wasserstein
from firsthand.grnn.networks import LeNet
from firsthand.grnn.victims import face_batch, untrained_victim
from firsthand.kit.page.exercises import Exercise, Wrong, call, compare, need_function, need_number, need_tensor


def _label(answer: Any) -> str:
    function = need_function(answer, 1)
    for seed in range(6):
        x, y = face_batch(1, seed)
        model = untrained_victim(seed)
        weight = split_gradient(model, shared_gradient(model, x, y))["fc3.weight"]
        value = need_number(call(function, weight.clone()))
        rows, columns = weight.sum(1), weight.sum(0)
        slips = {
            "That is the largest row sum: the class the model believes in. Look for the sign.": int(rows.argmax()),
            "That is the shortest row: the class the model finds least likely.": int(weight.norm(dim=1).argmin()),
            "Classes are rows of this gradient; you looked at columns.": int(columns.argmin()),
        }
        otherwise = f"For the victim with seed {seed} the label is not {value:.0f}."
        compare(value, int(y[0]), slips, otherwise, within=0)
    return "A sigmoid's outputs are positive, so a row keeps the sign of its softmax minus one-hot."


def _two_layers(answer: Any) -> str:
    function = need_function(answer, 2)
    for seed in range(3):
        model = untrained_victim(seed).double()
        x, y = face_batch(2, seed)
        with torch.no_grad():
            truth = model.features(x.double())
        inputs = truth.clone().requires_grad_()
        hidden = model.fc1(inputs)
        loss = cross_entropy(model.fc3(torch.sigmoid(model.fc2(torch.sigmoid(hidden)))), y)
        delta, weight = torch.autograd.grad(loss, [hidden, model.fc1.weight])
        value = call(function, weight.clone(), delta.clone())
        found = need_tensor(value, tuple(truth.shape))
        one_row = weight[int(delta.sum(0).abs().argmax())] / delta.sum(0).abs().max() * delta.sum(0).abs().max().sign()
        mixture = "Both rows are the same mixture; use many rows of the gradient, not one."
        slips = {
            "A product with delta is not its inverse: solve for the two inputs.": delta @ weight,
            "The two inputs are there, in the wrong order: row j belongs to delta's row j.": truth.flip(0),
            mixture: one_row.expand(2, -1),
        }
        otherwise = "These are not the two inputs: least squares over all rows finds them."
        if torch.allclose(found[0], found[1]):
            otherwise = mixture
        compare(found, truth, slips, otherwise, same=partial(torch.allclose, rtol=1e-4, atol=1e-5))
    return "Two images hide each other only as long as nobody knows delta."


def _pixel_step(answer: Any) -> str:
    function = need_function(answer, 5)
    for seed, rate in ((0, 100.0), (1, 20.0)):
        model = untrained_victim(seed)
        x, y = face_batch(1, seed)
        true = shared_gradient(model, x, y)
        raw = 0.5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))

        def slope(image: Any, distance: Any, raw: Tensor = raw, model: Any = model, y: Tensor = y, true: Tensor = true):
            u = raw.clone().requires_grad_()
            fake = shared_gradient(model, image(u), y, create_graph=True)
            return torch.autograd.grad(distance(fake - true), u)[0]

        value = call(function, model, true.clone(), raw.clone(), y, rate)
        found = need_tensor(value, tuple(x.shape)).float()
        down = slope(torch.sigmoid, lambda d: d.square().sum())
        if torch.allclose(found, raw - rate * down, rtol=1e-3, atol=1e-5):
            continue
        slips = {
            "Nothing moved: the fake gradient must keep its graph (create_graph).": raw,
            "You went uphill: subtract the slope.": raw + rate * down,
            "The images are sigmoid(raw), not raw.": raw - rate * slope(lambda u: u, lambda d: d.square().sum()),
            "The squares are summed, not averaged.": raw - rate * down / len(true),
            "That is the slope of the norm; the square is asked for.": raw - rate * slope(torch.sigmoid, torch.norm),
            "Return raw, from before the sigmoid.": torch.sigmoid(raw - rate * down),
        }
        otherwise = "That is not one step of gradient descent on the squared distance."
        compare(found, raw - rate * down, slips, otherwise, same=partial(torch.allclose, rtol=1e-3, atol=1e-7))
    return "Many such steps and the gradients agree; whether a face appears is what a generator decides."


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
    slips = {
        "That is the norm of the gradient; the noise has P entries.": float(gradient.norm()),
        "Take the root of P: energies add, not amplitudes.": float(gradient.norm()) / len(gradient),
        "That is the squared norm over P; take its root.": float(gradient.norm()) ** 2 / len(gradient),
    }
    otherwise = "Set the expected squared length of the noise, sigma squared times P, equal to the gradient's."
    compare(value, truth, slips, otherwise, same=lambda a, b: abs(a - b) < 0.02 * b)
    return "There the noise has the gradient's energy: a first estimate of where an attack must give up."


def _weights_sent(model: LeNet, x: Tensor, y: Tensor, steps: int, rate: float) -> Tensor:
    """Old weights minus new ones after local steps, over steps times rate; computed on a copy of the model."""
    local = copy.deepcopy(model)
    optimizer = torch.optim.SGD(local.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(local(x), y).backward()
        optimizer.step()
    old, new = (torch.cat([p.detach().flatten() for p in m.parameters()]) for m in (model, local))
    return (old - new) / (steps * rate)


def _local_steps(answer: Any) -> str:
    function = need_function(answer, 5)
    for seed, steps, rate in ((0, 1, 0.1), (1, 3, 0.1), (2, 5, 0.02)):
        model = untrained_victim(seed)
        x, y = face_batch(1, seed)
        images = x.clone().requires_grad_()
        value = call(function, model, images, y, steps, rate)
        truth = _weights_sent(model, x, y, steps, rate)
        found = need_tensor(value, tuple(truth.shape)).float()
        if torch.allclose(found, truth, rtol=1e-2, atol=1e-4):
            if not (isinstance(value, Tensor) and value.requires_grad):
                raise Wrong("Right, but an attacker must differentiate it with respect to x: keep the graph.")
            if torch.autograd.grad(value.square().sum(), images, allow_unused=True)[0] is None:
                raise Wrong("Right, but x has no gradient: keep the graph through every step.")
            continue
        slips = {
            "That is the first gradient; the client goes on from changed weights.": shared_gradient(model, x, y),
            "That is the sum over the steps; divide by their number.": steps * truth,
            "The sign is the other way round: old weights minus new ones.": -truth,
            "Divide by the rate as well: the server wants a gradient.": rate * truth,
            "Divide by the number of steps and by the rate.": steps * rate * truth,
        }
        otherwise = f"With {steps} steps at a rate of {rate:g} that is not what the client sends."
        compare(found, truth, slips, otherwise, same=partial(torch.allclose, rtol=1e-3, atol=1e-5))
    return "An attacker with this function matches updates instead of gradients, and several steps may hide less."


EXERCISES: dict[int, Exercise] = {
    1: Exercise("A label without a bias", 10, 1, "Each row is a number times the same positive vector.", _label),
    2: Exercise("Two images apart", 20, 2, "The gradient of W is delta^T A; A has two rows.", _two_layers),
    3: Exercise(
        "One step on pixels", 20, 3, "The slope of a function of a gradient: differentiate twice.", _pixel_step
    ),
    4: Exercise("Same values, other gradient", 10, 1, "Sorting forgets which parameter a value belongs to.", _permuted),
    5: Exercise("Where the knee is", 15, 2, "The expected squared norm of the noise is sigma squared times P.", _noise),
    6: Exercise("Counting the client's steps", 25, 3, "Keep the weights in a dictionary and replace it.", _local_steps),
}
