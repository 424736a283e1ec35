"""Styles by themselves: the style encoder taught by the contrastive loss alone."""

from __future__ import annotations

import torch

from firsthand.data.readers.glyphs import Glyphs
from firsthand.dgfont import losses
from firsthand.dgfont.batches import Sampler, chance, normed, turned
from firsthand.dgfont.networks import StyleEncoder
from firsthand.dgfont.recipes import Recipe
from firsthand.dgfont.trainer import Trainer

TIMES = 4  # glyphs of a step, beside those of a step of the whole model
APART = 500_000  # so that these batches are not those of the steps that follow


def teach(trainer: Trainer, sampler: Sampler, steps: int, seed: int) -> None:
    """Train a trainer's style encoder, its average and its queue by the contrastive loss, for `steps` steps."""
    recipe = trainer.recipe
    optimizer = torch.optim.Adam(trainer.encoder.parameters(), recipe.lr)
    for number in range(steps):
        generator = chance(seed, APART + number)
        x, fonts = sampler(TIMES * recipe.batch, generator)
        other = turned(x, generator) if recipe.mode == "self" else sampler.partners(fonts, generator)
        with torch.no_grad():
            keys = trainer.averages[1](other)
        if not trainer.queue.filled:
            trainer.queue.push(keys, fonts)
        loss = losses.style_loss(trainer.encoder(x), keys, fonts, trainer.queue, mode=recipe.mode)
        trainer.queue.push(keys, fonts)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        trainer.average(1)


def contrast(recipe: Recipe, glyphs: Glyphs, seed: int) -> StyleEncoder:
    """A style encoder trained by the contrastive loss alone, for as many steps as the recipe has.

    Args:
        recipe: whose mode, rate and sizes are used. glyphs: what on, their seen fonts and characters. seed: of weights
            and batches.
    """
    sampler = Sampler(glyphs)
    trainer = Trainer(recipe, fonts=len(sampler.images), size=glyphs.ink.shape[-1], seed=seed)
    teach(trainer, sampler, recipe.steps, seed)
    return normed(trainer.averages[1], sampler).requires_grad_(False)
