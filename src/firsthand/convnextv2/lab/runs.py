"""The evidence runs: what is trained, on which images, and how much; every model is trained once a seed and shared.

Pictures of the test split are looked at only to report; settings are chosen on `validation` (see `tuning`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firsthand.convnextv2.fcmae import FCMAE
from firsthand.convnextv2.model import ConvNeXtV2
from firsthand.convnextv2.recipes import classifier_from, embed, fine_tune, pretrain
from firsthand.data.readers.images import InMemory, fashion_mnist
from firsthand.kit.lab.cached import cached
from firsthand.kit.train.probes import accuracy, ridge_probe

SIZE = "micro"
BATCH = 128
WARMUP = 50
LONG, SHORT = 1000, 400  # steps: the comparison of architectures, the ablations of pre-training
DECODER = 128
DEEPER = 4  # blocks of the deep decoder
TUNE_BATCH = 100
TUNE_STEPS = {300: 150, 1000: 200, 6000: 600}  # by labelled pictures; ten epochs or more of each
PROBE_IMAGES = 6000
VALIDATION = slice(8000, 10000)  # of the training split; pre-training sees these pictures, never their labels

#: name -> options of the encoder's blocks
VARIANTS: dict[str, dict[str, Any]] = {
    "v2": {},
    "v2 minus GRN": {"grn": False},
    "v1": {"grn": False, "layer_scale": 1e-6},
}


@dataclass(frozen=True)
class Run:
    """One pre-training: variant of VARIANTS, steps, and what else differs from the standard run."""

    variant: str = "v2"
    steps: int = SHORT
    ratio: float = 0.6
    depth: int = 1
    leaky: bool = False

    @property
    def setting(self) -> str:
        """Whose tuned settings apply: a variant's, or those of the leaky encoder or the deep decoder."""
        return "leaky" if self.leaky else "deep decoder" if self.depth > 1 else self.variant


@cached
def images(split: str) -> tuple[Tensor, Tensor]:
    """The shipped pictures, standardised by the training split's mean and deviation, and their labels."""
    mean, deviation = _scale()
    pictures, labels = fashion_mnist(split)
    return (pictures - mean) / deviation, labels


@cached
def _scale() -> tuple[float, float]:
    pictures, _ = fashion_mnist("train")
    return float(pictures.mean()), float(pictures.std())


def chosen() -> dict[str, Any]:
    """The settings that `tuning` chose: {"pretrain": {setting: lr}, "tune": {start: [lr, layer decay]}}."""
    text = resources.files("firsthand.evidence").joinpath("convnextv2_tuning.json").read_text(encoding="utf-8")
    return json.loads(text)["chosen"]


def new_model(run: Run, seed: int) -> FCMAE:
    """An untrained autoencoder for a run."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FCMAE(
            SIZE,
            in_chans=1,
            decoder_dim=DECODER,
            decoder_depth=run.depth,
            mask_ratio=run.ratio,
            leaky=run.leaky,
            **VARIANTS[run.variant],
        )


def pretrain_run(run: Run, seed: int, lr: float) -> tuple[FCMAE, list[float]]:
    """Pre-train one run from scratch; the model and the loss of every step."""
    model = new_model(run, seed)
    batches = InMemory(images("train")[0], batch=BATCH, flip=True)
    losses = pretrain(model, batches, steps=run.steps, batch=BATCH, lr=lr, warmup=WARMUP, seed=seed)
    return model.eval(), losses


@cached
def pretrained(run: Run, seed: int) -> tuple[FCMAE, list[float]]:
    """`pretrain_run` at its tuned rate."""
    return pretrain_run(run, seed, chosen()["pretrain"][run.setting])


def final_loss(run: Run, seed: int) -> float:
    """Mean masked loss of the last fiftieth of a run's steps."""
    losses = pretrained(run, seed)[1]
    return float(np.mean(losses[-max(len(losses) // 50, 10) :]))


def probe(encoder: ConvNeXtV2, split: str = "test") -> float:
    """Accuracy of the linear probe of an encoder; on "test", or on "validation" to choose settings."""
    x, y = images("train")
    x_test, y_test = (x[VALIDATION], y[VALIDATION]) if split == "validation" else images("test")
    return ridge_probe(
        embed(encoder, x[:PROBE_IMAGES]), y[:PROBE_IMAGES].numpy(), embed(encoder, x_test), y_test.numpy()
    )


@cached
def probed(run: Run | None, seed: int) -> float:
    """Probe accuracy (test) of a pre-trained encoder; None = random weights of version 2."""
    return probe(new_model(Run(), seed).encoder if run is None else pretrained(run, seed)[0].encoder)


@cached
def raw_pixels() -> float:
    """Probe accuracy (test) of the pixels themselves."""
    (x, y), (x_test, y_test) = images("train"), images("test")
    flat = x[:PROBE_IMAGES].flatten(1).numpy()
    return ridge_probe(flat, y[:PROBE_IMAGES].numpy(), x_test.flatten(1).numpy(), y_test.numpy())


def tune_run(
    encoder: ConvNeXtV2 | None,
    options: dict[str, Any],
    labels: int,
    lr: float,
    decay: float,
    seed: int,
    split: str = "test",
) -> float:
    """Fine-tune with so many labelled pictures; accuracy on "test" or "validation".

    Args:
        encoder: pre-trained, or None for random weights.
        options: of the classifier's blocks, as VARIANTS.
        labels: how many labelled pictures, a key of TUNE_STEPS; they are other ones for every seed.
        lr, decay: peak rate and layer-wise decay.
        seed: of head, labels and batches.
        split: where to measure.
    """
    x, y = images("train")
    rows = np.random.default_rng([seed, labels]).permutation(VALIDATION.start)[:labels]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = classifier_from(encoder, SIZE, num_classes=10, in_chans=1, head_scale=1.0, **options)
    batches = InMemory(x[rows], y[rows], batch=TUNE_BATCH, flip=True)
    fine_tune(model, batches, steps=TUNE_STEPS[labels], lr=lr, warmup=10, layer_decay=decay, seed=seed)
    held = (x[VALIDATION], y[VALIDATION]) if split == "validation" else images("test")
    return accuracy(model, *held)


@cached
def tuned(start: str, labels: int, seed: int) -> float:
    """Test accuracy (percent) after fine-tuning from a named start, with the settings chosen for it.

    start: "scratch <variant>", "<variant>" (LONG pre-training), "leaky" or "sparse" (SHORT), "drop" (a trained GRN
    removed before fine-tuning) or "add" (a GRN added to an encoder trained without).
    """
    encoder, options, setting = _start(start, seed)
    lr, decay = chosen()["tune"][setting]
    return 100 * tune_run(encoder, options, labels, lr, decay, seed)


def _start(start: str, seed: int) -> tuple[ConvNeXtV2 | None, dict[str, Any], str]:
    """Encoder, options of the classifier, and whose tuned settings apply."""
    if start.startswith("scratch "):
        return None, VARIANTS[start.removeprefix("scratch ")], start
    if start in ("leaky", "sparse"):
        run = Run(leaky=start == "leaky")
        return pretrained(run, seed)[0].encoder, {}, run.setting
    before, after = {"drop": ("v2", "v2 minus GRN"), "add": ("v2 minus GRN", "v2")}.get(start, (start, start))
    return pretrained(Run(before, LONG), seed)[0].encoder, VARIANTS[after], before
