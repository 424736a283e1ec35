"""The chapter's experiment: presets, splits, one's own folders, and what the command line refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from firsthand.data.readers.words import load_words
from firsthand.errors import UserError
from firsthand.fedboost.lab import runs
from firsthand.fedboost.lab import search as tuning
from firsthand.fedboost.lab.measures import (
    digit_case,
    other_of_two,
    predictions_changed,
    stages,
    unmixed_models,
)  # fmt: skip
from firsthand.fedboost.lab.pipeline import PRESETS, run, with_data
from firsthand.fedboost.page import figures


def test_the_smallest_run_repeats():
    first, again = (run(PRESETS["smoke"], seed=3, progress=False) for _ in range(2))
    assert first.to_json() == again.to_json()
    assert set(first.metrics) == {f"{s}/{t}" for s in ("fedavg", "fedboosting") for t in ("digits", "worst")}
    assert first.arrays["fedboosting/weights"].shape == (1, 3)


@pytest.mark.parametrize("split", runs.DIGIT_SPLITS)
def test_splits_share_all_digits_out(split):
    shares = runs.digit_shares(split, 3, 0)
    assert sorted(np.concatenate(shares).tolist()) == list(range(1437))
    assert min(map(len, shares)) >= 20
    assert all(np.array_equal(a, b) for a, b in zip(shares, runs.digit_shares(split, 3, 0), strict=True))


def test_one_client_of_the_corrupted_split_has_random_labels():
    clean, bad = runs.digit_clients("iid", 0), runs.digit_clients("corrupted", 0)
    assert [torch.equal(a.y, b.y) for a, b in zip(clean, bad, strict=True)] == [False, True, True]
    swapped = runs.digit_clients("swapped", 0)[0].y
    assert torch.equal(swapped == 3, clean[0].y == 8)
    assert torch.equal(swapped == 8, clean[0].y == 3)
    assert torch.equal(swapped == 5, clean[0].y == 5)


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


def test_words_beyond_memory_come_from_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((20, 60, 3), 7, dtype=np.uint8)).save(tmp_path / "a.png")
    pairs = [(tmp_path / "a.png", text) for text in ("SALE", "AA", "AAA")]
    images, texts, left_out = load_words(pairs, steps=4, store=tmp_path / "words.npy")
    assert texts == ["SALE", "AA"]
    assert left_out == ["a.png: 'AAA' needs more than the 4 columns that the network reads"]
    assert images.shape == (2, 3, 32, 100)
    assert (images == 7).all()
    assert np.load(tmp_path / "words.npy", mmap_mode="r").shape == (3, 3, 32, 100)


@pytest.mark.parametrize("observer", figures.OBSERVERS)
@pytest.mark.parametrize("protection", figures.PROTECTIONS)
def test_what_an_observer_reads(observer, protection):
    name, why = figures.view(observer, protection, 0.75)
    assert why.endswith(".")
    if observer in ("client who computes", "server with a client"):
        assert name == "keep 1"  # of two clients nothing hides one from the other
    if observer == "server":
        assert name == ("keep 1" if protection == "nothing" else "sum")
    if (observer, protection) == ("client who looks", "encryption and mixing"):
        assert name == "keep 0.75"


def test_the_rival_is_run_as_tuned():
    stored = json.loads(tuning.FILE.read_text())
    assert stored["chosen"] == max(stored["fedprox"], key=lambda row: row[1])[0] == runs.PROX_MU
    assert stored["seed"] == tuning.SEED


def test_measures_on_one_seed():
    assert predictions_changed(1) == (0.0, None)
    assert unmixed_models(1)[0] < 1e-3
    assert other_of_two(1)[0] < 1e-3
    assert set(stages(256, 5, 0)) == {"encrypt", "add", "decrypt"}
    assert digit_case("iid", "fedavg", 1, slices=5).slices == 5


def test_views_of_an_observer():
    views = ("raw", "mixed", "noise", "hidden", "sum")
    raw, mixed, noise, hidden, both = (runs.observed(runs.Leak(v), 0) for v in views)
    other = (mixed - 0.9 * raw) / 0.1
    assert torch.allclose(both, (raw + other) / 2, atol=1e-5)
    assert torch.nn.functional.cosine_similarity(raw, mixed, dim=0) > 0.95
    assert float((mixed - raw).norm()) == pytest.approx(float((noise - raw).norm()), rel=1e-4)
    assert abs(float(torch.nn.functional.cosine_similarity(raw, hidden, dim=0))) < 0.05
    with pytest.raises(ValueError, match="Unknown view"):
        runs.observed(runs.Leak("magic"), 0)
