"""The model at HeadNeRF's size, for real faces and a GPU: feature maps of 64 by 64, painted to 512 pixels.

What NeRF-Gaze does beyond its abstract is not known; this is HeadNeRF's field and renderer with our turning eye field
in the same space. Poses are those of normalised data, so the camera stands 600 mm away and does not roll.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor, nn

from firsthand.data.drawn.directions import gaze_rotation, vector_to_pitchyaw
from firsthand.data.drawn.heads import EYE_Y, EYE_Z, rays
from firsthand.data.readers.gaze_sets import Gazes, read_xgaze, xgaze_files
from firsthand.errors import UserError
from firsthand.kit.train.loop import MicroBatch, epoch_indices
from firsthand.kit.train.loop import train as train_loop
from firsthand.nerfgaze.fields import FaceField, Field, Renderer
from firsthand.nerfgaze.model import REACH, UNIT
from firsthand.nerfgaze.rendering import between_shells, compose, render_weights

IDENTITY, EXPRESSION, ALBEDO, LIGHT = 100, 79, 100, 27
BETWEEN = 62.0  # mm between the eyes of the mean face, on which normalised data are centred
FOCAL = 960 / 224  # of normalised pictures, in widths


class FullHead(nn.Module):
    """Face field, eye field and renderer at full size, with codes of people and pictures.

    Args:
        people, pictures: how many have codes.
        grid: rays a side. scale: picture over grid. samples: of a ray. features: of a map.
    """

    def __init__(
        self, people: int, pictures: int, *, grid: int = 64, scale: int = 8, samples: int = 64, features: int = 256
    ) -> None:
        super().__init__()
        self.grid, self.samples = grid, samples
        self.face = FaceField(features=features)
        self.eye = Field(
            IDENTITY, ALBEDO + LIGHT + 3, frequencies=8, width=128, depth=4, features=features, hidden=128
        )  # fmt: skip
        self.renderer = Renderer(features, scale)
        self.behind = nn.Parameter(torch.ones(features, grid * grid))
        self.person = nn.Parameter(torch.zeros(people, IDENTITY + ALBEDO))
        self.picture = nn.Parameter(torch.zeros(pictures, EXPRESSION + LIGHT))

    def forward(
        self, person: Tensor, picture: Tensor, gaze: Tensor, pose: Tensor, jitter: Tensor | None = None
    ) -> Tensor:
        """People (N,) in pictures (N,), gaze in the head's frame and pose (N, 2) -> pictures (N, 3, s, s) in (0, 1).

        jitter: of the samples, (N, grid ** 2, samples) in [0, 1); None: middles.
        """
        origin, direction = rays(pose, self.grid, focal=FOCAL)
        count = self.grid**2
        origin, direction = origin.expand(-1, count, -1).reshape(-1, 3), direction.reshape(-1, 3)
        points, spacing, meets = between_shells(
            origin, direction, self.samples, None if jitter is None else jitter.flatten(0, 1)
        )  # fmt: skip
        rows = meets.nonzero()[:, 0]
        of = rows // count
        identity, albedo = self.person[person].split([IDENTITY, ALBEDO], 1)
        expression, light = self.picture[picture].split([EXPRESSION, LIGHT], 1)
        shape, look = torch.cat([identity, expression], 1)[of], torch.cat([albedo, light], 1)[of]
        points, spacing = points[rows], spacing[rows]

        def along(code: Tensor) -> Tensor:
            return code.unsqueeze(1).expand(-1, self.samples, -1)

        face = self.face(points / UNIT, along(shape), along(look))
        eyes = self._eyes(points, identity[of], look, gaze[of])
        sigma, feature = compose(face[0], face[1], eyes[0], eyes[1])
        weights = render_weights(sigma, spacing)
        seen = torch.einsum("rs,rsc->rc", weights, feature)
        behind = self.behind.T.repeat(len(person), 1)
        seen = seen + (1 - weights.sum(1, keepdim=True)) * behind[rows]
        maps = behind.index_put((rows,), seen).view(len(person), self.grid, self.grid, -1)
        return self.renderer(maps.permute(0, 3, 1, 2))

    def _eyes(self, points: Tensor, identity: Tensor, look: Tensor, gaze: Tensor) -> tuple[Tensor, Tensor]:
        sigma = points.new_zeros(points.shape[:2])
        feature = points.new_zeros(*points.shape[:2], self.behind.shape[0])
        for side in (-1.0, 1.0):
            place = points - points.new_tensor([side * BETWEEN / 2, EYE_Y, EYE_Z])
            rows = (torch.linalg.vector_norm(place, dim=-1) < REACH).nonzero(as_tuple=True)
            if not len(rows[0]):
                continue
            at, mirror = rows[0], points.new_tensor([-side, 1.0, 1.0])
            turned = gaze_rotation(gaze[at] * points.new_tensor([1.0, -side]))
            inner = torch.einsum("nji,nj->ni", turned, place[rows] * mirror)
            lit = torch.cat([look[at], place[rows] / REACH], 1)  # light falls on the place, neither turned nor mirrored
            density, found = self.eye(inner / REACH, identity[at], lit)
            sigma, feature = sigma.index_put(rows, density), feature.index_put(rows, found)
        return sigma, feature


@dataclass(frozen=True)
class FullRecipe:
    """How to train at full size; rates are HeadNeRF's and GazeNeRF's.

    Attributes:
        steps, batch, lr: of Adam; the rate falls by ten in `decay` steps. pictures: of each person.
        grid, scale, samples, features: see `FullHead`. code: weight of the codes' mean square.
    """

    steps: int = 500_000
    batch: int = 2
    lr: float = 1e-4
    decay: int = 1_000_000
    pictures: int = 900
    grid: int = 64
    scale: int = 8
    samples: int = 64
    features: int = 256
    code: float = 1e-3


def read_people(folder: str | Path, count: int) -> list[Gazes]:
    """So many pictures of each person to train on, the first ones.

    Raises:
        UserError: see `xgaze_files` and `read_xgaze`; or gaze that a set keeps secret.
    """
    found = []
    for file in xgaze_files(folder):
        one = read_xgaze(file, _first(file, count))
        if one.gaze.isnan().any():
            raise UserError(f"{file.name} has no gaze; people to train on need theirs.")
        found.append(one)
    return found


def _first(file: Path, count: int) -> list[int] | None:
    """The first rows of a file, so many or all, or None where it cannot be read, which `read_xgaze` puts into words."""
    try:
        with h5py.File(file, "r") as content:
            return list(range(min(count, content["face_patch"].shape[0])))
    except Exception:  # h5py raises whatever a damaged file leads it into
        return None


def in_head(one: Gazes) -> tuple[Tensor, Tensor]:
    """Gaze in the head's frame and the head's pose, (n, 2) each."""
    towards = -(gaze_rotation(one.pose).mT @ gaze_rotation(one.gaze))[..., 2]
    return vector_to_pitchyaw(towards).float(), one.pose.float()


def train_full(
    recipe: FullRecipe, people: list[Gazes], *, seed: int = 0, accelerator: Any = None, checkpoint: Path | None = None,
    progress: bool = False,
) -> tuple[FullHead, list[float]]:  # fmt: skip
    """Train on real people; several processes and resuming as in `kit.training.train`."""
    side = recipe.grid * recipe.scale
    images = torch.cat([_resized(one.images, side) for one in people])
    person = torch.arange(len(people)).repeat_interleave(torch.tensor([len(one.images) for one in people]))
    gaze, pose = (torch.cat(part) for part in zip(*map(in_head, people), strict=True))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FullHead(
            len(people), len(images), grid=recipe.grid, scale=recipe.scale, samples=recipe.samples,
            features=recipe.features,
        )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), recipe.lr)

    def loss(wrapped: nn.Module, share: MicroBatch) -> Tensor:
        rows = share.take(epoch_indices(share.step, recipe.batch, len(images), seed))
        device = next(wrapped.parameters()).device
        rows_there = torch.as_tensor(np.asarray(rows), device=device)
        jitter = torch.rand(recipe.batch, recipe.grid**2, recipe.samples, generator=share.generator())
        made = wrapped(
            person.to(device)[rows_there], rows_there, gaze[rows].to(device), pose[rows].to(device), share.take(jitter)
        )
        codes = model.person.square().mean() + model.picture.square().mean()
        return (made - images[rows].float().to(device) / 255).abs().mean() + recipe.code * codes

    def rate(step: int) -> float:
        return recipe.lr * 0.1 ** (step / recipe.decay)

    losses = train_loop(
        model, optimizer, loss, steps=recipe.steps, lr=rate, seed=seed, accelerator=accelerator,
        checkpoint=checkpoint, progress=progress,
    )  # fmt: skip
    return model, losses


def _resized(images: Tensor, side: int) -> Tensor:
    if images.shape[-1] == side:
        return images
    small = torch.nn.functional.interpolate(images.float(), (side, side), mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).to(torch.uint8)
