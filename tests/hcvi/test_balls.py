"""Hyper-balls: against a slow reference, on bad input, on tensors, and what they promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from firsthand.data.drawn.shapes import SHAPES
from firsthand.hcvi import make_balls
from firsthand.hcvi.balls import grow, preprocess
from tests.hcvi import reference

LINE = np.array([0, 1, 2, 3, 20, 21, 22, 23, 24, 60.0])[:, None]


def members(X: np.ndarray, **options) -> set[frozenset[int]]:
    group = grow(torch.from_numpy(X), **options)
    return {frozenset(rows.tolist()) for rows in group.rows.split(group.counts.tolist())}


@pytest.mark.parametrize("d", [1, 2, 3, 7])
def test_equal_the_reference(d):
    for seed in range(4):
        X = np.random.default_rng(seed).random((150, d))
        assert members(X) == reference.balls(X)


@pytest.mark.parametrize("name", ["rings3", "smile4", "interlock2"])
def test_equal_the_reference_on_shapes(name):
    X, _ = SHAPES[name](0)
    X = (X - X.min(0)) / np.ptp(X, axis=0)
    assert members(X) == reference.balls(X)


def test_a_ball_says_what_its_points_say():
    X = np.random.default_rng(0).random((500, 3))
    balls = make_balls(X, scale=None)
    for i in range(len(balls)):
        points = X[balls.labels == i]
        distances = np.linalg.norm(points - points.mean(0), axis=1)
        assert np.allclose(balls.centers[i], points.mean(0))
        assert balls.sizes[i] == len(points) >= 3
        assert np.isclose(balls.radii[i], distances.max())
        assert np.isclose(balls.mean_radii[i], distances.mean())
    assert len(np.unique(balls.labels[balls.labels >= 0])) == len(balls)


def test_balls_come_in_the_order_of_their_first_point():
    labels = make_balls(np.random.default_rng(1).random((400, 2))).labels
    _, first = np.unique(labels[labels >= 0], return_index=True)
    assert (np.diff(first) > 0).all()


def test_tensors_give_identical_balls_and_stay_tensors():
    X = np.random.default_rng(2).normal(size=(2000, 3))
    ours, theirs = make_balls(X), make_balls(torch.from_numpy(X))
    for name in ("centers", "radii", "mean_radii", "sizes", "labels"):
        assert isinstance(getattr(theirs, name), torch.Tensor)
        assert np.array_equal(getattr(ours, name), getattr(theirs, name).numpy())


@pytest.mark.gpu
def test_the_gpu_gives_the_same_balls():
    X = np.random.default_rng(2).normal(size=(5000, 3))
    here, there = make_balls(X), make_balls(torch.from_numpy(X).cuda())
    assert there.centers.device.type == "cuda"
    assert np.array_equal(here.labels, there.labels.cpu().numpy())
    assert np.allclose(here.centers, there.centers.cpu().numpy(), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(dtype):
    balls = make_balls(np.random.default_rng(0).random((200, 2)).astype(dtype))
    assert balls.centers.dtype == balls.radii.dtype == dtype
    assert balls.labels.dtype == balls.sizes.dtype == np.int64


def test_the_root_may_refuse_the_first_cut():
    assert len(make_balls(LINE)) == 1
    assert len(make_balls(LINE, force_root_split=True, min_size=1)) > 1


def test_repeated_rows_change_nothing():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(300, 4))
    repeated = np.concatenate([X, X[rng.integers(0, 300, 200)]])
    once, twice = make_balls(X, pca=2), make_balls(repeated, pca=2)
    assert np.array_equal(once.labels, twice.labels[:300])
    assert np.array_equal(once.sizes, twice.sizes)
    rows = [np.flatnonzero((row == X).all(1))[0] for row in repeated[300:]]
    assert np.array_equal(twice.labels[300:], once.labels[rows])


def test_ties_in_one_column_are_not_repeated_rows():
    X = np.array([(0, 0), (0, 1), (0, 2), (1, 0), (1, 0), (0, 1.0)])
    points, inverse = preprocess(X, scale=None)
    assert np.array_equal(points.numpy(), X[:4])
    assert inverse.tolist() == [0, 1, 2, 3, 3, 1]


def test_constant_features_become_zero():
    X = np.column_stack([np.random.default_rng(0).random(50), np.full(50, 7.0)])
    assert (make_balls(X).centers[:, 1] == 0).all()
    assert len(make_balls(np.full((10, 2), 3.0), min_size=1)) == 1


def test_principal_components_are_those_of_numpy():
    X = np.random.default_rng(0).random((100, 5))
    points, _ = preprocess(X, pca=2, scale=None)
    _, _, axes = np.linalg.svd(X - X.mean(0), full_matrices=False)
    assert np.allclose(np.abs(points.numpy()), np.abs((X - X.mean(0)) @ axes[:2].T))


def test_the_density_filter_drops_sparse_balls():
    X = np.random.default_rng(0).normal(size=(800, 2))
    every, dense = make_balls(X), make_balls(X, density=1.0)
    ratio = every.sizes / every.mean_radii
    assert len(dense) == (ratio >= np.median(ratio)).sum() < len(every)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.array([[0.0, np.nan]]), "row 0, column 1 holds nan"),
        (np.array([[0.0], [np.inf]]), "row 1, column 0 holds inf"),
        (np.zeros(5), "must be 2-D"),
        (np.zeros((0, 2)), "at least one row"),
        (np.zeros((3, 0)), "at least one row and one column"),
        (np.array([["a"]]), "real numbers"),
    ],
)
def test_bad_input_is_explained(X, words):
    with pytest.raises(ValueError, match=words):
        make_balls(X)


@pytest.mark.parametrize("options", [{"min_size": 0}, {"scale": "z"}, {"pca": 3}, {"pca": 0}, {"density": -1.0}])
def test_bad_options_are_explained(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        make_balls(np.zeros((4, 2)), **options)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(1, 3)), elements=st.floats(-1e6, 1e6)))
def test_any_finite_data_are_partitioned(X):
    balls = make_balls(X, min_size=1)
    assert (balls.labels >= 0).all()
    assert balls.sizes.sum() == len(np.unique(preprocess(X)[0].numpy(), axis=0))


@pytest.mark.parametrize(("top", "dtype"), [(1e308, np.float64), (3e38, np.float32)])
def test_numbers_whose_differences_overflow_are_refused(top, dtype):
    X = np.array([[-top, 0], [top, 1], [0, 2]], dtype=dtype)
    for points in (X, torch.from_numpy(X)):
        with pytest.raises(ValueError, match=f"X spans more than torch.{np.dtype(dtype).name} can hold in a column"):
            make_balls(points)
        with pytest.raises(ValueError, match=f"X spans more than torch.{np.dtype(dtype).name} can square"):
            make_balls(points / 1e10, scale=None)


def test_large_numbers_are_scaled_as_small_ones_are():
    whole, large = make_balls(LINE), make_balls(LINE * 2.0**900)
    assert np.array_equal(whole.labels, large.labels)
    assert np.array_equal(whole.centers, large.centers)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (">f8", "torch knows no >f8 numbers"),
        (">i4", "torch knows no >i4"),
        (np.longdouble, "torch knows no"),
        (complex, "got an array of complex128"),
    ],
)
def test_arrays_that_torch_lacks_are_refused(kind, words):
    points = np.arange(24).reshape(12, 2).astype(kind)
    with pytest.raises(ValueError, match=words):
        make_balls(points)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.complex64, torch.complex128])
def test_tensors_that_would_lose_something_are_refused(kind):
    with pytest.raises(ValueError, match=rf"real numbers that NumPy has as well; got a tensor of {kind}"):
        make_balls(torch.arange(24).reshape(12, 2).to(kind))


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.uint64, np.float16, np.float32, bool])
def test_points_of_other_real_numbers_are_taken(kind):
    points = np.random.default_rng(0).integers(0, 2, (40, 3)).astype(kind)
    wanted = make_balls(points.astype(np.float64)).labels
    assert np.array_equal(make_balls(points).labels, wanted)
