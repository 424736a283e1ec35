"""Losses of a small run of a chapter by however many processes a launcher starts: losses.py CHAPTER[:HOW] FOLDER."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from firsthand.kit.train.loop import processes


def faces(folder: Path) -> Path:
    """Two people of noise in ETH-XGaze's layout."""
    rng = np.random.default_rng(0)
    (folder / "train").mkdir(parents=True, exist_ok=True)
    names = ["subject0000.h5", "subject0003.h5"]
    for name in names:
        with h5py.File(folder / "train" / name, "w") as content:
            content["face_patch"] = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
            content["face_gaze"], content["face_head_pose"] = rng.uniform(-0.5, 0.5, (2, 4, 2))
    (folder / "train_test_split.json").write_text(json.dumps({"train": names}))
    return folder


def small(chapter: str, how: str, folder: Path) -> Any:
    """A configuration with the same batch for one process and two; `how` is "accumulate", "bf16", "resume" or ""."""
    experiment = import_module(f"firsthand.{chapter}.lab.pipeline")
    config = experiment.PRESETS["smoke"]
    if chapter in ("convnextv2", "dmjd"):
        config = replace(config, passes=config.batch // processes() // (2 if how == "accumulate" else 1))
        if how == "bf16":
            config = replace(config, precision="bf16")
        return replace(config, out=str(folder / f"run-{processes()}")) if how == "resume" else config
    if chapter == "nerfgaze":
        full = experiment.FullRecipe(steps=4, grid=8, scale=2, samples=4, features=32, pictures=4)
        return replace(experiment.with_data(experiment.PRESETS["paper"], str(folder / "faces")), full=full, out=None)
    return config


def in_double_precision() -> None:
    """In single, what is nothing but rounding becomes a step of its own where Adam divides by its size, and grows."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]


if __name__ == "__main__":
    (chapter, _, how), folder = sys.argv[1].partition(":"), Path(sys.argv[2])
    if chapter in ("dgfont", "ghost"):
        in_double_precision()
    run, config = import_module(f"firsthand.{chapter}.lab.pipeline").run, small(chapter, how, folder)
    if how == "resume":
        run(replace(config, stop=3), device="cpu", progress=False)
    arrays = run(config, device="cpu", progress=False).arrays
    losses = {name: values.tolist() for name, values in arrays.items() if name.startswith("loss")}
    if os.environ.get("RANK", "0") == "0":
        (folder / f"{processes()}.json").write_text(json.dumps(losses))
