"""Every exercise: a right answer passes, and the usual mistakes are named."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from firsthand import ghost as book
from firsthand.ghost.page.exercises import EXERCISES
from firsthand.kit.page.exercises import Wrong


def _gumbel(u):
    return -torch.log(-torch.log(u))


def _pact(x, limit, bits):
    levels = 2**bits - 1
    clipped = torch.minimum(x.relu(), limit)
    scaled = levels * clipped / limit
    return (scaled + (scaled.round() - scaled).detach()) / levels * limit


def _on_levels(w, bits, levels):
    unit = w / (2 * w.abs().max()) + 0.5
    return 2 * (levels * unit).round() / levels - 1


def _ap(hits, count):
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(right / count, np.linspace(0, 1, 101))
    return float(np.where(place < len(hits), falling[np.minimum(place, len(hits) - 1)], 0).mean())


def _jagged(hits, count):
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    place = np.searchsorted(right / count, np.linspace(0, 1, 101))
    return float(np.where(place < len(hits), precision[np.minimum(place, len(hits) - 1)], 0).mean())


RIGHT = {
    1: book.quantize_weight,
    2: lambda fan_in, threshold: book.bits_closed_form(math.sqrt(2 / fan_in), threshold=threshold),
    3: math.log(math.log(2)),
    4: lambda logit, u, v: (logit + _gumbel(u) - _gumbel(v) > 0).float(),
    5: lambda bits: (max(bits["cv1"], bits["m2"]) + bits["cv2"]) / 2,
    6: _pact,
    7: _ap,
}
WRONG = [
    (1, lambda w, bits: (book.quantize_weight(w, bits) + 1) / 2, "between 0 and 1"),
    (1, lambda w, bits: w, "not DoReFa's"),
    (2, lambda fan_in, threshold: book.bits_closed_form(2 / fan_in, threshold=threshold), "is the variance"),
    (1, lambda w, bits: _on_levels(w.tanh(), bits, 2**bits), "steps between them"),
    (1, lambda w, bits: _on_levels(w, bits, 2**bits - 1), "go through tanh"),
    (2, lambda fan_in, threshold: book.bits_closed_form(math.sqrt(2 / fan_in) / 1e3, threshold=threshold), "million"),
    (2, lambda fan_in, threshold: 9, "between 2 and 8"),
    (3, 0.0, "with a sigmoid"),
    (3, math.log(2), "One logarithm more"),
    (4, lambda logit, u, v: (logit + _gumbel(u) > 0).float(), "released switch"),
    (4, lambda logit, u, v: (logit + _gumbel(u) - _gumbel(v) < 0).float(), "should be shut"),
    (4, lambda logit, u, v: logit, "0 or 1"),
    (5, lambda bits: bits["cv2"], "not what feeds it"),
    (5, lambda bits: (bits["m2"] + bits["cv2"]) / 2, "adds its input"),
    (5, lambda bits: max(bits["cv1"], bits["m2"]), "Half of its channels"),
    (6, lambda x, limit, bits: _pact(x, x.max(), bits), "not the activations"),
    (6, lambda x, limit, bits: (2**bits - 1) * x.relu() / limit, "not the activations"),
    (
        6,
        lambda x, limit, bits: ((2**bits - 1) * x.relu() / limit).round() / (2**bits - 1) * limit,
        "Clip before you round",
    ),
    (6, lambda x, limit, bits: _pact(x, limit, bits).detach(), "no gradient"),
    (6, lambda x, limit, bits: _pact(x, limit, bits) / limit, "Multiply by the limit"),
    (
        7,
        lambda hits, count: float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].sum() / count),
        "mean precision at the hits",
    ),
    (7, _jagged, "Make the curve fall"),
]


@pytest.mark.parametrize("number", sorted(EXERCISES))
def test_a_right_answer_passes(number):
    assert EXERCISES[number].checker(RIGHT[number])


@pytest.mark.parametrize(("number", "answer", "words"), WRONG)
def test_usual_mistakes_are_named(number, answer, words):
    with pytest.raises(Wrong, match=words):
        EXERCISES[number].checker(answer)


@pytest.mark.parametrize("number", sorted(EXERCISES))
def test_dots_are_no_answer(number):
    with pytest.raises(Wrong):
        EXERCISES[number].checker(... if number == 3 else lambda *_: ...)
