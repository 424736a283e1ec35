"""Training for another camera: what is used, what is not, and what the rivals do."""

from __future__ import annotations

import copy

import pytest
import torch

from firsthand.drgnet.adaptation import Adaptation, adapt
from firsthand.drgnet.network import UNet
from firsthand.drgnet.system import Retinas
from firsthand.drgnet.training import Recipe

SHORT = Recipe(3, 1e-3, 1, batch=2, crop=96)


def _retinas(seed: int, shift: int = 0) -> Retinas:
    g = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 150, (4, 3, 96, 96), generator=g, dtype=torch.uint8) + shift
    masks = torch.zeros(4, 4, 96, 96, dtype=torch.bool)
    masks[:, 2, 10:14, 10:14] = True
    return Retinas(images, masks, torch.ones(4, 96, 96, dtype=torch.bool), torch.zeros(4, dtype=torch.int64))


def _net() -> UNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet(width=2)


WAYS = [Adaptation(), Adaptation(wasserstein=1.0), Adaptation(adversarial=100.0), Adaptation(entropy=1.0)]


@pytest.mark.parametrize("weights", WAYS)
def test_the_targets_masks_and_grades_are_never_looked_at(weights: Adaptation) -> None:
    source, target = _retinas(0), _retinas(1, 90)
    other = Retinas(target.images, torch.rand(target.masks.shape) < 0.1, target.retina, target.grades + 3)
    found = []
    for one in (target, other):
        net = _net()
        adapt(net, source, one, SHORT, weights)
        found.append(net.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in found), strict=True))


@pytest.mark.parametrize("weights", WAYS[1:])
def test_the_targets_pictures_are(weights: Adaptation) -> None:
    net, alone = _net(), _net()
    adapt(net, _retinas(0), _retinas(1, 90), SHORT, weights)
    adapt(alone, _retinas(0), _retinas(1, 90), SHORT, Adaptation())
    assert not torch.equal(net.head.weight, alone.head.weight)


def test_the_rivals_are_trained_and_report() -> None:
    rivals = adapt(_net(), _retinas(0), _retinas(1, 90), SHORT, Adaptation(wasserstein=0.1, adversarial=0.01))
    assert len(rivals.distance) == SHORT.steps
    assert all(p.requires_grad for p in rivals.critic.parameters())


def test_a_critic_finds_a_distance() -> None:
    far = Recipe(12, 0.0, 1, batch=4, crop=96)  # the segmenter stands still
    net = _net()
    before = copy.deepcopy(net)
    rivals = adapt(net, _retinas(0), _retinas(1, 100), far, Adaptation(wasserstein=0.1))
    assert rivals.distance[-1] > rivals.distance[0]
    assert torch.equal(net.head.weight, before.head.weight)
