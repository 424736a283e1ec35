"""Chapter 09: networks against published counts, gradients and leaks against closed forms, attacks, defences."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from firsthand.errors import UserError
from firsthand.grnn import (
    DEFENCES,
    METHODS,
    PRESETS,
    Generator,
    LeNet,
    SigmoidResNet18,
    add_noise,
    attack,
    attack_many,
    epsilon,
    gradient_distance,
    labels_from_bias,
    last_bias_gradient,
    layer_input,
    match,
    private_gradient,
    prune,
    psnr,
    quantise,
    run,
    shared_gradient,
    soteria,
    split_gradient,
    total_variation,
    train_under,
    uniform_init_,
    wasserstein,
)  # fmt: skip
from firsthand.grnn.lab import pipeline
from firsthand.grnn.lab.assets import gallery
from firsthand.grnn.lab.pipeline import with_data
from firsthand.grnn.lab.runs import LOCAL_LR, rank_among_faces, sent
from firsthand.grnn.page.exercises import EXERCISES
from firsthand.grnn.victims import face_batch, untrained_victim
from firsthand.kit.lab import evidence
from firsthand.kit.page.exercises import Wrong

SHAPE = (3, 32, 32)


def _parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _attack(method="grnn", *, seed=0, batch=1, **options):
    model = untrained_victim(seed)
    x, y = face_batch(batch, seed)
    gradient = options.pop("gradient", None)
    gradient = shared_gradient(model, x, y) if gradient is None else gradient
    found = attack(
        model, gradient, batch=batch, image_shape=SHAPE, num_classes=100, method=method, seed=seed, **options
    )
    return found, x, y


# ----------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: Generator(100), 723_888),
        (lambda: Generator(100, image_size=64), 1_838_768),
        (lambda: Generator(100, image_size=128), 5_248_176),
        (lambda: Generator(100, image_size=256), 16_785_584),
        (lambda: LeNet(10), 62_006),
        (lambda: LeNet(5749), 549_821),
    ],
)
def test_published_parameter_counts(make, count):
    with torch.device("meta"):
        assert _parameters(make()) == count


def test_the_generators_parameters_come_in_the_released_order():
    shapes = [tuple(p.shape) for p in Generator(10).parameters()]
    assert shapes[:4] == [(10, 128), (10,), (128, 256, 4, 4), (256,)]
    assert shapes[4:] == [(128, 128, 3, 3), (128,), (128,), (64, 64, 3, 3), (64,), (64,), (6, 32, 3, 3), (6,), (6,)]


@pytest.mark.parametrize("size", [16, 32, 64])
def test_the_generator_makes_images_and_labels(size):
    with torch.device("meta"):
        images, labels = Generator(7, image_size=size, channels=1)(torch.empty(3, 128))
    assert (images.shape, labels.shape) == ((3, 1, size, size), (3, 7))
    images, labels = Generator(7)(torch.randn(2, 128))
    assert images.min() > 0
    assert images.max() < 1
    torch.testing.assert_close(labels.sum(1), torch.ones(2))
    with pytest.raises(ValueError, match="power of two"):
        Generator(7, image_size=48)


def test_victims_run_on_the_meta_device():
    with torch.device("meta"):
        for model in (LeNet(10), SigmoidResNet18(10)):
            assert model(torch.empty(2, 3, 32, 32)).shape == (2, 10)


def test_uniform_initialisation_is_bounded_and_repeatable():
    one, two = (uniform_init_(LeNet(10), generator=torch.Generator().manual_seed(3)) for _ in range(2))
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(p, q)
        assert float(p.detach().abs().max()) <= 0.5


# ---------------------------------------------------------------------------------------------- gradients


def test_the_shared_gradient_is_the_gradient_and_nothing_changes():
    model, (x, y) = untrained_victim(0), face_batch(3, 0)
    loss = F.cross_entropy(model(x), y)
    truth = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
    torch.testing.assert_close(shared_gradient(model, x, y), truth)
    torch.testing.assert_close(shared_gradient(model, x, F.one_hot(y, 100).float()), truth)
    assert all(p.grad is None for p in model.parameters())


def test_running_statistics_stay_as_they_are():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 900, 5))
    before = {name: b.clone() for name, b in model.named_buffers()}
    shared_gradient(model, torch.rand(2, 3, 32, 32), torch.tensor([0, 1]))
    assert all(torch.equal(b, before[name]) for name, b in model.named_buffers())
    assert model.training


def test_the_gradient_can_be_differentiated():
    model = uniform_init_(LeNet(5)).double()
    x = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    direction = torch.randn_like(x)
    true = torch.randn(_parameters(model), dtype=torch.float64)

    def squares(t: float) -> torch.Tensor:
        return (shared_gradient(model, x + t * direction, torch.tensor([2])) - true).square().sum()

    moved = x.clone().requires_grad_()
    loss = (shared_gradient(model, moved, torch.tensor([2]), create_graph=True) - true).square().sum()
    slope = float((torch.autograd.grad(loss, moved)[0] * direction).sum())
    assert slope == pytest.approx(float(squares(1e-6) - squares(-1e-6)) / 2e-6, rel=1e-4)


def test_distances_by_hand():
    squares, norm = gradient_distance(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.0, 0.0]))
    assert (float(squares), float(norm)) == pytest.approx((13.0, 13**0.5))
    assert float(wasserstein(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 1.0]))) == 0
    images = torch.zeros(1, 1, 2, 2)
    images[0, 0, 0, 0] = 1
    assert float(total_variation(images)) == pytest.approx(2 * (1 / 2 + 1 / 2))


def test_the_norm_has_a_slope_at_zero_distance():
    fake = torch.ones(3, requires_grad=True)
    sum(gradient_distance(fake, torch.ones(3))).backward()
    assert fake.grad.isfinite().all()


# --------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("seed", range(5))
def test_one_images_label_and_layer_can_be_read_off(seed):
    model = untrained_victim(seed).double()
    x, y = face_batch(1, seed)
    gradient = shared_gradient(model, x.double(), y)
    bias = last_bias_gradient(model, gradient, 100)
    assert int((bias < 0).sum()) == 1
    assert labels_from_bias(bias, 1).tolist() == y.tolist()
    parts = split_gradient(model, gradient)
    found = layer_input(parts["fc1.weight"], parts["fc1.bias"])
    torch.testing.assert_close(found, model.features(x.double())[0].detach(), rtol=0, atol=1e-6)


def test_gradients_of_other_models_are_refused():
    with pytest.raises(ValueError, match=r"The gradient has shape \(5,\); the model has"):
        split_gradient(LeNet(10), torch.zeros(5))
    with pytest.raises(ValueError, match=r"The last parameter, fc3.bias, has shape \(10,\)"):
        last_bias_gradient(LeNet(10), torch.zeros(_parameters(LeNet(10))), 11)
    with pytest.raises(ValueError, match="zero everywhere"):
        layer_input(torch.zeros(2, 3), torch.zeros(2))


# ----------------------------------------------------------------------------------------------- attacks


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 3])
def test_grnn_recovers_a_face_and_its_label(seed):
    found, x, y = _attack(seed=seed, iterations=400)
    assert float(psnr(found.images, x)[0]) > 16
    assert found.labels.tolist() == y.tolist()
    assert found.loss[-1] < 0.1 * found.loss[0]
    assert sorted(found.snapshots) == [0, 20, 40, 80, 140, 200, 300, 400]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_lowers_its_own_loss_and_repeats(method):
    first, _, _ = _attack(method, iterations=8)
    second, _, _ = _attack(method, iterations=8)
    assert torch.equal(first.images, second.images)
    assert np.array_equal(first.loss, second.loss)
    assert first.loss.shape == (8,)
    assert first.loss[-1] < first.loss[0]
    assert first.images.shape == (1, *SHAPE)


def test_the_victim_stays_as_it_is():
    model = untrained_victim(0)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    x, y = face_batch(1, 0)
    gradient = shared_gradient(model, x, y)
    attack(model, gradient, batch=1, image_shape=SHAPE, num_classes=100, iterations=3)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert model.training


@pytest.mark.slow
def test_many_victims_get_the_results_of_single_calls():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    models = [untrained_victim(seed) for seed in range(3)]
    gradients = [shared_gradient(m, *face_batch(1, s)) for s, m in enumerate(models)]
    options = {"batch": 1, "image_shape": SHAPE, "num_classes": 100, "iterations": 5}
    together = attack_many(models, gradients, workers=2, **options)
    alone = [attack(m, g, **options) for m, g in zip(models, gradients, strict=True)]
    torch.set_num_threads(threads)
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a.images, b.images, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="3 models need as many gradients"):
        attack_many(models, gradients[:2], **options)


def test_restarts_keep_the_least_loss():
    one = [_attack("pixels", iterations=6, seed=0)[0].loss[-1]]
    best, _, _ = _attack("pixels", iterations=6, seed=0, restarts=3)
    assert best.loss[-1] <= min(one)


def test_known_labels_are_used():
    found, _, y = _attack("grnn", iterations=3, labels="bias")
    assert found.labels.tolist() == y.tolist()
    given = torch.tensor([42])
    assert _attack("pixels", iterations=3, labels=given)[0].labels.tolist() == [42]


def test_a_run_that_blows_up_keeps_its_last_finite_image():
    gradient = torch.full((_parameters(untrained_victim(0)),), 1e30)
    found, _, _ = _attack("dlg", iterations=5, gradient=gradient)
    assert found.images.isfinite().all()
    assert found.loss.shape == (5,)


def test_bad_requests_get_a_sentence():
    for options, sentence in (
        ({"method": "magic"}, "Unknown method 'magic'"),
        ({"method": "idlg", "batch": 2}, "idlg reads one label"),
        ({"terms": ("cosine",)}, "terms must be some of"),
        ({"restarts": 0}, "at least 1"),
        ({"labels": torch.tensor([1, 2])}, r"labels must have shape \(1,\)"),
    ):
        with pytest.raises(ValueError, match=sentence):
            _attack(iterations=1, **options)


def test_scoring_by_hand():
    truth = torch.rand(4, 3, 8, 8)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.equal(truth[order][match(truth[order], truth)], truth)
    assert psnr(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.1)).tolist() == pytest.approx([20.0])
    x, who = face_batch(1, 0)
    assert rank_among_faces(x[0], int(who[0])) == 1


# ---------------------------------------------------------------------------------------------- defences


def test_noise_has_the_scale_asked_for():
    generator = torch.Generator().manual_seed(0)
    for kind in ("gaussian", "laplace"):
        noise = add_noise(torch.zeros(200_000), 0.3, generator, kind=kind)
        assert float(noise.std()) == pytest.approx(0.3, rel=0.02)
        assert abs(float(noise.mean())) < 0.005
    with pytest.raises(ValueError, match="kind must be"):
        add_noise(torch.zeros(3), 0.1, generator, kind="uniform")


def test_pruning_and_quantising_by_hand():
    g = torch.tensor([0.1, -4.0, 0.2, 2.1])
    assert prune(g, 0.5).tolist() == pytest.approx([0, -4, 0, 2.1])
    assert torch.equal(prune(g, 0.0), g)
    assert quantise(g, 2).tolist() == [0, -4, 0, 4]
    assert float((quantise(g, 8) - g).abs().max()) <= 4 / 127 / 2 + 1e-6
    with pytest.raises(ValueError, match="rate must lie"):
        prune(g, 1.0)
    with pytest.raises(ValueError, match="bits must lie"):
        quantise(g, 1)


def test_private_gradients_are_clipped_example_by_example():
    model, (x, y) = untrained_victim(0), face_batch(3, 0)
    rows = torch.stack([shared_gradient(model, x[i : i + 1], y[i : i + 1]) for i in range(3)])
    truth = (rows / rows.norm(dim=1, keepdim=True)).mean(0)
    found = private_gradient(model, x, y, norm=1.0, multiplier=0.0, generator=torch.Generator())
    torch.testing.assert_close(found, truth, rtol=1e-3, atol=1e-6)


def test_the_privacy_budget_moves_the_right_way():
    assert epsilon(multiplier=2.0, rate=0.01, steps=100) < epsilon(multiplier=1.0, rate=0.01, steps=100)
    assert epsilon(multiplier=1.0, rate=0.01, steps=100) < epsilon(multiplier=1.0, rate=0.01, steps=1000)


def test_soteria_silences_part_of_one_layer():
    model, (x, y) = untrained_victim(0), face_batch(1, 0)
    plain = split_gradient(model, shared_gradient(model, x, y))
    found = split_gradient(model, soteria(model, x, y, rate=0.4, generator=torch.Generator().manual_seed(0)))
    assert int((found["fc1.weight"].abs().sum(0) == 0).sum()) == 160
    assert all(torch.equal(found[name], plain[name]) for name in plain if name != "fc1.weight")
    with pytest.raises(ValueError, match="Soteria is written for LeNet"):
        soteria(nn.Linear(2, 2), x, y, rate=0.4, generator=torch.Generator())


@pytest.mark.parametrize("name", DEFENCES)
def test_every_defence_sends_a_gradient_and_can_be_trained_under(name):
    model, (x, y) = untrained_victim(1), face_batch(2, 1)
    assert DEFENCES[name](model, x, y, torch.Generator().manual_seed(0)).shape == (69_656,)
    trained = train_under(name, x.repeat(8, 1, 1, 1), y.repeat(8), num_classes=100, epochs=1, batch=8, clients=2)
    assert all(p.isfinite().all() for p in trained.parameters())


def test_local_steps_approach_a_gradient():
    model, (x, y) = untrained_victim(0), face_batch(1, 0)
    one = sent(model, x, y)
    two = sent(model, x, y, steps=2)
    moved = LeNet(100)
    moved.load_state_dict(model.state_dict())
    with torch.no_grad():
        for p, g in zip(moved.parameters(), split_gradient(moved, one).values(), strict=True):
            p.sub_(LOCAL_LR * g)
    torch.testing.assert_close(two, (one + shared_gradient(moved, x, y)) / 2, rtol=1e-4, atol=1e-6)


# -------------------------------------------------------------------------------------------- experiment


def test_smoke_gives_the_same_result_twice():
    first, second = (run(PRESETS["smoke"], device="cpu", progress=False) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert {f"{m}/lenet/1/psnr" for m in METHODS} <= first.metrics.keys()


def test_the_papers_grid_on_a_tiny_folder(tmp_path, monkeypatch):
    for name in ("ada", "ben", "eve"):
        (tmp_path / name).mkdir()
        for number in range(2):
            pixels = np.random.default_rng(number).integers(0, 255, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    paper = PRESETS["paper"]
    assert paper.batches == (1, 4, 8, 16, 32, 64, 128, 256)
    small = replace(paper, batches=(1, 4), victims=("lenet",), repeats=1, iterations=2, restarts=1)
    result = run(with_data(small, str(tmp_path)), device="cpu", progress=False)
    assert result.arrays["dlg/lenet/4/truth"].shape == (4, 3, 32, 32)
    with pytest.raises(UserError, match="A batch of 7 needs as many images"):
        run(with_data(replace(small, batches=(7,)), str(tmp_path)), device="cpu", progress=False)
    with pytest.raises(UserError, match="--data must be a folder"):
        with_data(paper, str(tmp_path / "none"))
    with pytest.raises(UserError, match="Unknown victim"):
        run(replace(small, victims=("vgg",)), device="cpu", progress=False)
    (tmp_path / ".ipynb_checkpoints").mkdir()
    broken = tmp_path / "ben" / "0.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    monkeypatch.setattr(pipeline, "attack_many", lambda *_, **__: pytest.fail("An attack began."))
    with pytest.raises(UserError, match=r"^The image 0\.png cannot be read: it is damaged \([^\n]*\)\.$"):
        run(with_data(replace(small, batches=(1, 6)), str(tmp_path)), device="cpu", progress=False)


def test_the_gallery_is_the_evidences_headline():
    stored = gallery()
    headline = next(r for r in evidence.load("grnn")["claims"] if r["id"] == "headline-psnr")
    assert stored["psnr"].tolist() == pytest.approx(headline["method"], abs=headline["repeats_within"])
    # As bytes, and as found: rounding costs next to nothing.
    assert psnr(stored["found"], stored["truth"]).tolist() == pytest.approx(stored["psnr"].tolist(), abs=0.05)


@pytest.mark.gpu
def test_the_gpu_recovers_the_same_face():
    model, (x, y) = untrained_victim(0).cuda(), face_batch(1, 0)
    gradient = shared_gradient(model, x.cuda(), y.cuda())
    found = attack(model, gradient, batch=1, image_shape=SHAPE, num_classes=100, iterations=400)
    assert float(psnr(found.images.cpu(), x)[0]) > 16
    assert found.labels.tolist() == y.tolist()


# --------------------------------------------------------------------------------------------- exercises


def _lstsq(weight, delta):
    return torch.linalg.lstsq(delta.mT, weight).solution


def _step(model, true, raw, y, lr, *, image=torch.sigmoid, sign=-1, mean=False, norm=False, graph=True):
    u = raw.clone().requires_grad_()
    difference = shared_gradient(model, image(u), y, create_graph=True) - true
    squares = difference.norm() if norm else difference.square().mean() if mean else difference.square().sum()
    return raw + sign * lr * torch.autograd.grad(squares, u)[0] if graph else raw


def _simulate(model, x, y, steps, lr):
    weights = dict(model.named_parameters())
    total = 0.0
    for _ in range(steps):
        loss = F.cross_entropy(torch.func.functional_call(model, weights, (x,)), y)
        parts = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        total = total + torch.cat([part.flatten() for part in parts]) / steps
        weights = {name: w - lr * part for (name, w), part in zip(weights.items(), parts, strict=True)}
    return total


RIGHT = [
    (1, lambda w: int(w.sum(1).argmin())),
    (1, lambda w: int((w < 0).all(1).nonzero()[0])),
    (2, _lstsq),
    (2, lambda w, d: (torch.linalg.pinv(d.mT) @ w).numpy()),
    (3, _step),
    (6, _simulate),
]

WRONG = [
    (1, lambda w: int(w.sum(1).argmax()), "largest row sum"),
    (1, lambda w: int(w.norm(dim=1).argmin()), "shortest row"),
    (1, lambda w: int(w.sum(0).argmin()), "looked at columns"),
    (1, lambda w: 0, "the label is not 0"),
    (2, lambda w, d: d @ w, "solve for the two inputs"),
    (2, lambda w, d: _lstsq(w, d).flip(0), "wrong order"),
    (2, lambda w, d: (w.sum(0) / d.sum()).expand(2, -1), "same mixture"),
    (2, lambda w, d: w[:, :3], "shape"),
    (3, lambda *a: _step(*a, graph=False), "Nothing moved"),
    (3, lambda *a: _step(*a, sign=1), "uphill"),
    (3, lambda *a: _step(*a, image=lambda u: u), "not raw"),
    (3, lambda *a: _step(*a, mean=True), "not averaged"),
    (3, lambda *a: _step(*a, norm=True), "slope of the norm"),
    (3, lambda *a: torch.sigmoid(_step(*a)), "before the sigmoid"),
    (4, ([1.0, 2.0], [1.0, 2.0]), "Euclidean distance"),
    (4, ([1.0, 2.0], [5.0, 2.0]), "Wasserstein distance"),
    (4, ([1.0], [1.0, 2.0]), "same length"),
    (5, 8.0, "Set the expected"),
    (6, lambda m, x, y, steps, lr: shared_gradient(m, x, y), "keep the graph"),
    (6, lambda m, x, y, steps, lr: shared_gradient(m, x, y, create_graph=True), "goes on from changed weights"),
    (6, lambda m, x, y, steps, lr: steps * _simulate(m, x, y, steps, lr), "divide by their number"),
    (6, lambda m, x, y, steps, lr: -_simulate(m, x, y, steps, lr), "other way round"),
    (6, lambda m, x, y, steps, lr: lr * _simulate(m, x, y, steps, lr), "Divide by the rate"),
    (
        6,
        lambda m, x, y, steps, lr: _simulate(m, x, y, steps, lr) * (1 if steps == 1 else steps * lr),
        "by the number of steps and by the rate",
    ),
    (6, lambda m, x, y, steps, lr: _simulate(m, x, y, steps, lr).detach(), "keep the graph"),
]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_right_answers_pass(number, answer):
    assert EXERCISES[number].checker(answer)


@pytest.mark.parametrize(("number", "answer", "says"), WRONG)
def test_typical_wrong_answers_are_named(number, answer, says):
    with pytest.raises(Wrong, match=re.escape(says)):
        EXERCISES[number].checker(answer)


def test_the_noise_with_the_gradients_energy_may_be_two_in_a_hundred_off():
    gradient = shared_gradient(untrained_victim(0), *face_batch(1, 0))
    norm, count, checker = float(gradient.norm()), len(gradient), EXERCISES[5].checker
    assert all(checker(norm / count**0.5 * factor) for factor in (0.981, 1.0, 1.019))
    slips = {"noise has P entries": norm, "not amplitudes": norm / count, "take its root": norm**2 / count}
    for says, value in {**slips, "Set the expected": norm / count**0.5 * 1.021}.items():
        with pytest.raises(Wrong, match=says):
            checker(value)
