"""The exercises' checkers: right answers pass, usual mistakes get their own sentence, nonsense gets one too."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from firsthand.dgfont.page.exercises import EXERCISES
from firsthand.kit.page.exercises import Wrong


def _read(x, down, right):
    total, top, left = 0.0, int(np.floor(down)), int(np.floor(right))
    for i in (top, top + 1):
        for j in (left, left + 1):
            if 0 <= i < x.shape[0] and 0 <= j < x.shape[1]:
                total += (1 - abs(down - i)) * (1 - abs(right - j)) * x[i, j]
    return total


def _ramp(shear, size):
    return shear * np.repeat((np.arange(size) - (size - 1) / 2)[:, None], size, 1)


def _side(size):
    return size // 2 ** (int(np.log2(size)) - 2)


def _restyle(h, weight, bias):
    return weight[..., None, None] * F.instance_norm(h) + bias[..., None, None]


RIGHT = {
    1: _read,
    2: _ramp,
    3: lambda size: (_side(size) - 3) ** 2,
    4: lambda K, S: math.log(1 + K / S),
    5: lambda n: 2 * n / (n - 1),
    6: lambda channels, kernel: math.sqrt(2 / (channels * kernel**2)),
    7: _restyle,
}
WRONG = {
    "nearest pixel": (1, lambda x, d, r: x[min(max(int(d), 0), 5), min(max(int(r), 0), 6)], "all four neighbours"),
    "edges repeated": (1, lambda x, d, r: _read(np.pad(x, 1, mode="edge"), d + 1, r + 1), "outside counts as nought"),
    "leans the other way": (2, lambda s, n: -_ramp(s, n), "leans the other way"),
    "a shift": (2, lambda s, n: np.full((n, n), s), "All rows move alike"),
    "from the top": (2, lambda s, n: s * np.repeat(np.arange(n)[:, None], n, 1), "middle of the glyph"),
    "the side": (3, lambda size: _side(size) - 3 if size == 80 else (_side(size) - 3) ** 2, "side of the map"),
    "before the last": (3, _side, "before the last convolution"),
    "without itself": (4, lambda K, S: math.log(K / S), "denominator"),
    "chance": (4, lambda K, S: math.log(K + 1), "pure chance"),
    "a count": (4, lambda K, S: K / S, "logarithm of a share"),
    "many fonts": (5, lambda n: 2, "limit of many"),
    "upside down": (5, lambda n: (n - 1) / (2 * n), "other way round"),
    "a variance": (6, lambda c, k: 2 / (c * k**2), "deviation is its root"),
    "no taps": (6, lambda c, k: math.sqrt(2 / c), "all taps"),
    "Xavier": (6, lambda c, k: math.sqrt(1 / (c * k**2)), "factor is two"),
    "one added": (7, lambda h, w, b: _restyle(h, 1 + w, b), "without a one"),
    "of the batch": (
        7,
        lambda h, w, b: w[..., None, None] * F.batch_norm(h, None, None, training=True) + b[..., None, None],
        "not of the batch",
    ),
    "exchanged": (7, lambda h, w, b: _restyle(h, b, w), "changed places"),
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
