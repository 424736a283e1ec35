"""Every exercise: a right answer passes, and the usual mistakes are named."""

from __future__ import annotations

import numpy as np
import pytest

from firsthand import fedboost as book
from firsthand.fedboost.page.exercises import EXERCISES
from firsthand.kit.page.exercises import Wrong


def _unmix(mixtures, keep):
    count = len(mixtures)
    other = (1 - keep) / (count - 1)
    return np.linalg.solve(np.full((count, count), other) + (keep - other) * np.eye(count), mixtures)


def _among_all(mixtures, keep):
    count = len(mixtures)
    return np.linalg.solve(np.full((count, count), (1 - keep) / count) + keep * np.eye(count), mixtures)


def _remainders(p, slices):
    whole = np.floor(p * slices + 1e-9)
    missing = slices - int(whole.sum())
    whole[np.argsort(whole - p * slices)[:missing]] += 1
    return whole


def _lie(train, validation, who, share):
    score = 1 / (train * validation.mean(1))
    rest = score.sum() - score[who]
    return (1 - share) / (share * rest * validation[who].mean())


def _read(n, cipher):
    return book.PrivateKey(*book.factor(n)).decrypt(cipher)


RIGHT = {
    1: _unmix,
    2: 0.25,
    3: lambda slices: 2 * slices,
    4: _remainders,
    5: _lie,
    6: _read,
    7: lambda updates: np.median(updates, axis=0),
}
WRONG = [
    (1, lambda m, keep: m, "mixtures themselves"),
    (1, lambda m, keep: m / keep, "leaves the others' parts"),
    (1, lambda m, keep: book.mix(m, keep=keep), "mixed once more"),
    (1, _among_all, "not by all N"),
    (2, 0.5, "answer for two clients"),
    (2, 0.0, "mean of the others"),
    (2, 0.7, "linear system"),
    (3, lambda slices: slices + 1, "rounds up to one"),
    (3, lambda slices: 2 * slices + 1, "even neighbour"),
    (3, lambda slices: 5, "another number of clients"),
    (4, lambda p, slices: np.rint(p * slices), "sum to 99"),
    (4, lambda p, slices: p * slices, "whole numbers"),
    (4, lambda p, slices: np.eye(len(p))[0] * slices, "more than one slice"),
    (5, lambda train, validation, who, share: 1e-6, "Reporting 1e-06"),
    (5, lambda train, validation, who, share: -1, "positive"),
    (5, lambda *given: 1 / _lie(*given), "one over"),
    (6, lambda n, cipher: cipher, "the ciphertext"),
    (6, lambda n, cipher: _read(n, cipher) % n, "negative ones"),
    (6, lambda n, cipher: 0, "not the number"),
    (7, lambda updates: updates.mean(0), "the mean"),
    (7, lambda updates: updates[0], "clients lie"),
]


@pytest.mark.parametrize("number", list(EXERCISES))
def test_right_answers_pass(number):
    assert EXERCISES[number].checker(RIGHT[number])


@pytest.mark.parametrize(("number", "answer", "words"), WRONG)
def test_mistakes_are_named(number, answer, words):
    with pytest.raises(Wrong, match=words):
        EXERCISES[number].checker(answer)
