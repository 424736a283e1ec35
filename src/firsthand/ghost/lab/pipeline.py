"""The chapter's pipeline: teacher, bits, rounded copy, self-teaching, evaluation, in one run.

`run` is what the notebook, the command line and the tests call.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from firsthand.data.drawn.vehicles import CLASSES
from firsthand.data.readers.vedai import read_names, read_vedai
from firsthand.errors import UserError
from firsthand.ghost.bits import allocate_bits, bit_operations, model_size_mb
from firsthand.ghost.detector import Detector
from firsthand.ghost.lab.config import PRESETS, Config
from firsthand.ghost.lab.runs import lessons_for, new_detector, pictures
from firsthand.ghost.quantizers import quantize_model
from firsthand.ghost.training import (
    Pictures,
    activation_ranges,
    mean_precision,
    measure_batch_norm,
    train_detector,
)
from firsthand.kit.lab.results import Result
from firsthand.kit.train.device import LARGEST_SEED, seed_refused
from firsthand.kit.train.loop import accelerator_for

__all__ = ["PRESETS", "Config", "run", "with_data"]


SMOKE = 32  # pictures of one's own that the smallest run takes; a quarter as many to test


def with_data(config: Config, path: str) -> Config:
    """The same experiment on a folder in VEDAI's layout."""
    if not Path(path).is_dir():
        raise UserError(f"--data must be a folder in VEDAI's layout; {Path(path).name} is none.")
    return replace(config, data=path)


def _vedai(config: Config, test: bool) -> Pictures:
    assert config.data is not None
    names = read_names(config.data, config.fold, test=test, size=config.size)
    most = len(names) if config.preset != "smoke" else max(1, SMOKE // 4) if test else SMOKE
    if len(names) > most:
        print(f"Preset smoke takes the first {most} of {len(names)} pictures.", file=sys.stderr)
    found = read_vedai(config.data, names[:most], size=config.size)
    if found.left_out:
        print(f"{len(found.left_out)} pictures were left out; the first: {found.left_out[0]}.", file=sys.stderr)
    truths = tuple({"boxes": b, "labels": n} for b, n in zip(found.boxes, found.labels, strict=True))
    return Pictures(found.images, truths)


def _precision(model: nn.Module, test: Pictures) -> float:
    """`mean_precision`, nan where the test pictures show no object: bits and sizes are measured all the same."""
    assert isinstance(model, Detector)
    return mean_precision(model, test) if any(len(truth["labels"]) for truth in test.truths) else math.nan


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
        per cent; nan where the test pictures show no object), "bits" (mean), "size" (MB), "size/full", "operations"
        (10 ** 9 bit-operations along the graph); arrays "loss/teacher", "loss/student" (detection losses by step),
        "bits" (layers,), "opened" (steps, L).

    Raises:
        UserError: a seed out of range, or data that are missing or do not fit.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(seed_refused(seed))
    begin = time.perf_counter()
    accelerator = accelerator_for(device)
    train, test, model = _data(config, seed)
    if max(config.teach.batch, config.learn.batch) > len(train.images):
        raise UserError(f"There are {len(train.images)} pictures to train on, fewer than a batch.")
    common: dict[str, Any] = {"seed": seed, "accelerator": accelerator, "progress": progress}
    model = model.to(accelerator.device)
    teacher, first = train_detector(model, train, config.teach, **common, **_checkpoint(config, "teacher"))
    bits = allocate_bits(teacher, threshold=config.threshold)
    limits = activation_ranges(teacher, train) if config.ranges else None
    student = quantize_model(teacher, bits, limits=limits)
    measure_batch_norm(student, train)
    assert isinstance(student, Detector)
    converted = _precision(student, test)
    gate, strength = None, 0.0
    if config.gate is not None:
        gate, strength = lessons_for(student, teacher, train, config.gate, seed, config.strength)
    taught, second = train_detector(
        student, train, config.learn, teacher=teacher if gate is not None else None, gate=gate,
        strength=strength, **common, **_checkpoint(config, "student"),
    )  # fmt: skip
    size = test.images.shape[-1]
    metrics = {
        "precision/teacher": _precision(teacher, test), "precision/converted": converted,
        "precision/student": _precision(taught, test), "bits": float(np.mean(list(bits.values()))),
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
