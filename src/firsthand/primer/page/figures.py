"""The primer's figures: which chapter needs what, guessed digits, intervals that hit and miss, verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from firsthand.chapters import chapters
from firsthand.kit.lab.claims import interval, verdict
from firsthand.kit.page.style import FAINT, INK, PALETTE, bare

#: The primer's topics and how the map names them; what stands in EVERYWHERE every chapter needs.
TOPICS = {
    "gradients": "gradients", "twice": "gradients\ntwice", "convolution": "convo-\nlution",
    "hiding": "hiding,\nguessing", "seeds": "seeds,\nverdicts",
}  # fmt: skip
EVERYWHERE = "seeds"
VERDICT_COLOURS = {"holds": PALETTE[2], "fails": PALETTE[1], "inconclusive": FAINT}


def draw_map() -> Figure:
    """A row a chapter: dots for the topics that it needs, arcs from the chapters that it needs (dashed: that help)."""
    fig, ax = plt.subplots(figsize=(8.6, 5.2))
    cards = list(chapters().values())
    rows = {card.key: -n for n, card in enumerate(cards)}
    for card in cards:
        y = rows[card.key]
        ax.axhline(y, color=FAINT, ls="-", lw=0.4, alpha=0.5)
        ax.text(0, y, f"{card.number:02d} {card.title.split(':')[0]}", va="center", backgroundcolor="white")
        for column, (topic, colour) in enumerate(zip(TOPICS, PALETTE, strict=False)):
            if topic in card.topics or topic == EVERYWHERE:
                ax.scatter(3.2 + 1.25 * column, y, s=110, color=colour, zorder=3)
        for others, style in ((card.after, "-"), (card.helped_by, (0, (4, 2)))):
            for other in others:
                ends = (9.3, rows[other] - 0.1), (9.3, y + 0.1)
                bow = {"arrowstyle": "-|>", "connectionstyle": "arc3,rad=-0.7", "shrinkA": 0, "shrinkB": 0}
                ax.annotate("", ends[1], ends[0], arrowprops={**bow, "color": INK, "lw": 1.8, "linestyle": style})
    for column, (heading, colour) in enumerate(zip(TOPICS.values(), PALETTE, strict=False)):
        ax.text(3.2 + 1.25 * column, 0.6, heading, ha="center", va="bottom", color=colour, fontweight="bold")
    ax.text(9.5, 0.6, "builds on", ha="center", va="bottom", fontweight="bold")
    ax.set_xlim(-0.1, 10.3)
    ax.set_ylim(-len(cards) + 0.6, 1.6)
    ax.axis("off")
    return fig


def draw_guess(true: Tensor, guessed: Tensor, hidden: Tensor, *, count: int = 6) -> Figure:
    """Digits as they are, with the hidden part grey, and as guessed; `true`, `guessed` (n, 64), `hidden` (64,)."""
    fig, axes = plt.subplots(3, count, figsize=(8.0, 4.2))
    shown = true.clone()
    shown[:, hidden] = float("nan")
    grey = plt.get_cmap("gray_r").with_extremes(bad="#b9c7d6")
    for line, images in zip(axes, (true, shown, guessed), strict=True):
        for ax, image in zip(line, images, strict=False):
            ax.imshow(np.ma.masked_invalid(image.reshape(8, 8).numpy()), cmap=grey, vmin=0, vmax=1)
            bare(ax)
    return fig


def draw_coverage(samples: np.ndarray, truth: float) -> Figure:
    """One interval a row of `samples` (runs, seeds), those that miss `truth` marked."""
    fig, ax = plt.subplots(figsize=(7.0, 3.4))
    for place, sample in enumerate(samples):
        _, low, high = interval(sample)
        missed = not low <= truth <= high
        ax.plot(
            [place, place], [low, high], color=PALETTE[1] if missed else PALETTE[0], ls="-", lw=3 if missed else 1.5
        )
    ax.axhline(truth, color=INK, ls="-", lw=1)
    ax.set_xlabel("repetition of the whole experiment")
    ax.set_ylabel("interval of five seeds")
    return fig


def draw_verdict(values: Sequence[float], target: float) -> tuple[Figure, str]:
    """Values of seeds, their interval, the target that they should be at least, and what code says of it."""
    said = verdict(values, rule="at_least", target=target)
    fig, ax = plt.subplots(figsize=(7.0, 2.6))
    ax.scatter(values, np.full(len(values), 1.0), s=40, color=PALETTE[0])
    ax.plot([said.low, said.high], [0.4, 0.4], color=VERDICT_COLOURS[said.name], ls="-", lw=5)
    ax.scatter([said.estimate], [0.4], s=60, color=VERDICT_COLOURS[said.name])
    ax.axvline(target, color=PALETTE[3], ls="-", lw=1.5)
    ax.text(-2.9, 1.35, "seeds", color=INK)
    ax.text(-2.9, 0.62, said.name, color=INK, fontweight="bold")
    ax.text(target + 0.05, -0.12, "target", color=PALETTE[3])
    ax.set_xlim(-3, 6)
    ax.set_ylim(-0.25, 1.7)
    ax.set_yticks([])
    ax.set_xlabel("method minus baseline")
    sentence = f"{len(values)} seeds, mean {said.estimate:.2f}, from {said.low:.2f} to {said.high:.2f}: {said.name}."
    return fig, sentence
