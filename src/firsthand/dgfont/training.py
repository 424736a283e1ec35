"""Training from scratch, from a checkpoint, or on from where another run was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from firsthand.data.readers.glyphs import Glyphs
from firsthand.dgfont.batches import Sampler, chance
from firsthand.dgfont.contrastive import teach
from firsthand.dgfont.recipes import Recipe
from firsthand.dgfont.trainer import Model, Trainer

SAVE_EVERY = 500  # steps


def train(
    recipe: Recipe, glyphs: Glyphs, seed: int, *, device: torch.device | str = "cpu", checkpoint: Path | None = None,
    begin: Trainer | None = None, note: Callable[[int, Trainer], None] | None = None, accelerator: Any = None,
) -> Model:  # fmt: skip
    """Train by equation (3), from scratch, from a checkpoint that is there, or on from where another run was.

    Args:
        recipe: how. glyphs: what on, their seen fonts and characters. seed: of weights and batches. device: where.
        checkpoint: written every SAVE_EVERY steps and at the end. begin: whose networks are taken over, see
            `Trainer.adopt`; it is not changed. note: called after every step. accelerator: see `Trainer`.

    Returns:
        the averaged networks, with the losses of every step.
    """
    sampler = Sampler(glyphs, recipe.channels, device)
    trainer = Trainer(
        recipe, fonts=len(sampler.images), size=glyphs.ink.shape[-1], seed=seed, device=device, accelerator=accelerator
    )
    log: dict[str, list[float]] = {}
    if checkpoint is not None and checkpoint.is_file():
        log = trainer.load(checkpoint, seed)
    elif begin is not None:
        trainer.adopt(begin)
    elif recipe.mode != "none":
        teach(trainer, sampler, recipe.ahead, seed)
    first = trainer.done - len(log.get("image", []))  # batches go on where the other run's ended
    for number in range(len(log.get("image", [])), recipe.steps):
        for name, value in trainer.step(number, sampler, chance(seed, first + number)).items():
            log.setdefault(name, []).append(value)
        if note is not None:
            note(number, trainer)
        due = (number + 1) % SAVE_EVERY == 0 or number + 1 == recipe.steps
        if checkpoint is not None and due and (accelerator is None or accelerator.is_main_process):
            trainer.save(checkpoint, seed, log)
    return trainer.model(log, sampler)
