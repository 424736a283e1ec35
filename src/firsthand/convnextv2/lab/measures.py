"""What every claim of the chapter measures: measure(seed) -> (method, baseline or None)."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from firsthand.convnextv2.diversity import (
    around_grn,
    block_outputs,
    class_selectivity,
    dead_channels,
    diversity_by_block,
    expanded_features,
    feature_diversity,
)
from firsthand.convnextv2.fcmae import FCMAE, random_mask
from firsthand.convnextv2.lab.macs import classifier_macs, pretraining_macs
from firsthand.convnextv2.lab.runs import (
    DEEPER,
    LONG,
    Run,
    final_loss,
    images,
    new_model,
    pretrained,
    probed,
    raw_pixels,
    tuned,
)  # fmt: skip
from firsthand.convnextv2.layers import GRN, Block
from firsthand.convnextv2.model import SIZES, ConvNeXtV2, build
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.claims import NotTested

Value = tuple[float, float | None]
RATIOS = (0.1, 0.3, 0.5, 0.6, 0.7, 0.9)
INSIDE = (0.5, 0.6, 0.7)

# ------------------------------------------------------------------------------------------------- exact


def _parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def millions(size: str, seed: int) -> Value:
    """Parameters of a published size, in millions."""
    with torch.device("meta"):
        return _parameters(build(size)) / 1e6, None


def version_gap(seed: int) -> Value:
    """Sizes whose version 2 does not have 7 * width parameters a block more than version 1."""
    wrong = 0
    for name, size in SIZES.items():
        with torch.device("meta"):
            gap = _parameters(build(name)) - _parameters(build(name, version=1))
        wrong += gap != 7 * sum(depth * width for depth, width in zip(size.depths, size.dims, strict=True))
    return float(wrong), None


def _random_net(seed: int) -> tuple[FCMAE, Tensor, Tensor]:
    """A float64 net with weights large enough that every error shows, random pictures and masks."""
    generator = torch.Generator().manual_seed(seed)
    model = new_model(Run(), seed).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    pictures = torch.randn(8, 1, 32, 32, generator=generator, dtype=torch.float64)
    return model.eval(), pictures, random_mask(8, 16, 0.6, generator)


def gathered_equals_masked(seed: int) -> Value:
    """Largest relative difference between computing visible sites only and computing all, then masking."""
    model, pictures, mask = _random_net(seed)
    with torch.no_grad():
        plain = model.encode_masked(pictures, mask)
        return float((model.encode(pictures, mask) - plain).abs().max() / plain.abs().max()), None


def _edited(pictures: Tensor, mask: Tensor) -> Tensor:
    """The pictures with hidden patches replaced by their negative."""
    hidden = mask.view(-1, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    return torch.where(hidden, -pictures, pictures)


def leak(encoder: str, seed: int) -> Value:
    """Largest change of the code at visible sites when hidden pixels change, over its standard deviation."""
    model, pictures, mask = _random_net(seed)
    visible = ~mask.view(-1, 4, 4)

    def code(x: Tensor) -> Tensor:
        if encoder == "sparse":
            return model.encode(x, mask).permute(0, 2, 3, 1)[visible]
        return model.encoder.features(x)[visible]

    with torch.no_grad():
        first, second = code(pictures), code(_edited(pictures, mask))
    return float((first - second).abs().max() / first.std()), None


def filled_sites(seed: int) -> Value:
    """Share of hidden sites of the last stage that are not zero when hidden pixels are only painted black.

    All biases are zero, else they alone would fill every site.
    """
    model, pictures, mask = _random_net(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("bias", "beta")):
                p.zero_()
    hidden = mask.view(-1, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    with torch.no_grad():
        x = model.encoder.features(torch.where(hidden, 0.0, pictures))
    return float((x[mask.view(-1, 4, 4)].abs().amax(1) > 1e-9).double().mean()), None


def unmasked_norm(seed: int) -> Value:
    """Relative change at visible sites if GRN's norm also counts hidden sites (which biases have filled)."""
    model, pictures, mask = _random_net(seed)
    visible = ~mask.view(-1, 4, 4)
    with torch.no_grad():
        right = model.encode_masked(pictures, mask).permute(0, 2, 3, 1)[visible]
        for block in model.encoder.blocks:
            block.grn.forward = lambda x, visible=None, grn=block.grn: GRN.forward(grn, x)  # type: ignore[method-assign]
        wrong = model.encode_masked(pictures, mask).permute(0, 2, 3, 1)[visible]
    return float((right - wrong).norm() / right.norm()), None


def mask_counts(seed: int) -> Value:
    """Visible patches of 49 at ratio 0.6."""
    return float((~random_mask(1, 49, 0.6)).sum()), None


def mask_bias(seed: int) -> Value:
    """Largest deviation of a place's frequency of being hidden from 30/49, over 20,000 masks."""
    mask = random_mask(20_000, 49, 0.6, torch.Generator().manual_seed(seed))
    return float((mask.double().mean(0) - 30 / 49).abs().max()), None


def diversity_gap(seed: int) -> Value:
    """Largest difference between the closed form of D and the double loop over channels."""
    x = torch.randn(4, 5, 6, 24, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    flat = torch.nn.functional.normalize(x.flatten(1, 2), dim=1)
    slow = (1 - flat.mT @ flat).mean((1, 2)) / 2
    return float((feature_diversity(x) - slow).abs().max()), None


def diversity_bound(seed: int) -> Value:
    """Largest D found by gradient ascent from random features."""
    x = torch.randn(1, 4, 4, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (-feature_diversity(x).sum()).backward()
        optimizer.step()
    return float(feature_diversity(x.detach())), None


def batch_pooled(seed: int) -> Value:
    """Relative difference between GRN's share N_i taken over a batch of 64, as released, and image by image."""
    model = new_model(Run(), seed).encoder
    x = expanded_features(model, images("test")[0][64 * seed : 64 * (seed + 1)])[-1]
    each = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
    pooled = torch.linalg.vector_norm(x, dim=(0, 1, 2), keepdim=True)
    right, released = each / each.mean(-1, keepdim=True), pooled / pooled.mean(-1, keepdim=True)
    return float((right - released).norm() / right.norm()), None


def released_init(seed: int) -> Value:
    """Standard deviation that trunc_normal_ gives with its default arguments."""
    weight = torch.nn.init.trunc_normal_(torch.empty(512, 512), generator=torch.Generator().manual_seed(seed))
    return float(weight.std()), None


def work(part: str, seed: int) -> Value:
    """Multiply-adds of a pre-training pass of atto at 224: all sites over visible sites only ("sites"), and a
    decoder of DEEPER blocks over one of a single block in the micro net ("depth")."""
    if part == "sites":
        return pretraining_macs("atto", 224, visible=1.0) / pretraining_macs("atto", 224, visible=19 / 49), None
    few = pretraining_macs("micro", 32, visible=6 / 16, decoder_dim=128, in_chans=1)
    many = pretraining_macs("micro", 32, visible=6 / 16, decoder_dim=128, in_chans=1, decoder_depth=DEEPER)
    return many / few, None


def needs_imagenet(seed: int) -> Value:
    """A number of the paper that only ImageNet and weeks of accelerators can test."""
    raise NotTested("needs ImageNet and weeks of GPU time; the recipe is the preset `paper`")


# ----------------------------------------------------------------------------------------------- trained


def above_random(seed: int) -> Value:
    """Probe accuracy (percent) of version 2 after pre-training, against random weights."""
    return 100 * probed(Run(steps=LONG), seed), 100 * probed(None, seed)


def above_pixels(seed: int) -> Value:
    """Probe accuracy (percent) of version 2 after pre-training, against the raw pixels."""
    return 100 * probed(Run(steps=LONG), seed), 100 * raw_pixels()


def floor(seed: int) -> None:
    """The chapter's quality floor: the pre-trained probe lies above random weights."""
    method, baseline = above_random(seed)
    assert baseline is not None
    if method <= baseline:
        raise NotTested("the pre-trained encoder is no better than a random one")


def leak_loss(seed: int) -> Value:
    """Masked loss of the leaky encoder over that of the sparse one."""
    return final_loss(Run(leaky=True), seed) / final_loss(Run(), seed), None


def leak_probe(seed: int) -> Value:
    """Probe accuracy (percent): sparse against leaky."""
    return 100 * probed(Run(), seed), 100 * probed(Run(leaky=True), seed)


def compare(method: str, baseline: str, labels: int, seed: int) -> Value:
    """Test accuracy (percent) after fine-tuning from one start against another, same labels."""
    floor(seed)
    return tuned(method, labels, seed), tuned(baseline, labels, seed)


def gain_of_pretraining(labels: int, seed: int) -> float:
    """Accuracy (percent points) won by starting from pre-trained weights."""
    return tuned("v2", labels, seed) - tuned("scratch v2", labels, seed)


def gain_shrinks(few: int, many: int, seed: int) -> Value:
    """The gain of pre-training with few labels against the gain with many."""
    floor(seed)
    return gain_of_pretraining(few, seed), gain_of_pretraining(many, seed)


def codesign(labels: int, seed: int) -> Value:
    """What GRN wins after masked pre-training against what it wins from scratch (percent points)."""
    floor(seed)
    after = tuned("v2", labels, seed) - tuned("v2 minus GRN", labels, seed)
    before = tuned("scratch v2", labels, seed) - tuned("scratch v2 minus GRN", labels, seed)
    return after, before


def _encoder(variant: str, seed: int) -> ConvNeXtV2:
    """The encoder of a variant after LONG pre-training."""
    return pretrained(Run(variant, LONG), seed)[0].encoder


@cached
def diversity(variant: str, seed: int) -> list[float]:
    """D of every block on 200 whole test pictures: of a variant, of an "untrained <variant>", or "v2 before GRN"."""
    pictures = images("test")[0][:200]
    if variant == "v2 before GRN":
        return [float(feature_diversity(x).mean()) for x in around_grn(_encoder("v2", seed), pictures)["before GRN"]]
    if variant.startswith("untrained "):
        encoder = new_model(Run(variant.removeprefix("untrained ")), seed).encoder
    else:
        encoder = _encoder(variant, seed)
    return diversity_by_block(encoder, pictures).tolist()


def collapse(method: str, baseline: str, seed: int) -> Value:
    """Mean D over blocks of one variant against another."""
    return float(np.mean(diversity(method, seed))), float(np.mean(diversity(baseline, seed)))


def deeper_gap(method: str, baseline: str, seed: int) -> Value:
    """Gap in D between two variants in the last block against the gap in the first."""
    gap = np.subtract(diversity(method, seed), diversity(baseline, seed))
    return float(gap[-1]), float(gap[0])


def dead(variant: str, seed: int) -> Value:
    """Largest share of dead channels over the blocks of a pre-trained variant (percent)."""
    features = expanded_features(_encoder(variant, seed), images("test")[0][:200])
    shares = [float(dead_channels(x).mean()) for x in features]
    return 100 * max(shares), None


def literal_formula(seed: int) -> Value:
    """How much of a trained GRN's effect is lost if norms are divided by their sum, not mean.

    Over a block, ||output as coded - output with the sum|| / ||output as coded - input||; the mean over the blocks.
    """
    encoder = _encoder("v2", seed)
    lost = []
    for block, x in zip(encoder.blocks, around_grn(encoder, images("test")[0][:200])["before GRN"], strict=True):
        assert isinstance(block.grn, GRN)
        with torch.no_grad():
            norm = x.square().sum((1, 2), keepdim=True).sqrt()
            by_sum = x + block.grn.gamma * x * norm / norm.sum(-1, keepdim=True) + block.grn.beta
            coded = block.grn(x)
        lost.append(float((coded - by_sum).norm() / (coded - x).norm()))
    return float(np.mean(lost)), None


def selectivity(seed: int) -> Value:
    """Mean class selectivity of the last block's positive activations: version 1 against version 2."""
    pictures, labels = images("test")

    def mean(variant: str) -> float:
        out = block_outputs(_encoder(variant, seed), pictures[:1000])[-1]
        return float(class_selectivity(out.clamp_min(0), labels[:1000]).mean())

    return mean("v1"), mean("v2")


def ratio_run(ratio: float) -> Run:
    """The ablation run at a mask ratio."""
    return Run(ratio=ratio)


def ratio_probe(ratio: float, seed: int) -> Value:
    """Probe accuracy (percent) at ratio 0.6 against another ratio."""
    return 100 * probed(Run(), seed), 100 * probed(ratio_run(ratio), seed)


def inner_peak(seed: int) -> Value:
    """Probe accuracy (percent): the mean of the ratios INSIDE against the better of 0.1 and 0.9."""
    inside = [100 * probed(ratio_run(ratio), seed) for ratio in INSIDE]
    return float(np.mean(inside)), 100 * max(probed(ratio_run(ratio), seed) for ratio in (0.1, 0.9))


def probe_by_ratio(seed: int) -> list[float | None]:
    """Probe accuracy at every ratio of RATIOS."""
    return [probed(ratio_run(ratio), seed) for ratio in RATIOS]


def deep_decoder(seed: int) -> Value:
    """Probe accuracy (percent): a decoder of DEEPER blocks against one block."""
    return 100 * probed(Run(depth=DEEPER), seed), 100 * probed(Run(), seed)


ABLATIONS = (*(Run(ratio=ratio) for ratio in RATIOS), Run(leaky=True), Run(depth=DEEPER))


def reconstruction_tells(seed: int) -> Value:
    """Rank correlation between (minus) masked loss and probe accuracy over the ablation runs."""
    losses = [-final_loss(run, seed) for run in ABLATIONS]
    return float(stats.spearmanr(losses, [probed(run, seed) for run in ABLATIONS]).statistic), None


def loss_curve(seed: int) -> list[float | None]:
    """Masked loss of a short standard run, averaged over windows of 50 steps, for the reader's own run."""
    losses = pretrained(Run(), seed)[1]
    return [float(np.mean(losses[at - 50 : at])) for at in range(50, len(losses) + 1, 50)]


def block_gains_nothing_at_start(seed: int) -> Value:
    """Largest change that a fresh GRN makes to a block's output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        block = Block(8).double()
    x = torch.randn(2, 6, 6, 8, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        before = block(x)
        block.grn = nn.Identity()
        return float((before - block(x)).abs().max()), None


def giga_macs(size: str, seed: int) -> Value:
    """Multiply-adds of a published size at 224 pixels, in 10^9."""
    return classifier_macs(size, 224) / 1e9, None
