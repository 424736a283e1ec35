"""HyperBallClustering is a scikit-learn estimator."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from firsthand.data.drawn.shapes import rings3
from firsthand.hcvi import HyperBallClustering, choose_k

CHECKS = list(estimator_checks_generator(HyperBallClustering()))


@pytest.mark.filterwarnings("ignore:Only . hyper-balls were kept:UserWarning")
@pytest.mark.parametrize("number", range(len(CHECKS)))
def test_scikit_learns_own_checks(number):
    estimator, check = CHECKS[number]
    check(estimator)


def test_agrees_with_choose_k():
    X, _ = rings3(0)
    model = HyperBallClustering().fit(X)
    assert model.n_clusters_ == 3
    assert np.array_equal(model.labels_, choose_k(X).labels)
    assert len(model.balls_) > 100


def test_a_given_number_is_taken():
    model = HyperBallClustering(5).fit(rings3(0)[0])
    assert model.n_clusters_ == 5
    assert set(model.labels_) <= set(range(-1, 5))


def test_too_few_balls_are_one_cluster_with_a_warning():
    with pytest.warns(UserWarning, match="too few"):
        model = HyperBallClustering().fit(np.arange(6.0)[:, None])
    assert model.n_clusters_ == 1
    assert (model.labels_ == 0).all()


def test_a_given_number_is_taken_on_few_balls_too():
    X = np.concatenate([np.arange(4.0), 50 + np.arange(4.0)])[:, None]
    model = HyperBallClustering(2).fit(X)
    assert len(model.balls_) < 4
    assert model.n_clusters_ == 2


def test_a_bad_number_is_explained():
    with pytest.raises(ValueError, match='"auto" or a positive integer'):
        HyperBallClustering(0).fit(rings3(0)[0])
