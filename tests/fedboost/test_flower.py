"""Flower moves the messages: the same weights as in one process, and a round that survives a client."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firsthand.fedboost import ClientLost, federate, strategy
from firsthand.fedboost.federation import get_state
from tests.fedboost.test_federation import _clients, _make

flower = pytest.importorskip("firsthand.fedboost.flower")


def _run(name: str, *, rounds: int = 3, lost=None, **options):
    clients = _clients()

    def make_client(context):
        number = int(context.node_config["client"])
        if lost == number and clients[number].rounds == 1:
            raise RuntimeError("the process is gone")
        return number, clients[number]

    grid = flower.LocalGrid(flower.client_app(make_client), len(clients))
    server = flower.FlowerStrategy(strategy(name), clients=len(clients), **options)
    result = server.start(grid, flower.to_record(get_state(_make())), num_rounds=rounds)
    return server, flower.from_record(result.arrays)


@pytest.mark.parametrize("name", ["fedavg", "fedprox", "fedboosting", "median", "qffl"])
def test_the_same_weights_as_in_one_process(name):
    server, state = _run(name, epochs=2)
    here = federate(_clients(), strategy(name), rounds=3, epochs=2)
    assert np.abs(state - here.state).max() < 1e-6
    assert server.events == []
    if name == "fedboosting":
        assert list(server.weights[3].values()) == pytest.approx(here.weights[-1], abs=1e-6)


def test_mixtures_slices_and_warm_up_too():
    _, state = _run("fedboosting", keep=0.9, slices=100, warmup=1)
    here = federate(_clients(), strategy("fedboosting"), rounds=3, keep=0.9, slices=100, warmup=1)
    assert np.abs(state - here.state).max() < 1e-6


def test_a_client_that_dies_is_left_out():
    server, state = _run("fedboosting", lost=2)
    assert np.isfinite(state).all()
    assert server.events == [
        "Round 1: client 2 did not validate and was left out.",
        "Round 2: client 2 did not answer and was left out.",
        "Round 3: client 2 did not answer and was left out.",
    ]
    assert {number: sorted(p) for number, p in server.weights.items()} == {1: [0, 1], 2: [0, 1], 3: [0, 1]}


def test_nonsense_is_named_once_and_left_out():
    clients = _clients()
    fit = clients[1].fit
    clients[1].fit = lambda *rest, **options: replace(fit(*rest, **options), train_loss=float("nan"))
    clients[2].evaluate = lambda state: (float("inf"), 0.5)
    app = flower.client_app(
        lambda context: (int(context.node_config["client"]), clients[context.node_config["client"]])
    )
    server = flower.FlowerStrategy(strategy("fedboosting"), clients=3)
    server.start(flower.LocalGrid(app, 3), flower.to_record(get_state(_make())), num_rounds=1)
    assert server.events == [
        "Round 1: client 1 was left out, its training loss is nan.",
        "Round 1: client 2 was left out, none of its validation results is a number in range.",
    ]
    assert server.weights == {1: {0: 1.0}}


@pytest.mark.slow
def test_separate_processes_give_the_same_and_survive_a_death(tmp_path):
    from firsthand.fedboost.lab.processes import federate_digits
    from firsthand.fedboost.lab.runs import digit_clients

    state, events = federate_digits(tmp_path / "run", clients=2, rounds=2, dies=1, timeout=90, limit=1800)

    def lose(number, client, fit):
        if number == 1 and client.name == "client 1":
            raise ClientLost
        return fit

    here = federate(digit_clients("iid", 0, 2), strategy("fedboosting"), rounds=2, tamper=lose)
    assert events == ["Round 2: client 1 did not answer and was left out."]
    assert np.abs(state - here.state).max() < 1e-6
    assert not (tmp_path / "run" / "result.tmp").exists()
