"""Settings of the chapter's run, and their presets."""

from __future__ import annotations

from dataclasses import dataclass, replace

from firsthand.dmjd.lab.runs import CORRUPTION, DECODER, SIZE, STEPS, VIEWS, WARMUP
from firsthand.dmjd.recipes import RECIPES


@dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        preset: name under which the result is stored.
        task: "pretrain" or "finetune" (on a folder only).
        size: of SIZES.
        data: a folder with train/ and val/, or None for the Fashion-MNIST pictures that ship.
        decoder_depth: blocks of the decoder.
        corruption, prediction, views, block, masking, target, visible_weight, pairing: as `DMJD`.
        batch: distinct images a step, over all processes and passes; passes: images of one backward pass (ours).
        steps: of the schedule, or None: the recipe's epochs decide. warmup: in steps.
        blr: rate for 256 images, before the rule.
        stop: leave after so many steps of the schedule.
        precision: as `kit.training.accelerator_for`.
        out: folder for checkpoints; a run found there goes on.
        weights: a checkpoint of pre-training to fine-tune from, or None.
        workers: processes that load images.
    """

    preset: str
    task: str = "pretrain"
    size: str = SIZE
    data: str | None = None
    decoder_depth: int = DECODER
    corruption: float = CORRUPTION
    prediction: float = 1.0
    views: int = 2
    block: int = 2
    masking: str = "disjoint"
    target: str = "hog"
    visible_weight: float = 1.0
    pairing: str = "aligned"
    batch: int = VIEWS // 2
    passes: int = VIEWS // 2
    steps: int | None = STEPS
    warmup: int = WARMUP
    blr: float = 4e-2  # chosen by `tuning`
    stop: int | None = None
    precision: str = "auto"
    out: str | None = None
    weights: str | None = None
    workers: int = 8


_PAPER = Config(
    "paper", size="base", data="imagenet", decoder_depth=8, batch=RECIPES["base"].batch, passes=64, steps=None,
    warmup=0, blr=RECIPES["base"].blr, out="dmjd-base",
)  # fmt: skip


PRESETS = {
    "smoke": Config("smoke", batch=16, passes=16, steps=6, warmup=2),
    "book": Config("book", stop=480),
    "paper": _PAPER,
    "paper-finetune": replace(
        _PAPER, preset="paper-finetune", task="finetune", batch=1024, passes=32, blr=RECIPES["base"].tune_blr,
        weights="dmjd-base/pretrain.safetensors",
    ),
}  # fmt: skip
