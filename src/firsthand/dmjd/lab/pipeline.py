"""The chapter's pipeline: pre-training with two branches, then what it learnt; at the paper's scale also fine-tuning.

`run` is what the notebook, the command line and the tests call.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.transforms import v2

from firsthand.data.readers.imagenet import Mixed, split_folder, tuning_transform, validation_accuracy, validation_files
from firsthand.data.readers.images import FolderBatches, InMemory
from firsthand.dmjd.encoders import Size
from firsthand.dmjd.lab.config import PRESETS, Config
from firsthand.dmjd.lab.runs import images, probe
from firsthand.dmjd.model import DMJD, Classifier, build
from firsthand.dmjd.recipes import CROP, RECIPES, fine_tune, pretrain, scaled_lr
from firsthand.errors import UserError
from firsthand.kit.lab.results import Result
from firsthand.kit.train.device import LARGEST_SEED, seed_refused
from firsthand.kit.train.large import in_steps, loop_options
from firsthand.kit.train.loop import accelerator_for
from firsthand.kit.train.weights import read_weights

__all__ = ["PRESETS", "Config", "run", "with_data"]


def with_data(config: Config, path: str) -> Config:
    """The same experiment on a folder with train/<class>/ and val/<class>/."""
    split_folder(path, "train")
    return replace(config, data=path)


def schedule(config: Config, examples: int) -> tuple[int, int, float]:
    """(steps, warm-up steps, peak rate) of a configuration on so many examples; in pre-training by the rule."""
    steps, warmup = config.steps, config.warmup
    if steps is None:
        recipe = RECIPES[config.size]
        tuning = config.task == "finetune"
        epochs, first = (recipe.tune_epochs, recipe.tune_warmup) if tuning else (recipe.epochs, recipe.warmup)
        steps, warmup = (in_steps(number, examples, config.batch) for number in (epochs, first))
    if config.task == "finetune":
        return steps, warmup, config.blr * config.batch / 256
    rate = scaled_lr(config.blr, config.batch, corruption=config.corruption, prediction=config.prediction)
    return steps, warmup, rate


def new_model(config: Config, seed: int) -> DMJD:
    """The model that a configuration pre-trains."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(
            config.size, decoder_depth=config.decoder_depth, corruption=config.corruption, prediction=config.prediction,
            views=config.views, block=config.block, masking=config.masking, target=config.target,
            visible_weight=config.visible_weight, pairing=config.pairing,
        )  # fmt: skip


def run(config: Config, *, seed: int = 0, device: str = "auto", progress: bool = True) -> Result:
    """Pre-train (or fine-tune) and measure.

    Args:
        config: one of PRESETS, or a changed copy.
        seed: of weights, batches and masks.
        device: as `resolve_device`; under torchrun every process takes its own GPU.
        progress: show a bar.

    Returns:
        Result with metrics "loss/first", "loss/last", "parameters", "batch" and, on the shipped pictures, "probe" and
        "probe/random"; after fine-tuning "accuracy" (all three shares); arrays "loss" (steps,).

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
    few = min(10, len(losses))
    ends = {"loss/first": float(np.mean(losses[:few])), "loss/last": float(np.mean(losses[-few:]))}
    metrics = {**ends, "batch": float(config.batch), **metrics}
    return Result("dmjd", config.preset, seed, metrics, {"loss": np.array(losses)}, time.perf_counter() - begin)


def _options(config: Config, accelerator: Any, progress: bool, name: str) -> dict[str, Any]:
    return loop_options(
        accelerator, batch=config.batch, passes=config.passes, out=config.out, stop=config.stop, progress=progress,
        name=name,
    )  # fmt: skip


def _pretrain(config: Config, seed: int, accelerator: Any, progress: bool) -> tuple[list[float], dict[str, float]]:
    model = new_model(config, seed)
    batches, examples = _pictures(config, model.size)
    steps, warmup, lr = schedule(config, examples)
    before = probe(model.encoder) if config.data is None else None
    model.to(accelerator.device)
    losses = pretrain(
        model, batches, steps=steps, batch=config.batch, lr=lr, warmup=warmup, seed=seed,
        clip=RECIPES[config.size].clip if config.size in RECIPES else None,
        **_options(config, accelerator, progress, "pretrain"),
    )  # fmt: skip
    metrics = {"parameters": float(sum(p.numel() for p in model.parameters() if p.requires_grad))}
    if before is not None:
        metrics |= {"probe": probe(model.encoder.cpu()), "probe/random": before}
    return losses, metrics


def _pictures(config: Config, size: Size) -> tuple[Any, int]:
    """Batches of bytes, since HOG is taken of bytes, and the number of examples; grey where the network is."""
    if config.data is None:
        pictures = images("train")[0]
        return InMemory(pictures, batch=config.batch, flip=True), len(pictures)
    crop = v2.RandomResizedCrop(size.image, scale=CROP, interpolation=v2.InterpolationMode.BICUBIC)
    grey = [v2.Grayscale()] if size.in_chans == 1 else []
    transform = v2.Compose([*grey, crop, v2.RandomHorizontalFlip(), v2.ToImage(), v2.ToDtype(torch.uint8)])
    batches = FolderBatches(
        split_folder(config.data, "train"), transform, batch=config.batch, workers=config.workers
    )  # fmt: skip
    return batches, len(batches)


def _finetune(config: Config, seed: int, accelerator: Any, progress: bool) -> tuple[list[float], dict[str, float]]:
    if config.data is None or config.size not in RECIPES:
        raise UserError("Fine-tuning here needs --data and a published size; on the shipped pictures see the chapter.")
    recipe = RECIPES[config.size]
    folder, kept = split_folder(config.data, "train"), split_folder(config.data, "val")
    transform = tuning_transform(224, training=True)
    batches = FolderBatches(folder, transform, batch=config.batch, workers=config.workers)
    held = validation_files(kept, batches.classes, workers=config.workers)
    classes = len(batches.classes)
    model = pretrained_classifier(config, seed, classes, recipe.drop_path).to(accelerator.device)
    steps, warmup, lr = schedule(config, len(batches))
    losses = fine_tune(
        model, Mixed(batches, 0.8, 1.0, classes), steps=steps, lr=lr, warmup=warmup, seed=seed,
        layer_decay=recipe.layer_decay, **_options(config, accelerator, progress, "finetune"),
    )  # fmt: skip
    accuracy = validation_accuracy(model, held, 224, workers=config.workers)
    return losses, {"parameters": float(sum(p.numel() for p in model.parameters())), "accuracy": accuracy}


def pretrained_classifier(config: Config, seed: int, classes: int, drop_path: float) -> Classifier:
    """The classifier that fine-tuning starts from: fresh, or with the encoder of the checkpoint that is named.

    Raises:
        UserError: it cannot be read, lacks tensors, or has other shapes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Classifier(config.size, num_classes=classes, drop_path=drop_path)
    if config.weights is not None:
        tensors = read_weights(Path(config.weights))
        head = "model.encoder."
        found = {name.removeprefix(head): t for name, t in tensors.items() if name.startswith(head)}
        own = model.encoder.state_dict()
        other = [name for name, t in own.items() if name in found and found[name].shape != t.shape]
        if other:
            raise UserError(
                f"{Path(config.weights).name} does not fit {config.size}: {other[0]} has shape "
                f"{tuple(found[other[0]].shape)}, the model {tuple(own[other[0]].shape)}."
            )
        lost = [name for name in own if name not in found]
        if lost:
            raise UserError(f"{Path(config.weights).name} lacks {len(lost)} tensors of {config.size}, first {lost[0]}.")
        model.encoder.load_state_dict({name: found[name] for name in own})
    return model
