"""Training: mirrored boxes stay on their vehicles, the whole procedure repeats, an integer network that runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from firsthand.data.drawn.aerial import CLASSES, scene
from firsthand.errors import UserError
from firsthand.ghost.bits import layer_sigmas
from firsthand.ghost.detector import Detector, convolutions
from firsthand.ghost.lab import measures, pipeline, runs
from firsthand.ghost.lab.export import export_int8
from firsthand.ghost.lab.pipeline import PRESETS, run, with_data
from firsthand.ghost.quantizers import quantize_model
from firsthand.ghost.training import (
    Average,
    Pictures,
    Recipe,
    activation_ranges,
    augmented,
    evaluate,
    mean_precision,
    measure_batch_norm,
    train_detector,
)
from tests.writers.vedai import write_vedai

SHORT = Recipe(2, 2e-3, 1, batch=4)


def _pictures(count: int = 8, size: int = 64) -> Pictures:
    found = [scene(70_000 + k, size=size) for k in range(count)]
    return Pictures(
        torch.stack([one.image for one in found]), tuple({"boxes": one.boxes, "labels": one.labels} for one in found)
    )


def _detector(channels: int = 4) -> Detector:
    torch.manual_seed(0)
    return Detector("small", channels=channels, classes=4, width=0.125)


def test_boxes_are_mirrored_and_turned_with_their_pictures():
    images = torch.zeros(40, 4, 32, 32, dtype=torch.uint8)
    images[:, :, 4:9, 20:30] = 200  # rows 4 to 8, columns 20 to 29
    truths = [{"boxes": torch.tensor([[20.0, 4, 30, 9]]), "labels": torch.tensor([1])}] * 40
    found, boxes = augmented(images, truths, torch.Generator().manual_seed(0))
    places = set()
    for image, truth in zip(found, boxes, strict=True):
        x1, y1, x2, y2 = truth["boxes"][0].int().tolist()
        assert (image[:, y1:y2, x1:x2] > 0.3).all()
        assert int((image[0] > 0.3).sum()) == (x2 - x1) * (y2 - y1)
        places.add((x1, y1, x2, y2))
    assert len(places) == 8


def test_all_of_a_student_is_trained():
    data = _pictures()
    teacher, _ = train_detector(_detector(), data, SHORT)
    student = quantize_model(teacher, 4)
    before = {name: value.clone() for name, value in student.named_parameters()}
    train_detector(student, data, SHORT)
    assert all(not torch.equal(before[name], value) for name, value in student.named_parameters())


def test_a_killed_training_goes_on_with_its_average(tmp_path):
    data, file = _pictures(), tmp_path / "run.safetensors"
    recipe = Recipe(4, 2e-3, 1, batch=4)
    whole, _ = train_detector(_detector(), data, recipe)
    train_detector(_detector(), data, recipe, checkpoint=file, stop=2)
    again, trace = train_detector(_detector(), data, recipe, checkpoint=file)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))
    assert len(trace.loss) == 4
    done, _ = train_detector(_detector(), data, recipe, checkpoint=file)
    assert torch.equal(done.layers[0][0].weight, whole.layers[0][0].weight)


def test_the_average_follows():
    model = _detector()
    average = Average(model, decay=0.5)
    with torch.no_grad():
        next(iter(model.parameters())).fill_(1.0)
    for _ in range(30):
        average.update(model)
    assert torch.allclose(next(iter(average.model.parameters())), torch.ones(()), atol=1e-3)
    assert not average.model.training


def test_batch_norm_measured_anew_knows_the_new_scale():
    data, model = _pictures(), _detector()
    measure_batch_norm(model, data, batches=2, batch=4)
    student = quantize_model(model, 8, limits=activation_ranges(model, data))
    name = "layers.0.1.running_var"
    before = student.state_dict()[name].clone()
    assert torch.equal(before, model.state_dict()[name])
    measure_batch_norm(student, data, batches=2, batch=4)
    assert not torch.allclose(before, student.state_dict()[name], rtol=0.1)
    assert set(activation_ranges(model, data)) == set(convolutions(model))


@pytest.mark.parametrize("gate", runs.GATES)
def test_every_gate_teaches_and_only_trained_ones_learn(gate):
    data, teacher = _pictures(), _detector()
    student = quantize_model(teacher, 4)
    lessons, strength = runs.lessons_for(student, teacher, data, gate, 0)
    assert strength > 0
    before = [p.clone() for p in lessons.parameters()]
    _, trace = train_detector(student, data, SHORT, teacher=teacher, gate=lessons, strength=strength)
    assert np.array(trace.opened).shape == (2, 18)
    changed = any(not torch.equal(a, b) for a, b in zip(before, lessons.parameters(), strict=True))
    assert changed == (gate in ("trained", "budget"))
    assert not any(p.grad is not None for p in teacher.parameters())


@pytest.mark.slow
def test_allocations_of_the_evidence(monkeypatch):
    monkeypatch.setattr(runs, "teacher", lambda seed: _detector())
    small, cheap = runs.allocation("size", 900), runs.allocation("operations", 900)
    model = _detector()
    assert runs.model_size_mb(model, small) <= runs.model_size_mb(model, runs.FEW)
    costs = [runs.bit_operations(model, bits, runs.SIZE, order="graph") for bits in (cheap, runs.FEW)]
    assert costs[0] <= costs[1]
    dealt = runs.allocation("permuted", 900)
    assert sorted(dealt.values()) == sorted(small.values())
    assert dealt != small
    assert runs.model_size_mb(model, dealt) == pytest.approx(runs.model_size_mb(model, small), rel=0.03)
    reversed_bits = runs.allocation("reversed", 900)
    assert 0.9 < runs.model_size_mb(model, reversed_bits) / runs.model_size_mb(model, runs.FEW) <= 1
    sigmas = layer_sigmas(model)
    for bits, sign in ((small, 1), (reversed_bits, -1)):
        assert sign * spearmanr(list(bits.values()), [sigmas[name] for name in bits]).statistic > 0.6
    with pytest.raises(ValueError, match="Unknown allocation"):
        runs.allocation("odd", 900)


def test_bits_upside_down():
    assert runs.turned({"a": 2, "b": 8, "c": 5, "d": 5}) == {"a": 8, "b": 2, "c": 5, "d": 5}


def test_how_near_the_formula_is(monkeypatch):
    bits = {"a": 3, "b": 4, "c": 6, "d": 7}
    monkeypatch.setattr(measures, "floor", lambda seed: None)
    monkeypatch.setattr(measures, "teacher", lambda seed: None)
    monkeypatch.setattr(measures, "layer_sigmas", lambda model: dict.fromkeys(bits, 1.0))
    monkeypatch.setattr(measures, "_spread", lambda model: [(1.0, bits), (1.0, {"a": 4, "b": 4, "c": 4, "d": 4})])
    monkeypatch.setattr(measures, "bits_closed_form", lambda sigma, threshold: 4)
    assert [measures.formula_near(gap, 0)[0] for gap in (0, 1, 2)] == [5 / 8, 6 / 8, 7 / 8]


@pytest.mark.slow
def test_the_smallest_run_repeats():
    first, again = (run(PRESETS["smoke"], device="cpu", progress=False) for _ in range(2))
    assert first.to_json() == again.to_json()
    assert first.arrays["opened"].shape == (2, 18)
    assert 2 <= first.metrics["bits"] <= 8


def test_a_folder_in_the_layout_of_vedai(tmp_path):
    write_vedai(tmp_path, [scene(k, size=64, classes=CLASSES) for k in range(6)], CLASSES)
    config = replace(
        with_data(PRESETS["paper"], str(tmp_path)), size=64, width=0.125, teach=SHORT, learn=SHORT, out=None
    )
    found = run(config, device="cpu", progress=False)
    assert found.arrays["bits"].tolist().count(8) > 30
    with pytest.raises(UserError, match="give --data"):
        run(replace(PRESETS["paper"], data="nowhere"), device="cpu", progress=False)
    with pytest.raises(UserError, match="is none"):
        with_data(PRESETS["paper"], str(tmp_path / "nowhere"))


def test_the_papers_network():
    with torch.device("meta"):
        model = Detector("small", channels=4, classes=8, width=PRESETS["paper"].width)
    assert (
        sum(m.weight.numel() for m in convolutions(model).values()) + sum(p.numel() for p in model.heads.parameters())
        == 4_818_983
    )


@pytest.mark.slow
def test_integers_run_and_nearly_agree(tmp_path):
    data, model = _pictures(16), _detector()
    trained, _ = train_detector(model, data, Recipe(20, 5e-3, 5, batch=8))
    integer, plain = export_int8(trained, data.images, tmp_path, repeats=2)
    assert 0.2 < integer.bytes / plain.bytes < 0.45
    images = data.images.float() / 255
    with torch.no_grad():
        a, b = integer.raw(images, 4)[0], trained(images)[0]
    assert float((a - b).abs().mean() / b.abs().mean()) < 0.2
    assert set(evaluate(trained, data)) <= {0, 1, 2, 3}


def test_a_test_fold_without_objects_gives_nan(tmp_path):
    names = write_vedai(tmp_path, [scene(k, size=64, classes=CLASSES) for k in range(6)], CLASSES)
    tested = (tmp_path / "Annotations64" / "fold01test.txt").read_text().split()
    assert set(tested) < set(names)
    for name in tested:
        (tmp_path / "Annotations64" / f"{name}.txt").write_text("")
    config = replace(with_data(PRESETS["smoke"], str(tmp_path)), size=64, teach=SHORT, learn=SHORT)
    found = run(config, device="cpu", progress=False).metrics
    assert all(np.isnan(found[f"precision/{who}"]) for who in ("teacher", "converted", "student"))
    assert found["size"] > 0
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    with pytest.raises(ValueError, match="show no object"):
        mean_precision(_detector(), Pictures(torch.zeros(2, 4, 32, 32, dtype=torch.uint8), (nothing, nothing)))


def test_batches_of_both_trainings_are_checked_before_the_first(tmp_path, monkeypatch, capsys):
    write_vedai(tmp_path, [scene(k, size=64, classes=CLASSES) for k in range(48)], CLASSES)
    monkeypatch.setattr(pipeline, "train_detector", lambda *_, **__: pytest.fail("it trained"))
    config = replace(with_data(PRESETS["smoke"], str(tmp_path)), size=64)
    with pytest.raises(UserError, match="There are 32 pictures to train on, fewer than a batch"):
        run(replace(config, learn=replace(config.learn, batch=33)), device="cpu", progress=False)
    said = capsys.readouterr().err  # 36 to train on, 12 to test
    assert said.splitlines() == [f"Preset smoke takes the first {n} of {of} pictures." for n, of in ((32, 36), (8, 12))]
