"""Drawing for the chapter: balls, trees, and the two moving figures. Needs two-dimensional data."""

from __future__ import annotations

import math
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.figure import Figure

from firsthand.data.drawn.shapes import NOISE_SEED, SHAPES, add_noise
from firsthand.hcvi.balls import Balls, Group, grow, make_balls, preprocess
from firsthand.hcvi.index import choose_from_balls, com_and_sep, spanning_tree
from firsthand.hcvi.lab.baselines import CLASSIC, ball_cuts, index_functions, scaled
from firsthand.kit.page.style import DASHES, DOUBLE, FAINT, INK, PALETTE, bare, colours, scatter_clusters

ROUNDS = 20  # the slider's last stop; splitting ends before it (a test makes sure)
K_VALUES = tuple(range(2, 11))


def draw_circles(ax: plt.Axes, centers: np.ndarray, radii: np.ndarray, colour: str, *, fill: float = 0.18) -> None:
    """Circles of centres (M, 2) and radii (M,) in data units."""
    if len(centers):
        rings = EllipseCollection(
            2 * radii, 2 * radii, 0 * radii, units="xy", offsets=centers, offset_transform=ax.transData, linewidths=1.1
        )
        rings.set_edgecolor(colour)
        rings.set_facecolor((*plt.matplotlib.colors.to_rgb(colour), fill))
        ax.add_collection(rings)


def draw_balls(ax: plt.Axes, balls: Balls, labels: np.ndarray) -> None:
    """Kept balls as circles, coloured by the cluster (M,) they belong to."""
    for cluster, colour in zip(np.unique(labels), colours(len(np.unique(labels))), strict=True):
        member = labels == cluster
        draw_circles(ax, balls.centers[member], balls.radii[member], colour)
    frame(ax)


def frame(ax: plt.Axes) -> None:
    """The unit square, where scaled data live, with a margin for circles that reach over it."""
    bare(ax)
    ax.set_xlim(-0.06, 1.06)
    ax.set_ylim(-0.06, 1.06)


def cluster_of_ball(balls: Balls, labels: np.ndarray) -> np.ndarray:
    """(M,) the label that the rows of each ball carry."""
    found = np.full(len(balls), -1)
    inside = balls.labels >= 0
    found[balls.labels[inside]] = labels[inside]
    return found


def draw_com_and_sep(ax: plt.Axes, centers: np.ndarray, labels: np.ndarray) -> None:
    """Trees of every cluster, the longest edge thick (com), and the shortest way out dashed (sep)."""
    com, sep = com_and_sep(centers, labels)
    for i, colour in zip(np.unique(labels), colours(len(com)), strict=False):
        members = centers[labels == i]
        ax.scatter(members[:, 0], members[:, 1], s=70, color=colour, zorder=3)
        if len(members) > 1:
            tree = spanning_tree(members)
            wide = np.where(tree.lengths == tree.lengths[-1], 4.0, 1.5)
            ax.add_collection(LineCollection(members[tree.edges], colors=colour, linewidths=wide))
        others = centers[labels != i]
        gaps = np.linalg.norm(members[:, None] - others[None], axis=2)
        a, b = np.unravel_index(gaps.argmin(), gaps.shape)
        lift = np.array([0, 0.22 + 0.16 * i])
        start, end = members[a] - lift, others[b] - lift
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": colour, "linestyle": "--"})
        name = f"com {com[i]:g}, sep {sep[i]:g}"
        x, y = members[:, 0].mean(), members[:, 1].max()
        ax.text(x, y + 0.3, name, color=colour, ha="center", va="bottom")
    ax.set_aspect("equal")
    ax.margins(0.12, 0.35)


# ------------------------------------------------------------------------------- the splitting, in steps


@lru_cache(maxsize=8)
def _rounds(shape: str, noise: float, seed: int) -> tuple[np.ndarray, list[Group], Balls]:
    X, _ = SHAPES[shape](seed)
    X = scaled(add_noise(X, noise, NOISE_SEED + seed) if noise else X)
    history: list[Group] = []
    grow(preprocess(X, scale=None)[0], history=history)
    return X, history, make_balls(X, scale=None)


def render_split(shape: str, noise: str, round: int, seed: int = 0) -> tuple[Figure, str]:
    """One state of the splitting figure: the balls after some rounds, and how many there are."""
    X, history, kept = _rounds(shape, float(noise.rstrip(" %")) / 100, seed)
    step = min(round, len(history) - 1)
    balls = history[step]
    figure, (left, right) = plt.subplots(1, 2, figsize=DOUBLE, width_ratios=(1, 1))
    left.scatter(X[:, 0], X[:, 1], s=4, color=FAINT, linewidths=0)
    done = round > step
    if done:
        draw_circles(left, kept.centers, kept.radii, PALETTE[2])
    else:
        draw_circles(left, balls.centers.T.numpy(), balls.radii.numpy(), PALETTE[0], fill=0.08)
    frame(left)
    counts = [len(h.counts) for h in history]
    right.plot(range(len(counts)), counts, color=PALETTE[0])
    right.plot([step], [len(kept) if done else counts[step]], "o", color=PALETTE[2 if done else 1], markersize=10)
    right.set_xlabel("round of splitting")
    right.set_ylabel("balls")
    right.set_xlim(-0.5, ROUNDS)
    right.set_ylim(0, 1.1 * max(counts))
    if done:
        left.set_title(f"{len(kept)} balls are kept")
        sentence = (
            f"Splitting ended after {step} rounds with {counts[-1]} balls. The {len(kept)} of at least three points "
            f"are kept; {int((kept.labels < 0).sum())} of {len(X)} points lie in dropped ones."
        )
    else:
        cut = counts[step] - counts[step - 1] if step else 0
        left.set_title(f"Round {step}: {counts[step]} ball{'s' * (counts[step] != 1)}")
        sentence = (
            f"After round {step} there are {counts[step]} balls of {len(X) / counts[step]:.1f} points on average"
            + (f"; this round cut {cut} in two." if step else ": everything in one.")
        )
    return figure, sentence


# ------------------------------------------------------------------------ the index beside the partition


@lru_cache(maxsize=8)
def _liking(shape: str, seed: int) -> tuple[np.ndarray, Balls, dict[str, np.ndarray]]:
    """Data, balls, and how much each index likes the cut at k: 1 its best value, 0 its worst, nan undefined."""
    X = scaled(SHAPES[shape](seed)[0])
    balls = make_balls(X, scale=None)
    scores = choose_from_balls(balls, k_max=K_VALUES[-1]).scores
    values = {"HCVI-R": np.array([-scores.get(k, math.nan) for k in K_VALUES])}
    cuts = ball_cuts(X, balls, K_VALUES).values()
    for name, index in index_functions(X, CLASSIC).items():
        values[name] = np.array([index(labels) for labels in cuts])
    return X, balls, {n: (v - np.nanmin(v)) / (np.nanmax(v) - np.nanmin(v)) for n, v in values.items()}


def render_index(shape: str, k: int, seed: int = 0) -> tuple[Figure, str]:
    """One state of the index figure: the cut at k, and what each index thinks of every k."""
    X, balls, liking = _liking(shape, seed)
    choice = choose_from_balls(balls, k=k)
    figure, (left, right) = plt.subplots(1, 2, figsize=DOUBLE)
    scatter_clusters(left, X, choice.labels)  # rows of dropped balls are grey
    frame(left)
    left.set_title(f"Cut into {k} clusters")
    for (name, values), colour, dashes in zip(liking.items(), PALETTE, DASHES, strict=False):
        right.plot(
            K_VALUES, values, color=colour, linestyle=dashes, label=name, linewidth=3 if name == "HCVI-R" else 1.8
        )
    right.axvline(k, color=INK, linewidth=1)
    right.set_xlabel("number of clusters k")
    right.set_ylabel("liking, worst 0 to best 1")
    right.set_ylim(-0.03, 1.06)
    right.legend()
    best = {name: K_VALUES[int(np.nanargmax(values))] for name, values in liking.items()}
    return figure, f"At k = {k}. Best k: " + ", ".join(f"{name} {value}" for name, value in best.items()) + "."
