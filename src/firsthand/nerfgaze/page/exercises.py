"""The checkers of the chapter's exercises: truths are computed, and so are the usual mistakes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firsthand.data.drawn.directions import angular_error, gaze_rotation, normalise, pitchyaw_to_vector
from firsthand.kit.page.exercises import Exercise, Wrong, call, compare, need_function, need_number, need_tensor
from firsthand.nerfgaze.rendering import compose, render_weights


def _drawn(*shape: int, seed: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def _weights(answer: Any) -> str:
    function = need_function(answer, 2)
    for seed in range(3):
        sigma, delta = _drawn(6, seed=seed, high=3), _drawn(6, seed=seed + 10, low=0.2)
        alpha = 1 - torch.exp(-sigma * delta)
        before = torch.cumprod(1 - alpha, 0)
        shifted = torch.cat([torch.ones(1).double(), before[:-1]])
        slips = {
            "What is left before a sample does not yet count the sample itself.": before * alpha,
            "That is how much each sample stops; what stands before it has to be taken away first.": alpha,
            "That is what is left before each sample; times what the sample itself stops.": shifted,
            "Weights of density times spacing may exceed one; light falls off exponentially.": shifted * sigma * delta,
        }
        found = need_tensor(call(function, sigma.numpy().copy(), delta.numpy().copy()), sigma.shape)
        compare(found, render_weights(sigma, delta), slips, "Those are not the weights of the samples.")
    return "They add up to one minus what the whole ray lets through, so a picture is an average of what a ray meets."


def _composition(answer: Any) -> str:
    function = need_function(answer, 5)
    for seed in range(3):
        face, eye = _drawn(5, seed=seed, high=3), _drawn(5, seed=seed + 5, high=3)
        skin, ball, delta = _drawn(5, seed=seed + 20), _drawn(5, seed=seed + 30), torch.full((5,), 0.5).double()
        sigma, colour = compose(face, skin[:, None], eye, ball[:, None])
        weights = render_weights(sigma, delta)
        truth = float((weights * colour[:, 0]).sum() + 1 - weights.sum())
        alone = []
        for density, look in ((face, skin), (eye, ball)):
            own = render_weights(density, delta)
            alone.append(float((own * look).sum() + 1 - own.sum()))
        half = float((weights * (skin + ball) / 2).sum() + 1 - weights.sum())
        arrays = [part.numpy().copy() for part in (face, skin, eye, ball, delta)]
        value = need_number(call(function, *arrays))
        slips = {
            "That is the larger of two pictures: an eye shines through its lid.": max(alone),
            "Colours mix by density, not half and half.": half,
            "The white background shows through what both fields let pass.": truth - 1 + float(weights.sum()),
        }
        compare(value, truth, slips, f"For one ray it is {truth:.4f}, not {value:.4f}.", within=1e-6)
    return "Who stands in front is decided by space, not by brightness."


def _order(answer: Any) -> str:
    function = need_function(answer, 2)
    for seed in range(6):
        angles = _drawn(20, 2, seed=seed, low=-0.6, high=0.6)
        vectors = pitchyaw_to_vector(angles)
        swapped = bool(seed % 2)
        shown = angles.flip(-1) if swapped else angles
        found = call(function, shown.numpy().copy(), vectors.numpy().copy())
        if not isinstance(found, (bool, np.bool_)):
            raise Wrong("Say True where the angles are (yaw, pitch), else False.")
        if bool(found) != swapped:
            said = "(yaw, pitch)" if swapped else "(pitch, yaw)"
            raise Wrong(f"Those angles were {said}: turn them into vectors both ways, and see which agree.")
    return "At (0.2, -0.3) the mistake costs forty degrees, and a network would learn it without complaint."


def _turn(answer: Any) -> str:
    function = need_function(answer, 2)
    for pitch, yaw in ((0.25, -0.5), (0.3, 0.0), (0.0, 0.4)):
        truth = gaze_rotation(torch.tensor([pitch, yaw], dtype=torch.float64))
        other = gaze_rotation(torch.tensor([-pitch, yaw], dtype=torch.float64))
        up = gaze_rotation(torch.tensor([pitch, 0.0], dtype=torch.float64))
        side = gaze_rotation(torch.tensor([0.0, yaw], dtype=torch.float64))
        found = need_tensor(call(function, pitch, yaw), torch.Size((3, 3)))
        slips = {
            "Its pitch is upside down: y points down, so looking up is a negative turn about x.": other,
            "That is its inverse: it should take minus z to the gaze, not back.": truth.T,
            "Pitch first, then yaw: the other order rolls the head.": up @ side,
        }
        compare(found, truth, slips, "Minus z, turned so, is not the gaze; or the head is rolled.")
    return "One turn about y after one about x: no roll, and every later bug has one place fewer to hide."


def _kept(answer: Any) -> str:
    function = need_function(answer, 3)
    camera = torch.tensor([[900.0, 0, 320], [0, 900, 240], [0, 0, 1]], dtype=torch.float64)
    for seed in range(3):
        head = gaze_rotation(_drawn(2, seed=seed, low=-0.5, high=0.5))
        centre = torch.tensor([80.0, -50.0, 500.0]).double() + 100 * _drawn(3, seed=seed + 3)
        gaze = pitchyaw_to_vector(_drawn(2, seed=seed + 6, low=-0.4, high=0.4))
        turn, _ = normalise(camera, head, centre)
        scale = torch.diag(torch.tensor([1.0, 1.0, 600 / float(centre.norm())]).double())
        found = need_tensor(call(function, head.numpy().copy(), centre.numpy().copy(), gaze.numpy().copy()), gaze.shape)
        scaled = scale @ turn @ gaze
        slips = {
            "The scale belongs to the picture's warp; a direction is only turned.": scaled / scaled.norm(),
            "That turns back: rows of the rotation are the new axes.": turn.T @ gaze,
            "Nothing was turned yet.": gaze,
        }
        otherwise = "Its z axis points at the face; y is across z and the head's x axis; x is across y and z."
        compare(found, turn @ gaze, slips, otherwise, same=lambda a, b: float(angular_error(a, b)) < 1e-3)
    return "Angles between gazes are kept, since a rotation keeps them; with the scale in it they would not be."


def _left(answer: Any) -> str:
    function = need_function(answer, 1)
    for seed in range(4):
        depth = float(_drawn(1, seed=seed, low=0.1, high=3))
        value = need_number(call(function, depth))
        slips = {
            "That is what the ray keeps; asked is what shows through.": 1 - math.exp(-depth),
            "That is its beginning; each layer takes its share of what is left.": max(0.0, 1 - depth),
        }
        otherwise = f"At a summed depth of {depth:.3f} it is {math.exp(-depth):.4f}, not {value:.4f}."
        compare(value, math.exp(-depth), slips, otherwise, within=1e-6)
    return "Only the sum of density times spacing matters: cut a sample in two, and nothing changes."


EXERCISES: dict[int, Exercise] = {
    1: Exercise("What shows through", 10, 1, "Multiply what each sample lets pass.", _left),
    2: Exercise("The weights of a ray", 20, 2, "What is left before a sample, times what it stops.", _weights),
    3: Exercise("A lid before an eye", 20, 3, "Add densities, mix colours by them, then weigh.", _composition),
    4: Exercise("Yaw first or pitch first?", 15, 2, "Vectors do not lie.", _order),
    5: Exercise("A rotation without roll", 20, 2, "Turn about x by minus the pitch, then about y.", _turn),
    6: Exercise("A camera that looks at the face", 25, 3, "Three axes, each of length one, as rows.", _kept),
}
