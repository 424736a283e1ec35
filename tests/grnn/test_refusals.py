"""What the attacks refuse before they begin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from firsthand.errors import UserError
from firsthand.grnn import attack, epsilon, match, psnr, shared_gradient, wasserstein
from firsthand.grnn.lab import pipeline
from firsthand.grnn.lab.pipeline import PRESETS, run, with_data
from firsthand.grnn.victims import face_batch, untrained_victim

X, Y = face_batch(1, 0)
MODEL = untrained_victim(0)
GRADIENT = shared_gradient(MODEL, X, Y)
OPTIONS = {"batch": 1, "image_shape": (3, 32, 32), "num_classes": 100}


@pytest.mark.parametrize("method", ["grnn", "dlg", "idlg", "pixels", "inverting"])
@pytest.mark.parametrize("iterations", [0, -1])
def test_an_attack_without_iterations_is_refused(method, iterations):
    with pytest.raises(ValueError, match=f"iterations must be at least 1; got {iterations}"):
        attack(MODEL, GRADIENT, **OPTIONS, method=method, iterations=iterations)


@pytest.mark.parametrize("gradient", [GRADIENT[:-1], GRADIENT[:1], GRADIENT[None]])
def test_a_gradient_of_another_length_is_refused(gradient):
    with pytest.raises(ValueError, match=rf"the model has {len(GRADIENT)} parameters"):
        attack(MODEL, gradient, **OPTIONS, iterations=1)
    with pytest.raises(ValueError, match="same length"):
        wasserstein(gradient, GRADIENT)


def test_shapes_and_labels_that_do_not_fit_are_refused():
    for options, words in (
        ({"image_shape": (3, 32, 64)}, r"must be \(c, s, s\); got \(3, 32, 64\)"),
        ({"labels": torch.tensor([100])}, r"from 0 to 99; got \[100\]"),
        ({"labels": torch.tensor([-1])}, r"from 0 to 99; got \[-1\]"),
        ({"labels": "biases"}, "got 'biases'"),
    ):
        with pytest.raises(ValueError, match=words):
            attack(MODEL, GRADIENT, **{**OPTIONS, **options}, iterations=1)


@pytest.mark.parametrize("shape", [(1, 3, 16, 64), (1, 3, 33, 33), (3, 32, 32)])
def test_a_lenet_takes_its_own_size_only(shape):
    with pytest.raises(ValueError, match="32 x 32; got"):
        MODEL(torch.rand(shape))


def test_one_image_is_not_compared_with_many():
    many = torch.rand(3, 3, 8, 8)
    for score in (psnr, match):
        with pytest.raises(ValueError, match="same shape"):
            score(many, many[:1])


def test_nothing_sent_spends_nothing():
    assert epsilon(multiplier=1.0, rate=0.01, steps=0) == 0
    assert epsilon(multiplier=0.0, rate=0.01, steps=1) == float("inf")
    for change in ({"steps": -1}, {"rate": 0.0}, {"rate": 1.5}, {"multiplier": -1.0}, {"delta": 0.0}, {"delta": 1.0}):
        with pytest.raises(ValueError, match=r"at least 0, rate in \(0, 1\]"):
            epsilon(**{"multiplier": 1.0, "rate": 0.01, "steps": 1, **change})


def _folder(place, count=3):
    for name in ("ada", "ben"):
        (place / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 255, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / name / f"{number}.png")
    return place


@pytest.mark.parametrize("left", [0, 30, 0.5, 0.9])
def test_a_damaged_picture_is_said_before_the_first_attack(tmp_path, monkeypatch, left):
    monkeypatch.setattr(pipeline, "attack_many", lambda *_, **__: pytest.fail("it attacked"))
    file = _folder(tmp_path) / "ben" / "2.png"
    whole = file.read_bytes()
    file.write_bytes(whole[: left if isinstance(left, int) else int(left * len(whole))])
    config = replace(with_data(PRESETS["smoke"], str(tmp_path)), batches=(1, 6), methods=("dlg",))
    with pytest.raises(UserError, match=r"^The image 2\.png cannot be read: .*[^.]\.$"):
        run(config, device="cpu", progress=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"iterations": 0}, "at least one iteration; got 0"),
        ({"methods": ("dlg", "magic")}, "Unknown method among dlg, magic"),
        ({"victims": ("lenet", "vgg")}, "Unknown victim 'vgg'"),
        ({"image_size": 64}, "32 pixels a side, not 64"),
    ],
)
def test_settings_are_checked_before_the_first_attack(monkeypatch, change, words):
    monkeypatch.setattr(pipeline, "attack_many", lambda *_, **__: pytest.fail("it attacked"))
    with pytest.raises(UserError, match=words):
        run(replace(PRESETS["smoke"], **change), device="cpu", progress=False)
