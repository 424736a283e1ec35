"""From one camera to another without masks: a Wasserstein critic, and adversarial entropy minimisation.

The released code holds a critic's widths and a loader for unlabelled pictures, but no training loop. The critic is
trained as Shen and others (2018) do, the discriminator as Vu and others (2019, ADVENT); the rest is ours.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.drgnet.losses import gradient_penalty, information_of, segmentation_loss
from firsthand.drgnet.network import UNet
from firsthand.drgnet.system import Retinas
from firsthand.drgnet.training import Recipe, chances, cut_out
from firsthand.kit.train.loop import Cosine, MicroBatch, epoch_indices, train

PENALTY, CRITIC_STEPS, ADVERSARY_LR = 10.0, 5, 1e-3  # gamma; steps of the critic a step; the source has 1e-4
SLOPE = 0.2


class Critic(nn.Sequential):
    """f: features (N, d) to (N, 1); hidden widths as released."""

    def __init__(self, features: int) -> None:
        super().__init__(nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1))


class Discriminator(nn.Sequential):
    """Five 4 by 4 convolutions of stride 2 on self-information maps (N, 2 K, h, w): is this a source picture?

    Args:
        channels: 2 K. width: of the first; the source's is 64.
    """

    def __init__(self, channels: int, *, width: int = 8) -> None:
        widths = [channels, width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            layers += [nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(SLOPE)]
        super().__init__(*layers, nn.Conv2d(widths[-1], 1, 4, 2, 2))


@dataclass(frozen=True)
class Adaptation:
    """Weights of the terms; 0 switches one off.

    Attributes:
        wasserstein: lambda_wd. adversarial: lambda_adv. entropy: of the direct variant, MinEnt.
        seen: the target's pictures pass through the network even if all weights are 0; batch norm then knows them,
            which is a small adaptation by itself.
    """

    wasserstein: float = 0.0
    adversarial: float = 0.0
    entropy: float = 0.0
    seen: bool = False


def pooled(bottleneck: Tensor) -> Tensor:
    """What the critic sees of a bottleneck (N, c, h, w): its mean over sites (N, c).

    The released critic seems to have seen the mean over channels, a map of 32 by 32; on random crops a place means
    nothing, so we keep the channels.
    """
    return bottleneck.mean((2, 3))


def information_maps(logits: Tensor, retina: Tensor) -> Tensor:
    """Self-information of every lesion, 2 K channels (N, 2 K, h, w), nought outside the retina: else a discriminator
    learns the shape of the field of view."""
    return information_of(logits).transpose(1, 2).flatten(1, 2) * retina.unsqueeze(1)


@dataclass
class Rivals:
    """Critic and discriminator with their optimisers, and what they reported.

    Attributes:
        distance: the critic's estimate of the Wasserstein distance, step by step.
    """

    critic: Critic
    discriminator: Discriminator
    optimizers: dict[str, torch.optim.Optimizer]
    distance: list[float] = field(default_factory=list)

    def train_critic(self, source: Tensor, target: Tensor, generator: torch.Generator) -> None:
        """Some steps of the critic that raise equation (3), on features that are not trained."""
        for _ in range(CRITIC_STEPS):
            gap = self.critic(source).mean() - self.critic(target).mean()
            loss = PENALTY * gradient_penalty(self.critic, source, target, generator) - gap
            self.optimizers["critic"].zero_grad()
            loss.backward()
            self.optimizers["critic"].step()
        self.distance.append(float(gap.detach()))

    def train_discriminator(self, source: Tensor, target: Tensor) -> None:
        """One step: source pictures are 0, target pictures 1."""
        loss = 0.5 * (_named(self.discriminator(source), 0.0) + _named(self.discriminator(target), 1.0))
        self.optimizers["discriminator"].zero_grad()
        loss.backward()
        self.optimizers["discriminator"].step()


def _named(logits: Tensor, value: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, value))


def rivals_for(net: UNet, seed: int) -> Rivals:
    """Fresh ones for a segmenter."""
    device = next(net.parameters()).device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        critic = Critic(net.down[-1][0].out_channels).to(device)  # type: ignore[index,arg-type]
        discriminator = Discriminator(2 * net.head.out_channels).to(device)
    optimizers: dict[str, torch.optim.Optimizer] = {
        "critic": torch.optim.Adam(critic.parameters(), lr=ADVERSARY_LR),
        "discriminator": torch.optim.Adam(discriminator.parameters(), lr=ADVERSARY_LR, betas=(0.9, 0.99)),
    }
    return Rivals(critic, discriminator, optimizers)


def adapt(
    net: UNet, source: Retinas, target: Retinas, recipe: Recipe, weights: Adaptation, *, seed: int = 0, **options: Any
) -> Rivals:
    """Train a segmenter in place on a source with masks and a target without; returns its rivals.

    Source and target go through the network as one batch: apart, batch norm would give both the same means, and a
    critic would have nothing to see.

    Args:
        net: to go on training.
        source: with masks. target: its masks and grades are never looked at.
        recipe: how; as many pictures again come from the target unless nothing of it is used.
        weights: of the terms.
        seed: of batches, crops and rivals.
        options: of `kit.training.train`.
    """
    rivals = rivals_for(net, seed)
    target = Retinas(target.images, torch.zeros_like(target.masks), target.retina, torch.zeros_like(target.grades))
    uses_target = weights.seen or any((weights.wasserstein, weights.adversarial, weights.entropy))

    def part(data: Retinas, seed: int, share: MicroBatch, purpose: int) -> tuple[Tensor, Tensor, Tensor]:
        rows = share.take(epoch_indices(share.step, recipe.batch, len(data), seed))
        draws = share.take(chances(recipe.batch, share.generator(purpose)))
        device = next(net.parameters()).device
        images, masks, retina = cut_out(data, rows, recipe.crop, draws)
        return images.to(device), masks.to(device), retina.to(device)

    def loss(wrapped: nn.Module, share: MicroBatch) -> Tensor:
        images, masks, retina = part(source, seed, share, 0)
        if not uses_target:
            return segmentation_loss(wrapped(images).float(), masks)
        others, _, other = part(target, seed + 1, share, 3)
        maps = net.encode(torch.cat([images, others]))
        logits = net.decode(maps).split([len(images), len(others)])
        bottom = maps[-1].split([len(images), len(others)])
        total = segmentation_loss(logits[0].float(), masks)
        return total + _terms(rivals, weights, (bottom[0], bottom[1]), (logits[0], logits[1]), (retina, other), share)

    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.lr)
    rate = Cosine(recipe.lr, recipe.steps, recipe.warmup, recipe.lr / 20)
    train(net, optimizer, loss, steps=recipe.steps, lr=rate, seed=seed, clip=5.0, **options)
    return rivals


Pair = tuple[Tensor, Tensor]


def _terms(rivals: Rivals, weights: Adaptation, bottom: Pair, logits: Pair, retina: Pair, share: MicroBatch) -> Tensor:
    """The terms of adaptation, source and target each; the rivals take their own steps first, on detached values."""
    total = logits[0].new_zeros(())
    if weights.wasserstein:
        source, target = (pooled(one) for one in bottom)
        rivals.train_critic(source.detach(), target.detach(), share.generator(4))
        rivals.critic.requires_grad_(False)
        total = total + weights.wasserstein * (rivals.critic(source).mean() - rivals.critic(target).mean())
        rivals.critic.requires_grad_(True)
    if weights.adversarial:
        maps = [information_maps(one, where) for one, where in zip(logits, retina, strict=True)]
        rivals.train_discriminator(maps[0].detach(), maps[1].detach())
        rivals.discriminator.requires_grad_(False)
        total = total + weights.adversarial * _named(rivals.discriminator(maps[1]), 0.0)
        rivals.discriminator.requires_grad_(True)
    if weights.entropy:
        bits = information_of(logits[1]).sum(1).mean(1)
        total = total + weights.entropy * (bits * retina[1]).sum() / retina[1].sum().clamp_min(1)
    return total


def colour_matched(images: Tensor, retina: Tensor, reference: Retinas) -> Tensor:
    """Pictures with the reference's mean and deviation of every colour within the retina, as Reinhard does; the plain
    rival of all adaptation.

    Args:
        images: uint8 (N, 3, s, s). retina: bool (N, s, s). reference: of the other camera.
    """
    mean, deviation = _colours(reference.images.float(), reference.retina)
    here = [_colours(image[None].float(), where[None]) for image, where in zip(images, retina, strict=True)]
    means, deviations = (torch.stack(values)[:, :, None, None] for values in zip(*here, strict=True))
    found = (images.float() - means) / deviations.clamp_min(1e-3) * deviation[:, None, None] + mean[:, None, None]
    return (found.clamp(0, 255).round() * retina.unsqueeze(1)).to(torch.uint8)


def _colours(images: Tensor, retina: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (3,) of the pixels within the retina."""
    values = images.permute(0, 2, 3, 1)[retina]
    return values.mean(0), values.std(0)
