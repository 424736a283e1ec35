"""Drawing for the chapter: drawn and real retinas, lesions, explanations, the recorded session, the dial of cameras."""

from __future__ import annotations

import copy
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from firsthand.data.drawn.fundus import Fundus, fundi, fundus
from firsthand.data.drawn.lesions import KINDS, NAMES
from firsthand.drgnet.explain import gate_map
from firsthand.drgnet.lab import assets, live, runs
from firsthand.drgnet.losses import MEANT
from firsthand.drgnet.network import Grading
from firsthand.drgnet.system import DRGNet, lesion_probabilities, unit
from firsthand.kit.lab import evidence
from firsthand.kit.page.style import FAINT, PALETTE, bare

COLOURS = ("#e63c3c", "#2878ff", "#fad228", "#3cd2a0")  # of KINDS, as on the desk
ERASED = ("nothing", *NAMES, "all lesions")
WAYS = dict(zip(("no adaptation", "Wasserstein", "adversarial entropy", "both"), assets.WAYS, strict=True))
READ = 45  # the picture that opens the chapter: all four lesions
ERASED_FROM = (45, 34, 59)  # pictures that are severe by their haemorrhages, with all four lesions
FIELDS = {"MA": "ma", "HE": "he_quadrants", "EX": "ex", "SE": "se"}
NONE = {"MA": 0, "HE": (0, 0, 0, 0), "EX": 0, "SE": 0}
GRADES = ("none", "mild", "moderate", "severe", "proliferative")


def _picture(ax: plt.Axes, image: torch.Tensor, title: str = "") -> None:
    ax.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
    ax.set_title(title)
    bare(ax)


def _halved(one: Fundus) -> torch.Tensor:
    """The picture at half its size: moving figures show many, and a page must stay light."""
    return torch.nn.functional.avg_pool2d(one.image[None].float(), 2)[0].round().to(torch.uint8)


def draw_real() -> Figure:
    """scikit-image's photograph of a healthy retina between drawn ones of both cameras."""
    from skimage.data import retina

    real = torch.from_numpy(retina()).permute(2, 0, 1)
    fig, axes = plt.subplots(1, 4, figsize=(12.0, 3.3))
    _picture(axes[0], real, "a photograph")
    for ax, seed, camera, words in zip(
        axes[1:], (11, 14, 34), (0.0, 0.0, 1.0), ("drawn, grade 0", "drawn, grade 3", "the other camera"), strict=True
    ):
        _picture(ax, fundus(seed, grade=0 if seed == 11 else 3, camera=camera).image, words)
    return fig


def _outlines(ax: plt.Axes, masks: torch.Tensor, style: str = "solid") -> None:
    for mask, colour in zip(masks.numpy(), COLOURS, strict=True):
        if mask.any():
            ax.contour(mask.astype(float), [0.5], colors=colour, linewidths=1.0, linestyles=style)


def show_marked(ax: plt.Axes, image: torch.Tensor, probability: torch.Tensor, title: str) -> None:
    """A picture with the outlines of what a system marks in it, from probabilities (4, s, s)."""
    _picture(ax, image, title)
    _outlines(ax, probability > MEANT)


def copied(system: DRGNet) -> DRGNet:
    """A copy that may learn while the shipped system stays as it is."""
    return copy.deepcopy(system)


def draw_reading(seed: int) -> Figure:
    """One picture of a severe eye: as it is, what the system marks, where it looked, and what it says."""
    one = fundus(seed, grade=3)
    lesions, grading = _graded(one)
    fig, axes = plt.subplots(1, 4, figsize=(12.4, 3.3), gridspec_kw={"width_ratios": (1, 1, 1, 0.8)})
    _picture(axes[0], one.image, "the picture")
    _picture(axes[1], one.image, "lesions that it marks")
    _outlines(axes[1], lesions[0] > MEANT)
    _looked(axes[2], one, grading)
    _grades(axes[3], grading, one.grade)
    return fig


def _graded(one: Fundus) -> tuple[torch.Tensor, Grading]:
    system = live.shipped_system()
    lesions = lesion_probabilities(system.segmenter, one.image[None])
    with torch.no_grad():
        return lesions, system.grader(unit(one.image[None]), lesions)


def _looked(ax: plt.Axes, one: Fundus, grading: Grading, image: torch.Tensor | None = None) -> None:
    image = one.image if image is None else image
    size = image.shape[-1]
    _picture(ax, image, "where it looked")
    retina = one.retina[:: one.retina.shape[-1] // size, :: one.retina.shape[-1] // size]
    gate = gate_map(grading, size)[0, 0].masked_fill(~retina, float("nan"))
    ax.imshow(gate.numpy(), cmap="inferno", alpha=0.6)


def _grades(ax: plt.Axes, grading: Grading, truth: int) -> None:
    values = grading.logits.softmax(1)[0].numpy()
    ax.barh(np.arange(5), values, color=[PALETTE[0] if grade == truth else FAINT for grade in range(5)])
    ax.set_yticks(np.arange(5), [f"{grade} {words}" for grade, words in enumerate(GRADES)])
    ax.set_xlim(0, 1)
    ax.set_title("grade")


def draw_rounds(what: str, ax: plt.Axes) -> None:
    """ "mean" precision or "kappa" after every round of correction, from the evidence, mean over seeds."""
    curves = {curve["id"]: curve for curve in evidence.load("drgnet")["curves"]}
    words = {"masks": "masks", "clicks": "clicks", "grade": "grades alone", "none": "replay alone"}
    for colour, (name, label) in zip(PALETTE, words.items(), strict=False):
        curve = curves[f"{name}-{what}"]
        values = np.array(curve["values"], dtype=float)
        ax.plot(curve["x"], values.T, color=colour, linewidth=0.5, alpha=0.4, linestyle="-")
        ax.plot(curve["x"], np.nanmean(values, 0), color=colour, label=label)
    ax.set_xlabel("round")


# ---------------------------------------------------------------------------------------------- moving


def render_session(round: int, view: str) -> tuple[Figure, str]:
    """The recorded session.

    Args:
        round: 1 to runs.ROUNDS.
        view: "before", "corrections" or "after".
    """
    one = assets.recorded(round)
    fig, axes = plt.subplots(1, 2, figsize=(7.6, 4.0))
    _picture(axes[0], one["image"], "what is there")
    _outlines(axes[0], one["truth"])
    _picture(
        axes[1],
        one["image"],
        {"before": "what it saw", "corrections": "what the expert said", "after": "what it sees now"}[view],
    )
    if view == "corrections":
        _outlines(axes[1], one["said"] == 1)
        _outlines(axes[1], one["said"] == 2, "dotted")
    else:
        _outlines(axes[1], one[view] > 255 * MEANT)
    handles = [plt.Line2D([], [], color=colour, label=name) for colour, name in zip(COLOURS, NAMES, strict=True)]
    fig.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    scores = assets.shipped("drgnet")["session.scores"]
    clicks, pixels = one["effort"].tolist()
    words = f"Round {round}, {view}: {clicks} corrections of {pixels} pixels in the whole picture"
    return (
        fig,
        f"{words}; precision on camera B's test goes from {float(scores[round - 1, 0]):.3f} to "
        f"{float(scores[round, 0]):.3f}.",
    )


def render_erased(picture: int, erased: str) -> tuple[Figure, str]:
    """The attention explorer: what the system says of a picture from which one kind of lesion is taken out.

    Args:
        picture: 1 to 3.
        erased: of ERASED.
    """
    without = {"nothing": (), "all lesions": KINDS}.get(erased, (dict(zip(NAMES, KINDS, strict=True)).get(erased, ""),))
    one = fundus(ERASED_FROM[picture - 1], grade=3, without=without)
    _, grading = _graded(one)
    left = replace(one.findings, **{FIELDS[kind]: NONE[kind] for kind in without}).grade  # type: ignore[arg-type]
    fig, grid = plt.subplots(2, 2, figsize=(5.8, 5.2))
    axes = grid.ravel()
    _picture(axes[0], _halved(one), f"without {erased}" if erased != "nothing" else "as it is")
    _looked(axes[1], one, grading, _halved(one))
    shares = grading.shares[0].numpy() if grading.shares is not None else np.zeros(len(KINDS))
    axes[2].bar(np.arange(len(KINDS)), shares, color=COLOURS)
    axes[2].set_xticks(np.arange(len(KINDS)), KINDS)
    axes[2].set_ylim(0, 1)
    axes[2].set_title("share of each lesion")
    _grades(axes[3], grading, left)
    said = int(grading.logits.argmax())
    sure = 100 * float(grading.logits.softmax(1)[0, said])
    words = "as it is" if erased == "nothing" else f"without {erased}"
    return fig, f"Picture {picture} {words}: grade {said}, with {sure:.0f} %; by the rule it is {left}."


def render_camera(camera: float, way: str) -> tuple[Figure, str]:
    """The dial of cameras.

    Args:
        camera: of assets.DIAL.
        way: of WAYS.
    """
    at, line = assets.DIAL.index(camera), list(WAYS).index(way)
    one = fundi(runs.SETS["other test"][0] + 100_000 * (assets.SEED + 1), 1, camera=camera)[0]
    precision, bits = assets.shipped("drgnet")["dial.precision"], assets.shipped("drgnet")["dial.entropy"]
    fig, axes = plt.subplots(1, 3, figsize=(8.6, 2.9))
    _picture(axes[0], _halved(one), "the picture")
    axes[1].imshow(bits[line, at].numpy(), cmap="inferno", vmin=0, vmax=255)
    axes[1].set_title("largest doubt (bits)")
    bare(axes[1])
    for number, name in enumerate(WAYS):
        axes[2].plot(
            assets.DIAL, precision[number], color=PALETTE[number], linewidth=2.2 if number == line else 0.8, label=name
        )
    axes[2].axvline(camera, color=FAINT, linewidth=1)
    axes[2].set_xlabel("from camera A to B")
    axes[2].set_title("precision")
    axes[2].legend(fontsize=8)
    return fig, f"Camera {camera:g}, {way}: mean average precision {float(precision[line, at]):.3f}."


__all__ = [
    "ERASED", "READ", "WAYS", "copied", "draw_reading", "draw_real", "draw_rounds", "render_camera", "render_erased",
    "render_session", "show_marked",
]  # fmt: skip
