"""The chapter's pipeline: HCVI-R and its peers choose the number of clusters on the same data.

`run` is what the notebook, the command line and the tests call.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from firsthand.data.drawn.shapes import NOISE_SEED, SHAPES, add_noise
from firsthand.data.readers.tables import read_battery, read_csv, real_table
from firsthand.errors import UserError
from firsthand.hcvi.balls import Balls, make_balls
from firsthand.hcvi.index import choose_from_balls
from firsthand.hcvi.lab.baselines import (
    CLASSIC,
    Pick,
    ball_cuts,
    best,
    hcvi_pick,
    hdbscan_pick,
    index_functions,
    points_pick,
    proposals,
    scaled,
)
from firsthand.hcvi.lab.config import PRESETS, Config
from firsthand.kit.lab.results import Result
from firsthand.kit.train.device import LARGEST_SEED, resolve_device, seed_refused

__all__ = ["PRESETS", "Config", "run", "with_data"]


def run(config: Config, *, seed: int = 0, device: str = "auto", progress: bool = True) -> Result:
    """Let every method choose k on every data set.

    Args:
        config: one of PRESETS, or a changed copy.
        seed: draws the shapes, their noise and k-means' starts.
        device: where balls are made; the peers run on the CPU.
        progress: show a progress bar.

    Returns:
        Result with metrics "<data>/<method>/k", "<data>/<method>/ari" (where labels are known) and
        "<data>/balls", and arrays "<data>/scores" (k - 1, 2): k and HCVI-R.

    Raises:
        UserError: a seed out of range; data that are missing or damaged.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(seed_refused(seed))
    from tqdm import tqdm

    torch_device = resolve_device(device)
    begin = time.perf_counter()
    metrics: dict[str, float] = {}
    arrays: dict[str, np.ndarray] = {}
    sets = _data(config, seed)
    for name, (raw, y) in tqdm(sets.items(), disable=not progress, unit="set"):
        X = scaled(raw)
        balls = _to_numpy(make_balls(_on(X, torch_device)))
        metrics[f"{name}/balls"] = float(len(balls))
        if len(balls) >= 4:
            arrays[f"{name}/scores"] = np.array(list(choose_from_balls(balls).scores.items()))
        for method, pick in choices(X, balls, config, seed).items():
            metrics[f"{name}/{method}/k"] = pick.k
            if y is not None:
                metrics[f"{name}/{method}/ari"] = pick.ari(y)
    return Result("hcvi", config.preset, seed, metrics, arrays, time.perf_counter() - begin)


def choices(X: np.ndarray, balls: Balls, config: Config, seed: int) -> dict[str, Pick]:
    """What each method chooses on scaled data X (n, d) with these balls."""
    found = {"HCVI-R": hcvi_pick(X, balls), "HCVI-R, filter": hcvi_pick(X, density=0.25)}
    if not config.k_max < len(X) <= config.max_points:
        return found
    found["no balls"] = points_pick(X)
    found["HDBSCAN"] = hdbscan_pick(X)
    k_values = range(2, config.k_max + 1)
    partitions = proposals(X, k_values, seed) | ball_cuts(X, balls, k_values)
    names = (*CLASSIC, "dbcv") if config.dbcv else CLASSIC
    return found | {name: best(partitions, index) for name, index in index_functions(X, names).items()}


def _on(X: np.ndarray, device):  # a CPU run stays in NumPy, so that results come back as NumPy
    import torch

    return (
        X if device.type == "cpu" else torch.from_numpy(X).to(device, torch.float32 if device.type == "mps" else None)
    )


def _to_numpy(balls: Balls) -> Balls:
    return Balls(*(v.cpu().numpy() if hasattr(v, "cpu") else v for v in vars(balls).values()))


def _data(config: Config, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """{name: (X, y or None)} of everything the config names."""
    if config.data is not None:
        path = Path(config.data)
        if path.is_dir():
            return dict(read_battery(path))
        return {path.stem: read_csv(path)}
    if config.needs_data:
        raise UserError(
            "The paper preset of hcvi reads data from disk: clone https://github.com/gagolews/clustering-data-v1 "
            "and pass its path with --data."
        )
    sets: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
    for name in config.shapes:
        X, y = SHAPES[name](seed)
        sets[name] = (add_noise(X, config.noise, NOISE_SEED + seed) if config.noise else X), y
    return sets | {name: real_table(name) for name in config.tables}


def with_data(config: Config, path: str) -> Config:
    """The same settings on the reader's own data."""
    return replace(config, data=path)
