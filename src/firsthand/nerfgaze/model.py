"""A head and two eyes as radiance fields, driven by codes and by where the eyes look.

The face never hears of the gaze. An eye is a field in its own frame, which turns with it; one network serves both
eyes, the right one seen in a mirror. Where the eyes are is given, as it is when real pictures are normalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from firsthand.data.drawn.directions import gaze_rotation, pitchyaw_to_vector
from firsthand.data.drawn.heads import EYE_Y, EYE_Z, rays
from firsthand.nerfgaze.fields import Field
from firsthand.nerfgaze.rendering import between_shells, compose, render_weights

EYES = ("rotated", "fed", "single")
COMPOSE = ("density", "max")
REACH = 15.0  # mm around an eye's middle within which its field is asked
UNIT = 100.0  # mm, of the face field's input
MEAN_BETWEEN = 62.0  # mm between the eyes of a mean head
SAMPLES = 20  # of a ray


@dataclass(frozen=True)
class Sizes:
    """Of the compact model.

    Attributes:
        identity, expression, light: lengths of codes. face, eye: widths of the fields.
        features: 0: fields give colours; else numbers a point, which a small network turns into colours a ray.
    """

    identity: int = 8
    expression: int = 2
    light: int = 4
    face: int = 64
    eye: int = 32
    features: int = 0


@dataclass
class Codes:
    """What one render is driven by, a row a ray or a picture.

    Attributes:
        identity, expression, light: codes (R, ...). gaze: (R, 2), in the head's frame. between: mm between eyes (R,).
    """

    identity: Tensor
    expression: Tensor
    light: Tensor
    gaze: Tensor
    between: Tensor

    def pick(self, rows: Tensor) -> Codes:
        """Some rows."""
        return Codes(*(value[rows] for value in vars(self).values()))


class HeadModel(nn.Module):
    """Face field, eye field, and codes of the people and pictures that it was trained on.

    Args:
        people, pictures: how many have codes.
        eyes: "rotated": the eye field lives in a frame that turns with the gaze; "fed": it stands still and is told the
            gaze; "single": no eye field, the face field is told the gaze.
        how: "density": fields add up in space; "max": each is rendered alone, and of both features the larger counts
            (GazeNeRF's way).
        sizes: of all.
    """

    def __init__(
        self, people: int, pictures: int, *, eyes: str = "rotated", how: str = "density", sizes: Sizes | None = None
    ) -> None:
        super().__init__()
        if eyes not in EYES or how not in COMPOSE:
            raise ValueError(f"Unknown model {eyes!r}, {how!r}: choose of {', '.join(EYES)} and {', '.join(COMPOSE)}.")
        sizes = sizes or Sizes()
        self.eyes, self.how, self.sizes = eyes, how, sizes
        alone, count = eyes == "single", sizes.features or 3
        told = 4 if alone else 0  # the gaze, and how far apart the eyes are
        self.face = Field(
            sizes.identity + sizes.expression + told, sizes.light + sizes.identity + told,
            frequencies=8 if alone else 6,  # as fine as an eye field sees
            width=sizes.face, depth=3, features=count, hidden=32, density="softplus",
        )  # fmt: skip
        if eyes != "single":
            told = 3 if eyes == "fed" else 0
            self.eye = Field(
                sizes.identity + told, sizes.identity + told + (3 + sizes.light if sizes.features else 0),
                frequencies=5,
                width=sizes.eye, depth=2, features=count, hidden=32, density="softplus",
            )  # fmt: skip
            self.shade = nn.Sequential(nn.Linear(3 + sizes.light, 16), nn.ReLU(), nn.Linear(16, 1), nn.Softplus())
        if sizes.features:
            self.behind = nn.Parameter(torch.ones(count))
            self.paint = nn.Sequential(nn.Linear(count, 32), nn.LeakyReLU(0.2), nn.Linear(32, 3), nn.Sigmoid())
        self.identity = nn.Parameter(0.3 * torch.randn(people, sizes.identity))
        self.expression = nn.Parameter(torch.zeros(pictures, sizes.expression))
        self.light = nn.Parameter(torch.zeros(pictures, sizes.light))

    def codes(self, person: Tensor, picture: Tensor, gaze: Tensor, between: Tensor) -> Codes:
        """The trained codes of people (R,) in pictures (R,), with gazes (R, 2) and distances between eyes (R,)."""
        return Codes(self.identity[person], self.expression[picture], self.light[picture], gaze, between)

    def forward(
        self, origin: Tensor, direction: Tensor, codes: Codes, generator: torch.Generator | None = None
    ) -> Tensor:
        """Colours (R, 3); see `seen`."""
        return self.seen(origin, direction, codes, generator)[0]

    def seen(
        self, origin: Tensor, direction: Tensor, codes: Codes, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Colours (R, 3), equation (1), of rays from (R, 3) into (R, 3), in the head's frame, and how much of the
        background they hide (R,); generator: jitters the samples."""
        points, spacing, meets = between_shells(origin, direction, SAMPLES, generator)
        rows = meets.nonzero()[:, 0]
        points, spacing, codes = points[rows], spacing[rows], codes.pick(rows)
        face = self._face(points, codes)
        eye = self._eyes(points, codes)
        white = self.behind if self.sizes.features else origin.new_ones(3)
        if eye is None or self.how == "density":
            sigma, feature = face if eye is None else compose(*face, *eye)
            seen, stopped = _rendered(sigma, feature, spacing, white)
        else:
            both = [_rendered(*field, spacing, white) for field in (face, eye)]
            seen, stopped = (torch.maximum(a, b) for a, b in zip(*both, strict=True))
        found = white.expand(len(origin), -1).index_put((rows,), seen)
        opacity = origin.new_zeros(len(origin)).index_put((rows,), stopped)
        return self.paint(found) if self.sizes.features else found, opacity

    def _face(self, points: Tensor, codes: Codes) -> tuple[Tensor, Tensor]:
        alone = self.eyes == "single"
        told = [pitchyaw_to_vector(codes.gaze), codes.between.unsqueeze(-1) / MEAN_BETWEEN - 1] if alone else []
        shape = torch.cat([codes.identity, codes.expression, *told], -1)
        look = torch.cat([codes.light, codes.identity, *told], -1)
        along = points.shape[1]
        sigma, feature = self.face(points / UNIT, _each(shape, along), _each(look, along))
        return sigma, feature if self.sizes.features else feature.sigmoid()

    def _eyes(self, points: Tensor, codes: Codes) -> tuple[Tensor, Tensor] | None:
        """Density (R, S) and features (R, S, C) of both eyes; nought beyond their reach."""
        if self.eyes == "single":
            return None
        sigma = points.new_zeros(points.shape[:2])
        feature = points.new_zeros(*points.shape[:2], self.sizes.features or 3)
        for side in (-1, 1):
            across = side * codes.between / 2
            centre = torch.stack([across, torch.full_like(across, EYE_Y), torch.full_like(across, EYE_Z)], -1)
            place = points - centre.unsqueeze(1)
            rows = (torch.linalg.vector_norm(place, dim=-1) < REACH).nonzero(as_tuple=True)
            if len(rows[0]):
                density, look = self._eye(place[rows], codes.pick(rows[0]), side)
                sigma, feature = sigma.index_put(rows, density), feature.index_put(rows, look)
        return sigma, feature

    def _eye(self, place: Tensor, codes: Codes, side: int) -> tuple[Tensor, Tensor]:
        """One eye's field at places (n, 3) about its middle; the right eye's mirror image is a left one.

        What is turned and mirrored is the eye. The light falls on the place as it is.
        """
        mirror = place.new_tensor([-side, 1.0, 1.0])
        inner, gaze = place * mirror, codes.gaze * place.new_tensor([1.0, -side])
        told = [pitchyaw_to_vector(gaze)] if self.eyes == "fed" else []
        inner = torch.einsum("nji,nj->ni", gaze_rotation(gaze), inner) if self.eyes == "rotated" else inner
        lit = [place / REACH, codes.light] if self.sizes.features else []
        look = torch.cat([codes.identity, *told, *lit], -1)
        sigma, feature = self.eye(inner / REACH, torch.cat([codes.identity, *told], -1), look)
        if self.sizes.features:
            return sigma, feature
        return sigma, feature.sigmoid() * self.shade(torch.cat([place / REACH, codes.light], -1))

    @torch.no_grad()
    def picture(self, codes: Codes, pose: Tensor, *, size: int = 48, rays_at_once: int = 8192) -> tuple[Tensor, Tensor]:
        """Pictures (N, 3, size, size) of codes (N rows) in poses (N, 2), and where the head is, (N, size, size)."""
        found, heads = [], []
        per = max(1, rays_at_once // size**2)
        for rows in torch.arange(len(pose)).split(per):
            origin, direction = rays(pose[rows], size)
            each = rows.repeat_interleave(size * size)
            start = origin.expand(-1, size * size, -1).reshape(-1, 3)
            colour, opacity = self.seen(start, direction.reshape(-1, 3), codes.pick(each))
            found.append(colour.view(len(rows), size, size, 3))
            heads.append(opacity.view(len(rows), size, size) > 0.5)
        return torch.cat(found).permute(0, 3, 1, 2).clamp(0, 1), torch.cat(heads)


def _each(code: Tensor, along: int) -> Tensor:
    return code.unsqueeze(1).expand(-1, along, -1)


def _rendered(sigma: Tensor, feature: Tensor, spacing: Tensor, behind: Tensor) -> tuple[Tensor, Tensor]:
    """Features (R, C) of rays over what lies behind, and how much of that they hide (R,)."""
    weights = render_weights(sigma, spacing)
    seen, stopped = torch.einsum("rs,rsc->rc", weights, feature), weights.sum(1)
    return seen + (1 - stopped).unsqueeze(1) * behind, stopped
