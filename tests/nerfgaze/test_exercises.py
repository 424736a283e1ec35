"""The exercises' checkers: right answers pass, usual mistakes get their own sentence, nonsense gets one too."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from firsthand.data.drawn.directions import gaze_rotation, pitchyaw_to_vector
from firsthand.kit.page.exercises import Wrong
from firsthand.nerfgaze.page.exercises import EXERCISES


def _weights(sigma, delta):
    alpha = 1 - np.exp(-sigma * delta)
    return np.concatenate([[1.0], np.cumprod(1 - alpha)[:-1]]) * alpha


def _seen(face, skin, eye, ball, delta, mixed=None):
    sigma = face + eye
    colour = (face * skin + eye * ball) / sigma if mixed is None else mixed
    weights = _weights(sigma, delta)
    return (weights * colour).sum() + 1 - weights.sum()


def _swapped(angles, vectors):
    away = [
        np.abs(pitchyaw_to_vector(torch.from_numpy(a.copy())).numpy() - vectors).sum()
        for a in (angles, angles[:, ::-1])
    ]
    return bool(away[1] < away[0])


def _rotation(pitch, yaw):
    return gaze_rotation(torch.tensor([pitch, yaw], dtype=torch.float64))


def _axes(head, centre):
    z = centre / np.linalg.norm(centre)
    y = np.cross(z, head[:, 0])
    y /= np.linalg.norm(y)
    return np.stack([np.cross(y, z), y, z])


def _scaled(head, centre, gaze):
    return np.diag([1, 1, 600 / np.linalg.norm(centre)]) @ _axes(head, centre) @ gaze


RIGHT = {
    1: lambda depth: math.exp(-depth),
    2: _weights,
    3: _seen,
    4: _swapped,
    5: _rotation,
    6: lambda head, centre, gaze: _axes(head, centre) @ gaze,
}
WRONG = {
    "kept": (1, lambda d: 1 - math.exp(-d), "what the ray keeps"),
    "straight": (1, lambda d: max(0.0, 1 - d), "its beginning"),
    "itself too": (2, lambda s, d: np.exp(-np.cumsum(s * d)) * (1 - np.exp(-s * d)), "does not yet count"),
    "alone": (2, lambda s, d: 1 - np.exp(-s * d), "what stands before it"),
    "before": (2, lambda s, d: np.concatenate([[1.0], np.exp(-np.cumsum(s * d))[:-1]]), "what the sample itself stops"),
    "linear": (2, lambda s, d: np.concatenate([[1.0], np.exp(-np.cumsum(s * d))[:-1]]) * s * d, "exponentially"),
    "the larger": (
        3,
        lambda f, s, e, b, d: max(_seen(f, s, 0 * e + 1e-30, b, d), _seen(0 * f + 1e-30, s, e, b, d)),
        "shines through its lid",
    ),
    "half and half": (3, lambda f, s, e, b, d: _seen(f, s, e, b, d, (s + b) / 2), "by density"),
    "no background": (3, lambda f, s, e, b, d: _seen(f, s, e, b, d) - 1 + _weights(f + e, d).sum(), "white background"),
    "always": (4, lambda a, v: True, "turn them into vectors"),
    "a word": (4, lambda a, v: "yaw", "Say True"),
    "upside down": (5, lambda p, y: _rotation(-p, y), "upside down"),
    "inverse": (5, lambda p, y: _rotation(p, y).T, "inverse"),
    "rolled": (5, lambda p, y: _rotation(p, 0.0) @ _rotation(0.0, y), "other order rolls"),
    "scaled": (6, _scaled, "belongs to the picture's warp"),
    "turned back": (6, lambda h, c, g: _axes(h, c).T @ g, "turns back"),
    "as it was": (6, lambda h, c, g: g, "Nothing was turned"),
}


@pytest.mark.parametrize("number", EXERCISES)
def test_right_answers_pass(number: int) -> None:
    assert EXERCISES[number].checker(RIGHT[number])


@pytest.mark.parametrize("name", WRONG)
def test_usual_mistakes_get_their_own_sentence(name: str) -> None:
    number, answer, words = WRONG[name]
    with pytest.raises(Wrong, match=words):
        EXERCISES[number].checker(answer)


@pytest.mark.parametrize("number", EXERCISES)
@pytest.mark.parametrize("answer", [..., lambda *_: None, lambda *_: "seven", lambda *_: torch.zeros(2), 3.0])
def test_nonsense_is_refused_with_a_sentence(number: int, answer: object) -> None:
    with pytest.raises(Wrong):
        EXERCISES[number].checker(answer)
