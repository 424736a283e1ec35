"""The index: the worked example, a slow reference, the spanning tree, the choice of k, foreign labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from firsthand.data.drawn.shapes import SHAPES
from firsthand.hcvi import choose_k, com_and_sep, hcvi, index, make_balls, score, spanning_tree
from firsthand.hcvi.index import choose_from_balls, prim, scores_of_cuts
from tests.hcvi import reference

CENTRES = np.array([(0, 0), (1, 0), (2, 0), (5, 0), (6, 0), (6, 2), (12, 0)], dtype=float)


def test_the_worked_example():
    assert [v.tolist() for v in com_and_sep(CENTRES, [0, 0, 0, 1, 1, 1, 2])] == [[1, 2, 0], [3, 3, 6]]
    assert hcvi(CENTRES, [0, 0, 0, 1, 1, 1, 2]) == pytest.approx(7 / 18, abs=1e-15)
    assert hcvi(CENTRES, [0, 0, 0, 0, 0, 0, 1]) == pytest.approx(0.5, abs=1e-15)
    assert hcvi(CENTRES, [0, 0, 0, 1, 1, 1, 1]) == pytest.approx(7 / 6, abs=1e-15)


def test_equals_the_reference_on_random_partitions():
    rng = np.random.default_rng(0)
    for _ in range(20):
        centers = rng.normal(size=(25, rng.integers(1, 5)))
        labels = rng.integers(0, 4, 25) * 3 - 2  # any integers are labels
        assert hcvi(centers, labels) == pytest.approx(reference.hcvi(centers, labels), rel=1e-12)


def test_tensors_and_names_of_labels_do_not_matter():
    labels = np.array([0, 0, 0, 1, 1, 1, 2])
    assert hcvi(torch.from_numpy(CENTRES), torch.from_numpy(labels)) == pytest.approx(hcvi(CENTRES, 9 - labels))


@pytest.mark.parametrize(
    ("centers", "labels"),
    [
        (CENTRES, [0] * 7),  # one cluster
        (CENTRES, range(7)),  # single balls only: every com is 0
        (np.zeros((4, 2)), [0, 0, 1, 1]),  # coincident centres: com and sep are 0
        (np.array([[0.0], [1.0], [1.0], [2.0]]), [0, 0, 1, 1]),  # sep is 0
        (CENTRES[:1], [0]),
    ],
)
def test_undefined_is_nan(centers, labels):
    assert math.isnan(hcvi(centers, np.array(labels)))


def test_bad_labels_are_explained():
    with pytest.raises(ValueError, match=r"one label a centre, shape \(7,\); got \(3,\)"):
        hcvi(CENTRES, [0, 1, 2])
    with pytest.raises(ValueError, match="integers"):
        hcvi(CENTRES, np.linspace(0, 1, 7))


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_tree_has_single_linkage_heights(d):
    X = np.random.default_rng(d).random((200, d))
    assert np.allclose(spanning_tree(X).lengths, linkage(pdist(X), "single")[:, 2])


@pytest.mark.parametrize("d", [2, 3])
def test_delaunay_tree_equals_prim(d, monkeypatch):
    X = np.random.default_rng(d).random((700, d))
    X[10] = X[20]  # coincident centres
    monkeypatch.setattr(index, "DENSE_LIMIT", 100)
    fast = spanning_tree(X)
    slow = prim(lambda i: np.linalg.norm(X - X[i], axis=1), len(X))
    assert np.allclose(fast.lengths, slow.lengths)
    assert fast.lengths[0] == 0


def test_centres_on_a_line_need_no_mesh(monkeypatch):
    monkeypatch.setattr(index, "DENSE_LIMIT", 10)
    X = np.column_stack([np.arange(50.0), np.arange(50.0)])
    assert np.allclose(spanning_tree(X).lengths, math.sqrt(2))


def test_components_are_scipys_clusters():
    X = np.random.default_rng(0).random((60, 2))
    for k in (1, 2, 5, 60):
        theirs = fcluster(linkage(pdist(X), "single"), k, "maxclust")
        ours = spanning_tree(X).components(k)
        assert len(set(zip(ours, theirs, strict=True))) == k
        assert ours[0] == 0


def test_scan_over_k_equals_scoring_each_cut():
    for seed in range(5):
        X = np.random.default_rng(seed).random((80, 3))
        tree = spanning_tree(X)
        scores = scores_of_cuts(tree, 20)
        assert list(scores) == list(range(2, 21))
        for k, value in scores.items():
            assert value == pytest.approx(hcvi(X, tree.components(k)), rel=1e-12)
            assert 0 < value <= 1


@pytest.mark.parametrize(("name", "k"), [("rings3", 3), ("smile4", 4), ("bars4", 4), ("interlock2", 2), ("gauss6", 6)])
def test_choose_k_finds_the_shapes(name, k):
    X, y = SHAPES[name](1)
    choice = choose_k(X)
    assert choice.k == k
    kept = choice.labels >= 0
    assert len(set(zip(choice.labels[kept], y[kept], strict=True))) == k
    assert choice.scores[k] == min(choice.scores.values())
    assert np.array_equal(choose_k(torch.from_numpy(X)).labels.numpy(), choice.labels)


def test_k_max_and_its_default():
    X = np.random.default_rng(0).random((400, 2))
    assert max(choose_k(X).scores) == math.ceil(math.sqrt(len(make_balls(X))))
    assert max(choose_k(X, k_max=5).scores) == 5
    with pytest.raises(ValueError, match="k_max must be at least 2; got 1"):
        choose_k(X, k_max=1)


def test_too_few_balls_are_counted_and_the_way_out_is_named():
    with pytest.raises(ValueError, match=r"gave 1\. Try force_root_split=True"):
        choose_k(np.array([0, 1, 2, 3, 20, 21, 22, 23, 24, 60.0])[:, None])
    with pytest.raises(ValueError, match="gave 0"):
        choose_k(np.ones((1, 2)))


def test_a_given_k_is_checked():
    balls = make_balls(np.random.default_rng(0).random((100, 2)))
    assert choose_from_balls(balls, k=3).scores == {}
    for k in (0, len(balls) + 1):
        with pytest.raises(ValueError, match=f"k must be between 1 and the {len(balls)} kept balls"):
            choose_from_balls(balls, k=k)


def test_score_lets_balls_vote():
    X, y = SHAPES["rings3"](0)
    balls = make_balls(X)
    truth = score(X, y)
    assert truth == pytest.approx(choose_k(X).scores[3])
    flipped = y.copy()
    inside = np.flatnonzero(balls.labels == np.argmax(balls.sizes))
    flipped[inside[0]] = (y[inside[0]] + 1) % 3  # one dissenter is outvoted
    assert score(X, flipped) == truth


def test_score_leaves_noise_out_and_never_rewards_a_cluster_without_a_ball():
    X, y = SHAPES["rings3"](0)
    noisy = np.where(y == 0, -1, y)
    balls = make_balls(X)
    kept = np.array([np.bincount(noisy[balls.labels == i] + 1).argmax() - 1 for i in range(len(balls))])
    assert score(X, noisy) == pytest.approx(hcvi(balls.centers[kept >= 0], kept[kept >= 0]))
    lonely = y.copy()
    lonely[0] = 7
    assert math.isnan(score(X, lonely))
    assert math.isnan(score(X, np.full(len(X), -1)))
    assert math.isnan(score(X, np.zeros(len(X), dtype=int)))


def test_votes_tie_to_the_smaller_label():
    X = np.array([(0, 0), (0, 1), (1, 0), (1, 1.0)])
    balls = make_balls(X, scale=None)
    assert len(balls) == 1
    assert math.isnan(score(X, [0, 0, 1, 1], scale=None))  # the ball is label 0's, label 1 owns none


def test_moving_and_scaling_leave_scores_alone():
    X, _ = SHAPES["smile4"](0)
    before, after = choose_k(X).scores, choose_k(4 * X - 7).scores
    assert before == pytest.approx(after, abs=1e-9)


LABELS = [0, 0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("kind", ["u1", "u8", ">i4", ">u8", ">f8", "f2", "f4", "g", "O"])
def test_whole_labels_of_any_kind_are_taken(kind):
    assert hcvi(CENTRES, np.array(LABELS).astype(kind)) == pytest.approx(7 / 18, abs=1e-15)


def test_the_largest_labels_stay_apart_and_larger_ones_are_refused():
    most = np.array([2**63 - 1] * 3 + [2**63 - 2] * 3 + [0], dtype=np.uint64)
    assert hcvi(CENTRES, most) == pytest.approx(7 / 18, abs=1e-15)
    for labels in (most + np.uint64(1), np.full(7, 2**64 - 1, dtype=np.uint64), np.full(7, 1e30), np.full(7, -1e30)):
        with pytest.raises(ValueError, match="within 64 bits with a sign"):  # 2 ** 64 - 1 would have become noise
            hcvi(CENTRES, labels)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_labels_that_are_no_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="integers; got float64 that are not finite"):
        hcvi(CENTRES, np.array([0, 0, 0, 1, 1, 1, bad]))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.array(LABELS) + 1j, "integers; got complex128"),
        (torch.tensor(LABELS) + 1j, "integers; got complex64"),
        (np.array(list("aaabbbc")), "integers; got <U1"),
        (torch.tensor(LABELS, dtype=torch.bfloat16), "NumPy has no bfloat16"),
    ],
)
def test_labels_of_other_kinds_are_refused(labels, words):
    with pytest.raises(ValueError, match=words):
        hcvi(CENTRES, labels)
    with pytest.raises(ValueError, match=words):
        score(CENTRES, labels)
