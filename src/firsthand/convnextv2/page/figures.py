"""Drawing for the chapter: reconstructions, the GRN bench, the leak microscope and the recorded collapse."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from firsthand.convnextv2.diversity import around_grn
from firsthand.convnextv2.fcmae import FCMAE, normalise_patches, patchify, random_mask, unpatchify
from firsthand.convnextv2.lab.assets import SHOWN, SNAPSHOTS, recorded, shipped_autoencoder
from firsthand.convnextv2.lab.runs import VARIANTS, images
from firsthand.kit.page.style import DASHES, FAINT, INK, PALETTE, bare

GREY = 0.5  # what stands for a hidden patch in a picture
CHANNELS = 12
MICROSCOPE_PICTURE = 2  # of the test split
LABELS = {"v2": "version 2", "v2 minus GRN": "version 2 minus GRN", "v1": "version 1"}


# -------------------------------------------------------------------------------------- reconstructions


@torch.no_grad()
def reconstruct(model: FCMAE, pictures: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures with hidden patches in grey, and with the model's guess in their place.

    A model of normalised patches guesses shape and contrast only; mean and deviation are then taken from the truth.

    Args:
        model: an autoencoder.
        pictures: (N, C, H, W) as the model wants them.
        mask: (N, g * g), True = hidden.

    Returns:
        Two tensors of the pictures' shape.
    """
    _, guess, _ = model.eval()(pictures, mask)
    patches = patchify(pictures, model.patch)
    if model.norm_pix:
        deviation = (patches.var(-1, keepdim=True) + 1e-6).sqrt()
        guess = guess * deviation + patches.mean(-1, keepdim=True)
    hidden = mask.unsqueeze(-1)
    channels = pictures.shape[1]
    seen = torch.where(hidden, torch.full_like(patches, float(pictures.amin() + pictures.amax()) / 2), patches)
    filled = torch.where(hidden, guess, patches)
    return unpatchify(seen, model.patch, channels), unpatchify(filled, model.patch, channels)


def show(ax: plt.Axes, picture: Tensor) -> None:
    """A picture (C, H, W), grey or colour, between its black and white."""
    pixels = picture.permute(1, 2, 0).numpy()
    if pixels.shape[-1] == 1:
        low, high = (float(bound) for bound in images("test")[0].aminmax())
        pixels = (pixels - low) / (high - low)
    ax.imshow(pixels.clip(0, 1).squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    bare(ax)


# --------------------------------------------------------------------------------------------- GRN bench


def bench_norms(contrast: float) -> np.ndarray:
    """Channel norms from 1 to `contrast` in equal ratios, in a fixed mixed order; (CHANNELS,)."""
    return np.random.default_rng(4).permutation(np.geomspace(1, contrast, CHANNELS))


def render_grn(gamma: float, contrast: float, form: str) -> tuple[Figure, str]:
    """One state of the GRN bench: channel norms before and after.

    form: "as coded", "divided by the sum" (the paper's formula as printed) or "no residual".
    """
    before = bench_norms(contrast)
    share = before / (before.sum() if form == "divided by the sum" else before.mean())
    after = before * gamma * share + (0 if form == "no residual" else before)
    ratio_before, ratio_after = before.max() / before.min(), after.max() / max(after.min(), 1e-9)
    fig, ax = plt.subplots(figsize=(7.4, 3.5))
    at = np.arange(CHANNELS)
    ax.bar(at - 0.2, before, width=0.4, color=FAINT)
    ax.bar(at + 0.2, after, width=0.4, color=PALETTE[0])
    ax.set_xlabel("channel (grey: before, blue: after)")
    ax.set_ylabel("norm")
    ax.set_ylim(0, max(after.max(), before.max()) * 1.15)
    if gamma == 0 and form == "no residual":
        words = "Without the residual a fresh layer returns zero."
    else:
        words = f"Largest over smallest norm: {ratio_before:.1f} before, {ratio_after:.1f} after."
    ax.set_title(words)
    return fig, words


# --------------------------------------------------------------------------------------- leak microscope


def _stages(model: FCMAE, picture: Tensor, mask: Tensor, encoder: str, black: float) -> list[Tensor]:
    """Features (g', g', C) at the end of every stage of one picture, for one of three encoders."""
    grid = picture.shape[-1] // model.patch
    found: list[Tensor] = []
    ends = [stage[-1] for stage in model.encoder._stages()]
    if encoder == "visible sites only":
        visible = ~mask.view(1, grid, grid)
        x = picture
        for number, stage in enumerate(model.encoder._stages()):
            x = model.encoder._down(number, x)
            side = x.shape[1] // grid
            here = visible.repeat_interleave(side, 1).repeat_interleave(side, 2)
            x = x * here.unsqueeze(-1)
            for block in stage:
                x = block.forward_masked(x, here)
            found.append(x[0])
        return found
    if encoder == "hidden pixels black":
        hidden = mask.view(1, 1, grid, grid).repeat_interleave(model.patch, 2).repeat_interleave(model.patch, 3)
        picture = torch.where(hidden, black, picture)
    handles = [block.register_forward_hook(lambda _, __, out: found.append(out[0].detach())) for block in ends]
    model.encoder.features(picture)
    for handle in handles:
        handle.remove()
    return found


@torch.no_grad()
def render_leak(encoder: str, stage: int, hidden: float) -> tuple[Figure, str]:
    """One state of the leak microscope: the picture, what a stage holds, and what an edit of hidden pixels changes.

    Args:
        encoder: "everything", "hidden pixels black" or "visible sites only".
        stage: 1 to 3.
        hidden: mask ratio.
    """
    model = shipped_autoencoder()
    picture = images("test")[0][MICROSCOPE_PICTURE : MICROSCOPE_PICTURE + 1]
    mask = random_mask(1, 16, hidden, torch.Generator().manual_seed(5))
    big = mask.view(1, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    edited = torch.where(big, -picture, picture)
    black = float(picture.amin())  # of the picture before the edit, or the edit would reach what is painted black
    before, after = (_stages(model, image, mask, encoder, black)[stage - 1] for image in (picture, edited))
    energy, change = before.norm(dim=-1), (after - before).norm(dim=-1)
    side = energy.shape[0] // 4
    unseen = mask.view(4, 4).repeat_interleave(side, 0).repeat_interleave(side, 1)
    leaked = float(change[~unseen].amax() / energy.amax())
    fig, axes = plt.subplots(1, 3, figsize=(6.2, 2.5))
    show(axes[0], torch.where(big, torch.full_like(picture, 0.5), picture)[0])
    axes[1].imshow(energy, cmap="viridis", vmin=0)
    axes[2].imshow(change, cmap="magma", vmin=0, vmax=max(float(energy.amax()), 1e-9))
    for ax, title in zip(axes, ("picture", f"held, stage {stage}", "changed"), strict=True):
        bare(ax)
        ax.set_title(title)
        for i, j in zip(*np.nonzero(mask.view(4, 4).numpy()), strict=True):
            scale = ax.get_images()[0].get_array().shape[0] / 4
            corner = (j * scale - 0.5, i * scale - 0.5)
            ax.add_patch(plt.Rectangle(corner, scale, scale, fill=False, edgecolor="white", linewidth=0.8))
    filled = float((energy[unseen] > 1e-6).float().mean())
    words = (
        f"Of the hidden sites {100 * filled:.0f} % hold something; an edit of hidden pixels changes visible sites by "
        f"up to {100 * leaked:.0f} % of the largest energy."
    )
    return fig, words


# ----------------------------------------------------------------------------------------- collapse film


def tiles(maps: np.ndarray) -> np.ndarray:
    """(H, W, C) to one picture of a square of channel maps with thin gaps; C a square number."""
    side = round(maps.shape[-1] ** 0.5)
    height, width = maps.shape[:2]
    sheet = np.full((side * (height + 1) - 1, side * (width + 1) - 1), np.nan)
    for number in range(side * side):
        i, j = divmod(number, side)
        sheet[i * (height + 1) : i * (height + 1) + height, j * (width + 1) : j * (width + 1) + width] = maps[
            ..., number
        ]
    return sheet


def draw_diversity(ax: plt.Axes, moment: int | None = None) -> None:
    """D of every block for the three shipped runs, at a moment of training (index into SNAPSHOTS; None = the end)."""
    for number, variant in enumerate(VARIANTS):
        values = recorded(variant)["diversity"][-1 if moment is None else moment]
        blocks = np.arange(1, len(values) + 1)
        ax.plot(blocks, values, marker="o", color=PALETTE[number], linestyle=DASHES[number], label=LABELS[variant])
    ax.axhline(0.5, color=FAINT, linewidth=1, linestyle="-")
    ax.set_xticks(range(1, 6))
    ax.set_xlabel("block")
    ax.set_ylabel("diversity D")


def render_recorded(step: int, network: str, block: int) -> tuple[Figure, str]:
    """One state of the recorded collapse: D by block of all networks, and channel maps of one block of one network.

    Args:
        step: of SNAPSHOTS.
        network: a value of LABELS.
        block: 1, 2 or 5.
    """
    moment = SNAPSHOTS.index(step)
    variant = next(name for name, label in LABELS.items() if label == network)
    # One above the other, so that a phone shows both large enough to read.
    fig, (left, right) = plt.subplots(2, 1, figsize=(5.4, 6.4), height_ratios=(1, 1.25))
    draw_diversity(left, moment)
    left.set_ylim(0.33, 0.505)
    left.legend(fontsize=9, loc="lower left")
    left.set_title(f"after {step} steps")
    maps = recorded(variant)[f"map{block - 1}"][moment].astype(float)
    right.imshow(tiles(maps), cmap="RdBu_r", vmin=0, vmax=255, interpolation="nearest")
    bare(right)
    right.set_title(f"block {block}, {network}", color=INK)
    values = recorded(variant)["diversity"][moment]
    words = (
        f"After {step} steps, {network}: D is {values[block - 1]:.3f} in block {block}, {values.mean():.3f} on average."
    )
    return fig, words


RECORDED_BLOCKS = tuple(block + 1 for block in SHOWN)


__all__ = [
    "RECORDED_BLOCKS",
    "around_grn",
    "bench_norms",
    "draw_diversity",
    "normalise_patches",
    "reconstruct",
    "render_grn",
    "render_leak",
    "render_recorded",
    "show",
    "tiles",
]  # fmt: skip
