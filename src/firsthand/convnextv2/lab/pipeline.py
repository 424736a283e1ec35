"""The chapter's pipeline: masked pre-training, then what it learnt; at the paper's scale also fine-tuning.

`run` is what the notebook, the command line and the tests call.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from firsthand.convnextv2.diversity import diversity_by_block
from firsthand.convnextv2.fcmae import FCMAE
from firsthand.convnextv2.lab import imagenet
from firsthand.convnextv2.lab.config import PRESETS, Config
from firsthand.convnextv2.lab.runs import images, probe
from firsthand.convnextv2.model import ConvNeXtV2, load_weights
from firsthand.convnextv2.recipes import classifier_from, fine_tune, pretrain
from firsthand.data.readers.imagenet import (
    Mixed,
    pretraining_transform,
    split_folder,
    tuning_transform,
    validation_accuracy,
    validation_files,
)
from firsthand.data.readers.images import FolderBatches, InMemory
from firsthand.errors import UserError
from firsthand.kit.lab.results import Result
from firsthand.kit.train.device import LARGEST_SEED, seed_refused
from firsthand.kit.train.large import in_steps, loop_options
from firsthand.kit.train.loop import accelerator_for
from firsthand.kit.train.weights import read_weights

__all__ = ["PRESETS", "Config", "run", "with_data"]


def with_data(config: Config, path: str) -> Config:
    """The same experiment on a folder with train/<class>/ and val/<class>/, three colours, 224 pixels if unset."""
    split_folder(path, "train")
    return replace(config, data=path, in_chans=3)


def schedule(config: Config, examples: int) -> tuple[int, int, float]:
    """(steps, warm-up steps, peak rate) of a configuration on so many examples."""
    if config.steps is not None:
        return config.steps, config.warmup, config.lr
    steps, warmup = (in_steps(epochs, examples, config.batch) for epochs in (config.epochs, config.warmup))
    return steps, warmup, config.lr * config.batch / 256


def new_autoencoder(config: Config, seed: int) -> FCMAE:
    """The model that a configuration pre-trains."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FCMAE(
            config.size, in_chans=config.in_chans, decoder_dim=config.decoder_dim, decoder_depth=config.decoder_depth,
            mask_ratio=config.mask_ratio, grn=config.grn, layer_scale=config.layer_scale,
        )  # fmt: skip


def run(config: Config, *, seed: int = 0, device: str = "auto", progress: bool = True) -> Result:
    """Pre-train (or fine-tune) and measure.

    Args:
        config: one of PRESETS, or a changed copy.
        seed: of weights, batches and masks.
        device: as `resolve_device`; under torchrun every process takes its own GPU.
        progress: show a bar.

    Returns:
        Result with metrics "loss/first", "loss/last", "parameters", "batch" and, on the shipped pictures, "probe",
        "probe/random" and "diversity/<block>"; after fine-tuning "accuracy"; arrays "loss" (steps,).

    Raises:
        UserError: a seed out of range; no such data or weights, or sizes that do not fit.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(seed_refused(seed))
    if config.task == "pretrain" and config.weights is not None:
        raise UserError("Pre-training begins with fresh weights: take --weights with --preset paper-finetune.")
    accelerator = accelerator_for(device, config.precision)
    begin = time.perf_counter()
    work = _pretrain if config.task == "pretrain" else _finetune
    losses, metrics = work(config, seed, accelerator, progress)
    first, last = losses[: min(10, len(losses))], losses[-min(10, len(losses)) :]
    metrics = {
        "loss/first": float(np.mean(first)),
        "loss/last": float(np.mean(last)),
        "batch": float(config.batch),
        **metrics,
    }
    return Result("convnextv2", config.preset, seed, metrics, {"loss": np.array(losses)}, time.perf_counter() - begin)


def _loop(config: Config, accelerator: Any, progress: bool, name: str) -> dict[str, Any]:
    return loop_options(
        accelerator, batch=config.batch, passes=config.passes, out=config.out, stop=config.stop, progress=progress,
        name=name,
    )  # fmt: skip


def _pretrain(config: Config, seed: int, accelerator: Any, progress: bool) -> tuple[list[float], dict[str, float]]:
    model = new_autoencoder(config, seed)
    batches, examples = _pretraining_data(config)
    steps, warmup, lr = schedule(config, examples)
    before = probe(model.encoder) if config.data is None else None
    model.to(accelerator.device)
    losses = pretrain(
        model, batches, steps=steps, batch=config.batch, lr=lr, warmup=warmup, weight_decay=config.weight_decay,
        betas=config.betas, seed=seed, **_loop(config, accelerator, progress, "pretrain"),
    )  # fmt: skip
    metrics = {"parameters": float(sum(p.numel() for p in model.parameters()))}
    if before is not None:
        encoder = model.encoder.cpu()
        found = diversity_by_block(encoder, images("test")[0][:200]).tolist()
        metrics |= {"probe": probe(encoder), "probe/random": before}
        metrics |= {f"diversity/{block}": value for block, value in enumerate(found)}
    return losses, metrics


def _pretraining_data(config: Config) -> tuple[Any, int]:
    """Batches and the number of examples."""
    if config.data is None:
        pictures = images("train")[0]
        return InMemory(pictures, batch=config.batch, flip=True), len(pictures)
    folder = split_folder(config.data, "train")
    transform = pretraining_transform(config.image, imagenet.CROP)
    batches = FolderBatches(folder, transform, batch=config.batch, workers=config.workers)
    return batches, len(batches)


def _finetune(config: Config, seed: int, accelerator: Any, progress: bool) -> tuple[list[float], dict[str, float]]:
    if config.data is None or config.size not in imagenet.TUNING:
        raise UserError("Fine-tuning here needs --data and a published size; on the shipped pictures see the chapter.")
    recipe = imagenet.TUNING[config.size]
    transform = tuning_transform(config.image, training=True)
    folder, kept = split_folder(config.data, "train"), split_folder(config.data, "val")
    batches = FolderBatches(folder, transform, batch=config.batch, workers=config.workers)
    held = validation_files(kept, batches.classes, workers=config.workers)
    classes = len(batches.classes)
    model = pretrained_classifier(config, seed, classes, recipe.drop_path).to(accelerator.device)
    average = imagenet.Average(model)
    settings = replace(config, lr=recipe.lr, epochs=recipe.epochs, warmup=recipe.warmup)
    steps, warmup, lr = schedule(settings, len(batches))
    losses = fine_tune(
        model, Mixed(batches, recipe.mixup, recipe.cutmix, classes), steps=steps, lr=lr, warmup=warmup, seed=seed,
        weight_decay=recipe.weight_decay, layer_decay=recipe.layer_decay, groups=recipe.groups,
        smoothing=recipe.smoothing, after_step=average.after_step, also=average.module,
        **_loop(config, accelerator, progress, "finetune"),
    )  # fmt: skip
    accuracy = validation_accuracy(average.module, held, config.image, workers=config.workers)
    return losses, {"parameters": float(sum(p.numel() for p in model.parameters())), "accuracy": accuracy}


def pretrained_classifier(config: Config, seed: int, classes: int, drop_path: float) -> ConvNeXtV2:
    """The classifier that fine-tuning starts from: fresh, or with the weights that the configuration names.

    Raises:
        UserError: these cannot be read, lack tensors, or have other shapes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = classifier_from(None, config.size, num_classes=classes, in_chans=config.in_chans, drop_path=drop_path)
    if config.weights is not None:
        tensors = read_weights(Path(config.weights))
        try:
            report = load_weights(model, {name.removeprefix("model."): t for name, t in tensors.items()})
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{Path(config.weights).name} does not fit {config.size}: {error}") from None
        lost = [name for name in report.missing if not name.startswith(("norm.", "head."))]
        if lost:
            raise UserError(f"{Path(config.weights).name} lacks {len(lost)} tensors of {config.size}, first {lost[0]}.")
    return model
