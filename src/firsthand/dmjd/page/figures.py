"""Drawing for the chapter: the mask lab, the signal meter and the two branches."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from firsthand.data.readers.images import photo
from firsthand.dmjd.hog import hog_targets
from firsthand.dmjd.lab.assets import PICTURES, recorded, watched_masks
from firsthand.dmjd.lab.runs import images
from firsthand.dmjd.masks import counts, disjoint_masks, independent_masks, partition_masks, views_needed
from firsthand.kit.page.style import DASHES, FAINT, INK, PALETTE, bare

STRATEGIES = ("disjoint", "independent", "partition of the visible")
GRID = 8  # of the lab
SIDE = 64  # pixels of its picture
BINS = 9


# ------------------------------------------------------------------------------------------------ the lab


def lab_masks(strategy: str, corruption: float, views: int, seed: int = 3) -> Tensor:
    """(views, 64) masks of one picture; what cannot be reached is brought as near as the released code does."""
    generator = torch.Generator().manual_seed(seed)
    if strategy == "independent":
        return independent_masks(1, GRID, corruption, views=views, generator=generator)[:, 0]
    if strategy == "disjoint":
        return disjoint_masks(1, GRID, corruption, views=views, strict=False, generator=generator)[:, 0]
    parts = 2 ** round(np.log2(1 / (1 - corruption)))  # the nearest number of parts that divides 64
    return partition_masks(1, GRID, int(parts), generator=generator)[:views, 0]


def render_masks(strategy: str, corruption: float, views: int) -> tuple[Figure, str]:
    """One state of the mask lab: the views of a picture, and how often each token is hidden.

    Args:
        strategy: of STRATEGIES.
        corruption: share hidden in a view; the partition takes the nearest that it can.
        views: K.
    """
    masks = lab_masks(strategy, corruption, views)
    picture = photo("astronaut", SIDE)[0].permute(1, 2, 0).numpy()
    fig, axes = plt.subplots(1, views + 1, figsize=(2.1 * (views + 1), 2.5))
    patch = SIDE // GRID
    for number, (ax, mask) in enumerate(zip(axes, masks, strict=False)):
        hidden = np.kron(mask.view(GRID, GRID).numpy(), np.ones((patch, patch), bool))
        ax.imshow(np.where(hidden[..., None], 0.82, picture))
        ax.set_title(f"view {number + 1}")
        bare(ax)
    for ax in axes[len(masks) : views]:
        ax.set_title("no such view")
        bare(ax)
    times = masks.sum(0).view(GRID, GRID).numpy()
    axes[-1].imshow(times, cmap="viridis", vmin=0, vmax=views)
    for (i, j), value in np.ndenumerate(times):
        axes[-1].text(j, i, str(value), ha="center", va="center", fontsize=6, color="white" if value < views else INK)
    axes[-1].set_title("times predicted")
    bare(axes[-1])
    covered = float((masks.any(0)).float().mean())
    share = float(masks[0].float().mean())
    words = (
        f"{strategy}, {len(masks)} views: each hides {100 * share:.0f} %, all cover {100 * covered:.0f} % of tokens."
    )
    return fig, words


# ------------------------------------------------------------------------------------------ signal meter


def render_signal(corruption: float) -> tuple[Figure, str]:
    """One state of the signal meter: coverage against the number of views.

    Args:
        corruption: share hidden in a view.
    """
    numbers = np.arange(1, 7)
    hidden = counts(GRID, corruption, prediction=corruption, views=1).hidden / GRID**2
    disjoint = np.minimum(numbers * hidden, 1.0)
    alone = 1 - (1 - hidden) ** numbers
    generator = torch.Generator().manual_seed(0)
    draws = [independent_masks(400, GRID, corruption, views=int(k), generator=generator) for k in numbers]
    dots = [float(masks.any(0).float().mean()) for masks in draws]
    fig, ax = plt.subplots(figsize=(7.2, 3.6))
    ax.plot(numbers, 100 * disjoint, marker="o", color=PALETTE[0], linestyle=DASHES[0], label="disjoint")
    ax.plot(numbers, 100 * alone, color=PALETTE[1], linestyle=DASHES[1], label="independent, formula")
    ax.plot(numbers, 100 * np.array(dots), marker="s", color=PALETTE[1], linestyle="none", label="independent, drawn")
    ax.axhline(100, color=FAINT, linewidth=1, linestyle="-")
    ax.set_ylim(0, 108)
    ax.set_xlabel("views of an image")
    ax.set_ylabel("tokens predicted (%)")
    ax.legend(loc="lower right")
    need = views_needed(hidden)
    words = (
        f"At {100 * corruption:.0f} % hidden, {need} disjoint views predict every token; with independent ones no "
        "number is sure to."
    )
    return fig, words


# ---------------------------------------------------------------------------------------------- branches


def draw_glyphs(ax: plt.Axes, histograms: Tensor, shown: Tensor | None = None) -> None:
    """One star of nine strokes a token: the longer a stroke, the more of the token's edges run that way.

    Args:
        ax: where.
        histograms: (L, 9), whitened.
        shown: (L,) bool, tokens to draw; None = all.
    """
    side = round(len(histograms) ** 0.5)
    strength = histograms.clamp_min(0) / 5.0
    segments, shades = [], []
    for token in range(len(histograms)):
        if shown is not None and not bool(shown[token]):
            continue
        row, column = divmod(token, side)
        for which, length in enumerate(strength[token].tolist()):
            # An edge runs across its gradient.
            angle = np.deg2rad(20 * which + 10 + 90)
            dx, dy = length * np.cos(angle), length * np.sin(angle)
            segments.append([(column - dx, row - dy), (column + dx, row + dy)])
            shades.append(min(1.0, 0.25 + length))
    ax.add_collection(LineCollection(segments, colors=INK, alpha=shades, linewidths=1.4))  # type: ignore[arg-type]
    ax.set_xlim(-0.6, side - 0.4)
    ax.set_ylim(side - 0.4, -0.6)
    bare(ax)


def render_branches(step: int, pairing: str, picture: int) -> tuple[Figure, str]:
    """One state of the two branches: picture, targets, and what each branch predicts of its tokens.

    Args:
        step: of assets.SNAPSHOTS.
        pairing: "aligned" or "released".
        picture: 1 to 4.
    """
    place = picture - 1
    mask, _ = watched_masks()
    pixels = images("test")[0][PICTURES[place]]
    target = hog_targets(pixels[None], cell=4, token=4)[0]
    found = recorded(pairing)[step]
    fig, axes = plt.subplots(1, 4, figsize=(9.6, 2.8))
    hidden = mask[place]
    grey = torch.where(hidden.view(8, 8).repeat_interleave(4, 0).repeat_interleave(4, 1), 128, pixels[0])
    axes[0].imshow(grey, cmap="gray_r", vmin=0, vmax=255)
    axes[0].set_title("what is seen")
    bare(axes[0])
    draw_glyphs(axes[1], target)
    axes[1].set_title("targets")
    draw_glyphs(axes[2], found["hidden"][place], hidden)
    axes[2].set_title("guess: hidden")
    draw_glyphs(axes[3], found["visible"][place], ~hidden)
    axes[3].set_title("guess: visible")
    error = float((found["visible"][place] - target)[~hidden].square().mean())
    words = f"{pairing}, step {step}: on visible tokens the mean squared error is {error:.2f}."
    return fig, words
