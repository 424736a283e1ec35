"""The chapter's experiment: presets, splits, one's own folders, and what the command line refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from firsthand.errors import UserError
from firsthand.fedboost import runs
from firsthand.fedboost.experiment import PRESETS, run, with_data
from firsthand.fedboost.measures import digit_case, predictions_changed, unmixing_error


def test_the_smallest_run_repeats():
    first, again = (run(PRESETS["smoke"], seed=3, progress=False) for _ in range(2))
    assert first.to_json() == again.to_json()
    assert set(first.metrics) == {f"{s}/{t}" for s in ("fedavg", "fedboosting") for t in ("digits", "worst")}
    assert first.arrays["fedboosting/weights"].shape == (1, 3)


@pytest.mark.parametrize("split", ["iid", "sorted", "dirichlet", "corrupted"])
def test_splits_share_all_digits_out(split):
    shares = runs.digit_shares(split, 3, 0)
    assert sorted(np.concatenate(shares).tolist()) == list(range(1437))
    assert min(map(len, shares)) >= 20
    assert all(np.array_equal(a, b) for a, b in zip(shares, runs.digit_shares(split, 3, 0), strict=True))


def test_one_client_of_the_corrupted_split_has_random_labels():
    clean, bad = runs.digit_clients("iid", 0), runs.digit_clients("corrupted", 0)
    assert [torch.equal(a.y, b.y) for a, b in zip(clean, bad, strict=True)] == [False, True, True]


def test_words_of_a_federation():
    parties = runs.word_data("labels", 0)
    assert [set(y.flatten().tolist()) for _, _, y in parties] == [set(range(7)), set(range(3, 10))]
    domains = runs.word_clients("domains", 0)
    assert [len(c.x) + len(c.x_held) for c in domains] == [runs.PRINTS, runs.SIGNS]
    assert [c.name for c in domains] == ["print", "sign"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"split": "odd"}, "Unknown split 'odd'"),
        ({"task": "words", "split": "odd"}, "Unknown split 'odd'"),
        ({"task": "songs"}, "Unknown task 'songs'"),
        ({"strategies": ("fedmagic",)}, "Unknown strategy 'fedmagic'"),
        ({"task": "folders"}, "give --data FOLDER"),
    ],
)
def test_what_cannot_be_run_is_said(change, words):
    with pytest.raises(UserError, match=words):
        run(replace(PRESETS["smoke"], **change), progress=False)


@pytest.mark.slow
def test_the_full_recogniser_runs_on_folders(tmp_path):
    from scipy.io import savemat

    with pytest.raises(UserError, match="is none"):
        with_data(PRESETS["paper"], str(tmp_path / "nowhere"))
    rng = np.random.default_rng(0)
    for party in ("first", "second"):
        (tmp_path / party).mkdir()
        names = [f"{i}_WORD_{i}.png" for i in range(4)]
        for name in names:
            Image.fromarray(rng.integers(0, 256, (20, 60, 3), dtype=np.uint8)).save(tmp_path / party / name)
        (tmp_path / party / "annotation_train.txt").write_text("\n".join(f"{n} 1" for n in names))
    (tmp_path / "iiit5k").mkdir()
    Image.fromarray(rng.integers(0, 256, (20, 60, 3), dtype=np.uint8)).save(tmp_path / "iiit5k" / "a.png")
    rows = np.array([("a.png", "SALE")], dtype=[("ImgName", object), ("GroundTruth", object)])
    savemat(tmp_path / "iiit5k" / "testdata.mat", {"testdata": rows})
    config = replace(with_data(PRESETS["paper"], str(tmp_path)), rounds=1, batch=4)
    found = run(config, device="cpu", progress=False)
    assert found.metrics["fedboosting/iiit5k"] == 0.0
    assert found.arrays["fedavg/weights"].tolist() == [[0.5, 0.5]]
    with pytest.raises(UserError, match="at least two subfolders"):
        run(replace(config, data=str(tmp_path / "first")), progress=False)


def test_measures_of_exact_rows():
    assert predictions_changed(1) == (0.0, None)
    assert unmixing_error(1)[0] < 1e-10
    assert digit_case("iid", "fedavg", 1, slices=5).slices == 5


def test_views_of_an_observer():
    raw, mixed, noise, hidden = (runs.observed(runs.Leak(v), 0) for v in ("raw", "mixed", "noise", "hidden"))
    assert torch.nn.functional.cosine_similarity(raw, mixed, dim=0) > 0.95
    assert float((mixed - raw).norm()) == pytest.approx(float((noise - raw).norm()), rel=1e-4)
    assert abs(float(torch.nn.functional.cosine_similarity(raw, hidden, dim=0))) < 0.05
    with pytest.raises(ValueError, match="Unknown view"):
        runs.observed(runs.Leak("magic"), 0)
