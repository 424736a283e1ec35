"""The chapter's pipeline: step search and its baselines on the test problems under chosen noise.

`run` is what the notebook, the command line and the tests call.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from firsthand.errors import UserError
from firsthand.kit.lab.results import Result
from firsthand.kit.train.device import LARGEST_SEED, resolve_device, seed_refused
from firsthand.stepsqp.lab.config import METHODS, PRESETS, Config
from firsthand.stepsqp.oracles import NoisyOracle
from firsthand.stepsqp.problems import PROBLEMS

__all__ = ["PRESETS", "Config", "run", "with_data"]


@dataclass(frozen=True)
class Task:
    """One method on one problem, all levels and runs in one batch: the unit that workers share."""

    problem: str
    method: str
    noise: tuple[float, ...]
    runs: int
    iterations: int
    seed: int


def tasks(config: Config, seed: int) -> list[Task]:
    """The tasks of a configuration, independent of one another."""
    return [
        Task(problem, method, config.noise, config.runs, config.iterations, seed)
        for problem in config.problems
        for method in config.methods
    ]


def run_task(task: Task, device: str = "cpu") -> tuple[np.ndarray, np.ndarray]:
    """(best KKT, tail KKT), each (levels, runs)."""
    seeds = [1000 * task.seed + i for i in range(task.runs)] * len(task.noise)
    level = np.repeat(task.noise, task.runs)
    trace = METHODS[task.method](
        PROBLEMS[task.problem], NoisyOracle(level, level), seeds=seeds, iterations=task.iterations, device=device
    )
    shape = (len(task.noise), task.runs)
    best = trace.kkt.nan_to_num(np.inf).amin(1).cpu().numpy()
    return best.reshape(shape), trace.tail_kkt().reshape(shape)


def run(config: Config, *, seed: int = 0, device: str = "auto", progress: bool = True, workers: int = 1) -> Result:
    """Run every task; metrics are medians over runs.

    Args:
        config: one of PRESETS, or a changed copy.
        seed: runs take the seeds 1000 seed, 1000 seed + 1, …
        device: where the batches run, in float64.
        progress: show a progress bar.
        workers: joblib processes; under `joblib.parallel_config(backend="dask")` a cluster.

    Returns:
        Result with metrics "<problem>/<method>/<noise>/best" and "…/tail" (KKT errors).

    Raises:
        UserError: a seed out of range, or data that are missing or do not fit.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(seed_refused(seed))
    import joblib
    from tqdm import tqdm

    where = resolve_device(device)
    if where.type == "mps":  # Metal has no float64
        where = resolve_device("cpu")
    begin = time.perf_counter()
    plan = tasks(config, seed)
    jobs = (joblib.delayed(run_task)(task, str(where)) for task in plan)
    found = joblib.Parallel(n_jobs=workers, return_as="generator")(jobs)
    metrics: dict[str, float] = {}
    for task, (best, tail) in zip(plan, tqdm(found, total=len(plan), disable=not progress, unit="task"), strict=True):
        for i, noise in enumerate(task.noise):
            metrics[f"{task.problem}/{task.method}/{noise:g}/best"] = float(np.median(best[i]))
            metrics[f"{task.problem}/{task.method}/{noise:g}/tail"] = float(np.median(tail[i]))
    return Result("stepsqp", config.preset, seed, metrics, {}, time.perf_counter() - begin)


def with_data(config: Config, path: str) -> Config:
    """This chapter reads no data from disk.

    Raises:
        UserError: always.
    """
    raise UserError(f"stepsqp takes no --data (got {path}): give your own problem to Problem.from_callables in Python.")
