"""Runs at a paper's own scale: how a large batch is made of small ones, and where a run keeps its state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firsthand.errors import UserError


def accumulation(batch: int, passes: int, processes: int) -> int:
    """Backward passes a step and process that make up a batch.

    Args:
        batch: images a step over everything.
        passes: images of one backward pass.
        processes: that share the work.

    Raises:
        UserError: they do not add up.
    """
    one = passes * processes
    if batch % one:
        raise UserError(f"A batch of {batch} is no multiple of {passes} images x {processes} processes.")
    return batch // one


def in_steps(epochs: float, examples: int, batch: int) -> int:
    """Epochs in steps; the remainder of an epoch is left out.

    Raises:
        UserError: fewer examples than a batch.
    """
    if batch > examples:
        raise UserError(f"A batch of {batch} needs at least as many examples; there are {examples}.")
    return int(epochs * (examples // batch))


def loop_options(
    accelerator: Any, *, batch: int, passes: int, out: str | None, stop: int | None, progress: bool, name: str
) -> dict[str, Any]:
    """Arguments of `kit.training.train` for a run of a configuration.

    Args:
        accelerator: from `accelerator_for`.
        batch, passes: as `accumulation`.
        out: folder of checkpoints, or None.
        stop: leave after so many steps.
        progress: show a bar.
        name: of the checkpoint.
    """
    return {
        "accelerator": accelerator,
        "accumulate": accumulation(batch, passes, accelerator.num_processes),
        "checkpoint": Path(out) / f"{name}.safetensors" if out else None,
        "stop": stop,
        "progress": progress,
    }
