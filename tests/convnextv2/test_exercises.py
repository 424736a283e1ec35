"""The checkers of chapter 03 name typical wrong answers, and accept right ones written another way."""

from __future__ import annotations

import pytest
import torch

from firsthand.kit import check


def _grn(x, gamma, beta, *, dims=(1, 2), mean=True, residual=True, shift=True, root=True):
    norm = x.square().sum(dims, keepdim=True)
    norm = norm.sqrt() if root else norm
    norm = norm.expand(x.shape[0], 1, 1, -1) if dims != (3,) else norm.expand_as(x)
    share = norm / (norm.mean(-1, keepdim=True) if mean else norm.sum(-1, keepdim=True))
    return gamma * x * share + (beta if shift else 0) + (x if residual else 0)


def _share(x):
    norm = x.square().sum((0, 1)).sqrt()
    return norm / norm.mean()


def _total(x):
    channels = x.flatten(0, 1)
    return (channels / channels.norm(dim=0)).sum(1).square().sum()


WRONG = [
    (1, lambda x, g, b: _grn(x, g, b, mean=False), "by their mean"),
    (1, lambda x, g, b: _grn(x, g, b, residual=False), "residual is missing"),
    (1, lambda x, g, b: _grn(x, g, b, shift=False), "beta is missing"),
    (1, lambda x, g, b: _grn(x, g, b, dims=(0, 1, 2)), "over the batch"),
    (1, lambda x, g, b: _grn(x, g, b, dims=(3,)), "over channels"),
    (1, lambda x, g, b: _grn(x, g, b, root=False), "root is missing"),
    (1, lambda x, g, b: x.sum(), "shape"),
    (2, lambda x, d: ((d * x).sum((0, 1)), d.sum((0, 1))), "left out the share"),
    (2, lambda x, d: ((d * _share(x)).sum((0, 1)), d.sum((0, 1))), "left out X"),
    (2, lambda x, d: ((d * x * _share(x)).sum((0, 1)), d.mean((0, 1))), "average over sites"),
    (2, lambda x, d: d.sum(), "two arrays"),
    (3, lambda x: 1 - _total(x) / x.shape[-1] ** 2, "one half is missing"),
    (3, lambda x: _total(x) / x.shape[-1] ** 2, "mean cosine"),
    (3, lambda x: (1 - _total(x).sqrt() / x.shape[-1]) / 2, "must be squared"),
    (3, lambda x: (1 - x.flatten(0, 1).sum(1).norm() ** 2 / x.shape[-1] ** 2) / 2, "length one"),
    (4, 16, "At 16 pixels"),
    (4, 64, "smaller patch"),
    (4, 7, "Follow one site"),
    (5, lambda depths, dims: 8 * sum(n * d for n, d in zip(depths, dims, strict=True)), "LayerScale"),
    (5, lambda depths, dims: sum(n * d for n, d in zip(depths, dims, strict=True)), "expanded features"),
    (5, lambda depths, dims: 7 * sum(dims), "every block"),
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
    assert check("convnextv2", 3, lambda x: float((1 - _total(x) / x.shape[-1] ** 2) / 2)).passed
    assert check("convnextv2", 4, 32).passed
    features = torch.zeros(2, 1, 1, 3) + 0.1
    features[0, 0, 0, 0] = features[1, 0, 0, 2] = 5
    assert check("convnextv2", 6, features.numpy()).passed
