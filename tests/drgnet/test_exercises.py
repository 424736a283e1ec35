"""Every exercise: a right answer passes, and the usual mistakes are named."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from firsthand.drgnet.page.exercises import EXERCISES
from firsthand.kit.page.exercises import Wrong


def _odds(p):
    return p / (1 - p)


def _calibrated(p, weight):
    return _odds(p) / weight / (1 + _odds(p) / weight)


def _entropy(p):
    return -(torch.special.xlogy(p, p) + torch.special.xlogy(1 - p, 1 - p)) / math.log(2)


def _flattery(scores, masks):
    has = masks.any(1)
    return average_precision_score(masks[has].ravel(), scores[has].ravel()) - average_precision_score(
        masks.ravel(), scores.ravel()
    )


RIGHT = {
    1: _calibrated,
    2: lambda pixels: math.ceil(200 * pixels),
    3: lambda he, beading, irma: min(he) > 20 or beading >= 2 or irma >= 1,
    4: lambda a, b: float(np.abs(np.sort(a) - np.sort(b)).mean()),
    5: lambda logits, grades: logits.softmax(1)[torch.arange(len(grades)), grades].mean(),
    6: _entropy,
    7: _flattery,
}
WRONG = [
    (1, lambda p, w: p / w, "odds"),
    (1, lambda p, w: _odds(p) / w, "turn them back"),
    (1, lambda p, w: _odds(p) * w / (1 + _odds(p) * w), "other way round"),
    (2, lambda pixels: pixels * 0.005, "Divide"),
    (2, lambda pixels: 2 * pixels, "0.005"),
    (3, lambda he, beading, irma: sum(he) > 80 or beading >= 2 or irma >= 1, "each of the four"),
    (3, lambda he, beading, irma: min(he) > 20 or beading >= 1 or irma >= 1, "two quadrants"),
    (3, lambda he, beading, irma: min(he) > 20 or beading >= 2 or irma >= 2, "one quadrant is enough"),
    (3, lambda he, beading, irma: 3, "True or False"),
    (4, lambda a, b: abs(a.mean() - b.mean()), "lower bound"),
    (4, lambda a, b: float(np.abs(a - b).mean()), "sort"),
    (4, lambda a, b: float(np.abs(np.sort(a) - np.sort(b)).sum()), "sum"),
    (5, torch.nn.functional.cross_entropy, "released sign"),
    (5, lambda logits, grades: logits.softmax(1).gather(1, grades[:, None]).sum(), "not sums"),
    (5, lambda logits, grades: logits.gather(1, grades[:, None]).mean(), "softmax"),
    (6, lambda p: -(p * p.log2() + (1 - p) * (1 - p).log2()), "nan"),
    (6, lambda p: _entropy(p) * math.log(2), "nats"),
    (6, lambda p: -torch.special.xlogy(p, p) / math.log(2), "Both classes"),
    (7, lambda s, m: -_flattery(s, m), "other way round"),
    (
        7,
        lambda s, m: (
            np.mean([average_precision_score(b, a) for a, b in zip(s, m, strict=True) if b.any()])
            - average_precision_score(m.ravel(), s.ravel())
        ),
        "Pool",
    ),
]


@pytest.mark.parametrize("number", sorted(EXERCISES))
def test_a_right_answer_passes(number: int) -> None:
    assert EXERCISES[number].checker(RIGHT[number])


@pytest.mark.parametrize(("number", "answer", "words"), WRONG)
def test_a_usual_mistake_is_named(number: int, answer, words: str) -> None:
    with pytest.raises(Wrong, match=words):
        EXERCISES[number].checker(answer)
