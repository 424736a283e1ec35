"""Rounds: learning at all, exact weights, lost and bad clients by name."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from firsthand.fedboost import STRATEGIES, Client, ClientLost, DigitsMLP, Fit, Reports, Task, federate, strategy
from firsthand.fedboost.federation import get_state, refusal, set_state, train_alone, unsound


def _right(outputs, targets):
    return outputs.argmax(1) == targets


def _make():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DigitsMLP()


TASK = Task(_make, F.nll_loss, _right, lambda p: torch.optim.SGD(p, lr=0.5))


def _data(count: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 10
    x = torch.nn.functional.one_hot(y, 64).float() + 0.3 * torch.randn(count, 64, generator=generator)
    return x, y


def _clients(number: int = 3, count: int = 80):
    return [Client(TASK, *_data(count, seed), name=f"client {seed}", seed=seed) for seed in range(number)]


TESTS = {"test": _data(200, 99)}


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_every_strategy_learns_and_repeats(name):
    first = federate(_clients(), strategy(name), rounds=6, epochs=3, tests=TESTS)
    again = federate(_clients(), strategy(name), rounds=6, epochs=3, tests=TESTS)
    assert first.scores["test"][-1] > 0.6
    assert np.array_equal(first.state, again.state)
    assert first.events == []
    if name != "median":
        assert first.weights.sum(1) == pytest.approx(np.ones(6))


def test_a_round_of_fedavg_is_the_mean_of_local_models():
    clients = _clients()
    start = get_state(_make())
    locals_ = [start - client.fit(start, 1).update for client in _clients()]
    found = federate(clients, strategy("fedavg"), rounds=1)
    assert found.state == pytest.approx(np.mean(locals_, axis=0), abs=1e-6)


def test_weights_by_size_and_by_loss():
    reports = Reports(
        np.zeros((2, 3)), np.array([30, 10]), np.array([2.0, 1.0]), np.array([0.5, 0.9]),
        np.array([[1.0, 3.0], [4.0, 2.0]]), np.zeros((2, 2)), np.array([1.0, 3.0]),
    )  # fmt: skip
    assert strategy("fedavg-size").weigh(reports) == pytest.approx([0.75, 0.25])
    assert strategy("fedboosting").weigh(reports) == pytest.approx([3 / 7, 4 / 7])
    assert strategy("qffl").weigh(reports) == pytest.approx([0.25, 0.75])
    assert strategy("qffl", q=0).weigh(reports) == pytest.approx([0.5, 0.5])


def test_the_median_ignores_one_liar():
    def lie(number, client, fit):
        return replace(fit, update=-50 * fit.update) if client.name == "client 0" else fit

    robust = federate(_clients(), strategy("median"), rounds=5, epochs=3, tests=TESTS, tamper=lie)
    mean = federate(_clients(), strategy("fedavg"), rounds=5, epochs=3, tests=TESTS, tamper=lie)
    assert robust.scores["test"][-1] > mean.scores["test"][-1] + 0.2


def test_fedprox_stays_closer():
    start = get_state(_make())
    free, held = (_clients(1)[0].fit(start, 3, proximal=mu).update for mu in (0.0, 1.0))
    assert np.linalg.norm(held) < 0.8 * np.linalg.norm(free)


def test_a_lost_client_is_left_out_and_the_round_completes():
    def lose(number, client, fit):
        if number == 1 and client.name == "client 2":
            raise ClientLost
        return fit

    found = federate(_clients(), strategy("fedboosting"), rounds=3, tests=TESTS, tamper=lose)
    assert found.events == ["Round 2: client 2 did not answer and was left out."]
    assert np.isnan(found.weights[1, 2])
    assert found.weights[1, :2].sum() == pytest.approx(1)
    assert np.isfinite(found.weights[2]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"update": np.zeros(7)}, "has shape \\(7,\\)"),
        ({"update": np.zeros(3610, dtype=int)}, "not of floating point"),
        ({"update": np.full(3610, np.inf)}, "is not finite"),
        ({"update": np.full(3610, 1e300)}, "is not finite"),
        ({"train_loss": float("nan")}, "training loss is nan"),
        ({"train_loss": -1.0}, "training loss is -1"),
        ({"train_score": 2.0}, "training score is 2"),
        ({"size": 0}, "reports 0 examples"),
    ],
)
def test_bad_reports_are_turned_away_by_name(change, words):
    def spoil(number, client, fit):
        return replace(fit, **change) if client.name == "client 1" else fit

    found = federate(_clients(), strategy("fedavg"), rounds=1, tamper=spoil)
    assert len(found.events) == 1
    assert re.search("client 1 was left out, .*" + words, found.events[0])
    assert np.isfinite(found.state).all()
    good = Fit(np.zeros(3610), 0.5, 0.5, 10)
    assert refusal(good, 3610) is None


def test_validation_that_is_no_number_leaves_out_by_name():
    losses, scores = np.ones((3, 3)), np.full((3, 3), 0.5)
    assert unsound(losses, scores) == {}
    losses[1, 0] = np.nan  # model 1 is bad on the data of client 0
    assert unsound(losses, scores) == {1: "its model's loss is nan on somebody's data"}
    losses[1, 0], losses[:, 2] = 1.0, np.inf  # client 2 tells nonsense about everybody
    assert unsound(losses, scores) == {2: "none of its validation results is a number in range"}
    clients = _clients()
    clients[2].evaluate = lambda state: (float("nan"), 0.0)
    found = federate(clients, strategy("fedboosting"), rounds=1)
    assert found.events == ["Round 1: client 2 was left out, none of its validation results is a number in range."]
    assert found.weights[0, :2].sum() == pytest.approx(1)
    assert refusal(Fit(np.zeros(3), 0.5, 0.5, 10), 3, start_loss=True) == "its loss at the start is nan"


def test_a_round_without_anybody_changes_nothing():
    def lose(number, client, fit):
        raise ClientLost

    found = federate(_clients(), strategy("fedavg"), rounds=2, tests=TESTS, tamper=lose)
    assert np.array_equal(found.state, get_state(_make()))
    assert len(found.events) == 6


def test_slices_and_warm_up():
    found = federate(_clients(3), strategy("fedavg"), rounds=1, slices=100)
    assert found.weights[0] == pytest.approx([0.33] * 3)
    found = federate(_clients(3), strategy("fedboosting"), rounds=2, warmup=1, keep=0.9)
    assert found.weights[0] == pytest.approx([1 / 3] * 3)
    assert np.isnan(found.validation[0]).all()
    assert np.isfinite(found.validation[1]).all()


def test_states_of_another_size_are_refused():
    with pytest.raises(ValueError, match="this model has 3610 numbers"):
        set_state(_make(), np.zeros(5))


def test_unknown_strategies_are_refused():
    with pytest.raises(ValueError, match="Unknown strategy 'fedmagic'"):
        strategy("fedmagic")


def test_training_alone():
    scores = train_alone(TASK, *_data(80, 0), epochs=15, tests=TESTS)
    assert scores["test"][-1] > 0.6


def test_a_client_needs_two_examples():
    x, y = _data(2, 0)
    client = Client(TASK, x, y)
    assert (len(client.x), len(client.x_held)) == (1, 1)
    assert client.fit(get_state(client.model), 1).size == 1
    for count in (0, 1):
        with pytest.raises(ValueError, match=f"client a has {count} examples and {count} targets; one to train on"):
            Client(TASK, x[:count], y[:count], name="client a")
    with pytest.raises(ValueError, match="2 examples and 1 targets"):
        Client(TASK, x, y[:1])


def test_federations_of_nobody_and_tests_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least one client"):
        federate([], strategy("fedavg"), rounds=1)
    x, y = _data(4, 0)
    with pytest.raises(ValueError, match="2 slices are too few for 5 clients"):
        federate([Client(TASK, x, y)] * 5, strategy("fedavg"), rounds=1, slices=2)
    with pytest.raises(ValueError, match="at least one example"):
        federate([Client(TASK, x, y)], strategy("fedavg"), rounds=1, tests={"none": (x[:0], y[:0])})
