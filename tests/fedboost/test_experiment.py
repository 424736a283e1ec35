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
from firsthand.fedboost import History
from firsthand.fedboost.lab import pipeline, runs
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


def _party(folder, words, grey=0):
    """A client's words in MJSynth's layout, one grey in all of its pictures."""
    folder.mkdir(parents=True)
    names = [f"{i}_{word}_{i}.png" for i, word in enumerate(words)]
    for name in names:
        Image.fromarray(np.full((20, 60, 3), grey, dtype=np.uint8)).save(folder / name)
    (folder / "annotation_train.txt").write_text("\n".join(f"{name} 1" for name in names))


def _test_words(folder):
    from scipy.io import savemat

    (folder / "iiit5k").mkdir(parents=True)
    Image.fromarray(np.zeros((20, 60, 3), dtype=np.uint8)).save(folder / "iiit5k" / "a.png")
    rows = np.array([("a.png", "SALE")], dtype=[("ImgName", object), ("GroundTruth", object)])
    savemat(folder / "iiit5k" / "testdata.mat", {"testdata": rows})


def _seen(folder, monkeypatch, preset="paper", meanwhile=lambda: None):
    """Names, numbers of words and greys of the clients that a run on a folder makes."""
    found = []

    def stub(clients, *_, tests, **__):
        meanwhile()
        found.extend((c.name, len(c.x) + len(c.x_held), int(c.x.max())) for c in clients)
        return History(np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((1, 2, 2)), {name: np.zeros(1) for name in tests})

    monkeypatch.setattr(pipeline, "federate", stub)
    run(replace(with_data(PRESETS[preset], str(folder)), strategies=("fedavg",)), device="cpu", progress=False)
    return found


def test_runs_on_folders_of_the_same_names_keep_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place, grey in (("one", 10), ("two", 200)):
        _test_words(tmp_path / place)
        for party in ("a", "b"):
            _party(tmp_path / place / party, ("RED", "BLUE"), grey)
    inner = []
    first = _seen(tmp_path / "one", monkeypatch, meanwhile=lambda: inner.extend(_seen(tmp_path / "two", monkeypatch)))
    assert first == [("a", 2, 10), ("b", 2, 10)]  # the other run began while this one's pictures were mapped
    assert inner == [("a", 2, 200), ("b", 2, 200)]
    assert list((tmp_path / ".firsthand" / "words").iterdir()) == []


def test_what_programs_leave_in_a_folder_is_no_client(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _test_words(tmp_path)
    for party in ("a", "b"):
        _party(tmp_path / party, ("RED", "BLUE"))
    for other in (".ipynb_checkpoints", "__MACOSX"):
        (tmp_path / other).mkdir()
    for _ in range(2):  # the first run leaves .firsthand
        assert [name for name, _, _ in _seen(".", monkeypatch)] == ["a", "b"]


def test_clients_with_one_word_are_left_out_with_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _test_words(tmp_path)
    for party, words in (("a", ("RED", "BLUE")), ("b", ("RED",)), ("c", ("RED", "BLUE", "GREEN"))):
        _party(tmp_path / party, words)
    assert [(name, count) for name, count, _ in _seen(tmp_path, monkeypatch)] == [("a", 2), ("c", 3)]
    assert "b was left out: of its one word none could be kept for validation." in capsys.readouterr().err
    _party(tmp_path / "alone" / "a", ("RED", "BLUE"))
    _party(tmp_path / "alone" / "b", ("RED",))
    _test_words(tmp_path / "alone")
    with pytest.raises(UserError, match="at least two clients with two words or more"):
        _seen(tmp_path / "alone", monkeypatch)


def test_smoke_takes_a_few_words_of_ones_own_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _test_words(tmp_path / "data")
    for party in ("a", "b"):
        _party(tmp_path / "data" / party, ["RED"] * 20)
    assert _seen(tmp_path / "data", monkeypatch, "smoke") == [("a", 16, 0), ("b", 16, 0)]
    assert "a: preset smoke takes the first 16 of 20." in capsys.readouterr().err
    assert not (tmp_path / ".firsthand").exists()


def test_more_clients_than_there_are_digits_for_are_refused():
    assert min(map(len, runs.digit_shares("dirichlet", 71, 0))) >= 20
    for split, clients, most in (("dirichlet", 100, 71), ("iid", 719, 718), ("sorted", 0, 718)):
        with pytest.raises(ValueError, match=rf"1 to {most} clients of the split '{split}'; got {clients}"):
            runs.digit_shares(split, clients, 0)
