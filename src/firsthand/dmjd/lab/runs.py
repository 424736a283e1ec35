"""The evidence runs: what is trained, on which images, and how much; every model is trained once a seed and shared.

All pre-trainings see the same number of views a step: 16 images twice, or 32 once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firsthand.data.readers.images import InMemory, fashion_mnist
from firsthand.dmjd.encoders import Encoder
from firsthand.dmjd.masks import disjoint_masks
from firsthand.dmjd.model import DMJD, Classifier, build, hidden_loss, visible_loss
from firsthand.dmjd.recipes import embed, fine_tune, pretrain, scaled_lr
from firsthand.kit.lab.cached import cached
from firsthand.kit.train.probes import accuracy, ridge_probe

SIZE = "tiny-vit"
STEPS, WARMUP = 1200, 60
WINDOW = 120  # steps over which a loss is averaged for a curve
VIEWS = 32  # a step: images times views; small, since at this size many steps teach more than large ones
CORRUPTION = 0.6
DECODER = 1
LABELS, TUNE_STEPS, TUNE_BATCH = 1000, 150, 100
PROBE_IMAGES = 6000
VALIDATION = slice(8000, 10000)  # of the training split; pre-training sees these pictures, never their labels


@dataclass(frozen=True)
class Run:
    """One pre-training: the switches of `DMJD`, and how long.

    Attributes:
        views, masking, prediction, target: as `DMJD`.
        visible: with the branch for visible tokens.
        pairing: as `DMJD`.
        steps: of the schedule.
        borrowed: take the single view's base rate and this factor on the rule, to test the rule.
    """

    views: int = 2
    masking: str = "disjoint"
    prediction: float = 1.0
    target: str = "hog"
    visible: bool = False
    pairing: str = "aligned"
    steps: int = STEPS
    borrowed: float | None = None

    @property
    def images(self) -> int:
        """Distinct images a step."""
        return VIEWS // self.views

    @property
    def setting(self) -> str:
        """Whose tuned rate applies: "single", "single long", "disjoint", "visible", "released" or "pixels"."""
        if self.views == 1 or self.borrowed is not None:
            return "single" if self.steps == STEPS else "single long"
        if self.visible:
            return "visible" if self.pairing == "aligned" else "released"
        return "pixels" if self.target == "pixels" else "disjoint"


SINGLE = Run(views=1, prediction=CORRUPTION)
LONG_SINGLE = Run(views=1, prediction=CORRUPTION, steps=2 * STEPS)
DISJOINT = Run()
INDEPENDENT = Run(masking="independent")
JOINT = Run(visible=True)
RELEASED = Run(visible=True, pairing="released")
PIXELS = Run(target="pixels")


@cached
def images(split: str) -> tuple[Tensor, Tensor]:
    """The shipped pictures in bytes (N, 1, 32, 32) and their labels."""
    pictures, labels = fashion_mnist(split)
    return (255 * pictures).round().to(torch.uint8), labels


def chosen() -> dict[str, Any]:
    """The settings that `tuning` chose: {"pretrain": {setting: blr}, "tune": {start: [lr, layer decay]}}."""
    text = resources.files("firsthand.evidence").joinpath("dmjd_tuning.json").read_text(encoding="utf-8")
    return json.loads(text)["chosen"]


def new_model(run: Run, seed: int) -> DMJD:
    """An untrained model for a run."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(
            SIZE, decoder_depth=DECODER, corruption=CORRUPTION, prediction=run.prediction, views=run.views,
            masking=run.masking, target=run.target, visible_weight=float(run.visible), pairing=run.pairing,
        )  # fmt: skip


def pretrain_run(run: Run, seed: int, blr: float) -> tuple[DMJD, list[float]]:
    """Pre-train one run from scratch; the model and the loss of every step."""
    model = new_model(run, seed)
    batches = InMemory(images("train")[0], batch=run.images, flip=True)
    # A sweep of prediction rates keeps the rate of full coverage, so that only the masks differ.
    prediction = 1.0 if run.views > 1 else run.prediction
    lr = (run.borrowed or 1.0) * scaled_lr(blr, run.images, corruption=CORRUPTION, prediction=prediction)
    losses = pretrain(model, batches, steps=run.steps, batch=run.images, lr=lr, warmup=WARMUP, seed=seed)
    return model.eval(), losses


@cached
def pretrained(run: Run, seed: int) -> tuple[DMJD, list[float]]:
    """`pretrain_run` at the tuned rate."""
    return pretrain_run(run, seed, chosen()["pretrain"][run.setting])


@torch.no_grad()
def held_out(model: DMJD, split: str = "test") -> tuple[float, float]:
    """Loss on hidden tokens, and of a visible branch with its own tokens (nan without one), on pictures of a split.

    One view an image, the same masks for every model.
    """
    pictures = images("train")[0][VALIDATION] if split == "validation" else images("test")[0]
    generator = torch.Generator().manual_seed(0)
    hidden, visible = [], []
    for part in pictures.split(250):
        mask = disjoint_masks(
            len(part),
            model.size.grid,
            CORRUPTION,
            prediction=CORRUPTION,
            views=1,
            block=model.block,
            generator=generator,
        )[0]
        ids = model.draw_order(mask, generator=generator)
        latents, target = model.encode(part, ids, mask), model.targets(part)
        hidden.append(float(hidden_loss(model.decoder(latents, ids), target, mask)))
        if model.visible_branch is not None:
            visible.append(float(visible_loss(model.visible_branch(latents), target, ids)))
    return float(np.mean(hidden)), float(np.mean(visible)) if visible else float("nan")


@cached
def losses_of(run: Run, seed: int) -> tuple[float, float]:
    """`held_out` of a pre-trained run."""
    return held_out(pretrained(run, seed)[0])


def probe(encoder: Encoder, split: str = "test") -> float:
    """Accuracy (share) of a linear probe, ridge regression where the release has LARS; on "test", or on "validation"
    to choose settings."""
    x, y = images("train")
    x_test, y_test = (x[VALIDATION], y[VALIDATION]) if split == "validation" else images("test")
    return ridge_probe(
        embed(encoder, x[:PROBE_IMAGES]), y[:PROBE_IMAGES].numpy(), embed(encoder, x_test), y_test.numpy()
    )


@cached
def probed(run: Run | None, seed: int) -> float:
    """Probe accuracy (percent, test) of a pre-trained encoder; None = random weights."""
    encoder = new_model(DISJOINT, seed).encoder if run is None else pretrained(run, seed)[0].encoder
    return 100 * probe(encoder)


@cached
def raw_pixels() -> float:
    """Probe accuracy (percent, test) of the pixels themselves."""
    (x, y), (x_test, y_test) = images("train"), images("test")
    flat = x[:PROBE_IMAGES].flatten(1).float().numpy()
    return 100 * ridge_probe(flat, y[:PROBE_IMAGES].numpy(), x_test.flatten(1).float().numpy(), y_test.numpy())


@cached
def few_pixels() -> float:
    """Probe accuracy (percent, test) of the pixels' leading principal components, as many as a token has channels."""
    from sklearn.decomposition import PCA

    (x, y), (x_test, y_test) = images("train"), images("test")
    flat, flat_test = (z.flatten(1).float().numpy() / 255 for z in (x[:PROBE_IMAGES], x_test))
    reduce = PCA(new_model(DISJOINT, 0).size.width, random_state=0).fit(flat)
    return 100 * ridge_probe(
        reduce.transform(flat), y[:PROBE_IMAGES].numpy(), reduce.transform(flat_test), y_test.numpy()
    )


def tune_run(encoder: Encoder | None, lr: float, decay: float, seed: int, split: str = "test") -> float:
    """Fine-tune with LABELS labelled pictures; accuracy on "test" or "validation".

    Args:
        encoder: pre-trained, or None for random weights.
        lr, decay: peak rate and layer-wise decay.
        seed: of head, labels and batches.
        split: where to measure.
    """
    x, y = images("train")
    rows = np.random.default_rng([seed, LABELS]).permutation(VALIDATION.start)[:LABELS]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Classifier(SIZE, num_classes=10)
    if encoder is not None:
        model.take(encoder)
    batches = InMemory(x[rows], y[rows], batch=TUNE_BATCH, flip=True)
    fine_tune(model, batches, steps=TUNE_STEPS, lr=lr, warmup=10, layer_decay=decay, seed=seed)
    held = (x[VALIDATION], y[VALIDATION]) if split == "validation" else images("test")
    return accuracy(model, *held)


@cached
def tuned(run: Run | None, seed: int) -> float:
    """Test accuracy (percent) after fine-tuning from a run, or from random weights."""
    lr, decay = chosen()["tune"]["scratch" if run is None else run.setting]
    return 100 * tune_run(None if run is None else pretrained(run, seed)[0].encoder, lr, decay, seed)
