"""The chapter's experiment: teacher, bits, rounded copy, self-teaching, evaluation, in one run.

`run` is what the notebook, the command line and the tests call; `CLAIMS` is what the evidence measures.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from firsthand.data.vedai import read_names, read_vedai
from firsthand.data.vehicles import CLASSES
from firsthand.errors import UserError
from firsthand.ghost.bits import allocate_bits, bit_operations, model_size_mb
from firsthand.ghost.claims import CLAIMS
from firsthand.ghost.detector import Detector
from firsthand.ghost.quantizers import quantize_model
from firsthand.ghost.runs import LEARN, TEACH, lessons_for, new_detector, pictures
from firsthand.ghost.training import (
    Pictures,
    Recipe,
    activation_ranges,
    mean_precision,
    measure_batch_norm,
    train_detector,
)
from firsthand.kit.curves import along_steps
from firsthand.kit.results import Result
from firsthand.kit.shared import shared
from firsthand.kit.training import accelerator_for

__all__ = ["CLAIMS", "CURVES", "PRESETS", "Config", "run", "with_data"]


@dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        preset: name under which the result is stored.
        data: None: scenes made on the spot; else a folder in VEDAI's layout.
        fold: of VEDAI. size: pixels a side of its pictures.
        width: factor on the channels.
        scenes: how many of those made on the spot to train on, and a quarter of them to test; None: as the evidence.
        teach, learn: recipes of teacher and student.
        threshold: T of hybrid quantisation (released: 0.1; our small networks spread their bits at 100 to 3000).
        gate: of `runs.GATES`, or None: no lessons.
        strength: lambda; None: as `lessons_for`. The released 400 stands beside twice the sum of two pictures' losses,
            which is 100 beside our mean.
        ranges: activations are clipped at each layer's own range; else at 1, as released.
        out: folder for checkpoints; a run found there goes on.
    """

    preset: str
    data: str | None = None
    fold: int = 1
    size: int = 512
    width: float = 0.125
    scenes: int | None = None
    teach: Recipe = TEACH
    learn: Recipe = LEARN
    threshold: float = 1000.0
    gate: str | None = "frozen"
    strength: float | None = None
    ranges: bool = True
    out: str | None = None


PRESETS = {
    "smoke": Config("smoke", scenes=32, teach=Recipe(3, 5e-3, 1, batch=8), learn=Recipe(2, 2e-3, 1, batch=8)),
    "book": Config("book", scenes=240, teach=Recipe(90, 5e-3, 20), learn=Recipe(20, 2e-3, 5)),
    # The released schedule is 300 epochs of SGD at batch 2; ours is AdamW at batch 16 for as many passes.
    "paper": Config(
        "paper", data="VEDAI", width=0.5, teach=Recipe(20_400, 2e-3, 1000), learn=Recipe(20_400, 1e-3, 1000),
        threshold=0.1, strength=100.0, out="ghost-paper",
    ),
}  # fmt: skip


def with_data(config: Config, path: str) -> Config:
    """The same experiment on a folder in VEDAI's layout."""
    if not Path(path).is_dir():
        raise UserError(f"--data must be a folder in VEDAI's layout; {Path(path).name} is none.")
    return replace(config, data=path)


def _vedai(config: Config, test: bool) -> Pictures:
    assert config.data is not None
    found = read_vedai(config.data, read_names(config.data, config.fold, test=test, size=config.size), size=config.size)
    truths = tuple({"boxes": b, "labels": n} for b, n in zip(found.boxes, found.labels, strict=True))
    return Pictures(found.images, truths)


def _data(config: Config, seed: int) -> tuple[Pictures, Pictures, Detector]:
    """Training and test pictures, and an untrained detector for them."""
    if config.data is not None:
        if not Path(config.data).is_dir():
            raise UserError(
                "The preset needs pictures: give --data FOLDER with VEDAI's Vehicules512 and Annotations512."
            )
        train, test = _vedai(config, False), _vedai(config, True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return train, test, Detector("small", channels=4, classes=len(CLASSES), width=config.width)
    train = pictures("train", seed, count=config.scenes)
    test = pictures("test", seed, count=config.scenes and max(1, config.scenes // 4))
    return train, test, new_detector(seed, train)


def run(config: Config, *, seed: int = 0, device: str = "auto", progress: bool = True) -> Result:
    """Train a teacher, choose bits, round, teach, evaluate.

    Args:
        config: one of PRESETS, or a changed copy.
        seed: of scenes, weights and batches.
        device: as `resolve_device`.
        progress: show bars.

    Returns:
        Result with metrics "precision/teacher", "precision/converted", "precision/student" (mean average precision,
        per cent), "bits" (mean), "size" (MB), "size/full", "operations" (10 ** 9 bit-operations along the graph);
        arrays "loss/teacher", "loss/student" (detection losses by step), "bits" (layers,), "opened" (steps, L).
    """
    begin = time.perf_counter()
    accelerator = accelerator_for(device)
    train, test, model = _data(config, seed)
    common: dict[str, Any] = {"seed": seed, "accelerator": accelerator, "progress": progress}
    model = model.to(accelerator.device)
    teacher, first = train_detector(model, train, config.teach, **common, **_checkpoint(config, "teacher"))
    bits = allocate_bits(teacher, threshold=config.threshold)
    limits = activation_ranges(teacher, train) if config.ranges else None
    student = quantize_model(teacher, bits, limits=limits)
    measure_batch_norm(student, train)
    assert isinstance(student, Detector)
    converted = mean_precision(student, test)
    gate, strength = None, 0.0
    if config.gate is not None:
        gate, strength = lessons_for(student, teacher, train, config.gate, seed, config.strength)
    taught, second = train_detector(
        student, train, config.learn, teacher=teacher if gate is not None else None, gate=gate,
        strength=strength, **common, **_checkpoint(config, "student"),
    )  # fmt: skip
    size = test.images.shape[-1]
    metrics = {
        "precision/teacher": mean_precision(teacher, test), "precision/converted": converted,
        "precision/student": mean_precision(taught, test), "bits": float(np.mean(list(bits.values()))),
        "size": model_size_mb(teacher, bits), "size/full": model_size_mb(teacher, 32),
        "operations": bit_operations(teacher, bits, size, order="graph"),
    }  # fmt: skip
    arrays = {
        "loss/teacher": np.array(first.loss), "loss/student": np.array(second.detection),
        "bits": np.array(list(bits.values())), "opened": np.array(second.opened),
    }  # fmt: skip
    return Result("ghost", config.preset, seed, metrics, arrays, time.perf_counter() - begin)


def _checkpoint(config: Config, name: str) -> dict[str, Any]:
    if config.out is None:
        return {}
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    return {"checkpoint": folder / f"{name}.safetensors"}


@shared
def _reader(seed: int) -> Result:
    """A reader's own run."""
    return run(PRESETS["book"], seed=seed, device="cpu", progress=False)


def _losses(who: str, seed: int) -> list[float]:
    return [*_reader(seed).arrays[f"loss/{who}"]]


#: Bands for a reader's run: (who learns, steps, steps for a point).
BANDS = (("teacher", PRESETS["book"].teach.steps, 10), ("student", PRESETS["book"].learn.steps, 5))
CURVES = [along_steps(f"reader-{who}", steps, every, partial(_losses, who)) for who, steps, every in BANDS]
