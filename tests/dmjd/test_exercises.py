"""The checkers of chapter 04 name typical wrong answers, and accept right ones written another way."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from firsthand.dmjd.page.exercises import EXERCISES
from firsthand.kit.page.exercises import Wrong


def _second(first):
    hidden = int(first.sum())
    again = first.nonzero().flatten()[torch.randperm(hidden)][: 2 * hidden - len(first)]
    second = ~first
    second[again] = True
    return second


def _ratio(cells, hidden, union, twice=2.0, sign=1.0, square=1.0):
    p = hidden / cells
    covariance = (2 * hidden - union) / cells - square * p * p
    alone = 2 * p * (1 - p)
    return (alone + twice * sign * covariance) / alone


def _own(target, ids):
    return torch.stack([t[i] for t, i in zip(target, ids, strict=True)])


def _histogram(pixels, *, half=False, swap=False, signed=False, mean=True, votes=False):
    x = pixels.astype(float)
    down, right = x[2:, 1:-1] - x[:-2, 1:-1], x[1:-1, 2:] - x[1:-1, :-2]
    if half:
        down, right = down / 2, right / 2
    if swap:
        down, right = right, down
    size = np.hypot(down, right)
    angle = np.degrees(np.arctan2(down, right)) % (360 if signed else 180)
    which = np.minimum((angle / (40 if signed else 20)).astype(int), 8)
    weight = np.ones_like(size) if votes else size
    return np.bincount(which.ravel(), weight.ravel(), 9) / (64 if mean else 1)


RIGHT = [
    (1, lambda c, p: math.ceil(p / c - 1e-9)),
    (2, _second),
    (3, _ratio),
    (4, _own),
    (5, lambda t: t.mean(0).expand_as(t)),
    (6, _histogram),
]

WRONG = [
    (1, lambda c, p: p / c, "round up"),
    (1, lambda c, p: p // c, "not down"),
    (1, lambda c, p: math.ceil(math.log(max(1 - p, 1e-9)) / math.log(1 - c)), "independent views"),
    (1, lambda c, p: math.ceil(1 / (1 - c)), "*visible* tokens"),
    (1, lambda c, p: 0, "it is not 0"),
    (2, lambda first: ~first, "The complement hides"),
    (2, lambda first: first, "visible in both views"),
    (2, torch.ones_like, "it should hide"),
    (2, lambda first: (torch.cumsum(first, 0) <= 2 * int(first.sum()) - len(first)) | ~first, "same view"),
    (3, lambda n, h, u: _ratio(n, h, u, twice=1.0), "counts twice"),
    (3, lambda n, h, u: _ratio(n, h, u, square=0.0), "hidden twice"),
    (3, lambda n, h, u: (2 * h - u) / n - (h / n) ** 2, "compares two variances"),
    (3, lambda n, h, u: _ratio(n, h, u, sign=-1.0), "sign of the covariance"),
    (3, lambda n, h, u: _ratio(n, h, u, twice=4.0), "two add up"),
    (4, lambda t, i: _own(t, i.sort(-1).values), "released order"),
    (4, lambda t, i: t[:, : i.shape[1]], "first tokens"),
    (4, lambda t, i: t[:, i[0]], "those of the first"),
    (4, lambda t, i: t, "shape"),
    (5, lambda t: t, "its own target"),
    (5, lambda t: t.median(0).values.expand_as(t), "median"),
    (5, lambda t: t.mean().expand_as(t), "one over all"),
    (5, lambda t: t.mean(1, keepdim=True).expand_as(t), "wrong axis"),
    (5, torch.zeros_like, "Zero is the best"),
    (6, lambda p: _histogram(p, mean=False), "added magnitudes up"),
    (6, lambda p: _histogram(p, half=True), "not halved"),
    (6, lambda p: _histogram(p, swap=True), "swapped"),
    (6, lambda p: _histogram(p, signed=True), "unsigned"),
    (6, lambda p: _histogram(p, votes=True), "magnitude, not with one"),
]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_right_answers_pass(number, answer):
    assert EXERCISES[number].checker(answer)


@pytest.mark.parametrize(("number", "answer", "says"), WRONG)
def test_typical_wrong_answers_are_named(number, answer, says):
    with pytest.raises(Wrong, match=re.escape(says)):
        EXERCISES[number].checker(answer)
