"""The checkers of chapter 03 name typical wrong answers, and accept right ones written another way."""

from __future__ import annotations

import pytest
import torch

from firsthand.kit import check


def _share(x):
    norm = x.square().sum((0, 1)).sqrt()
    return norm / norm.mean()


def _cost(width, hidden, mixing=49, linear=8):
    full = mixing * width + linear * width**2
    return full / (mixing * width + linear * width**2 * (1 - hidden))


WRONG = [
    (1, lambda channels, factor: factor, "grows too"),
    (1, lambda channels, factor: factor / (channels - 1 + factor), "over their mean"),
    (1, lambda channels, factor: channels / (channels - 1 + factor), "other channels"),
    (1, lambda channels, factor: factor * (channels - 1) / (channels - 1 + factor), "not only over the others"),
    (1, lambda channels, factor: 0, "the share is not 0"),
    (2, lambda x, d: ((d * x).sum((0, 1)), d.sum((0, 1))), "left out the share"),
    (2, lambda x, d: ((d * _share(x)).sum((0, 1)), d.sum((0, 1))), "left out X"),
    (2, lambda x, d: ((d * x * _share(x)).sum((0, 1)), d.mean((0, 1))), "average over sites"),
    (2, lambda x, d: (d.sum((0, 1)), (d * x * _share(x)).sum((0, 1))), "gamma first"),
    (2, lambda x, d: ((d * x * _share(x)).mean((0, 1)), d.sum((0, 1))), "For gamma you average"),
    (2, lambda x, d: ((d * x * _share(x)).sum((0, 1)) / x.shape[-1], d.sum((0, 1))), "sum of norms"),
    (2, lambda x, d: d.sum(), "two arrays"),
    (3, [0, 0, 0, 0], "stays 0"),
    (3, [5, 5, 5, 5], "same shift"),
    (3, [100, 200, 300, 400], "one sign"),
    (3, [0.1, -0.1, 0.1, -0.1], "order one"),
    (3, [100, -100, -100, -100], "balance the signs"),
    (3, [1, 2], "shape"),
    (4, 16, "At 16 pixels"),
    (4, 64, "smaller patch"),
    (4, 7, "Follow one site"),
    (5, lambda width, hidden: 1 / (1 - hidden), "mixes sites"),
    (5, lambda width, hidden: 1 / _cost(width, hidden), "inverse"),
    (5, lambda width, hidden: _cost(width, hidden, linear=4), "two linear layers"),
    (5, lambda width, hidden: _cost(width, hidden, mixing=7), "forty-nine"),
    (5, lambda width, hidden: _cost(width, hidden, mixing=49 * width), "every pair"),
    (5, lambda width, hidden: _cost(width, 1 - hidden), "hidden share"),
    (5, lambda width, hidden: 1, "is not 1"),
    (6, torch.ones(2, 2, 2, 3), "one profile"),
    (6, torch.ones(2, 3), "must be (N, H, W, C)"),
    (6, torch.zeros(2, 2, 2, 3), "not all zero"),
]


@pytest.mark.parametrize(("number", "answer", "says"), WRONG)
def test_typical_wrong_answers_are_named(number, answer, says):
    feedback = check("convnextv2", number, answer)
    assert not feedback.passed
    assert says in feedback.message


def test_right_answers_in_another_form():
    assert check("convnextv2", 1, lambda c, f: f / ((c - 1 + f) / c)).passed
    assert check("convnextv2", 3, torch.tensor([-1e4, -1e4, 1e4, 1e4])).passed
    assert check("convnextv2", 5, _cost).passed
    assert check("convnextv2", 4, 32).passed
    features = torch.zeros(2, 1, 1, 3) + 0.1
    features[0, 0, 0, 0] = features[1, 0, 0, 2] = 5
    assert check("convnextv2", 6, features.numpy()).passed
