"""The experiment, its peers and variants, and the exercises."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from firsthand.data.drawn.shapes import SHAPES, add_noise
from firsthand.data.readers.tables import real_table
from firsthand.errors import UserError
from firsthand.hcvi import CLAIMS, PRESETS, make_balls, run, spanning_tree
from firsthand.hcvi.lab.ablations import choose_all, surface_distances
from firsthand.hcvi.lab.baselines import best, fill_noise, index_functions, points_pick, proposals, scaled
from firsthand.hcvi.lab.claims import CLASSES
from firsthand.hcvi.lab.pipeline import with_data
from firsthand.hcvi.page.exercises import CENTRES, TWO_CLUSTERS, _mistakes
from firsthand.hcvi.page.figures import ROUNDS, render_split
from firsthand.kit import check


def test_smoke_run_is_reproducible_byte_for_byte():
    config = PRESETS["smoke"]
    first, second = (run(config, seed=3, progress=False) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert first.metrics["bars4/HCVI-R/k"] == 4
    assert first.metrics["bars4/HCVI-R/ari"] == 1
    assert "second" not in first.to_json()
    assert run(config, seed=4, progress=False).to_json() != first.to_json()


def test_noise_is_its_own_draw():
    X, _ = SHAPES["squares5"](0)
    noisy = add_noise(X, 0.05)
    assert len(noisy) == 1050
    assert (noisy[:1000] == X).all()
    assert ((noisy >= X.min(0)) & (noisy <= X.max(0))).all()


def test_own_csv_takes_the_place_of_shapes(tmp_path):
    X, y = SHAPES["bars4"](0)
    file = tmp_path / "mine.csv"
    np.savetxt(file, np.column_stack([X, y]), delimiter=",", header="a,b,label", comments="")
    result = run(with_data(PRESETS["smoke"], str(file)), progress=False)
    assert result.metrics["mine/HCVI-R/k"] == 4


def test_paper_preset_reads_the_battery_and_takes_its_first_steps(tmp_path):
    folder = tmp_path / "fcps"
    folder.mkdir()
    X, y = SHAPES["bars4"](0)
    for name, table in (("bars.data", X), ("bars.labels0", y + 1)):
        with gzip.open(folder / f"{name}.gz", "wt") as file:
            np.savetxt(file, table)
    config = replace(with_data(PRESETS["paper"], str(tmp_path)), k_max=4)
    result = run(config, progress=False)
    assert result.metrics["fcps/bars/HCVI-R/k"] == 4
    assert result.metrics["fcps/bars/dbcv/ari"] == 1


def test_paper_preset_without_data_says_what_is_missing():
    with pytest.raises(UserError, match="clustering-data-v1"):
        run(PRESETS["paper"], progress=False)


def test_peers_choose_from_the_same_proposals():
    X = scaled(SHAPES["gauss6"](0)[0])
    partitions = proposals(X, (5, 6, 7), 0)
    assert len(partitions) == 9
    functions = index_functions(X, ("silhouette", "davies-bouldin", "dbcv"))
    labels = partitions["Ward 6"]
    assert functions["silhouette"](labels) == pytest.approx(silhouette_score(X, labels))
    assert best(partitions, functions["silhouette"]).k == 6
    assert np.isnan(functions["dbcv"](np.append(np.zeros(len(X) - 1, dtype=int), 1)))


def test_an_undefined_score_never_wins():
    partitions = {"a": np.array([0, 1]), "b": np.array([0, 0])}
    assert best(partitions, lambda labels: float("nan") if labels[1] else 1.0).k == 1
    assert np.isnan(best(partitions, lambda labels: float("nan")).k)


def test_noise_is_filled_from_the_nearest_row():
    X = np.array([[0.0], [1], [2], [10]])
    assert fill_noise(X, np.array([0, -1, -1, 1])).tolist() == [0, 0, 0, 1]
    assert fill_noise(X, np.full(4, -1)).tolist() == [-1] * 4


def test_without_balls_the_index_is_hcvi_on_points():
    assert points_pick(scaled(SHAPES["bars4"](0)[0])).k == 4


def test_the_default_variant_is_the_chapters_index():
    X = scaled(SHAPES["smile4"](0)[0])
    found = choose_all(X)
    assert found["centre"] == 4
    gaps = surface_distances(make_balls(X))
    assert (gaps >= 0).all()
    assert np.allclose(gaps, gaps.T)


def test_claims_have_unique_ids_and_enough_seeds():
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)
    assert all(claim.seeds >= 5 or claim.rule == "exact" for claim in CLAIMS)


@pytest.mark.parametrize("sentence", list(_mistakes(CENTRES, TWO_CLUSTERS))[:4])
def test_exercise_1_knows_typical_slips(sentence):
    feedback = check("hcvi", 1, _mistakes(CENTRES, TWO_CLUSTERS)[sentence])
    assert not feedback.passed
    assert feedback.message == sentence


WRONG = [
    (2, lambda c, y: 1.0, "not the index"),
    (2, 3, "A function is asked for"),
    (2, lambda c: 1, "2 arguments"),
    (2, lambda c, y: 1 / 0, "ZeroDivisionError"),
    (3, np.random.default_rng(0).random((40, 2)), "was split"),
    (3, [[1.0, np.nan]] * 30, "NaN"),
    (3, np.arange(10.0)[:, None], "at least 20"),
    (3, np.ones(30), "2-D"),
    (4, lambda c, k: (1.0, 2.0), "not the two edges"),
    (4, lambda c, k: 1.0, "two numbers"),
    (4, lambda c, k: _edges(c, k, 1)[::-1], "swapped"),
    (4, lambda c, k: _edges(c, k, 0), "k - 1 cuts"),
    (4, lambda c, k: spanning_tree(c).lengths[[0, -1]], "the whole tree"),
    (5, lambda X: X[0], "too close"),
    (5, lambda X: X.max(0) + 1, "outside the box"),
    (5, lambda X: X, "Return one point"),
    (6, 0.97, "a share"),
    (6, 3, "one of the dimensions"),
    (6, 16, "fewer than 16"),
    (6, 1, "only"),
]


def _edges(centers, k, shift):
    lengths = spanning_tree(centers).lengths
    return lengths[-k - 1 + shift], lengths[-k + shift]


@pytest.mark.parametrize(("number", "answer", "words"), WRONG)
def test_wrong_answers_are_told_apart(number, answer, words):
    feedback = check("hcvi", number, answer)
    assert not feedback.passed
    assert words in feedback.message
    assert feedback.hint


def test_nothing_tried_gives_no_hint_away():
    for number, answer in ((1, ...), (2, lambda c, y: None)):
        feedback = check("hcvi", number, answer)
        assert not feedback.passed
        assert feedback.hint == ""


def test_classes_of_the_tables_are_counted_right():
    assert {name: len(np.unique(real_table(name)[1])) for name in CLASSES} == CLASSES


@pytest.mark.parametrize("noise", ["0 %", "10 %"])
@pytest.mark.parametrize("shape", ["smile4", "rings3", "gauss6"])
def test_the_splitting_figure_ends_with_the_kept_balls(shape, noise):
    figure, sentence = render_split(shape, noise, ROUNDS)
    assert "are kept" in sentence
    plt.close(figure)


def test_tiny_data_are_run_without_peers(tmp_path):
    file = tmp_path / "two.csv"
    file.write_text("1,2\n3,4\n")
    result = run(with_data(PRESETS["smoke"], str(file)), progress=False)
    assert result.metrics["two/balls"] == 0
    assert np.isnan(result.metrics["two/HCVI-R/k"])


def test_json_holds_null_for_undefined():
    result = run(replace(PRESETS["smoke"], shapes=("bars4",)), progress=False)
    result.metrics["odd"] = float("nan")
    assert json.loads(result.to_json())["metrics"]["odd"] is None
