"""Drawing for the chapter: scenes and detections, the quantiser bench, the bit allocator, the switchboard."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from firsthand.data.drawn.aerial import CAMOUFLAGE, COMPACT, Scene, scene
from firsthand.ghost.bits import (
    bits_closed_form,
    bits_within,
    kmeans_error,
    kmeans_errors,
    layer_sigmas,
    model_size_mb,
)
from firsthand.ghost.detector import Detector, conv_macs, convolutions
from firsthand.ghost.evaluation import Detections
from firsthand.ghost.lab import assets, runs
from firsthand.ghost.lab.assets import shipped_student, shipped_teacher
from firsthand.ghost.quantizers import FULL, LSQ, quantize_model, quantize_weight
from firsthand.ghost.training import Pictures, mean_precision, measure_batch_norm
from firsthand.kit.lab.cached import cached
from firsthand.kit.page.style import FAINT, PALETTE, SINGLE, bare

COUNTS = (2, 3, 4, 5, 6, 8)
SAMPLE = 48  # shipped scenes for what the page measures itself
CAMOUFLAGE_WORDS = {"none": "plain", "colour": "hidden in colour", "infrared": "hidden in infrared"}


def _show(ax: plt.Axes, one: Scene, infrared: bool = False) -> None:
    image = one.image[3] if infrared else one.image[:3].permute(1, 2, 0)
    ax.imshow(image.numpy(), cmap="gray" if infrared else None, vmin=0, vmax=255, interpolation="nearest")
    bare(ax)


def _box(ax: plt.Axes, box: list[float], colour: str, words: str | None = None) -> None:
    ax.add_patch(
        Rectangle(
            (box[0] - 0.5, box[1] - 0.5), box[2] - box[0], box[3] - box[1], fill=False, color=colour, linewidth=1.3
        )
    )
    if words:
        label = {"facecolor": colour, "edgecolor": "none", "pad": 1.0}
        ax.text(max(box[0], 1), max(box[1] - 2, 4), words, color="white", fontsize=7, bbox=label, clip_on=True)


def draw_scene(seed: int) -> Figure:
    """A scene in colour and infrared, boxes by camouflage."""
    one = scene(seed, size=runs.SIZE)
    fig, axes = plt.subplots(1, 2, figsize=(8.0, 4.5))
    for ax, infrared in zip(axes, (False, True), strict=True):
        _show(ax, one, infrared)
        for box, state in zip(one.boxes.tolist(), one.camouflage.tolist(), strict=True):
            _box(ax, box, PALETTE[state])
        ax.set_title("near infrared" if infrared else "colour")
    handles = [plt.Line2D([], [], color=PALETTE[k], label=CAMOUFLAGE_WORDS[name]) for k, name in enumerate(CAMOUFLAGE)]
    fig.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return fig


@torch.no_grad()
def _found(model: Detector, one: Scene, least: float = 0.3) -> Detections:
    return model.decode(model(one.image[None].float() / 255), confidence=least, overlap=0.5)[0]


def draw_detections(number: int) -> Figure:
    """A test scene: what is there, and what teacher and student find."""
    one = scene(1_000_000 * (assets.SEED + 1) + 500_000 + number, size=runs.SIZE)
    fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.9))
    for ax, words in zip(axes, ("what is there", "full precision", f"{runs.FEW} bits, taught"), strict=True):
        _show(ax, one)
        ax.set_title(words)
    for box, label in zip(one.boxes.tolist(), one.labels.tolist(), strict=True):
        _box(axes[0], box, PALETTE[label], COMPACT[label])
    for ax, model in zip(axes[1:], (shipped_teacher(), shipped_student()), strict=True):
        found = _found(model, one)
        for box, label in zip(found["boxes"].tolist(), found["labels"].tolist(), strict=True):
            _box(ax, box, PALETTE[label], COMPACT[label])
    return fig


def draw_strengths() -> Figure:
    """Precision of students of FEW bits against the weight of their lessons, a line a seed."""
    fig, ax = plt.subplots(figsize=SINGLE)
    for seed, colour, values in zip(assets.STRENGTH_SEEDS, PALETTE, assets.taught().numpy(), strict=False):
        ax.plot(range(len(values)), values, marker="o", color=colour, label=f"seed {seed}")
    ax.set_xticks(range(len(assets.STRENGTHS)), [f"{share:g}" for share in assets.STRENGTHS])
    ax.set_xlabel("weight of all lessons, as a share of the evidence's")
    ax.set_ylabel("precision (%)")
    ax.legend()
    return fig


@cached
def shipped_scenes() -> Pictures:
    """Some test scenes of the shipped networks' seed."""
    return runs.pictures("test", assets.SEED, count=SAMPLE)


def rounded_precision(teacher: Detector, scenes: Pictures, bits: int, own_ranges: bool) -> float:
    """Precision (per cent) right after rounding, batch norm measured anew on the same scenes' pixels."""
    model = quantize_model(teacher, bits, limits=assets.shipped_ranges() if own_ranges else None)
    measure_batch_norm(model, scenes, batches=2, batch=24)
    assert isinstance(model, Detector)
    return mean_precision(model, scenes)


# --------------------------------------------------------------------------------------------- moving


def render_quantizer(bits: int, sigma: float) -> tuple[Figure, str]:
    """The quantiser bench: a Gaussian layer under DoReFa's grid, with errors of three ways to round.

    Args:
        bits: of the grid.
        sigma: deviation of the weights.
    """
    w = sigma * torch.randn(4000, generator=torch.Generator().manual_seed(0))
    largest = float(w.abs().max())
    q = quantize_weight(w, bits)
    scale = float((w * q).sum() / (q * q).sum())  # the best factor, which batch norm can supply
    lsq = LSQ(w, bits)
    errors = {
        "DoReFa": float((w - scale * q).square().mean()), "k-means": kmeans_error(w.double().numpy(), 2**bits),
        "one step": float((w - lsq(w)).square().mean().detach()),
    }  # fmt: skip
    fig, axes = plt.subplots(1, 2, figsize=(7.6, 3.4), gridspec_kw={"width_ratios": (1.7, 1)})
    axes[0].hist(w.numpy(), bins=60, color=FAINT)
    height = axes[0].get_ylim()[1]
    line = torch.linspace(-largest, largest, 400)
    stairs = scale * quantize_weight(torch.cat([line, w]), bits)[:400]
    axes[0].plot(line.numpy(), height * (0.5 + 0.45 * stairs.numpy() / largest), color=PALETTE[0], linestyle="-")
    axes[0].set_xlabel("weight")
    axes[0].locator_params(axis="x", nbins=5)
    axes[0].set_yticks([])
    axes[0].set_title("weights and where they go")
    axes[1].bar(np.arange(3), [np.sqrt(e) / sigma for e in errors.values()], color=PALETTE[:3])
    axes[1].set_xticks(np.arange(3), list(errors))
    axes[1].set_title("error over deviation")
    dorefa, best = (np.sqrt(errors[name]) / sigma for name in ("DoReFa", "k-means"))
    return fig, f"{bits} bits, sigma {sigma:g}: DoReFa errs by {dorefa:.2f} deviations, k-means by {best:.2f}."


@cached
def _measured(weights: str) -> tuple[Detector, dict[str, list[float]]]:
    """A detector and the k-means errors of its layers, "trained" or "fresh"."""
    model = shipped_teacher()
    if weights == "fresh":
        model = runs.new_detector(assets.SEED, runs.pictures("train", assets.SEED))
    return model, kmeans_errors(model)


def _allocated(threshold: float, weights: str) -> tuple[list[int], list[int], list[float]]:
    """Bits, closed form and map sides of all layers."""
    model, errors = _measured(weights)
    chosen = bits_within(errors, threshold)
    formula = [bits_closed_form(sigma, threshold=threshold) for sigma in layer_sigmas(model).values()]
    macs, convs = conv_macs(model, runs.SIZE), convolutions(model)
    sides = [(macs[name] / convs[name].weight.numel()) ** 0.5 for name in convs]
    return list(chosen.values()), formula, sides


def render_bits(threshold: float, weights: str) -> tuple[Figure, str]:
    """The bit allocator: bits of every layer, and size and precision right after rounding.

    Args:
        threshold: T, of assets.THRESHOLDS.
        weights: "trained" or "fresh": whose deviations decide.
    """
    found, formula, sides = _allocated(threshold, weights)
    fig, axes = plt.subplots(1, 2, figsize=(9.4, 3.6), gridspec_kw={"width_ratios": (1.6, 1)})
    colours = plt.get_cmap("viridis")(np.log2(np.array(sides) / min(sides)) / np.log2(max(sides) / min(sides)))
    axes[0].bar(np.arange(len(found)), found, color=colours)
    axes[0].scatter(np.arange(len(found)), formula, marker="_", color=PALETTE[1], s=60, zorder=3, label="closed form")
    axes[0].set_ylim(0, 9.8)
    axes[0].set_xlabel("layer (yellow: large maps)")
    axes[0].set_ylabel("bits")
    axes[0].legend(loc="upper right")
    size, precision = _fronts(axes[1], weights, assets.THRESHOLDS.index(threshold))
    same, near = (np.mean(np.abs(np.array(found) - np.array(formula)) <= gap) for gap in (0, 1))
    plain = 1000 * model_size_mb(shipped_teacher(), FULL)
    words = f"T = {threshold:g}, {weights} weights: {np.mean(found):.1f} bits on average, {size:.0f} kB of {plain:.0f}"
    agreed = f"the formula gives {100 * same:.0f} % of layers the same bits, {100 * near:.0f} % within one"
    return fig, f"{words}, precision {precision:.0f} %; {agreed}."


def _fronts(ax: plt.Axes, weights: str, at: int) -> tuple[float, float]:
    """Precision against size for uniform bits and for hybrid ones; the chosen point, which it returns, is marked."""
    points = assets.front()
    for colour, name, words in ((FAINT, "uniform", "all alike"), (PALETTE[0], weights, "hybrid")):
        ax.plot(*points[name].T.numpy(), marker="o", color=colour, label=words)
    size, precision = points[weights][at].tolist()
    ax.scatter([size], [precision], s=90, color=PALETTE[1], zorder=4)
    ax.set_xlabel("size (kB)")
    ax.set_ylabel("precision, untrained (%)")
    ax.legend(loc="lower right")
    return size, precision


def render_switches(gate: str, moment: int) -> tuple[Figure, str]:
    """The switchboard: share of open switches by layer.

    Args:
        gate: of assets.SHOWN.
        moment: per cent of the training.
    """
    opened = assets.opened(gate).numpy()
    at = max(1, round(moment / 100 * len(opened)))
    window = opened[max(0, at - 10) : at]
    fig, ax = plt.subplots(figsize=(7.6, 3.2))
    ax.bar(np.arange(opened.shape[1]), window.mean(0), color=PALETTE[0])
    ax.axhline(runs.OPEN, color=PALETTE[1], linestyle="--", label="1 - 1/e")
    ax.set_ylim(0, 1.05)
    ax.set_xticks(np.arange(0, opened.shape[1], 2))
    ax.set_xlabel("layer")
    ax.set_ylabel("share open")
    ax.legend(loc="upper right")
    return fig, f"After {moment} % of the training {100 * window.mean():.0f} % of the lessons are given ({gate} gate)."


__all__ = [
    "COUNTS", "draw_detections", "draw_scene", "draw_strengths", "render_bits", "render_quantizer", "render_switches",
    "rounded_precision", "shipped_scenes", "shipped_teacher",
]  # fmt: skip
