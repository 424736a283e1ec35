"""The chapter's pipeline: learn heads, turn them, and see whether somebody who was not there finds where they look.

`run` is what the notebook, the command line and the tests call.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from firsthand.data.drawn.directions import angular_error, pitchyaw_to_vector
from firsthand.data.drawn.heads import Heads, heads, redrawn
from firsthand.errors import UserError
from firsthand.kit.lab.results import Result
from firsthand.kit.train.device import LARGEST_SEED, seed_refused
from firsthand.kit.train.loop import accelerator_for
from firsthand.nerfgaze import estimator as est
from firsthand.nerfgaze.full import FullRecipe, read_people, train_full
from firsthand.nerfgaze.lab import runs
from firsthand.nerfgaze.lab.config import PRESETS, Config
from firsthand.nerfgaze.synthesis import asked, redirected
from firsthand.nerfgaze.training import train

__all__ = ["PRESETS", "Config", "run", "with_data"]


#: The full model in seconds and in minutes: pictures of 16 and of 64 pixels.
SHORT = {
    "smoke": FullRecipe(steps=3, batch=1, pictures=2, grid=8, scale=2, samples=8, features=32),
    "book": FullRecipe(steps=150, batch=1, pictures=40, grid=16, scale=4, samples=24, features=32),
}


def book_data(config: Config, seed: int) -> Heads:
    """The drawn heads that a run learns."""
    return heads(100 * seed + 8, config.pictures, config.people, runs.people(seed, runs.SOURCE))


def with_data(config: Config, path: str) -> Config:
    """The same experiment on a folder of ETH-XGaze, with the full model as long as the preset's name promises."""
    if not Path(path).is_dir():
        raise UserError(f"--data must be ETH-XGaze's folder; {Path(path).name} is none.")
    full = SHORT.get(config.preset, config.full) if config.full == FullRecipe() else config.full
    return replace(config, data=path, full=full)


def run(config: Config, *, seed: int = 0, device: str = "auto", progress: bool = True) -> Result:
    """Train a model of heads, redirect, and let an independent judge say where they look.

    Args:
        config: one of PRESETS, or a changed copy.
        seed: of heads, weights, rays and requests.
        device: as `resolve_device`; the compact model runs on the CPU.
        progress: show bars.

    Returns:
        Result with metrics "error" (degrees, of the judge on what was made), "floor" (on true pictures of the same
        requests), "mean" (of always saying the mean gaze), "psnr" (dB); arrays "loss" by step, "made" and "true"
        uint8 (N, 3, s, s). With real faces: metric "loss" and its array alone.

    Raises:
        UserError: a seed out of range, or data that are missing or do not fit.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(seed_refused(seed))
    begin = time.perf_counter()
    if config.data:
        return _real(config, seed, device, progress, begin)
    data = book_data(config, seed)
    others = runs.people(seed, runs.World(gaze=0.75, pose=0.65, first=2000))
    known = heads(100 * seed + 9, config.judged, max(2, config.judged // 20), others)
    judge = est.train_estimator(known.images, est.labels_of(known), steps=config.judge_steps, seed=50_000 + seed)
    model, losses = train(config.recipe, data, seed)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(data), generator=generator)[: config.requests]
    gaze, pose = (asked(len(rows), most, generator) for most in (runs.WIDE, runs.SOURCE.pose))
    made = redirected(model, runs.codes_of(model, data, rows), gaze, pose)
    true = redrawn(data.pick(rows), gaze=gaze, pose=pose)
    wanted = pitchyaw_to_vector(made.labels)

    def judged(images: torch.Tensor) -> float:
        return float(angular_error(pitchyaw_to_vector(est.estimated(judge, images)), wanted).mean())

    metrics = {
        "error": judged(made.images), "floor": judged(true.images),
        "mean": est.mean_error(est.labels_of(data), made.labels),
        "psnr": float(-10 * (made.images - true.images).square().mean().log10()),
    }  # fmt: skip
    arrays = {"loss": np.array(losses), "made": _bytes(made.images), "true": _bytes(true.images)}
    return Result("nerfgaze", config.preset, seed, metrics, arrays, time.perf_counter() - begin)


def _real(config: Config, seed: int, device: str, progress: bool, begin: float) -> Result:
    assert config.data is not None
    if not Path(config.data).is_dir():
        raise UserError("The preset needs pictures: give --data FOLDER with ETH-XGaze, normalised.")
    checkpoint = None if config.out is None else Path(config.out) / f"seed-{seed}.safetensors"
    people = read_people(config.data, config.full.pictures)
    _, losses = train_full(
        config.full, people, seed=seed, accelerator=accelerator_for(device), checkpoint=checkpoint, progress=progress
    )
    metrics = {"loss": float(np.mean(losses[-100:]))}
    return Result("nerfgaze", config.preset, seed, metrics, {"loss": np.array(losses)}, time.perf_counter() - begin)


def _bytes(images: torch.Tensor) -> np.ndarray:
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
