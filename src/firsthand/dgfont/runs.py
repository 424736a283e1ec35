"""The evidence's runs: networks that are trained once a seed and shared by all claims, and what they are scored on."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from firsthand.data.glyphs import shipped
from firsthand.dgfont import evaluation
from firsthand.dgfont.deform import deform_conv2d
from firsthand.dgfont.evaluation import Score, Task, reader_of
from firsthand.dgfont.training import Model, Recipe, contrast, train
from firsthand.kit.shared import shared

BOOK = Recipe(steps=240, warmup=40)
CONTRAST = replace(BOOK, steps=150)
#: What is changed, one thing at a time; all else is as in BOOK.
VARIANTS: dict[str, dict[str, object]] = {
    "full": {},
    "none": {"fdsc": "none"},
    "plain": {"fdsc": "plain"},
    "lower": {"levels": (2,)},
    "attention": {"fdsc": "attn"},
    "free": {"offset": 0.0},
    "stiff": {"offset": 5.0},
    "single": {"head": "single"},
    "mute": {"mode": "none"},
}
SHEAR = 0.25  # pixels to the right for every pixel up


@shared
def model_of(seed: int, variant: str) -> Model:
    """A variant, trained on the shipped set."""
    return train(replace(BOOK, **VARIANTS[variant]), shipped(), seed)  # type: ignore[arg-type]


@shared
def encoder_of(seed: int, mode: str) -> nn.Module:
    """A style encoder trained by the contrastive loss alone, in one of its modes."""
    return contrast(replace(CONTRAST, mode=mode), shipped(), seed)


def made(seed: int, how: str, task: Task, *, count: int = evaluation.REFERENCES) -> Tensor:
    """A task's glyphs by a variant, or by "copy", "mean", "near" or "nearest"."""
    glyphs = shipped()
    if how == "copy":
        return evaluation.copied(glyphs, task)
    if how == "mean":
        return evaluation.averaged(glyphs, task)
    if how == "near":
        return evaluation.near(glyphs, task, seed=seed)
    if how == "nearest":
        return evaluation.nearest(model_of(seed, "full"), glyphs, task, seed=seed)
    return evaluation.generate(model_of(seed, how), glyphs, task, count=count, seed=seed)


@shared
def score_of(seed: int, how: str, seen: bool, count: int = evaluation.REFERENCES) -> Score:
    """Scores of a variant or baseline on kept characters, in fonts that were trained on or not."""
    task = Task.of(shipped(), seen=seen)
    return evaluation.score(made(seed, how, task, count=count), task.true(shipped()), reader_of(seed), *task.labels())


@shared
def ceiling(seed: int) -> Score:
    """Scores of the true glyphs: what the reader makes of them."""
    task = Task.of(shipped(), seen=True)
    true = task.true(shipped())
    return evaluation.score(true, true, reader_of(seed), *task.labels())


@shared
def retrieval_of(seed: int, how: str, seen: bool) -> float:
    """Font retrieval, per cent, by the codes of a trained variant or ("self", "font", "masked") of contrast alone."""
    glyphs = shipped()
    known, trained = glyphs.seen
    fonts = list(range(known.stop)) if seen else list(range(known.stop, len(glyphs.fonts)))
    encoder = model_of(seed, how).encoder if how in VARIANTS else encoder_of(seed, how)
    return 100 * evaluation.retrieval(encoder, glyphs, fonts, list(range(trained.stop, len(glyphs.characters))))


@shared
def mean_move(seed: int, variant: str) -> float:
    """Mean length, in pixels and per axis, of a variant's moves on kept characters in fonts that were trained on."""
    glyphs, model = shipped(), model_of(seed, variant)
    task = Task.of(glyphs, seen=True)
    content = glyphs.images([0], task.characters)[0]
    found = []
    with torch.no_grad():
        for font in task.fonts[::3]:
            code = model.code(evaluation.references(glyphs, font))
            _, moves = model.generator(content, code.expand(len(content), -1))
            found.append(torch.stack([move.abs().mean() for move in moves]).mean())
    return float(torch.stack(found).mean())


# --------------------------------------------------------------------------------------------- slanted glyphs


def slanted(images: Tensor, shear: float) -> Tensor:
    """Glyphs (N, 1, H, W) with their tops pushed right by `shear` pixels for every pixel above the middle."""
    size = images.shape[-1]
    rows = torch.arange(size) - (size - 1) / 2
    offset = torch.zeros(len(images), 2, size, size)
    offset[:, 1] = shear * rows[:, None]  # a row above the middle reads further left
    return 1 - deform_conv2d(1 - images, offset, torch.ones(1, 1, 1, 1))


@shared
def slope(seed: int, shear: float) -> tuple[float, float]:
    """(slope, correlation) of horizontal moves on rows, over ink: style of slanted glyphs minus that of upright ones.

    Moves of the connection at full resolution are averaged over taps, weighted by their factors. A shear t asks for a
    slope of t.
    """
    glyphs, model = shipped(), model_of(seed, "full")
    task = Task.of(glyphs, seen=True)
    content = glyphs.images([0], task.characters)[0]
    upright = evaluation.references(glyphs, 0)
    moves = []
    with torch.no_grad():
        maps = model.generator.encode(content)
        for shown in (slanted(upright, shear), upright):
            code = model.code(shown).expand(len(content), -1)
            offset, mask = model.generator.mix(maps, code)[1][1]
            moves.append((offset[:, 1::2] * mask).sum(1) / mask.sum(1))
    ink = content[:, 0] < 0
    rows = torch.arange(content.shape[-2]).float()[:, None].expand(content.shape[-2:]).expand(len(content), -1, -1)
    x, y = rows[ink] - rows[ink].mean(), (moves[0] - moves[1])[ink]
    y = y - y.mean()
    across = float((x * y).sum())
    return across / float((x * x).sum()), across / max(float((x * x).sum() * (y * y).sum()) ** 0.5, 1e-12)
