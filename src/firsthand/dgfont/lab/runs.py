"""The evidence's runs: networks that are trained once a seed and shared by all claims, and what they are scored on."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from importlib import resources

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from firsthand.data.readers.glyphs import Glyphs, shipped
from firsthand.dgfont.contrastive import contrast
from firsthand.dgfont.deform import deform_conv2d
from firsthand.dgfont.lab import evaluation
from firsthand.dgfont.lab.evaluation import Score, Task, reader_of
from firsthand.dgfont.recipes import Recipe
from firsthand.dgfont.trainer import Model, Trainer
from firsthand.dgfont.training import train
from firsthand.kit.lab.cached import cached

BOOK = Recipe()
READER = replace(BOOK, steps=80)  # what a reader's own run does
CONTRAST = replace(BOOK, steps=150, warmup=0)
STAGES = (0, 40, 80, 150)  # steps of an encoder's training after which a reader looks how well it finds fonts
#: What is changed, one thing at a time; all else is as in BOOK, but for the judges' weight, see `chosen`.
VARIANTS: dict[str, dict[str, object]] = {
    "full": {},
    "none": {"fdsc": "none"},
    "plain": {"fdsc": "plain"},
    "released": {"zero_offsets": False},  # moves begin as released, at about half a pixel
    "lower": {"levels": (2,)},
    "attention": {"fdsc": "attn"},
    "copies": {"image": 0.0},
    "contents": {"content": 0.0},
    "single": {"head": "single"},
    "self": {"mode": "self"},
    "late": {"mode": "self", "ahead": 0},  # beside "mute", which has no contrast ahead of the other losses either
    "mute": {"mode": "none", "ahead": 0},
    "lean": {},  # on a set with slanted fonts
}
#: Changed in "full" at step FORK, and trained on for BRANCH steps, as "on" is without a change.
BRANCHES: dict[str, dict[str, object]] = {
    "on": {},
    "free": {"offset": 0.0},
    "half": {"offset": 0.5},
    "stiff": {"offset": 5.0},
}
FORK = BOOK.steps * 2 // 3
BRANCH = BOOK.steps - FORK
SHEAR = 0.25  # pixels to the right for every pixel up
LEANING = (1, 2, 8, 10, 24, 26)  # fonts that "lean" also sees slanted either way; the content font is not among them
DRAWS = 5  # of references
READ, STYLE = 80.0, 3.0  # the floors: per cent read, and times chance at which fonts are told
AGAIN = 1  # times that a training which misses a floor begins anew from other weights, whichever variant it is


def chosen() -> dict[str, float]:
    """The judges' weights that `tuning` chose; variants that it did not look at have that of "full"."""
    file = resources.files("firsthand.evidence").joinpath("dgfont_tuning.json")
    return json.loads(file.read_text(encoding="utf-8"))["chosen"] if file.is_file() else {}


def recipe_of(variant: str) -> Recipe:
    """How a variant or branch is trained."""
    weights = chosen()
    weight = weights.get(variant, weights.get("full", BOOK.adversarial))
    if variant in BRANCHES:
        return replace(BOOK, steps=BRANCH, warmup=0, adversarial=weight, **BRANCHES[variant])  # type: ignore[arg-type]
    return replace(BOOK, adversarial=weight, **VARIANTS[variant])  # type: ignore[arg-type]


def legible(model: Model, seed: int) -> bool:
    """Whether what a model writes passes both floors, on a third of the characters that it was trained on."""
    glyphs = shipped()
    known, trained = glyphs.seen
    task = Task.chosen(glyphs, list(range(1, known.stop)), list(range(0, trained.stop, 3)), True)
    made = evaluation.generate(model, glyphs, task, seed=seed)
    found = evaluation.score(made, task.true(glyphs), reader_of(seed), task)
    return 100 * found.character >= READ and found.font >= STYLE * task.chance(known.stop)


@cached
def _begun(seed: int, variant: str) -> tuple[Model, int, dict[int, Trainer]]:
    """A variant from scratch, how often it began anew, and of "full" the trainer at FORK and at the end."""
    glyphs = leaning() if variant == "lean" else shipped()
    kept: dict[int, Trainer] = {}

    def note(number: int, trainer: Trainer) -> None:
        if variant == "full" and number + 1 in (FORK, BOOK.steps):
            kept[number + 1] = copy.deepcopy(trainer)

    for attempt in range(AGAIN + 1):
        model = train(recipe_of(variant), glyphs, seed + 1000 * attempt, note=note)
        if legible(model, seed):
            break
    return model, attempt, kept


def again(seed: int) -> list[float]:
    """How often each of VARIANTS began anew."""
    return [float(_begun(seed, variant)[1]) for variant in VARIANTS]


@cached
def model_of(seed: int, variant: str) -> Model:
    """A variant or a branch, trained on the shipped set."""
    if variant in BRANCHES:
        return train(recipe_of(variant), shipped(), seed, begin=_begun(seed, "full")[2][FORK])
    return _begun(seed, variant)[0]


@cached
def read_along(seed: int) -> list[float]:
    """The loss of rebuilding along a reader's own run, by step."""
    return train(READER, shipped(), seed).log["image"]


@cached
def judged(seed: int) -> float:
    """How well the judges know their fonts: area under the curve of a font's own judge for real kept glyphs of it
    against those of other families, mean over fonts."""
    glyphs, judges = shipped(), _begun(seed, "full")[2][BOOK.steps].judges
    task = Task.chosen(glyphs, fonts_of(True), task_of(True).characters, True)
    with torch.no_grad():
        logits = judges.raw(task.true(glyphs)).mean((2, 3)).numpy()
    found = []
    for font in fonts_of(True):
        rows = (task.of_font == font) | (task.family[task.of_font] != task.family[font])
        found.append(roc_auc_score((task.of_font[rows] == font).numpy(), logits[rows.numpy(), font]))
    return float(np.mean(found))


@cached
def likeness(seed: int, variant: str) -> float:
    """Spearman's correlation, over pairs of fonts, of how far style codes and kept glyphs' pixels are apart."""
    glyphs, encoder = shipped(), model_of(seed, variant).encoder
    images = glyphs.images(fonts_of(True) + fonts_of(False), task_of(True).characters)
    with torch.no_grad():
        codes = torch.stack([encoder(of_font).mean(0) for of_font in images])
    codes = torch.nn.functional.normalize(codes - codes.mean(0))
    rows, columns = np.triu_indices(len(codes), 1)
    by_code = torch.cdist(codes, codes)[rows, columns]
    flat = images.flatten(1)
    by_pixel = torch.cdist(flat, flat, p=1)[rows, columns]
    return float(spearmanr(by_code, by_pixel).statistic)


@cached
def encoder_of(seed: int, mode: str) -> nn.Module:
    """A style encoder trained by the contrastive loss alone, in one of its modes; "start": not trained."""
    if mode == "start":
        return contrast(replace(CONTRAST, steps=0), shipped(), seed)
    return contrast(replace(CONTRAST, mode=mode), shipped(), seed)


def encoder_along(mode: str, seed: int) -> list[float]:
    """How often an encoder that contrast alone trains finds a glyph's font, per cent, at every of STAGES."""
    known, found = fonts_of(True), []
    for steps in STAGES:
        encoder = contrast(replace(CONTRAST, steps=steps, mode=mode), shipped(), seed)
        found.append(100 * evaluation.retrieval(encoder, shipped(), known, known))
    return found


def made(seed: int, how: str, task: Task, *, count: int = evaluation.REFERENCES, draw: int | None = None) -> Tensor:
    """A task's glyphs by a variant, or by "copy", "mean", "near" or "nearest"; `draw` chooses other references."""
    glyphs, drawn = shipped(), seed if draw is None else 1000 * (seed + 1) + draw
    if how == "copy":
        return evaluation.copied(glyphs, task)
    if how == "mean":
        return evaluation.averaged(glyphs, task)
    if how == "near":
        return evaluation.near(glyphs, task, seed=drawn)
    if how == "nearest":
        return evaluation.nearest(model_of(seed, "full"), glyphs, task, seed=drawn)
    return evaluation.generate(model_of(seed, how), glyphs, task, count=count, seed=drawn)


@cached
def task_of(seen: bool) -> Task:
    """Kept characters of the shipped set, in fonts that were trained on or not."""
    return Task.of(shipped(), seen=seen)


@cached
def score_of(seed: int, how: str, seen: bool) -> Score:
    """Scores of a variant, a branch, a baseline or ("true") the true glyphs, on kept characters."""
    task = task_of(seen)
    true = task.true(shipped())
    images = true if how == "true" else made(seed, how, task)
    return evaluation.score(images, true, reader_of(seed), task)


@cached
def by_references(seed: int, count: int) -> float:
    """L1 in unseen fonts from so many references, mean over DRAWS draws of them."""
    task = task_of(False)
    true = task.true(shipped())
    found = [evaluation.errors(made(seed, "full", task, count=count, draw=draw), true)["l1"] for draw in range(DRAWS)]
    return float(np.mean(found))


def fonts_of(seen: bool) -> list[int]:
    """Fonts that were trained on, or those that were not and have no twin among them."""
    return list(range(shipped().seen[0].stop)) if seen else task_of(False).fonts


@cached
def retrieval_of(seed: int, how: str, seen: bool) -> float:
    """Font retrieval, per cent, by the codes of a trained variant or of contrast alone, see `encoder_of`.

    Fonts that were not trained on are looked for among all.

    Args:
        seed: of the encoder. how: "whole/VARIANT", "alone/MODE", or "pixels". seen: which fonts' glyphs look.
    """
    glyphs = shipped()
    kind, _, name = how.partition("/")
    among = fonts_of(True) if seen else fonts_of(True) + fonts_of(False)
    encoder = {"whole": lambda: model_of(seed, name).encoder, "alone": lambda: encoder_of(seed, name)}
    code = None if kind == "pixels" else encoder[kind]()
    return 100 * evaluation.retrieval(code, glyphs, fonts_of(seen), among)


@cached
def mean_move(seed: int, variant: str) -> float:
    """Mean length of a variant's moves on kept characters in fonts that were trained on, in pixels of the picture and
    per axis, mean over both connections."""
    glyphs, model = shipped(), model_of(seed, variant)
    content, found = glyphs.images([0], task_of(True).characters)[0], []
    with torch.no_grad():
        for font in task_of(True).fonts[::3]:
            code = model.code(evaluation.references(glyphs, font))
            _, moves = model.generator(content, code.expand(len(content), -1))
            sizes = [content.shape[-1] / move.shape[-1] for move in moves]  # a pixel of a half-size map is two
            found.append(
                torch.stack([size * move.abs().mean() for size, move in zip(sizes, moves, strict=True)]).mean()
            )
    return float(torch.stack(found).mean())


# --------------------------------------------------------------------------------------------- slanted glyphs


def slanted(images: Tensor, shear: float) -> Tensor:
    """Glyphs (N, 1, H, W) with their tops pushed right by `shear` pixels for every pixel above the middle."""
    size = images.shape[-1]
    rows = torch.arange(size) - (size - 1) / 2
    offset = torch.zeros(len(images), 2, size, size)
    offset[:, 1] = shear * rows[:, None]  # a row above the middle reads further left
    return 1 - deform_conv2d(1 - images, offset, torch.ones(1, 1, 1, 1))


@cached
def leaning() -> Glyphs:
    """The shipped set, and after the fonts to train on six of them again, slanted to the right and to the left."""
    glyphs = shipped()
    known, added, names = glyphs.seen[0].stop, [], []
    for font in LEANING:
        images = glyphs.images([font], slice(None))[0]
        for shear in (SHEAR, -SHEAR):
            added.append(((1 - slanted(images, shear)[:, 0]) * 127.5).round().to(torch.uint8).numpy())
            names.append(f"{glyphs.fonts[font]}, slanted by {shear:+g}")
    ink = np.concatenate([glyphs.ink[:known], np.stack(added), glyphs.ink[known:]])
    fonts = [*glyphs.fonts[:known], *names, *glyphs.fonts[known:]]
    return replace(glyphs, ink=ink, present=np.ones(ink.shape[:2], bool), fonts=fonts)


@torch.no_grad()
def _moves(model: Model, maps: tuple[Tensor, Tensor, Tensor], shown: Tensor) -> list[Tensor]:
    """Horizontal moves (N, h, w) in the style of some glyphs, level 1 first; means over taps by their factors."""
    code = model.code(shown)
    seen = model.generator.mix(maps, code.expand(len(maps[0]), -1))[1]
    return [(seen[level][0][:, 1::2] * seen[level][1]).sum(1) / seen[level][1].sum(1) for level in sorted(seen)]


@cached
def slope(seed: int, shown: float | int) -> tuple[float, float]:
    """(slope, correlation) of horizontal moves on rows, over ink, mean over both connections.

    Moves in the style of the content font slanted by a shear (a float, which nobody trained on: the content font is not
    in LEANING), minus those in its upright style. A shear t asks for a slope of t. An int shows that font instead.
    """
    glyphs, model = shipped(), model_of(seed, "lean")
    content = glyphs.images([0], task_of(True).characters)[0]
    upright = evaluation.references(glyphs, 0)
    asked = slanted(upright, shown) if isinstance(shown, float) else evaluation.references(glyphs, shown)
    with torch.no_grad():
        maps = model.generator.encode(content)
    ink, slopes, correlations = (content < 0).float(), [], []
    for one, other in zip(_moves(model, maps, asked), _moves(model, maps, upright), strict=True):
        size = one.shape[-1]
        here = torch.nn.functional.adaptive_avg_pool2d(ink, size)[:, 0] > 0.5
        rows = torch.arange(size).float()[:, None].expand(one.shape)
        x, y = rows[here] - rows[here].mean(), (one - other)[here]
        across = float((x * (y - y.mean())).sum())
        slopes.append(across / float((x * x).sum()))
        spread = float((x * x).sum() * (y - y.mean()).square().sum()) ** 0.5
        correlations.append(across / max(spread, 1e-12))
    return float(np.mean(slopes)), float(np.mean(correlations))
