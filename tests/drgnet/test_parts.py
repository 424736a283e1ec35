"""Networks, losses, explanations, measures: shapes, known values, and what must not happen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from firsthand.drgnet import losses
from firsthand.drgnet.adaptation import Critic, Discriminator, colour_matched, information_maps
from firsthand.drgnet.explain import elsewhere, explained, filled, gate_map, grad_cam, most
from firsthand.drgnet.lab.metrics import (
    binned_average_precision,
    pixel_average_precision,
    positive_only,
    quadratic_kappa,
)
from firsthand.drgnet.network import ATTENTION, RARE, Grader, Residual, UNet, gated_attention
from firsthand.drgnet.system import DRGNet, Retinas, need_apart
from firsthand.drgnet.training import Recipe, chances, cut_out, take_over, train_together


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _retinas(count: int = 4, size: int = 64, seed: int = 0) -> Retinas:
    g = _generator(seed)
    images = torch.randint(0, 256, (count, 3, size, size), generator=g, dtype=torch.uint8)
    masks = torch.rand(count, 4, size, size, generator=g) < 0.02
    return Retinas(images, masks, torch.ones(count, size, size, dtype=torch.bool), torch.arange(count) % 5)


# ------------------------------------------------------------------------------------------------ networks


def test_the_u_net_has_the_published_widths() -> None:
    with torch.device("meta"):
        net = UNet(out_channels=2)
    assert [block[0].out_channels for block in net.down] == [64, 128, 256, 512, 512]
    assert [block[-3].out_channels for block in net.up] == [256, 128, 64, 64]
    assert net.encode(torch.empty(1, 3, 512, 512, device="meta"))[-1].shape == (1, 512, 32, 32)


@pytest.mark.parametrize("attention", ATTENTION)
def test_a_grader_says_why(attention: str) -> None:
    net = Grader(attention, width=2).eval()
    found = net(torch.rand(2, 3, 64, 64), torch.rand(2, 4, 64, 64))
    assert found.logits.shape == (2, 5)
    assert (found.gate is None) == (attention in ("none", "high"))
    assert (found.shares is None) == (attention in ("none", "low"))
    if found.gate is not None:
        assert found.gate.shape == (2, 1, 16, 16)
        assert gate_map(found, 64).shape == (2, 1, 64, 64)
    if found.shares is not None:
        assert torch.allclose(found.shares.sum(1), torch.ones(2))


def test_without_attention_lesions_change_nothing() -> None:
    net = Grader("none", width=2).eval()
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(net(images, torch.zeros(1, 4, 64, 64)).logits, net(images, torch.ones(1, 4, 64, 64)).logits)


def test_an_untrained_segmenter_says_that_lesions_are_rare() -> None:
    torch.manual_seed(0)
    said = UNet(width=2).eval()(torch.rand(2, 3, 64, 64)).sigmoid().detach()
    assert RARE / 2 < float(said.mean()) < 2 * RARE


@pytest.mark.parametrize("joint", [False, True])
def test_together_the_shared_levels_learn_on_and_the_grade_reaches_the_segmenter_if_joint(joint: bool) -> None:
    def trained(grades: list[int]) -> DRGNet:
        torch.manual_seed(0)
        system = DRGNet(width=2)
        system.grader.share(system.segmenter)
        data = replace(_retinas(), grades=torch.tensor(grades))
        train_together(system, data, Recipe(2, 1e-2, warmup=0, batch=2), joint=joint)
        return system

    one, other = trained([0, 1, 2, 3]), trained([4, 3, 1, 0])
    torch.manual_seed(0)
    before = DRGNet(width=2).segmenter
    assert not torch.equal(one.grader.stem[0][0].weight, before.down[0][0].weight)
    same = all(torch.equal(a, b) for a, b in zip(one.segmenter.parameters(), other.segmenter.parameters(), strict=True))
    assert same != joint


def test_shared_levels_are_the_segmenters_and_rest() -> None:
    segmenter, net = UNet(width=2), Grader("both", width=2)
    net.share(segmenter)
    net.train()
    images, lesions = torch.rand(2, 3, 64, 64), torch.rand(2, 4, 64, 64)
    assert torch.equal(net.low_maps(images), segmenter.eval().encode(images)[2])
    assert torch.equal(net(images, lesions).logits, net(images, lesions, net.low_maps(images)).logits)
    before = {name: value.clone() for name, value in net.stem.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 0.1)
    net(images, lesions).logits.square().sum().backward()
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in net.stem.state_dict().items())


def test_a_grader_sees_how_much_there_is() -> None:
    block = Residual(1, 1)
    for convolution in (block.first, block.second):
        torch.nn.init.constant_(convolution.weight, 0.1)
        torch.nn.init.zeros_(convolution.bias)
    one = torch.zeros(1, 1, 16, 16)
    one[..., 4, 4] = 1
    assert torch.allclose(block(one + one.flip(-1)).mean(), 2 * block(one).mean())


def test_an_unknown_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown attention"):
        Grader("all")


def test_gated_attention_is_its_formula() -> None:
    low, context = torch.randn(2, 6, 3, 5, generator=_generator()), torch.randn(2, 6, generator=_generator(1))
    found = gated_attention(low, context)
    by_hand = torch.sigmoid((low[1, :, 2, 4] * context[1]).sum() / 6**0.5)
    assert found.shape == (2, 1, 3, 5)
    assert torch.allclose(found[1, 0, 2, 4], by_hand)


def test_the_grade_reaches_the_segmenter_only_when_asked() -> None:
    system = DRGNet(width=2)
    for joint in (False, True):
        system.zero_grad()
        system(torch.rand(2, 3, 64, 64), joint=joint)[1].logits.square().sum().backward()
        reached = any(p.grad is not None and p.grad.abs().sum() > 0 for p in system.segmenter.parameters())
        assert reached == joint


def test_taking_over_leaves_the_head() -> None:
    one, many = UNet(out_channels=1, width=2), UNet(width=2)
    head = many.head.weight.clone()
    take_over(many, one)
    assert torch.equal(many.down[0][0].weight, one.down[0][0].weight)
    assert torch.equal(many.head.weight, head)


# ------------------------------------------------------------------------------------------------- losses


def test_self_information_has_both_classes_and_no_nan() -> None:
    found = losses.self_information(torch.tensor([[0.5, 0.25, 0.0, 1.0]]))
    assert found.shape == (1, 2, 4)
    assert torch.allclose(found[0, :, 0], torch.tensor([0.5, 0.5]))
    assert torch.allclose(found[0, :, 1], torch.tensor([0.5, 0.75 * np.log2(4 / 3)], dtype=torch.float32))
    assert torch.equal(found[0, :, 2:], torch.zeros(2, 2))
    assert float(losses.entropy(torch.full((1, 4, 2, 2), 0.5))) == pytest.approx(1.0)


def test_entropy_counts_the_retina_only() -> None:
    p = torch.zeros(1, 4, 2, 2)
    p[..., 0, 0] = 0.5
    where = torch.zeros(1, 2, 2)
    where[0, 0, 0] = 1
    assert float(losses.entropy(p, where)) == pytest.approx(1.0)


def test_a_lesion_pixel_weighs_ten_times() -> None:
    logits = torch.zeros(1, 1, 1, 2)
    lesion = torch.tensor([[[[1.0, 0.0]]]])
    assert float(losses.segmentation_loss(logits, lesion, dice=False)) == pytest.approx(np.log(2) * 11 / 2, rel=1e-6)


def test_dice_skips_what_is_absent() -> None:
    logits = torch.full((1, 2, 4, 4), -20.0)
    masks = torch.zeros(1, 2, 4, 4)
    assert float(losses.segmentation_loss(logits, masks)) < 1e-6


def test_the_penalty_vanishes_for_slope_one() -> None:
    critic = torch.nn.Linear(3, 1)
    with torch.no_grad():
        critic.weight[:] = torch.tensor([[0.6, 0.8, 0.0]])
    a, b = torch.randn(8, 3), torch.randn(8, 3)
    assert float(losses.gradient_penalty(critic, a, b, _generator()).detach()) == pytest.approx(0.0, abs=1e-10)
    with torch.no_grad():
        critic.weight *= 3
    assert float(losses.gradient_penalty(critic, a, b, _generator()).detach()) == pytest.approx(4.0, rel=1e-5)


def test_erasure_has_two_signs() -> None:
    sure = torch.tensor([[9.0, 0, 0, 0, 0]])
    grades = torch.tensor([0])
    assert float(losses.erasure_loss(sure, grades)) < 0.01
    assert float(losses.erasure_loss(sure, grades, sign="gain")) > 0.9
    with pytest.raises(ValueError, match="Unknown sign"):
        losses.erasure_loss(sure, grades, sign="up")


def test_consistency_is_zero_where_map_and_lesions_agree_on_the_coarse_grid() -> None:
    masks = torch.zeros(2, 4, 64, 64)
    masks[0, 1, 17, 17] = 1  # one pixel makes its cell a lesion
    coarse = torch.zeros(2, 1, 8, 8)
    coarse[0, 0, 2, 2] = 1
    assert float(losses.consistency_loss(coarse, masks)) == pytest.approx(0.0)
    assert float(losses.consistency_loss(torch.zeros(2, 1, 8, 8), masks)) == pytest.approx(1.0)


def test_information_of_logits_is_that_of_probabilities_with_finite_gradients() -> None:
    logits = torch.tensor([[-2.0, 0.0, 3.0]], dtype=torch.float64)
    assert torch.allclose(losses.information_of(logits), losses.self_information(logits.sigmoid()))
    extreme = torch.tensor([[-200.0, 200.0]], requires_grad=True)
    losses.information_of(extreme).sum().backward()
    assert extreme.grad is not None
    assert extreme.grad.isfinite().all()


def test_what_is_absent_has_no_share() -> None:
    net = Grader("both", width=2).eval()
    lesions = torch.zeros(1, 4, 64, 64)
    lesions[0, 2, 10:20, 10:20] = 1
    shares = net(torch.rand(1, 3, 64, 64), lesions).shares
    assert shares is not None
    assert float(shares[0, 2].detach()) > 0.99


def test_what_explains_is_taken_out() -> None:
    images = torch.ones(1, 3, 4, 4)
    found = torch.zeros(1, 1, 4, 4)
    found[..., :2] = 1.0
    left = losses.erased(images, found)
    assert float(left[..., :2].max()) < 1e-6
    assert float(left[..., 2:].min()) > 0.999


# -------------------------------------------------------------------------------------------- explanations


def test_grad_cam_touches_no_gradient_and_no_statistics() -> None:
    net = Grader(width=2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    grading, found = explained(net, torch.rand(2, 3, 64, 64), torch.rand(2, 4, 64, 64), torch.tensor([0, 3]))
    assert found.shape == (2, 1, 64, 64)
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training
    assert grading.logits.shape == (2, 5)


def test_a_loss_on_the_map_can_be_trained() -> None:
    net = Grader(width=2)
    with torch.no_grad():
        net.head.weight.abs_()  # every channel speaks for every grade, so that no map is empty by the luck of the start
    grading = net(torch.rand(2, 3, 64, 64), torch.rand(2, 4, 64, 64))
    grad_cam(grading, torch.tensor([1, 2]), 64, create_graph=True).sum().backward()
    assert net.head.weight.grad is not None
    assert float(net.head.weight.grad.abs().sum()) > 0


def test_most_takes_the_largest_inside() -> None:
    scores = torch.arange(16.0).view(1, 4, 4)
    where = torch.ones(1, 4, 4, dtype=torch.bool)
    where[0, 3, 3] = False
    found = most(scores, 2 / 15, where)
    assert found.sum() == 2
    assert found[0, 3, 1]
    assert found[0, 3, 2]


def test_filling_leaves_all_else() -> None:
    images = torch.rand(1, 3, 32, 32)
    chosen = torch.zeros(1, 32, 32, dtype=torch.bool)
    chosen[0, 10:14, 10:14] = True
    found = filled(images, chosen, torch.ones(1, 32, 32, dtype=torch.bool))
    assert torch.equal(found[:, :, ~chosen[0]], images[:, :, ~chosen[0]])
    assert not torch.equal(found, images)


def test_a_large_hole_is_filled_with_what_lies_around_it_and_not_with_black() -> None:
    images = torch.zeros(1, 3, 128, 128)
    retina = torch.zeros(1, 128, 128, dtype=torch.bool)
    retina[0, 8:120, 8:120] = True
    images[:, :, retina[0]] = 0.6
    chosen = torch.zeros(1, 128, 128, dtype=torch.bool)
    chosen[0, 30:90, 8:70] = True
    images[:, :, chosen[0]] = 0.1
    assert torch.allclose(filled(images, chosen, retina)[:, :, retina[0]], torch.tensor(0.6), atol=1e-4)


def test_the_control_of_a_deletion_lies_elsewhere_on_free_ground() -> None:
    chosen, free = torch.zeros(1, 8, 8, dtype=torch.bool), torch.ones(1, 8, 8, dtype=torch.bool)
    chosen[0, 1:3, 1:3] = True
    free[0, :, 6:] = False
    found = elsewhere(chosen, free)
    assert found.sum() == 4
    assert not (found & (chosen | ~free)).any()


# ----------------------------------------------------------------------------------------------- measures


def test_precision_is_scikit_learns_and_knows_nothing_without_lesions() -> None:
    scores, masks = np.array([[0.9, 0.8, 0.3]]), np.array([[True, False, True]])
    assert pixel_average_precision(scores, masks) == pytest.approx(0.5 * (1 + 2 / 3))
    assert np.isnan(pixel_average_precision(scores, np.zeros((1, 3), bool)))
    with pytest.raises(ValueError, match="differ in shape"):
        pixel_average_precision(scores, masks[:, :2])


def test_the_fast_precision_is_scikit_learns_on_halves() -> None:
    generator = _generator()
    scores = torch.rand(5000, generator=generator).square().half()
    masks = torch.rand(5000, generator=generator) < 0.05 + 0.3 * scores.float()
    assert binned_average_precision(scores, masks) == pytest.approx(pixel_average_precision(scores, masks), abs=1e-12)
    assert np.isnan(binned_average_precision(scores, torch.zeros(5000, dtype=torch.bool)))


def test_leaving_out_clean_pictures_flatters() -> None:
    scores = np.array([[0.9, 0.2], [0.95, 0.1]])
    masks = np.array([[True, False], [False, False]])
    assert positive_only(scores, masks) == 1.0
    assert pixel_average_precision(scores, masks) == 0.5


def test_kappa_weighs_by_the_square() -> None:
    truth = np.array([0, 1, 2, 3, 4] * 4)
    assert quadratic_kappa(truth, truth) == 1.0
    near, far = truth.copy(), truth.copy()
    near[0], far[0] = 1, 4
    assert quadratic_kappa(truth, near) > quadratic_kappa(truth, far)
    assert np.isnan(quadratic_kappa(np.zeros(3), np.zeros(3)))


# --------------------------------------------------------------------------------------------------- sets


def test_sets_with_a_common_picture_are_refused() -> None:
    data = _retinas(6)
    need_apart(train=data.pick([0, 1]), test=data.pick([2, 3]))
    with pytest.raises(ValueError, match="in train and in test"):
        need_apart(train=data.pick([0, 1]), test=data.pick([1, 2]))


def test_a_cut_keeps_picture_mask_and_retina_together() -> None:
    data = _retinas(3)
    marked = Retinas(
        data.masks[:, :3].to(torch.uint8) * 255, data.masks, data.masks[:, 0], data.grades
    )  # pictures that are their own masks
    images, masks, retina = cut_out(marked, [0, 1, 2], 32, chances(3, _generator()))
    assert images.shape == (3, 3, 32, 32)
    assert torch.equal(images > 0.5, masks[:, :3])
    assert torch.equal(retina, masks[:, 0])


# -------------------------------------------------------------------------------------------- adaptation


def test_rivals_take_what_they_are_given() -> None:
    assert Critic(96)(torch.rand(4, 96)).shape == (4, 1)
    maps = information_maps(torch.randn(2, 4, 96, 96), torch.ones(2, 96, 96))
    assert maps.shape == (2, 8, 96, 96)
    assert Discriminator(8)(maps).shape[:2] == (2, 1)


def test_outside_the_retina_there_is_no_information() -> None:
    retina = torch.zeros(1, 8, 8)
    assert float(information_maps(torch.zeros(1, 4, 8, 8), retina).abs().max()) == 0


def test_matched_colours_have_the_references_mean() -> None:
    data, other = _retinas(3), _retinas(3, seed=5)
    darker = Retinas(other.images // 3 + 40, other.masks, other.retina, other.grades)
    found = colour_matched(data.images, data.retina, darker)
    assert float((found.float().mean() - darker.images.float().mean()).abs()) < 3
