"""Drawing for the chapter: the attack scrubber, the defence dial and what one gradient knows."""

from __future__ import annotations

from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from firsthand.grnn.attacks import Reconstruction, attack, psnr
from firsthand.grnn.gradients import last_bias_gradient, shared_gradient
from firsthand.grnn.lab.assets import gallery
from firsthand.grnn.lab.runs import Case, run_case, sent
from firsthand.grnn.victims import PEOPLE, face_batch, untrained_victim
from firsthand.kit.lab import evidence
from firsthand.kit.page.style import FAINT, PALETTE, bare

METHOD_WORDS = {"grnn": "GRNN", "pixels": "sigmoid pixels", "inverting": "Inverting Gradients", "dlg": "DLG"}
SCRUBBED = {"grnn": 300, "pixels": 400, "inverting": 400, "dlg": 40}  # iterations of the scrubber's attacks
STOPS = (0, 5, 10, 20, 35, 50, 75, 100)  # per cent of a run
VICTIM = 0  # seed of the moving figures' victim and face
DIAL_NOISE = (0.0, 1e-2, 3e-2, 1e-1)
DIAL_ITERATIONS = 200


def show(ax: plt.Axes, image: Tensor) -> None:
    """An image (c, s, s), clipped to [0, 1]; grey if it has one channel."""
    pixels = image.detach().clamp(0, 1).permute(1, 2, 0).squeeze().numpy()
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    bare(ax)


def _two_faces(found: Tensor, truth: Tensor, quality: float) -> tuple[Figure, plt.Axes]:
    """Found and true face above, an empty plot below: narrow enough to be read on a phone."""
    fig = plt.figure(figsize=(5.2, 4.9))
    grid = fig.add_gridspec(2, 2, height_ratios=(1.5, 1))
    for column, (image, title) in enumerate(((found, f"found, {quality:.1f} dB"), (truth, "true"))):
        ax = fig.add_subplot(grid[0, column])
        show(ax, image)
        ax.set_title(title)
    return fig, fig.add_subplot(grid[1, :])


def draw_gallery() -> Figure:
    """All victims of the evidence, the best recovered first: truth above, found below, two rows of ten."""
    stored = gallery()
    order = stored["psnr"].argsort(descending=True)
    fig, axes = plt.subplots(4, 10, figsize=(9.6, 4.2))
    for place, victim in enumerate(order.tolist()):
        row, column = divmod(place, 10)
        show(axes[2 * row, column], stored["truth"][victim])
        show(axes[2 * row + 1, column], stored["found"][victim])
        axes[2 * row + 1, column].set_title(f"{float(stored['psnr'][victim]):.0f} dB", fontsize=8, pad=2)
    return fig


@lru_cache(maxsize=8)
def scrubbed(method: str, seed: int = VICTIM) -> tuple[Reconstruction, Tensor]:
    """A short attack by a method on one face, and the truth (1, 3, 32, 32)."""
    model = untrained_victim(seed)
    x, y = face_batch(1, seed)
    gradient = shared_gradient(model, x, y)
    found = attack(
        model, gradient, batch=1, image_shape=(3, 32, 32), num_classes=PEOPLE, method=method, seed=seed,
        iterations=SCRUBBED[method],
    )  # fmt: skip
    return found, x


def render_attack(progress: int, method: str) -> tuple[Figure, str]:
    """One state of the scrubber: the image at a share of the run, the truth, and the attacker's loss.

    Args:
        progress: per cent of the iterations, of STOPS.
        method: a value of METHOD_WORDS.
    """
    key = next(name for name, words in METHOD_WORDS.items() if words == method)
    found, truth = scrubbed(key)
    moments = sorted(found.snapshots)
    at = moments[min(STOPS.index(progress), len(moments) - 1)]
    image = found.snapshots[at]
    quality = float(psnr(image.clamp(0, 1), truth)[0])
    fig, ax = _two_faces(image[0], truth[0], quality)
    ax.semilogy(np.arange(1, len(found.loss) + 1), found.loss, color=PALETTE[0])
    ax.axvline(max(at, 1), color=FAINT, linewidth=1.5, linestyle="-")
    ax.set_xlabel("iteration")
    ax.set_ylabel("attacker's loss")
    return fig, f"{method}, iteration {at}: the image found has a PSNR of {quality:.1f} dB."


@lru_cache(maxsize=32)
def _dialled(noise: float, steps: int) -> tuple[Tensor, float, Tensor]:
    """Attack the scrubber's victim under noise: image, PSNR, truth."""
    model = untrained_victim(VICTIM)
    x, y = face_batch(1, VICTIM)
    generator = torch.Generator().manual_seed(VICTIM)
    gradient = sent(model, x, y, steps=steps)
    gradient = gradient + noise * torch.randn(gradient.shape, generator=generator)
    found = attack(
        model, gradient, batch=1, image_shape=(3, 32, 32), num_classes=PEOPLE, iterations=DIAL_ITERATIONS, seed=VICTIM
    )
    image = found.images.clamp(0, 1)
    return image[0], float(psnr(image, x)[0]), x[0]


def render_defence(noise: float, local_steps: int) -> tuple[Figure, str]:
    """One state of the defence dial: what is found under noise and local steps, beside the stored curve.

    Args:
        noise: of DIAL_NOISE.
        local_steps: steps of the client before it sends.
    """
    image, quality, truth = _dialled(noise, local_steps)
    curve = next(c for c in evidence.load("grnn")["curves"] if c["id"] == "noise")
    mean = np.mean(curve["values"], axis=0)
    fig, ax = _two_faces(image, truth, quality)
    places = np.arange(len(curve["x"]))
    ax.plot(places, mean, marker="o", color=PALETTE[0], label="mean of five victims")
    ax.axhline(quality, color=FAINT, linewidth=1.5, linestyle="-", label="this one")
    ax.set_xticks(places, [f"{x:g}" for x in curve["x"]])
    ax.set_xlabel("noise")
    ax.set_ylabel("PSNR (dB)")
    ax.legend(fontsize=9)
    taken = f"{local_steps} local step{'s' * (local_steps > 1)}"
    words = f"Noise {noise:g} and {taken} leave a PSNR of {quality:.1f} dB."
    return fig, words


def render_bias(batch: int, seed: int) -> tuple[Figure, str]:
    """One state of "what one gradient knows": the last bias's gradient, true classes in colour.

    Args:
        batch: B.
        seed: of victim and batch.
    """
    model = untrained_victim(seed)
    x, y = face_batch(batch, seed)
    entries = last_bias_gradient(model, shared_gradient(model, x, y), PEOPLE).numpy()
    true = np.isin(np.arange(PEOPLE), y.numpy())
    fig, ax = plt.subplots(figsize=(7.6, 3.2))
    ax.bar(np.arange(PEOPLE), np.where(true, 0, entries), width=0.9, color=FAINT)
    ax.bar(np.arange(PEOPLE), np.where(true, entries, 0), width=0.9, color=PALETTE[1])
    ax.axhline(0, color=FAINT, linewidth=1, linestyle="-")
    ax.set_xlabel("class (orange: in the batch)")
    ax.set_ylabel("gradient of the bias")
    negative = int((entries < 0).sum())
    words = f"{batch} images: {negative} entries are negative, {int((entries[true] < 0).sum())} of them true classes."
    ax.set_title(words)
    return fig, words


def recovered_row(axes: np.ndarray, case: Case, seed: int) -> np.ndarray:
    """Draw truth above and recovery below for a batch; returns the PSNR of each image."""
    outcome, _ = run_case(case, seed)
    for column, (true, found) in enumerate(zip(outcome.truth, outcome.found, strict=True)):
        show(axes[0, column], true)
        show(axes[1, column], found)
    return outcome.psnr


__all__ = [
    "DIAL_NOISE", "METHOD_WORDS", "STOPS", "draw_gallery", "recovered_row", "render_attack", "render_bias",
    "render_defence", "scrubbed", "show",
]  # fmt: skip
