"""FedBoosting's weights, slices and mixtures against worked examples and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.fedboost import aggregate, boosting_weights, mix, mixing_matrix, slice_weights, unmix


def test_the_worked_example():
    p = boosting_weights([2, 1], [[1, 3], [4, 2]])
    assert p == pytest.approx([3 / 7, 4 / 7], abs=1e-12)


def test_the_released_form_is_the_product_of_inverses():
    rng = np.random.default_rng(0)
    t, v = rng.uniform(0.1, 3, 4), rng.uniform(0.1, 3, (4, 4))
    q = (1 / v.mean(1)) * (1 / t) / (1 / t).sum()
    assert boosting_weights(t, v) == pytest.approx(q / q.sum(), rel=1e-12)
    a = rng.uniform(0, 1, 4)
    acc = a * v.mean(1)
    assert boosting_weights(a, v, metric="accuracy") == pytest.approx(acc / acc.sum(), rel=1e-12)


def test_softmax_gives_most_to_the_best_and_sums_to_one():
    p = boosting_weights([0.5, 0.9], [[0.5, 0.4], [0.9, 0.8]], metric="softmax")
    assert p.sum() == pytest.approx(1)
    assert p[1] > p[0]


def test_a_loss_near_zero_takes_over_unless_clipped():
    t, v = [1e-6, 1.0], [[0.5, 0.5], [0.5, 0.5]]
    assert boosting_weights(t, v)[0] > 0.9999
    assert boosting_weights(t, v, floor=0.1)[0] == pytest.approx(10 / 11)


@pytest.mark.parametrize(
    ("train", "validation", "words"),
    [
        ([1, np.nan], [[1, 1], [1, 1]], "training value of client 1 is nan"),
        ([1, -2], [[1, 1], [1, 1]], "training value of client 1 is -2"),
        ([1, 1], [[1, np.inf], [1, 1]], "client 0 on the data of client 1 is inf"),
        ([1, 1], [[1, 1]], "shape \\(2, 2\\)"),
        ([[1, 1]], [[1, 1], [1, 1]], "one number a client"),
    ],
)
def test_bad_reports_are_named(train, validation, words):
    with pytest.raises(ValueError, match=words):
        boosting_weights(train, validation)


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="choose loss, accuracy or softmax"):
        boosting_weights([1], [[1]], metric="magic")


def test_published_slices_lose_the_sum_and_largest_remainders_keep_it():
    for clients, total in {3: 99, 6: 102, 8: 96, 30: 90, 200: 0}.items():
        p = np.full(clients, 1 / clients)
        assert slice_weights(p).sum() == total
        assert slice_weights(p, rounding="largest_remainder").sum() == 100
    assert slice_weights([0.29, 0.71], rounding="largest_remainder").tolist() == [29, 71]


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=12), st.integers(1, 500))
def test_slices_are_close_and_sum_up(raw, slices):
    p = np.array(raw) / np.sum(raw)
    assert np.abs(slice_weights(p, slices) / slices - p).max() <= 0.5 / slices + 1e-12
    fair = slice_weights(p, slices, rounding="largest_remainder")
    assert fair.sum() == slices
    assert np.abs(fair / slices - p).max() <= 1 / slices + 1e-12


def test_slices_refuse_nonsense():
    with pytest.raises(ValueError, match="At least one slice"):
        slice_weights([1.0], 0)
    with pytest.raises(ValueError, match="published or largest_remainder"):
        slice_weights([1.0], rounding="up")


def test_the_aggregate_is_the_weighted_sum():
    u = np.arange(6.0).reshape(2, 3)
    assert aggregate(u, [0.25, 0.75]) == pytest.approx(0.25 * u[0] + 0.75 * u[1])
    with pytest.raises(ValueError, match="weights"):
        aggregate(u, [1.0])


def test_mixing_is_undone():
    u = np.random.default_rng(1).standard_normal((4, 50))
    for slices in (None, 100):
        assert unmix(mix(u, slices=slices), slices=slices) == pytest.approx(u, rel=1e-12)
    assert np.linalg.inv(mixing_matrix(2)) == pytest.approx(np.array([[1.125, -0.125], [-0.125, 1.125]]))
    for clients, condition in ((2, 1.25), (3, 1.18), (10, 1.125)):
        assert np.linalg.cond(mixing_matrix(clients)) == pytest.approx(condition, abs=0.005)


def test_mixing_loses_its_other_part_with_many_clients():
    assert mixing_matrix(20, slices=100)[0, 1] == 0.01
    assert mixing_matrix(22, slices=100)[0, 1] == 0
    assert mixing_matrix(4, slices=100).sum(1) == pytest.approx([0.99] * 4)


def test_equal_mixtures_cannot_be_undone():
    with pytest.raises(ValueError, match="cannot be told apart"):
        unmix(mix(np.eye(2), keep=0.5), keep=0.5)
    with pytest.raises(ValueError, match="two clients"):
        mix(np.ones((1, 3)))
    with pytest.raises(ValueError, match="keep must lie"):
        mix(np.eye(2), keep=0)
