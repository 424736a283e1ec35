"""Settings of the chapter's run, and their presets."""

from __future__ import annotations

from dataclasses import dataclass, replace

from firsthand.convnextv2.lab import imagenet
from firsthand.convnextv2.lab.runs import BATCH, DECODER, SHORT, WARMUP


@dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        preset: name under which the result is stored.
        task: "pretrain" or "finetune" (on a folder only).
        size: name of a size, or "micro".
        data: a folder with train/ and val/, or None for the Fashion-MNIST pictures that ship.
        image: pixels a side; in_chans: colours.
        grn, layer_scale: of the encoder's blocks; None as version 2.
        mask_ratio: section 3.1; decoder_dim, decoder_depth: section 3.1.
        batch: images a step, over all processes and passes; passes: images of one backward pass (ours).
        steps: of the schedule, or None: epochs decide. warmup: in steps, or with epochs in epochs.
        epochs: over the data.
        lr: peak rate; with epochs, at a batch of 256 and scaled with the batch, as the paper does.
        weight_decay, betas: of AdamW.
        stop: leave after so many steps of the schedule.
        precision: as `kit.training.accelerator_for`.
        out: folder for checkpoints; a run found there goes on.
        weights: a checkpoint of pre-training to fine-tune from, or a release's weights as safetensors.
        workers: processes that load images.
    """

    preset: str
    task: str = "pretrain"
    size: str = "micro"
    data: str | None = None
    image: int = 32
    in_chans: int = 1
    grn: bool | None = None
    layer_scale: float | None = None
    mask_ratio: float = 0.6
    decoder_dim: int = DECODER
    decoder_depth: int = 1
    batch: int = BATCH
    passes: int = BATCH
    steps: int | None = SHORT
    epochs: int = 0
    warmup: int = WARMUP
    lr: float = 8e-3  # chosen by `tuning`
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    stop: int | None = None
    precision: str = "auto"
    out: str | None = None
    weights: str | None = None
    workers: int = 8


_PAPER = Config(
    "paper", size="base", data="imagenet", image=224, in_chans=3, decoder_dim=512, batch=4096, passes=64, steps=None,
    epochs=imagenet.PRETRAIN_EPOCHS, warmup=imagenet.PRETRAIN_WARMUP, lr=imagenet.PRETRAIN_LR, out="convnextv2-base",
)  # fmt: skip


PRESETS = {
    "smoke": Config("smoke", batch=32, passes=32, steps=6, warmup=2),
    "book": Config("book", stop=200),
    "paper": _PAPER,
    "paper-finetune": replace(
        _PAPER, preset="paper-finetune", task="finetune", batch=1024, passes=32, betas=(0.9, 0.999),
        weights="convnextv2-base/pretrain.safetensors", epochs=0, lr=0.0, warmup=0,
    ),
}  # fmt: skip
