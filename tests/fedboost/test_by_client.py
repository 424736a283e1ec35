"""Accuracy by library and by client: what a mean can hide."""

from __future__ import annotations

import numpy as np
import pytest

from firsthand.fedboost.federation import History
from firsthand.fedboost.lab import by_client, runs

BY_LABEL = np.linspace(0.1, 1.0, 10)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A federation that reads label l of the digits with accuracy (l + 1) / 10, whatever it trains on."""
    scores = {str(label): np.full(20, value) for label, value in enumerate(BY_LABEL)}
    empty = np.empty(0)
    monkeypatch.setattr(by_client, "history", lambda case, seed: History(empty, empty, empty, scores))


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(("client", "low", "high"), [(0, 10, 50), (1, 40, 80), (2, 70, 100)])
def test_a_client_is_scored_on_its_own_labels(client: int, low: float, high: float) -> None:
    assert low < by_client.client_scores("sorted", 1, "fedavg", 0)[client] < high


@pytest.mark.usefixtures("known")
def test_wrong_labels_do_not_change_what_a_client_is_scored_on() -> None:
    scores = by_client.client_scores("corrupted", 1, "fedavg", 0)
    assert np.allclose(scores, 100 * BY_LABEL.mean(), atol=3)


@pytest.mark.usefixtures("known")
def test_the_worst_client_is_the_one_with_the_least() -> None:
    scores = by_client.client_scores("sorted", 1, "fedavg", 0)
    assert by_client.worst_client("sorted", 1, 0) == (min(scores), min(scores))


def test_the_labels_tests_are_all_test_digits() -> None:
    tests = runs.digit_tests()
    assert sum(len(tests[str(label)][1]) for label in range(10)) == len(tests["digits"][1]) == 360


def test_every_table_names_strategies_that_exist() -> None:
    cases = [by_client.word_case(*key, name) for key, names in by_client.WORD_TABLE.items() for name in names]
    assert {case.split for case in cases} <= set(runs.WORD_SPLITS)
    assert {case.epochs for case in cases} <= set(runs.WORD_ROUNDS)
