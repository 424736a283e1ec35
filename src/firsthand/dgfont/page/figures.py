"""Drawing for the chapter: sheets of glyphs, where the strokes went, styles between styles, and a map of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.transforms import v2

from firsthand.data.readers.glyphs import render_font, shipped
from firsthand.dgfont.lab import assets, evaluation
from firsthand.dgfont.page.typewriter import Typewriter, typewriter
from firsthand.kit.lab import evidence
from firsthand.kit.page.style import FAINT, INK, PALETTE, bare

HERO = "守父玉右立良犬光"  # kept characters, which no network here was trained on
FONTS = {  # styles that the figures offer, by their number in the set; those from 30 on are unseen
    "brush": 13, "bold": 18, "marker": 20, "comic": 21, "Ming": 2, "unseen brush": 30, "unseen black": 32,
    "unseen thin": 33, "unseen oblique": 34,
}  # fmt: skip
PAIRS = {"thin to black": (33, 32), "Ming to comic": (2, 21), "brush to oblique": (13, 34)}
ASKED = "父"  # the character in which moves are shown; kept as well
MOVED = ("brush", "Ming", "bold", "unseen black", "unseen thin", "unseen oblique")  # of the offset explorer
SPREAD = (0.0, 1.0, 4.0)  # by which moves are multiplied
BETWEEN = (0.0, 0.25, 0.5, 0.75, 1.0)
REFERENCES = (1, 4, 16)


def content_of(text: str) -> Tensor:
    """Glyphs (N, 1, s, s) of characters of the set in the content font."""
    return shipped().images([0], [shipped().characters.index(c) for c in text])[0]


def written(text: str, font: int, count: int = evaluation.REFERENCES) -> Tensor:
    """Characters of the set by the shipped model in a font's style, (N, 1, s, s)."""
    return assets.shipped_model().paint(content_of(text), assets.code_of(font, count))


def write(text: str, font: int, source: Path) -> Tensor:
    """Any characters in a style, their content from a font on your machine: live only.

    Args:
        text: what to write. font: whose style, of the shipped set.
        source: a .ttf, .otf or .ttc that has the characters.
    """
    ink, _ = render_font(source, text)
    content = (1 - torch.from_numpy(ink).float() / 127.5).unsqueeze(1)
    return assets.shipped_model().paint(content, assets.code_of(font))


def restyled(content: Tensor, font: int) -> Tensor:
    """Contents (N, 1, s, s) by the shipped model in a font's style."""
    return assets.shipped_model().paint(content, assets.code_of(font))


def turned_by(images: Tensor, degrees: float) -> Tensor:
    """Glyphs (N, 1, s, s) turned counter-clockwise; paper stays white."""
    return 1 - v2.functional.rotate(1 - images, degrees, v2.InterpolationMode.BILINEAR)


def _row(glyphs: Tensor) -> np.ndarray:
    """Glyphs (N, 1, s, s) side by side, (s, N s) in [0, 1]."""
    return np.hstack([(g[0].clamp(-1, 1).numpy() + 1) / 2 for g in glyphs])


def _show(ax: plt.Axes, image: np.ndarray, label: str = "") -> None:
    ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
    bare(ax)
    ax.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=10)


def draw_hero(fonts: tuple[int, ...] = (32, 33, 21, 18, 13)) -> Figure:
    """The content, and below it what the model writes in five styles, each beside a glyph of that font."""
    fig, axes = plt.subplots(len(fonts) + 1, 2, figsize=(10.4, 6.4), gridspec_kw={"width_ratios": (1, len(HERO))})
    _show(axes[0, 0], np.ones((32, 32)))
    _show(axes[0, 1], _row(content_of(HERO)), "")
    axes[0, 0].set_title("style", loc="center")
    axes[0, 1].set_title("content")
    for line, font in zip(axes[1:], fonts, strict=True):
        _show(line[0], _row(evaluation.references(shipped(), font, 1)))
        _show(line[1], _row(written(HERO, font)))
    return fig


def draw_sheet(made: np.ndarray, true: np.ndarray, count: int = 10) -> Figure:
    """What a run made of kept characters in unseen fonts, above the true glyphs.

    Args:
        made, true: uint8 (fonts, characters, size, size). count: characters shown.
    """
    rows = []
    for a, b in zip(made, true, strict=True):
        rows += [np.hstack(list(a[:count])), np.hstack(list(b[:count])), np.full((4, count * a.shape[-1]), 255)]
    fig, ax = plt.subplots(figsize=(6.4, 6.4 * len(rows) / 3 * 68 / (count * made.shape[-1])))
    ax.imshow(np.vstack(rows) / 255, cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
    bare(ax)
    return fig


def draw_kinds(characters: str = HERO[:5]) -> Figure:
    """The baselines beside the model and the truth, in one unseen font."""
    glyphs, font = shipped(), 32
    numbers = [glyphs.characters.index(c) for c in characters]
    task = evaluation.Task.chosen(glyphs, [font], numbers, False)
    rows = {
        "a copy": evaluation.copied(glyphs, task), "the mean glyph": evaluation.averaged(glyphs, task),
        "the nearest font": evaluation.near(glyphs, task), "the model": written(characters, font),
        "the truth": task.true(glyphs),
    }  # fmt: skip
    fig, axes = plt.subplots(len(rows), 1, figsize=(5.6, 6.2))
    for ax, (name, images) in zip(axes, rows.items(), strict=True):
        _show(ax, _row(images), name)
    return fig


# ---------------------------------------------------------------------------------------------- moving


@torch.no_grad()
def moves(character: str, font: int, by: float = 1.0) -> tuple[Tensor, Tensor]:
    """Where the connection at full resolution reads when what both connections' moves come out of is multiplied.

    At full resolution the painter has already seen what half resolution moved, so its moves are not just multiplied.

    Returns:
        moves (s, s, 2) in pixels down and right, means over taps weighted by their factors, and the picture (s, s).
    """
    model = assets.shipped_model()
    generator = model.generator
    heads: list[Any] = [skip.offsets.conv for skip in generator.skips.values()]  # type: ignore[union-attr]
    kept = [(head.weight.clone(), head.bias.clone()) for head in heads]
    for head in heads:
        head.weight[: 2 * len(head.weight) // 3] *= by
        head.bias[: 2 * len(head.bias) // 3] *= by
    picture, seen = generator.mix(generator.encode(content_of(character)), assets.code_of(font)[None])
    for head, (weight, bias) in zip(heads, kept, strict=True):
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    offset, mask = seen[1]
    weights = mask[0] / mask[0].sum(0)
    down, right = ((offset[0, axis::2] * weights).sum(0) for axis in (0, 1))
    return torch.stack([down, right], -1), picture[0, 0]


def render_moves(style: str, moves_times: float) -> tuple[Figure, str]:
    """The offset explorer: where each part of the result was read in the content.

    Args:
        style: of MOVED. moves_times: of SPREAD, by which moves are multiplied.
    """
    font = FONTS[style]
    field, picture = moves(ASKED, font, moves_times)
    true = shipped().images([font], [shipped().characters.index(ASKED)])[0]
    fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.6))
    _show(axes[0], _row(content_of(ASKED)))
    axes[0].set_title("read here")
    y, x = np.meshgrid(np.arange(1, 32, 2), np.arange(1, 32, 2), indexing="ij")
    step = field[1::2, 1::2].numpy()
    ink = (content_of(ASKED)[0, 0] < 0.6).float()
    near = torch.nn.functional.max_pool2d(ink[None, None], 5, 1, 2)[0, 0, 1::2, 1::2].numpy() > 0
    for a, b, (down, right) in zip(y[near], x[near], step[near], strict=True):
        axes[0].plot([b, b + right], [a, a + down], color=PALETTE[1], linewidth=1.2, linestyle="-")
    axes[0].scatter(x[near], y[near], s=4, c=PALETTE[0])
    _show(axes[1], _row(picture[None, None]))
    axes[1].set_title("written there")
    _show(axes[2], _row(true))
    axes[2].set_title("the true glyph")
    length = float(field.norm(dim=-1)[content_of(ASKED)[0, 0] < 0].mean())
    away = float((picture - true[0, 0]).abs().mean()) / 2
    words = f"Style {style}, moves times {moves_times:g}: over ink they are {length:.2f} pixels long on average"
    return fig, f"{words}, and the result is {100 * away:.1f} hundredths of L1 from the true glyph."


def render_between(pair: str, way: float, references: int) -> tuple[Figure, str]:
    """Styles between two fonts.

    Args:
        pair: of PAIRS. way: of BETWEEN, from the first to the second. references: of REFERENCES, glyphs a style.
    """
    first, second = PAIRS[pair]
    code = torch.lerp(assets.code_of(first, references), assets.code_of(second, references), way)
    made = assets.shipped_model().paint(content_of(HERO[:3]), code)
    fig, axes = plt.subplots(3, 1, figsize=(3.0, 2.8))
    for ax, glyphs, name in zip(
        axes, (_true(first), made, _true(second)), ("true, from", "made", "true, to"), strict=True
    ):
        _show(ax, _row(glyphs), name)
    ink = float((1 - made).mean()) / 2
    return fig, f"{pair}, {100 * way:.0f} % of the way, {references} references: {100 * ink:.1f} % of the paper is ink."


def _true(font: int) -> Tensor:
    return shipped().images([font], [shipped().characters.index(c) for c in HERO[:3]])[0]


def render_map(contrastive_loss: str, style: str) -> tuple[Figure, str]:
    """The map of styles.

    Args:
        contrastive_loss: "with" or "without". style: of FONTS, whose glyphs are marked.
    """
    variant = {"with": "full", "without": "mute"}[contrastive_loss]
    places, codes = (assets.shipped("dgfont")[f"{what}.{variant}"].float().numpy() for what in ("map", "codes"))
    fig, axes = plt.subplots(1, 2, figsize=(9.6, 4.4), gridspec_kw={"width_ratios": (1.3, 1)})
    font, glyphs = FONTS[style], shipped()
    flat = places.reshape(-1, 2)
    axes[0].scatter(flat[:, 0], flat[:, 1], s=7, c=FAINT, linewidths=0)
    axes[0].scatter(places[font, :, 0], places[font, :, 1], s=34, c=PALETTE[1], linewidths=0)
    bare(axes[0])
    middle = codes.mean(1)
    order = np.argsort(np.square(middle - middle[font]).sum(1))[:4]  # by whole codes: two axes are not all of them
    column = assets.shown_characters()[:5]
    _show(axes[1], np.vstack([_row(glyphs.images([int(n)], column)[0]) for n in order]))
    axes[1].set_title("its font, and the nearest")
    every = np.square(codes - codes.mean((0, 1))).sum(2).mean()
    spread = float(np.square(codes[font] - middle[font]).sum(1).mean() / every)
    names = ", ".join(glyphs.fonts[int(n)] for n in order[1:])
    words = f"{style} {contrastive_loss} the loss: nearest are {names}"
    return fig, f"{words}; its glyphs spread {100 * spread:.0f} % as much as all do."


def desk() -> Typewriter:
    """The typewriter of the page: all characters of the set by the shipped model."""
    characters = shipped().characters
    sheet = torch.stack([written(characters, font)[:, 0] for font in FONTS.values()])
    return typewriter(
        ((sheet.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy(), list(FONTS), characters, text=HERO[:6],
        caption="Everything you can type here was written by the network; forty of the characters it never trained on.",
    )  # fmt: skip


def draw_references(ax: plt.Axes) -> None:
    """L1 in unseen fonts against the number of references, from the evidence."""
    row = next(one for one in evidence.load("dgfont")["claims"] if one["id"] == "references")
    values = -np.array(row["method"], dtype=float)
    ax.plot(REFERENCES, values.T, color=FAINT, linewidth=0.8, linestyle="-")
    ax.plot(REFERENCES, values.mean(0), color=INK, marker="o", linestyle="-")
    ax.set_xlabel("references")
    ax.set_ylabel("hundredths of L1")


__all__ = [
    "ASKED", "BETWEEN", "FONTS", "HERO", "MOVED", "PAIRS", "REFERENCES", "SPREAD", "content_of", "desk", "draw_hero",
    "draw_kinds", "draw_references", "draw_sheet", "moves", "render_between", "render_map", "render_moves", "restyled",
    "turned_by", "write", "written",
]  # fmt: skip
