"""The chapter's experiment: smoke, the rate's rule, the paper's recipe on a tiny ImageNet, resumption."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from firsthand.dmjd import PRESETS, SIZES, run, scaled_lr
from firsthand.dmjd.lab import pipeline
from firsthand.dmjd.lab.pipeline import new_model, pretrained_classifier, schedule, with_data
from firsthand.dmjd.lab.runs import DISJOINT, JOINT, LONG_SINGLE, PIXELS, RELEASED, SINGLE, held_out
from firsthand.dmjd.lab.runs import new_model as new_run
from firsthand.dmjd.recipes import layer_scales
from firsthand.errors import UserError
from firsthand.kit.train.large import accumulation
from firsthand.kit.train.loop import Cosine, parameter_groups


@pytest.mark.slow
def test_smoke_gives_the_same_result_twice():
    first, second = (run(PRESETS["smoke"], device="cpu", progress=False) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert {"probe", "probe/random", "parameters", "batch"} <= first.metrics.keys()


def test_the_rule_counts_coverage_not_views():
    assert scaled_lr(6e-4, 512, corruption=0.6) == pytest.approx(2e-3)
    assert scaled_lr(6e-4, 512, corruption=0.6, prediction=0.6) == pytest.approx(1.2e-3)


def test_runs_of_the_evidence_see_as_many_views():
    assert {run.images * run.views for run in (SINGLE, DISJOINT, JOINT, PIXELS)} == {32}
    assert [run.setting for run in (SINGLE, DISJOINT, JOINT, PIXELS)] == ["single", "disjoint", "visible", "pixels"]
    assert replace(DISJOINT, borrowed=1.2).setting == "single"
    assert (LONG_SINGLE.setting, RELEASED.setting) == ("single long", "released")
    hidden, visible = held_out(new_run(DISJOINT, 0))
    assert hidden > 1
    assert np.isnan(visible)


def test_the_papers_pretraining():
    config = PRESETS["paper"]
    steps, warmup, lr = schedule(config, 1_281_167)
    assert (steps, warmup) == (400 * 2502, 20 * 2502)
    assert lr == pytest.approx(2e-3)
    assert [Cosine(lr, steps, warmup)(step) for step in (0, warmup, steps)] == pytest.approx([2e-3 / warmup, 2e-3, 0])
    assert accumulation(config.batch, config.passes, 8) * 8 * config.passes == 512
    with torch.device("meta"):
        model = new_model(config, 0)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 135_635_032
    groups = parameter_groups(model, weight_decay=0.05)
    assert sorted({group["weight_decay"] for group in groups}) == [0.0, 0.05]
    assert all(p.ndim == 1 for group in groups if not group["weight_decay"] for p in group["params"])
    steps, warmup, lr = schedule(PRESETS["paper-finetune"], 1_281_167)
    assert (steps, warmup, lr) == (100 * 1251, 5 * 1251, pytest.approx(2e-3))


def test_layer_wise_decay_as_the_release():
    scale = layer_scales(SIZES["base"], 0.65)
    assert scale("head.weight") == scale("norm.bias") == 1.0
    assert scale("encoder.blocks.10.qkv.weight") == pytest.approx(0.65)
    names = ("encoder.downs.2.conv.weight", "encoder.convs.1.0.dwconv.bias", "encoder.position", "encoder.mix.weight")
    assert [scale(name) for name in names] == pytest.approx([0.65**12] * 4)


@pytest.mark.slow
def test_the_papers_first_steps_on_a_tiny_folder(tiny_imagenet, tmp_path):
    small = {"batch": 4, "passes": 2, "workers": 0, "out": str(tmp_path / "out"), "steps": 3, "warmup": 1}
    config = with_data(replace(PRESETS["paper"], **small, decoder_depth=1), str(tiny_imagenet))
    result = run(replace(config, stop=2, out=None), device="cpu", progress=False)
    assert result.metrics["parameters"] == 135_635_032 - 7 * 5_251_584
    # Whitened histograms have variance one; a fresh net's own outputs add to that, and the visible branch's part.
    assert 1.0 < result.arrays["loss"][0] < 6.0
    run(replace(config, stop=1), device="cpu", progress=False)
    resumed = run(replace(config, stop=2), device="cpu", progress=False)
    assert resumed.arrays["loss"].tolist() == result.arrays["loss"].tolist()
    weights = str(tmp_path / "out" / "pretrain.safetensors")
    tuning = replace(PRESETS["paper-finetune"], **{**small, "steps": 1, "out": None}, weights=weights)
    tuned = run(with_data(tuning, str(tiny_imagenet)), device="cpu", progress=False)
    assert tuned.arrays["loss"].tolist() == pytest.approx([np.log(2)], abs=0.05)
    assert 0 <= tuned.metrics["accuracy"] <= 1
    with pytest.raises(UserError, match="does not fit large"):
        pretrained_classifier(replace(tuning, size="large"), 0, 2, 0.0)


def test_what_validation_cannot_use_is_said_before_training(tiny_imagenet, monkeypatch):
    broken = tiny_imagenet / "val" / "n01443537" / "n01443537_2.JPEG"
    broken.write_bytes(broken.read_bytes()[:-200])
    monkeypatch.setattr(pipeline, "fine_tune", lambda *_, **__: pytest.fail("It was trained."))
    tuning = replace(with_data(PRESETS["paper-finetune"], str(tiny_imagenet)), workers=0, out=None)
    with pytest.raises(UserError, match=r"^The image n01443537_2\.JPEG cannot be read: it is damaged"):
        run(tuning, device="cpu", progress=False)
    broken.parent.rename(broken.parent.with_name("n09"))
    with pytest.raises(UserError, match=r"^val/n09 is none of the 2 classes to train on\.$"):
        run(tuning, device="cpu", progress=False)


def test_bad_requests_get_a_sentence(tmp_path):
    with pytest.raises(UserError, match="has no folder 'train'"):
        with_data(PRESETS["paper"], str(tmp_path))
    with pytest.raises(UserError, match="Fine-tuning here needs --data"):
        run(replace(PRESETS["smoke"], task="finetune"), device="cpu", progress=False)


@pytest.mark.gpu
def test_the_gpu_trains():
    result = run(replace(PRESETS["smoke"], preset="gpu"), device="cuda", progress=False)
    assert np.isfinite(result.arrays["loss"]).all()


def test_the_notebook_and_the_film_train_at_the_tuned_rate():
    from firsthand.dmjd.lab.runs import JOINT, chosen

    rate = chosen()["pretrain"][JOINT.setting]
    assert PRESETS["book"].blr == rate


def test_what_cannot_be_used_is_said_before_training(tiny_imagenet, tmp_path, monkeypatch):
    for work in ("pretrain", "fine_tune"):
        monkeypatch.setattr(pipeline, work, lambda *_, **__: pytest.fail("it trained"))
    file = tmp_path / "own.safetensors"
    save_file({"model.encoder.blocks.0.norm1.bias": torch.zeros(7)}, file)
    torch.save({"model": {}}, tmp_path / "own.pt")
    tuning = with_data(
        replace(PRESETS["paper-finetune"], batch=4, passes=2, workers=0, out=None, steps=1), str(tiny_imagenet)
    )
    shapes = r"own\.safetensors does not fit base: blocks.0.norm1.bias has shape \(7,\), the model \(768,\)"
    for config, words in (
        (replace(tuning, weights=str(file)), shapes),
        (replace(tuning, weights=str(tmp_path / "own.pt")), r"own\.pt is PyTorch's own kind of file"),
        (replace(tuning, weights=None, steps=None, batch=4096, passes=4096), "A batch of 4096 needs at least"),
        (replace(PRESETS["smoke"], weights=str(file)), "Pre-training begins with fresh weights.*paper-finetune"),
    ):
        with pytest.raises(UserError, match=words):
            run(config, device="cpu", progress=False)
    bare = tmp_path / "bare"
    shutil.copytree(tiny_imagenet / "train", bare / "train")
    with pytest.raises(UserError, match="has no folder 'val'"):
        run(replace(tuning, weights=None, data=str(bare)), device="cpu", progress=False)


def test_smoke_runs_on_a_folder_of_ones_own(tiny_imagenet):
    config = replace(with_data(PRESETS["smoke"], str(tiny_imagenet)), batch=4, passes=4, workers=0, steps=2)
    assert np.isfinite(run(config, device="cpu", progress=False).arrays["loss"]).all()
