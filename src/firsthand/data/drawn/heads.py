"""Drawn heads with exact gaze: two ellipsoids for a face, two spheres that turn for eyes, and a lamp.

Millimetres in the head's frame: origin on the face's plane a little below the eyes; x right, y down, z into the head.
The camera stands 600 mm away. The lamp turns with the head, so that a code of light means the same in every pose.
Everything is ray-traced in closed form; masks of eyes and head come with the picture. Ours.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from firsthand.data.drawn.directions import gaze_rotation

DISTANCE, FOCAL = 600.0, 170 / 48  # mm from the camera to the head, and focal length in widths of the picture
SKULL, SKULL_RADII = (0.0, 10.0, 75.0), (75.0, 105.0, 90.0)
NOSE, NOSE_RADII = (0.0, 18.0, -14.0), (10.0, 22.0, 16.0)
EYE_Y, EYE_Z = -12.0, 1.0
SCLERA, MOUTH = (0.93, 0.92, 0.90), (0.62, 0.24, 0.24)
SHINE, GLOSS = 0.6, 60.0  # of the highlight on an eye
HAIRLINE = -58.0  # above it hair begins
BATCH = 16  # pictures that are traced at once


@dataclass(frozen=True)
class Heads:
    """Pictures, what is in them, and what they were drawn from; N pictures of s pixels a side.

    Attributes:
        images: float (N, 3, s, s) in [0, 1].
        eyes, head: bool (N, s, s), where an eye or the head covers most of a pixel.
        gaze, pose: (pitch, yaw) of gaze in the head's frame and of the head in the camera's, (N, 2).
        person: (N,). identity (N, 16), expression (N, 3), light (N, 5): see IDENTITY, EXPRESSION, LIGHT.
    """

    images: Tensor
    eyes: Tensor
    head: Tensor
    gaze: Tensor
    pose: Tensor
    person: Tensor
    identity: Tensor
    expression: Tensor
    light: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def pick(self, rows: Tensor | np.ndarray | slice | list[int]) -> Heads:
        """Some of them, in this order."""
        chosen = torch.arange(len(self))[rows if isinstance(rows, slice) else torch.as_tensor(np.asarray(rows))]
        return Heads(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @property
    def camera_gaze(self) -> Tensor:
        """Unit vectors of gaze in the camera's frame, (N, 3): what an estimator is asked for."""
        turned = gaze_rotation(self.pose) @ gaze_rotation(self.gaze)
        return -turned[..., 2]


#: Name to least and most, in the order of the code. Lengths in mm, colours in [0, 1].
IDENTITY = {
    "skin red": (0.55, 0.92), "skin green": (0.62, 0.78), "skin blue": (0.6, 0.8), "wide": (0.9, 1.1),
    "tall": (0.92, 1.08), "between eyes": (56.0, 68.0), "eye": (11.5, 12.5), "iris": (5.4, 6.2), "pupil": (1.5, 3.2),
    "iris red": (0.1, 0.45), "iris green": (0.15, 0.5), "iris blue": (0.1, 0.6), "open": (0.6, 0.85),
    "hair red": (0.05, 0.5), "hair green": (0.5, 0.8), "hair blue": (0.5, 0.9),
}  # fmt: skip
EXPRESSION = {"mouth wide": (16.0, 26.0), "mouth high": (2.5, 9.0), "brow": (19.0, 25.0)}
#: The lamp's direction (from the face, towards it), how much it gives, and what comes from everywhere.
LIGHT = {"right": (-0.7, 0.7), "down": (-0.8, 0.3), "near": (-1.0, -0.7), "lamp": (0.5, 0.9), "around": (0.15, 0.35)}


@dataclass(frozen=True)
class World:
    """From which ranges pictures are drawn.

    Attributes:
        gaze, pose: largest pitch and yaw, radians. lamp, around: of LIGHT.
        grey: the background is a random grey instead of white.
        first: seed of the first person; worlds of other people begin elsewhere.
    """

    gaze: float = 0.45
    pose: float = 0.35
    lamp: tuple[float, float] = LIGHT["lamp"]
    around: tuple[float, float] = LIGHT["around"]
    grey: bool = False
    first: int = 0


SOURCE = World()
TARGET = World(pose=0.6, lamp=(0.15, 0.35), around=(0.05, 0.15), grey=True, first=500)


def _between(ranges: dict[str, tuple[float, float]], u: np.ndarray) -> np.ndarray:
    low, high = np.array(list(ranges.values())).T
    found: np.ndarray = low + u * (high - low)
    return found


def person(number: int) -> np.ndarray:
    """The identity code (16,) of a person; green and blue of skin and hair are shares of the colour before them."""
    code = _between(IDENTITY, np.random.default_rng([number, 1]).random(len(IDENTITY)))
    for first in (0, 13):  # skin and hair: each colour a share of the one before
        code[first + 1] *= code[first]
        code[first + 2] *= code[first + 1]
    return code


def heads(seed: int, count: int, people: int, world: World = SOURCE, *, size: int = 48) -> Heads:
    """Draw pictures of so many people.

    Args:
        seed: of everything but the people.
        count: pictures. people: numbered from the world's first on, in equal shares.
        world: ranges. size: pixels a side.
    """
    rng = np.random.default_rng([seed, 2])
    who = np.arange(count) % people
    codes = np.stack([person(world.first + n) for n in range(people)])[who]
    ranges = {**LIGHT, "lamp": world.lamp, "around": world.around}
    gaze, pose = (rng.uniform(-most, most, (count, 2)) for most in (world.gaze, world.pose))
    expression, light = (_between(r, rng.random((count, len(r)))) for r in (EXPRESSION, ranges))
    back = rng.uniform(0.1, 0.9, count) if world.grey else np.ones(count)
    numbers = [torch.from_numpy(a).float() for a in (gaze, pose, codes, expression, light, back)]
    images, eyes, head = render(*numbers, size=size)
    person_of = torch.from_numpy(who + world.first)
    return Heads(images, eyes, head, numbers[0], numbers[1], person_of, numbers[2], numbers[3], numbers[4])


def redrawn(data: Heads, *, gaze: Tensor | None = None, pose: Tensor | None = None, back: float = 1.0) -> Heads:
    """The same people in the same light, turned otherwise: the truth that a redirected picture should be.

    Args:
        data: pictures. gaze, pose: (N, 2); None: as they were. back: grey of the background.
    """
    gaze, pose = data.gaze if gaze is None else gaze, data.pose if pose is None else pose
    grey = torch.full((len(data),), back)
    images, eyes, head = render(
        gaze, pose, data.identity, data.expression, data.light, grey, size=data.images.shape[-1]
    )
    return replace(data, images=images, eyes=eyes, head=head, gaze=gaze, pose=pose)


# ------------------------------------------------------------------------------------------------- tracing


def rays(pose: Tensor, size: int, *, samples: int = 1, focal: float = FOCAL) -> tuple[Tensor, Tensor]:
    """Where rays begin and where they go, in the head's frame: (N, 1, 3) and (N, (samples size) ** 2, 3), of length one
    along the camera's z.

    Args:
        pose: (N, 2). size: pixels a side. samples: a side of each pixel. focal: length, in widths of the picture.
    """
    count = samples * size
    at = ((torch.arange(count, device=pose.device) + 0.5) / count - 0.5) / focal
    y, x = torch.meshgrid(at, at, indexing="ij")
    directions = torch.stack([x, y, torch.ones_like(x)], -1).view(1, -1, 3)
    turn = gaze_rotation(pose)
    origin = -DISTANCE * turn[:, 2:3]  # minus R^T (0, 0, 600)
    return origin, directions @ turn


def ellipsoid(origin: Tensor, direction: Tensor, centre: Tensor, radii: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays first meet ellipsoids along the axes: distances (N, P), infinite where they do not, and whether.

    Args:
        origin: (N, 1, 3). direction: (N, P, 3). centre, radii: (N, 1, 3) or (3,). The N may be left out.
    """
    o, d = (origin - centre) / radii, direction / radii
    a, b, c = _dot(d, d), _dot(o, d), _dot(o, o) - 1
    inside = b * b - a * c
    meets = inside > 0
    distance = (-b - inside.clamp_min(0).sqrt()) / a
    return distance.masked_fill(~meets, torch.inf), meets


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Products of vectors (..., 3); as three products, which is faster than a sum over so short a row."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def render(
    gaze: Tensor, pose: Tensor, identity: Tensor, expression: Tensor, light: Tensor, back: Tensor, *, size: int = 48,
    samples: int = 2,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Ray-trace heads.

    Args:
        gaze, pose: (N, 2). identity (N, 16), expression (N, 3), light (N, 5). back: (N,), grey of the background.
        size: pixels a side. samples: a side of each pixel, averaged.

    Returns:
        images (N, 3, size, size), masks of eyes and of the head (N, size, size).
    """
    parts = [
        _traced(gaze[k], pose[k], identity[k], expression[k], light[k], back[k], size, samples)
        for k in (slice(start, start + BATCH) for start in range(0, len(gaze), BATCH))
    ]
    images, eyes, head = (torch.cat(part) for part in zip(*parts, strict=True))
    return images, eyes > 0.5, head > 0.5


def _traced(
    gaze: Tensor,
    pose: Tensor,
    identity: Tensor,
    expression: Tensor,
    light: Tensor,
    back: Tensor,
    size: int,
    samples: int,
) -> tuple[Tensor, Tensor, Tensor]:
    one = {name: identity[:, n, None] for n, name in enumerate(IDENTITY)}
    lamp = torch.cat([torch.nn.functional.normalize(light[:, :3], dim=-1), light[:, 3:]], -1)
    origin, direction = rays(pose, size, samples=samples)
    stretch = torch.stack([one["wide"], one["tall"], torch.ones_like(one["wide"])], -1)
    skull, nose = torch.tensor(SKULL), torch.tensor(NOSE)
    far_skull, on_skull = ellipsoid(origin, direction, skull, torch.tensor(SKULL_RADII) * stretch)
    far_nose, on_nose = ellipsoid(origin, direction, nose, torch.tensor(NOSE_RADII))
    on_nose = on_nose & (far_nose < far_skull)
    on_head = on_skull | on_nose
    picture = back[:, None, None].repeat(1, direction.shape[1], 3)
    image, ray = on_head.nonzero(as_tuple=True)  # from here on only rays that meet the head, one after the other
    far = torch.minimum(far_skull, far_nose)[image, ray].unsqueeze(-1)
    nosed, go, start = on_nose[image, ray].unsqueeze(-1), direction[image, ray], origin[image, 0]
    point = start + far * go
    curved = torch.where(
        nosed, 1 / torch.tensor(NOSE_RADII) ** 2, 1 / (torch.tensor(SKULL_RADII) * stretch[image, 0]) ** 2
    )
    normal = torch.nn.functional.normalize((point - torch.where(nosed, nose, skull)) * curved, dim=-1)
    colour = _skin(point, nosed[:, 0], one, expression, image) * _shade(normal, lamp[image])
    looked = torch.zeros_like(on_head)
    axis = -gaze_rotation(gaze)[:, :, 2]
    for side in (-1, 1):
        near = (~nosed[:, 0] & _between_lids(point, side, one, image)).nonzero()[:, 0]
        of = {name: value[image[near]] for name, value in one.items()}
        meets, shown = _eye(start[near], go[near], side, of, axis[image[near]], lamp[image[near]])
        colour[near] = torch.where(meets.unsqueeze(-1), shown, colour[near])
        looked[image[near], ray[near]] |= meets
    picture[image, ray] = colour
    return tuple(_averaged(part, size, samples) for part in (picture.clamp(0, 1), looked, on_head))  # type: ignore[return-value]


def _shade(normal: Tensor, light: Tensor) -> Tensor:
    """How much light a surface gives back, (R, 1), from unit normals (R, 3) and lights (R, 5) with unit directions."""
    facing = _dot(normal, light).unsqueeze(-1).clamp_min(0)
    return light[:, 4:5] + light[:, 3:4] * facing


def _colour(one: dict[str, Tensor], what: str) -> Tensor:
    return torch.cat([one[f"{what} {rgb}"] for rgb in ("red", "green", "blue")], -1)


def _skin(point: Tensor, on_nose: Tensor, one: dict[str, Tensor], expression: Tensor, image: Tensor) -> Tensor:
    """Colours of the head's surface (R, 3) at points (R, 3) of pictures (R,): skin, hair, brows and mouth."""
    x, y, z = point.unbind(-1)
    skin, hair, brows = _colour(one, "skin")[image], _colour(one, "hair")[image], one["between eyes"][:, 0] / 2
    wide, high, brow = expression[image].unbind(-1)
    front = (z < 30) & ~on_nose
    lips = front & ((x / wide) ** 2 + ((y - 52) / high) ** 2 < 1)
    off = ((x.abs() - brows[image]) / 15) ** 2 + ((y - EYE_Y + brow) / 2.6) ** 2
    colour = torch.where((front & (off < 1)).unsqueeze(-1), 0.6 * hair + 0.1 * skin, skin)
    colour = torch.where(lips.unsqueeze(-1), colour.new_tensor(MOUTH), colour)
    return torch.where((((y < HAIRLINE) | (z > 70)) & ~on_nose).unsqueeze(-1), hair, colour)


def _between_lids(point: Tensor, side: int, one: dict[str, Tensor], image: Tensor) -> Tensor:
    """Whether points of the skin (R, 3) of pictures (R,) lie in the almond through which an eye is seen."""
    radius, across = one["eye"][:, 0], side * one["between eyes"][:, 0] / 2
    almond = ((point[:, 0] - across[image]) / (1.15 * radius)[image]) ** 2
    almond = almond + ((point[:, 1] - EYE_Y) / (one["open"][:, 0] * radius)[image]) ** 2
    return (almond < 1) & (point[:, 2] < 30)


def _eye(
    origin: Tensor, direction: Tensor, side: int, one: dict[str, Tensor], axis: Tensor, light: Tensor
) -> tuple[Tensor, Tensor]:
    """Which rays (R, 3) meet an eye (R,), and its colours there (R, 3); axis: where it looks, (R, 3)."""
    radius, across = one["eye"], side * one["between eyes"] / 2
    centre = torch.cat([across, torch.full_like(across, EYE_Y), torch.full_like(across, EYE_Z)], -1)
    far, meets = ellipsoid(origin, direction, centre, radius)
    normal = (origin + torch.where(meets, far, 0.0).unsqueeze(-1) * direction - centre) / radius
    off = _dot(normal, axis).unsqueeze(-1).clamp(-1, 1).acos()
    colour = torch.where(off < (one["iris"] / radius).asin(), _colour(one, "iris"), normal.new_tensor(SCLERA))
    colour = torch.where(off < (one["pupil"] / radius).asin(), normal.new_tensor(0.02), colour)
    half = torch.nn.functional.normalize(torch.nn.functional.normalize(-direction, dim=-1) + light[:, :3], dim=-1)
    gloss = SHINE * _dot(normal, half).unsqueeze(-1).clamp_min(0) ** GLOSS * light[:, 3:4]
    return meets, colour * _shade(normal, light) + gloss


def _averaged(part: Tensor, size: int, samples: int) -> Tensor:
    """Means over each pixel's samples: (N, P, 3) to (N, 3, size, size), or (N, P) to (N, size, size)."""
    whole = part.float().view(len(part), size, samples, size, samples, -1).mean((2, 4))
    return whole.permute(0, 3, 1, 2) if whole.shape[-1] > 1 else whole[..., 0]
