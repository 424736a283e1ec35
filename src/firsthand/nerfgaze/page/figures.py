"""Drawing for the chapter: heads and where they look, one ray, and maps of errors."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from firsthand.data.drawn.directions import gaze_rotation
from firsthand.data.drawn.heads import EYE_Y, EYE_Z, FOCAL, Heads, rays, redrawn
from firsthand.kit.page.style import PALETTE, bare
from firsthand.nerfgaze.lab import assets, live
from firsthand.nerfgaze.model import SAMPLES, Codes
from firsthand.nerfgaze.rendering import between_shells, compose, render_weights

FINE = 64  # pixels a side of the pictures of figures
PERSON, PICTURE = 3, 3  # who is shown, in whose light
YAWS, HEADS, PITCHES = (-0.6, -0.3, 0.0, 0.3, 0.6), (-0.35, 0.0, 0.35), (-0.3, 0.0)
PEOPLE = (0, 3, 5, 8)
MIXED = (0.0, 0.5, 1.0)
LIGHTS = (0, 22)  # pictures whose light is borrowed
VIEWS = (((0.0, 0.4), (0.0, -0.3)), ((0.0, 0.0), (0.0, 0.0)), ((0.2, -0.4), (0.0, 0.3)))  # gaze and pose
WAYS = (((0, -0.45), (0, 0.3)), ((0.2, 0.45), (0.1, 0)), ((-0.35, 0), (0, -0.3)), ((0.3, -0.3), (-0.15, 0.2)))
SPOTS = {"an eye": (0.0, 0.0), "the lid above it": (0.0, -10.0), "the corner": (-13.5, 0.0), "the cheek": (0.0, 40.0)}
WHOSE = dict(
    zip(("the source alone", "it in any light", "that and renders", "true pictures"), assets.LESSONS, strict=True)
)


def _picture(ax: plt.Axes, image: Tensor, title: str = "") -> None:
    ax.imshow(image.clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="bilinear")
    ax.set_title(title)
    bare(ax)


def _arrows(ax: plt.Axes, gaze: Tensor, pose: Tensor, between: float, size: int) -> None:
    """Gaze of both eyes, from the middle of each, as seen by the camera."""
    turn = gaze_rotation(pose)
    direction = -(turn @ gaze_rotation(gaze))[:, 2]
    for side in (-1, 1):
        eye = turn @ torch.tensor([side * between / 2, EYE_Y, EYE_Z]) + torch.tensor([0.0, 0.0, 600.0])
        ends = [(p[:2] / p[2] * FOCAL * size + size / 2).tolist() for p in (eye, eye + 70 * direction)]
        begin, end = (ends[0][0], ends[0][1]), (ends[1][0], ends[1][1])
        ax.annotate("", end, begin, arrowprops={"arrowstyle": "->", "color": PALETTE[1], "linewidth": 1.8})


def _made(codes: Codes, gaze: Tensor, pose: Tensor) -> Tensor:
    return live.shipped_model().picture(replace(codes, gaze=gaze), pose, size=FINE)[0]


def _truth(person: int, picture: int) -> Heads:
    """What the codes of a person in the light of a picture were learned from: one row."""
    data = assets.shipped_pictures()
    one, other = data.pick([person]), data.pick([picture])
    return replace(one, light=other.light, expression=other.expression, images=torch.zeros(1, 3, FINE, FINE))


def draw_hero() -> Figure:
    """Four people that the model learned, each turned and looking four ways that no picture showed."""
    fig, axes = plt.subplots(len(PEOPLE), 4, figsize=(7.6, 7.6))
    for line, person in zip(axes, PEOPLE, strict=True):
        for ax, (gaze, pose) in zip(line, WAYS, strict=True):
            codes = assets.codes_of(person, person)
            looking, turned = (torch.tensor([a], dtype=torch.float32) for a in (gaze, pose))
            _picture(ax, _made(codes, looking, turned)[0])
            _arrows(ax, looking[0], turned[0], float(codes.between[0]), FINE)
    return fig


def draw_pairs(made: np.ndarray, true: np.ndarray, count: int = 6) -> Figure:
    """Renders of a run above the true pictures of the same requests; uint8 (N, 3, s, s)."""
    fig, axes = plt.subplots(2, count, figsize=(10.0, 3.6))
    for line, images in zip(axes, (made, true), strict=True):
        for ax, image in zip(line, images, strict=False):
            _picture(ax, torch.from_numpy(image) / 255)
    axes[0, 0].set_title("rendered")
    axes[1, 0].set_title("true")
    return fig


# ---------------------------------------------------------------------------------------------- moving


def render_redirected(gaze_yaw: float, gaze_pitch: float, head_yaw: float) -> tuple[Figure, str]:
    """The model's render beside the truth.

    Args:
        gaze_yaw: of YAWS. gaze_pitch: of PITCHES. head_yaw: of HEADS; radians.
    """
    gaze, pose = torch.tensor([[gaze_pitch, gaze_yaw]]), torch.tensor([[0.0, head_yaw]])
    codes = assets.codes_of(PERSON, PICTURE)
    true = redrawn(_truth(PERSON, PICTURE), gaze=gaze, pose=pose).images
    made = _made(codes, gaze, pose)
    fig, axes = plt.subplots(1, 2, figsize=(4.6, 2.6))
    for ax, image, title in zip(axes, (made[0], true[0]), ("rendered", "the truth"), strict=True):
        _picture(ax, image, title)
        _arrows(ax, gaze[0], pose[0], float(codes.between[0]), FINE)
    beyond = " Beyond 0.45 no picture of training looked." if abs(gaze_yaw) > 0.45 else ""
    error = float((made - true).abs().mean())
    words = f"Gaze {gaze_pitch:g} up and {gaze_yaw:g} left, head {head_yaw:g} left"
    return fig, f"{words}: the pictures differ by {error:.3f} on average.{beyond}"


def render_mixed(person: str, mixed_with_another: float, light_of_picture: int) -> tuple[Figure, str]:
    """Somebody who is not there: an identity between two, in a light of a third.

    Args:
        person: "A to B" or "C to D". mixed_with_another: of MIXED. light_of_picture: of LIGHTS.
    """
    first = PEOPLE["ABCD".index(person[0])], PEOPLE["ABCD".index(person[-1])]
    one, other = (assets.codes_of(p, light_of_picture) for p in first)
    codes = replace(
        one, identity=torch.lerp(one.identity, other.identity, mixed_with_another),
        between=torch.lerp(one.between, other.between, mixed_with_another),
    )  # fmt: skip
    fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.7))
    for ax, (gaze, pose) in zip(axes, VIEWS, strict=True):
        _picture(ax, _made(codes, torch.tensor([gaze]), torch.tensor([pose]))[0])
    words = f"{100 * mixed_with_another:.0f} % of the way from {person[0]} to {person[-1]}"
    return (
        fig,
        f"{words}, {float(codes.between[0]):.1f} mm between the eyes, in the light of picture {light_of_picture}.",
    )


@torch.no_grad()
def along_a_ray(spot: str, gaze_yaw: float) -> dict[str, Tensor]:
    """Depth in mm beyond the first sample, densities per cm of face and eye, what is left, and weights, (SAMPLES,); and
    the colour (3,) of one ray into the left eye's surroundings."""
    model, pose = live.shipped_model(), torch.zeros(1, 2)
    codes = replace(assets.codes_of(PERSON, PICTURE), gaze=torch.tensor([[0.0, gaze_yaw]]))
    right, down = SPOTS[spot]
    place = torch.tensor([-float(codes.between[0]) / 2 + right, EYE_Y + down, 0.0])
    origin, _ = rays(pose, 1)
    direction = (place - origin[0]) / (place[2] - origin[0, 0, 2])
    points, spacing, _ = between_shells(origin[0], direction, SAMPLES)
    face, eye = model._face(points, codes), model._eyes(points, codes)
    assert eye is not None
    sigma, feature = compose(*face, *eye)
    weights = render_weights(sigma, spacing)
    depth = 10 * (spacing.cumsum(1) - spacing[:, :1])
    left = torch.exp(-(sigma * spacing).cumsum(1) + sigma * spacing)
    colour = (weights.unsqueeze(-1) * feature).sum(1) + 1 - weights.sum(1, keepdim=True)
    return {
        "depth": depth[0], "face": face[0][0], "eye": eye[0][0], "left": left[0], "weight": weights[0],
        "colour": colour[0],
    }  # fmt: skip


def render_ray(spot: str, gaze_yaw: float) -> tuple[Figure, str]:
    """One ray.

    Args:
        spot: of SPOTS. gaze_yaw: of YAWS.
    """
    found = {name: value.numpy() for name, value in along_a_ray(spot, gaze_yaw).items()}
    fig, axes = plt.subplots(1, 2, figsize=(9.0, 3.6))
    axes[0].plot(found["depth"], found["face"], label="face", color=PALETTE[0])
    axes[0].plot(found["depth"], found["eye"], label="eye", color=PALETTE[1])
    axes[0].set_ylabel("density (1/cm)")
    axes[1].plot(found["depth"], found["left"], label="what is left", color=PALETTE[2])
    axes[1].bar(found["depth"], found["weight"], width=1.5, label="weight", color=PALETTE[3])
    axes[1].set_ylim(0, 1.05)
    for ax in axes:
        ax.set_xlabel("along the ray (mm)")
        ax.legend()
    share = float((found["weight"] * found["eye"] / (found["eye"] + found["face"] + 1e-9)).sum())
    red, green, blue = (round(255 * float(value)) for value in found["colour"].clip(0, 1))
    return (
        fig,
        f"A ray into {spot}, gaze {gaze_yaw:g}: {100 * share:.0f} % of it is eye; it shows ({red}, {green}, {blue}).",
    )


def render_map(learned_from: str) -> tuple[Figure, str]:
    """The map of an estimator's errors in the other world.

    Args:
        learned_from: of WHOSE.
    """
    maps = assets.shipped("nerfgaze")["maps"]
    values = maps[list(WHOSE).index(learned_from)].numpy()
    fig, ax = plt.subplots(figsize=(5.6, 4.4))
    shown = ax.imshow(values, cmap="magma", vmin=0, vmax=float(maps.max()), origin="lower", aspect="auto")
    ax.set_xticks(range(len(assets.GAZE_YAWS)), [f"{x:g}" for x in assets.GAZE_YAWS])
    ax.set_yticks(range(len(assets.HEAD_YAWS)), [f"{x:g}" for x in assets.HEAD_YAWS])
    ax.set_xlabel("yaw of the gaze (radians)")
    ax.set_ylabel("yaw of the head (radians)")
    fig.colorbar(shown, label="error (degrees)")
    middle, edge = values[2:5].mean(), np.concatenate([values[:1], values[-1:]]).mean()
    return (
        fig,
        f"Learned from {learned_from}: {middle:.1f} degrees where heads face us, {edge:.1f} where they turn most.",
    )


__all__ = [
    "HEADS", "LIGHTS", "MIXED", "PITCHES", "SPOTS", "WHOSE", "YAWS", "along_a_ray", "draw_hero", "draw_pairs",
    "render_map", "render_mixed", "render_ray", "render_redirected",
]  # fmt: skip
