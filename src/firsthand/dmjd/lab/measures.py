"""What every claim of the chapter measures: measure(seed) -> (method, baseline or None)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from firsthand.dmjd.hog import hog_cells
from firsthand.dmjd.lab.runs import (
    CORRUPTION,
    DISJOINT,
    JOINT,
    RELEASED,
    WINDOW,
    Run,
    few_pixels,
    images,
    losses_of,
    pretrained,
    probed,
    raw_pixels,
    tuned,
)  # fmt: skip
from firsthand.dmjd.masks import (
    counts,
    coverage,
    disjoint_masks,
    first_visible,
    independent_masks,
    variance_ratio,
    visible_order,
)  # fmt: skip
from firsthand.dmjd.model import build, classifier, hidden_loss, visible_loss
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.claims import NotTested

Value = tuple[float, float | None]
GRIDS, CORRUPTIONS, PREDICTIONS, VIEWS = (8, 14), (0.3, 0.5, 0.6, 0.75), (0.6, 0.8, 0.9, 1.0), (2, 3, 4)
DRAWS = 20_000
SWEEP = (0.6, 0.7, 0.8, 0.9, 1.0)
#: The released code's own masks at 196 tokens: block, corruption, prediction, then visible, hidden, union, overlap.
RELEASED_COUNTS = (
    (1, 0.5, 1.0, 98, 98, 196, 0), (1, 0.6, 1.0, 78, 118, 196, 40), (1, 0.75, 1.0, 49, 147, 196, 98),
    (2, 0.5, 1.0, 96, 100, 196, 4), (2, 0.6, 1.0, 76, 120, 196, 44), (2, 0.75, 1.0, 48, 148, 196, 100),
    (1, 0.6, 0.8, 78, 118, 157, 79), (2, 0.6, 0.8, 76, 120, 156, 84), (1, 0.75, 0.9, 49, 147, 176, 118),
)  # fmt: skip

# ------------------------------------------------------------------------------------------------- exact


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def wrong_counts(seed: int) -> Value:
    """Settings whose masks do not have the sizes that `counts` promises, over a grid of legal settings."""
    wrong = 0
    for grid, c, p, k, block in product(GRIDS, CORRUPTIONS, PREDICTIONS, VIEWS, (1, 2)):
        try:
            found = counts(grid, c, prediction=p, views=k, block=block)
        except ValueError:  # not a legal setting
            continue
        masks = disjoint_masks(5, grid, c, prediction=p, views=k, block=block, generator=_generator(seed))
        size = block**2
        same = (masks.sum(-1) == size * found.hidden).all() and (masks.any(0).sum(-1) == size * found.union).all()
        wrong += not same
    return float(wrong), None


def released_counts(seed: int) -> Value:
    """Settings of the released code whose four sizes differ from ours."""
    wrong = 0
    for block, c, p, *sizes in RELEASED_COUNTS:
        masks = disjoint_masks(3, 14, c, prediction=p, block=block, generator=_generator(seed))
        mine = [(~masks).sum(-1), masks.sum(-1), masks.any(0).sum(-1), masks.all(0).sum(-1)]
        wrong += any((found != size).any() for found, size in zip(mine, sizes, strict=True))
    return float(wrong), None


def mask_bias(seed: int) -> Value:
    """Largest deviation of a token's frequency of being hidden in the second view from n_m / L."""
    masks = disjoint_masks(DRAWS, 8, CORRUPTION, generator=_generator(seed))
    expected = counts(8, CORRUPTION).hidden / 64
    return float((masks[1].double().mean(0) - expected).abs().max()), None


def covered(seed: int) -> Value:
    """Share of an image's tokens hidden in one of two views: disjoint against independent."""
    options = {"generator": _generator(seed)}
    apart = disjoint_masks(DRAWS, 8, CORRUPTION, **options).any(0).double().mean()  # type: ignore[arg-type]
    alone = independent_masks(DRAWS, 8, CORRUPTION, **options).any(0).double().mean()  # type: ignore[arg-type]
    return float(apart), float(alone)


def coverage_formula(seed: int) -> Value:
    """Independent views: measured coverage minus 1 - (n_v / L)^2."""
    alone = independent_masks(DRAWS, 8, CORRUPTION, generator=_generator(seed)).any(0).double().mean()
    return float(alone) - coverage(counts(8, CORRUPTION, prediction=CORRUPTION, views=1), independent=True), None


def leak(size: str, seed: int) -> Value:
    """Largest change of a visible token's latent when hidden pixels change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(size, decoder_depth=1).double()
    pictures = images("test")[0][:8]
    mask = model.draw_masks(8, _generator(seed))[1]
    ids = visible_order(mask, generator=_generator(seed))
    hidden = mask.view(8, 1, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)

    def code(x: Tensor) -> Tensor:
        return model.encode(x, ids, mask)

    with torch.no_grad():
        return float((code(pictures) - code(torch.where(hidden, 255 - pictures, pictures))).abs().max()), None


def hog_gap(seed: int) -> Value:
    """Largest difference of our histograms from scikit-image's, colour by colour, after its block norm."""
    from skimage.feature import hog

    pixels = np.random.default_rng(seed).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    pixels[:, 16:40, 8:32] //= 8  # a flat part with an edge around it
    options = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (1, 1), "block_norm": "L2"}
    theirs = np.stack([hog(plane, feature_vector=False, **options)[:, :, 0, 0] for plane in pixels])
    ours = hog_cells(torch.from_numpy(pixels)[None])[0].double().numpy()
    ours = ours / np.sqrt((ours**2).sum(-1, keepdims=True) + 1e-10)
    return float(np.abs(ours - theirs).max()), None


def oracle(pairing: str, seed: int) -> Value:
    """The visible branch's loss of an oracle that predicts every visible token's own target."""
    generator = _generator(seed)
    target = torch.randn(8, 64, 9, generator=generator)
    ids = visible_order(disjoint_masks(8, 8, CORRUPTION, generator=generator)[0], generator=generator)
    perfect = target.gather(1, ids.unsqueeze(-1).expand(-1, -1, 9))
    return float(visible_loss(perfect, target, ids, pairing=pairing)), None


def own_target(block: int, seed: int) -> Value:
    """Number of visible tokens an image that the released order compares with their own target."""
    masks = disjoint_masks(4000, 14, CORRUPTION, block=block, generator=_generator(seed))[0]
    count = int((~masks[0]).sum())
    ids = first_visible(masks, count, block=block, generator=_generator(seed))
    return float((ids == ids.sort(-1).values).double().sum(-1).mean()), None


def simulated_variance(corruption: float, seed: int) -> Value:
    """Variance of the two-view estimate of a mean loss, disjoint over independent, minus the closed form."""
    generator = _generator(seed)
    losses = torch.rand(196, generator=generator, dtype=torch.float64)

    def variance(masks: Tensor) -> float:
        return float((masks.double() @ losses).sum(0).var())

    apart = variance(disjoint_masks(DRAWS, 14, corruption, generator=generator))
    alone = variance(independent_masks(DRAWS, 14, corruption, generator=generator))
    return apart / alone - variance_ratio(counts(14, corruption)), None


def millions(model: str, seed: int) -> Value:
    """Trainable parameters, in millions."""
    with torch.device("meta"):
        made = {
            "base": lambda: build("base"),
            "base, two decoder blocks": lambda: build("base", decoder_depth=2),
            "large": lambda: build("large"),
            "base, fine-tuning": lambda: classifier("base"),
        }[model]()
    return sum(p.numel() for p in made.parameters() if p.requires_grad) / 1e6, None


def not_here(reason: str, seed: int) -> Value:
    """A number of the paper that only large data and weeks of accelerators can test."""
    raise NotTested(reason)


# ----------------------------------------------------------------------------------------------- trained


def floor(seed: int) -> None:
    """The chapter's quality floor: the pre-trained probe lies above random weights."""
    if probed(DISJOINT, seed) <= probed(None, seed):
        raise NotTested("the pre-trained encoder is no better than a random one")


def better_probe(method: Run, baseline: Run | None, seed: int) -> Value:
    """Probe accuracy (percent) of one run against another, or against random weights."""
    if baseline is not None:
        floor(seed)
    return probed(method, seed), probed(baseline, seed)


def above_pixels(seed: int) -> Value:
    """Probe accuracy (percent) of disjoint masking against raw pixels."""
    return probed(DISJOINT, seed), raw_pixels()


def above_few_pixels(seed: int) -> Value:
    """Probe accuracy (percent) of disjoint masking against as many principal components of the pixels."""
    return probed(DISJOINT, seed), few_pixels()


def better_tuned(method: Run, baseline: Run | None, seed: int) -> Value:
    """Test accuracy (percent) after fine-tuning from one run against another, or from scratch."""
    floor(seed)
    return tuned(method, seed), tuned(baseline, seed)


def lower_loss(method: Run, baseline: Run, seed: int) -> Value:
    """Held-out loss on hidden tokens, as a ratio of one run to another."""
    return losses_of(method, seed)[0] / losses_of(baseline, seed)[0], None


def visible_ratio(seed: int) -> Value:
    """Held-out loss of the visible branch on its own tokens: trained aligned over trained as released."""
    return losses_of(JOINT, seed)[1] / losses_of(RELEASED, seed)[1], None


def prediction_run(prediction: float) -> Run:
    """Disjoint masking at a prediction rate; at 0.6 both views are the same."""
    return DISJOINT if prediction == 1.0 else replace(DISJOINT, prediction=prediction)


def by_prediction(seed: int) -> tuple[list[float], None]:
    """Minus the held-out loss for every prediction rate of SWEEP."""
    return [-losses_of(prediction_run(p), seed)[0] for p in SWEEP], None


def prediction_curve(seed: int) -> list[float | None]:
    """Held-out loss for every prediction rate of SWEEP."""
    return [losses_of(prediction_run(p), seed)[0] for p in SWEEP]


def covered_at(prediction: float) -> float:
    """The share of an image that two block masks really cover at a prediction rate, on the tiny grid."""
    found = counts(8, CORRUPTION, prediction=prediction, block=2)
    return found.union / found.cells


PROBED_PICTURES, GRADIENTS = 32, 40


@cached
def gradient_variance(masking: str, seed: int) -> float:
    """Total variance of the gradient of the hidden tokens' loss with respect to the encoder, over draws of two masks;
    pictures and (trained) network are fixed."""
    model = pretrained(DISJOINT, seed)[0]
    pictures = images("test")[0][:PROBED_PICTURES]
    target = model.targets(pictures).repeat(2, 1, 1)
    draw = disjoint_masks if masking == "disjoint" else independent_masks
    generator = _generator(seed)
    parameters = [p for p in model.encoder.parameters() if p.requires_grad]
    found = []
    for _ in range(GRADIENTS):
        mask = draw(PROBED_PICTURES, 8, CORRUPTION, block=2, generator=generator).flatten(0, 1)
        ids = model.draw_order(mask, generator=generator)
        loss = hidden_loss(model.decoder(model.encode(pictures, ids, mask), ids), target, mask)
        # Parts that this run does not use have no gradient.
        parts = torch.autograd.grad(loss, parameters, allow_unused=True)
        found.append(torch.cat([part.flatten() for part in parts if part is not None]))
    return float(torch.stack(found).var(0).sum())


def gradient_variance_ratio(seed: int) -> Value:
    """Variance of the gradient under disjoint masks over that under independent masks."""
    return gradient_variance("disjoint", seed) / gradient_variance("independent", seed), None


def against_closed_form(seed: int) -> Value:
    """That ratio against the one of losses that do not depend on the mask."""
    return gradient_variance_ratio(seed)[0], variance_ratio(counts(8, CORRUPTION, block=2))


def loss_curve(seed: int) -> list[float | None]:
    """Loss of the run with both branches, averaged over windows of steps, for the reader's own run."""
    losses = pretrained(JOINT, seed)[1]
    return [float(np.mean(losses[at - WINDOW : at])) for at in range(WINDOW, len(losses) + 1, WINDOW)]
