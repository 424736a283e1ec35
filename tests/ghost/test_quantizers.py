"""Quantisers, bits and costs: grids, gradients, the closed form, the published table."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from firsthand.ghost.bits import (
    allocate_bits,
    bit_operations,
    bits_closed_form,
    input_bits,
    kmeans_error,
    layer_sigmas,
    model_size_mb,
)
from firsthand.ghost.detector import Detector, convolutions
from firsthand.ghost.quantizers import LSQ, Activation, QuantConv, quantize_activation, quantize_model, quantize_weight
from firsthand.ghost.teaching import OneToOneTeacher, energy, lesson, open_probability

PUBLISHED = (
    "8 8 8 8 8 8 7 7 8 7 8 8 7 8 7 8 7 6 7 6 7 7 6 7 6 7 6 5 6 5 "
    "5 6 6 6 4 6 6 6 6 7 6 7 7 7 8 8 7 6 7 7 7 7 6 5 6 6 6 6 5"
)


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_have_a_symmetric_grid_without_zero(bits):
    w = torch.randn(4000, generator=torch.Generator().manual_seed(bits)).requires_grad_()
    q = quantize_weight(w, bits)
    grid = torch.linspace(-1, 1, 2**bits)
    assert (q.detach().unsqueeze(1) - grid).abs().amin(1).max() < 1e-6
    assert q.detach().abs().max() == pytest.approx(1.0)
    assert q.detach().abs().min() > 0
    q.sum().backward()
    expected = (1 - w.detach().tanh() ** 2) / w.detach().tanh().abs().max()
    assert torch.allclose(w.grad, expected, atol=1e-5)


def test_one_bit_and_none():
    w = torch.tensor([-2.0, 0.0, 1.0], requires_grad=True)
    assert quantize_weight(w, 1).tolist() == [-1.0, 0.0, 1.0]
    assert quantize_weight(w, 32) is w
    with pytest.raises(ValueError, match="1 to 8, or 32"):
        quantize_weight(w, 9)


def test_activations_are_clipped_and_their_gradient_is_a_window():
    a = torch.tensor([-0.5, 0.0, 0.2, 0.6, 1.0, 1.5], requires_grad=True)
    q = quantize_activation(a, 2)
    assert q.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1, 1])
    q.sum().backward()
    assert a.grad.tolist() == [0, 0, 1, 1, 0, 0]


def test_ranges_of_activations():
    x = torch.tensor([-1.0, 1.0, 3.0, 9.0], requires_grad=True)
    assert Activation(8, 6.0)(x).tolist() == pytest.approx([0, 1, 3, 6], abs=0.02)
    pact = Activation(4, 6.0, learned=True)
    pact(x).sum().backward()
    assert pact.limit.grad is not None
    assert float(pact.limit.grad) == pytest.approx(1.0, abs=0.2)  # of the one value above it, and rounding
    assert x.grad.tolist() == pytest.approx([0, 1, 1, 0])
    assert Activation(32)(x).tolist() == [0, 1, 3, 9]


def test_lsq_learns_its_step():
    w = torch.randn(500, generator=torch.Generator().manual_seed(0))
    lsq = LSQ(w, 3)
    before = float((lsq(w) - w).square().mean().detach())
    optimizer = torch.optim.Adam(lsq.parameters(), lr=0.01)
    for _ in range(100):
        loss = (lsq(w) - w).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert len(set(lsq(w).detach().round(decimals=5).tolist())) <= 8
    assert float(loss.detach()) < before


def _model(variant="small", **rest):
    torch.manual_seed(1)
    return Detector(variant, **{"channels": 4, "classes": 4, "width": 0.125, **rest})


def test_a_quantised_copy_leaves_the_original_alone():
    model = _model()
    before = copy.deepcopy(model.state_dict())
    names = list(convolutions(model))
    bits = {name: 2 + k % 7 for k, name in enumerate(names)}
    student = quantize_model(model, bits)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))
    rounded = {n: m for n, m in student.named_modules() if isinstance(m, QuantConv)}
    assert {n: m.bits for n, m in rounded.items()} == bits
    for name, module in rounded.items():
        assert len(module.rounded().unique()) <= 2 ** bits[name]
    same = quantize_model(model, 32)
    x = torch.rand(1, 4, 64, 64)
    model.eval(), same.eval()
    with torch.no_grad():
        assert torch.equal(model(x)[0], same(x)[0])
    with pytest.raises(ValueError, match="does not fit"):
        quantize_model(model, {"layers.0.0": 4})
    with pytest.raises(ValueError, match="as many numbers of bits"):
        quantize_model(model, [4, 4])
    with pytest.raises(ValueError, match="Unknown quantiser"):
        quantize_model(model, 4, weights="magic")


def test_kmeans_in_one_dimension_is_scikit_learns():
    from sklearn.cluster import KMeans

    x = np.random.default_rng(0).standard_normal(1500)
    for n in (2, 3, 4):
        theirs = KMeans(2**n, n_init=10, random_state=0).fit(x[:, None]).inertia_ / len(x)
        ours = min(kmeans_error(x, 2**n, seed=s) for s in range(10))
        assert ours == pytest.approx(theirs, rel=0.02)
    assert kmeans_error(np.array([1.0, 2.0, 3.0, 1.0]), 4) == 0.0


def test_bits_of_gaussian_weights_follow_the_closed_form():
    generator = torch.Generator().manual_seed(0)
    sigmas = (0.005, 0.01, 0.02, 0.03)
    found = allocate_bits({str(s): s * torch.randn(9216, generator=generator) for s in sigmas})
    assert list(found.values()) == [bits_closed_form(s) for s in sigmas] == [5, 6, 7, 8]
    assert bits_closed_form(0.0) == 2
    assert allocate_bits({"flat": torch.zeros(10)}, minimum=3) == {"flat": 3}
    model = _model()
    assert list(allocate_bits(model, threshold=1e12)) == list(convolutions(model))
    assert set(layer_sigmas(model)) == set(convolutions(model))


@pytest.mark.parametrize(
    ("variant", "channels", "classes", "rows"),
    [
        ("small", 3, 8, {32: (19.275, 16_945.8), 8: (4.834, 1181.1), 4: (2.427, 372.6), 2: (1.224, 163.2)}),
        ("full", 3, 10, {32: (28.264, 20_742.0), 8: (7.187, 1498.4), 4: (3.675, 515.9), 2: (1.918, 263.1)}),
    ],
)
def test_sizes_and_bit_operations(variant, channels, classes, rows):
    with torch.device("meta"):
        model = Detector(variant, channels=channels, classes=classes)
    for bits, (size, operations) in rows.items():
        assert round(model_size_mb(model, bits), 3) == size
        assert round(bit_operations(model, bits, 512), 1) == operations


def test_the_allocation_that_the_authors_left_in_their_code():
    with torch.device("meta"):
        model = Detector("full", channels=3, classes=10)
    bits = [int(b) for b in PUBLISHED.split()]
    assert round(bit_operations(model, bits, 512)) == 1110
    assert bit_operations(model, bits, 512, order="graph") > bit_operations(model, bits, 512)


def test_bits_along_the_graph():
    with torch.device("meta"):
        model = Detector("small", channels=3, classes=8)
    bits = dict.fromkeys(convolutions(model), 4)
    feeds = input_bits(model, bits)
    assert feeds["layers.0.0"] == 32
    assert all(value == 4 for name, value in feeds.items() if name != "layers.0.0")
    bits["layers.2.m.0.cv2.0"] = 8  # the bottleneck's end, beside cv2 in front of cv3
    feeds = input_bits(model, bits)
    assert feeds["layers.2.cv3.0"] == 6
    with pytest.raises(ValueError, match="Unknown order"):
        bit_operations(model, 4, 64, order="odd")


def _maps(seed: int, scale: float = 1.0):
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.rand(8, c, s, s, generator=generator) for c, s in ((4, 8), (6, 4))]


def test_energy_ignores_scale_and_lessons_are_bounded():
    a, b = _maps(0)[0], _maps(1)[0]
    assert torch.allclose(energy(a), energy(3 * a), atol=1e-6)
    assert torch.allclose(energy(a).norm(dim=1), torch.ones(8))
    assert (lesson(a, b) <= 2 / 64).all()
    assert float(lesson(a, a).max()) == 0


def test_gates():
    student, teacher = _maps(0), _maps(1)
    always, opened = OneToOneTeacher([4, 6], gate="always")(student, teacher)
    assert opened.sum() == 16
    frozen = OneToOneTeacher([4, 6])
    assert not any(p.requires_grad for p in frozen.parameters())
    loss, opened = frozen(student, teacher, torch.Generator().manual_seed(0))
    assert set(opened.flatten().tolist()) <= {0.0, 1.0}
    assert float(loss) <= float(always) + 1e-6
    for options, words in (
        ({"gate": "maybe"}, "Unknown gate"),
        ({"budget": 0.5}, "needs gate"),
        ({"gate": "trained", "budget": 2.0}, "between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=words):
            OneToOneTeacher([4, 6], **options)


def test_the_released_switch_is_open_more_often_than_a_sigmoid():
    teacher = OneToOneTeacher([4])
    logits = torch.zeros(20_000, 1)
    opened = teacher.switches(logits, torch.Generator().manual_seed(0))[0].detach()
    assert float(opened.mean()) == pytest.approx(1 - np.exp(-1), abs=0.01)
    assert float(open_probability(torch.tensor(0.0))) == pytest.approx(0.632, abs=1e-3)


@pytest.mark.parametrize(("budget", "low", "high"), [(None, 0.0, 0.25), (0.6, 0.4, 0.8)])
def test_a_trained_gate_shuts_itself_unless_a_budget_holds_it(budget, low, high):
    torch.manual_seed(0)
    gate = OneToOneTeacher([4, 6], gate="trained", budget=budget, weight=1.0)
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.01)
    student, teacher = _maps(0), _maps(1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        loss, _ = gate(student, teacher, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        chance = float(open_probability(gate.logits(student, teacher)).mean())
    assert low <= chance <= high


def test_lessons_of_other_sites_are_refused():
    teacher = OneToOneTeacher([4], dim=8, gate="always")
    wide, tall = torch.rand(2, 4, 2, 8), torch.rand(2, 4, 8, 2)
    assert float(teacher([wide], [wide])[0]) == 0
    for other in (tall, wide[:1]):  # as many sites, or one picture for all: their squares would be compared
        with pytest.raises(ValueError, match="layer by layer"):
            teacher([wide], [other])


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_learned_step_leaves_zeros_zero(bits):
    weights = torch.zeros(3, 2, 3, 3, requires_grad=True)
    quantiser = LSQ(weights, bits)
    found = quantiser(weights)
    assert found.tolist() == weights.tolist()
    found.sum().backward()
    assert weights.grad.isfinite().all()
    assert quantiser.step.grad.isfinite()


def test_a_learned_step_starts_as_published():
    weights = torch.randn(200, generator=torch.Generator().manual_seed(0))
    for bits, high in ((2, 1), (4, 7), (8, 127)):
        assert float(LSQ(weights, bits).step.detach()) == float(2 * weights.abs().mean() / high**0.5)
