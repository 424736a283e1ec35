"""Measuring tasks on this machine's processes or on a Dask cluster; what is finished is kept, what is left is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
from filelock import FileLock, Timeout
from tqdm import tqdm

from firsthand.errors import UserError

WAIT = 60  # seconds for a first worker of a cluster


@dataclass(frozen=True)
class Task:
    """A seed of a chapter, whose claims share what is costly.

    Attributes:
        key, seed: which.
        names: claims and curves to measure.
        folder: where finished cells are kept; workers on other machines need the same folder to keep theirs too.
        known: cells that are finished already.
        cost: seconds that it will take, as far as is known.
    """

    key: str
    seed: int
    names: list[str]
    folder: str
    known: dict[str, Any]
    cost: float


Measure = Callable[[Task], dict[str, Any]]


@contextmanager
def alone(folder: Path, sentence: str) -> Iterator[None]:
    """Hold a folder's lock; the system lets go of it when the process ends, however it ends.

    A folder that is made for it and in which nothing was written, as by a run that is refused, goes again.

    Raises:
        UserError: with the sentence, where another process holds it.
    """
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise UserError(sentence) from None
    finally:
        if new and [file.name for file in folder.iterdir()] in ([], [".lock"]):
            (folder / ".lock").unlink(missing_ok=True)
            folder.rmdir()


def run(
    tasks: list[Task], measure: Measure, *, workers: int = 1, scheduler: str | None = None, progress: bool = True
) -> Iterator[dict[str, Any]]:
    """Cells of each task, in the order of tasks.

    Args:
        tasks: what to measure. measure: how, a function of a module. workers: processes on this machine.
        scheduler: address of a Dask scheduler whose workers do it instead; tasks of a worker that dies go to another.
        progress: show a bar, in seconds of one process, with an estimate of what remains.

    Raises:
        UserError: no scheduler answers there, or it has no workers.
    """
    bar = tqdm(total=round(sum(task.cost for task in tasks)), unit=" s", disable=not progress)
    with bar:
        for task, cells in zip(tasks, _cells(tasks, measure, workers, scheduler), strict=True):
            bar.set_postfix_str(f"{task.key}, seed {task.seed} done")
            bar.update(round(task.cost))
            yield cells


def _cells(tasks: list[Task], measure: Measure, workers: int, scheduler: str | None) -> Iterator[dict[str, Any]]:
    jobs = [joblib.delayed(measure)(task) for task in tasks]
    if scheduler is None:
        yield from joblib.Parallel(n_jobs=workers, return_as="generator")(jobs)
        return
    from distributed import Client  # only a cluster needs it

    try:
        client = Client(scheduler, timeout=WAIT)
    except (OSError, ValueError) as error:
        raise UserError(f"No Dask scheduler answers at {scheduler} ({type(error).__name__}).") from None
    with client, joblib.parallel_config(backend="dask"):
        try:
            client.wait_for_workers(1, timeout=WAIT)
        except TimeoutError:
            raise UserError(f"The scheduler at {scheduler} has no workers.") from None
        yield from joblib.Parallel(return_as="generator")(jobs)
