"""Aerial scenes with vehicles, made on the spot: colour and near infrared, boxes, camouflage, distractors.

Images are uint8 (4, size, size): red, green, blue and near infrared, in which grass is bright and asphalt dark, as in
the pictures of VEDAI. Lengths are in metres and angles in radians until they are drawn. Ours: materials, sizes and
frequencies; they follow published statistics of VEDAI only roughly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw

from firsthand.data.drawn.vehicles import CLASSES, COMPACT, SIZES, outline, paint_of, parts

FINE = 2  # scenes are drawn so many times larger and averaged down
GRASS, DRY, SOIL = (95, 108, 75, 175), (140, 130, 100, 185), (165, 145, 120, 180)
ASPHALT, CONCRETE, WHITE = (118, 120, 122, 95), (185, 180, 170, 205), (225, 225, 222, 215)
SLATE, TILE, GLASS, WATER, LEAVES = (
    (90, 90, 95, 75),
    (140, 95, 80, 120),
    (60, 70, 85, 60),
    (50, 70, 82, 25),
    (60, 78, 48, 150),
)
SHADOW = np.array([0.45, 0.45, 0.45, 0.55], dtype=np.float32)
CAMOUFLAGE = ("none", "colour", "infrared")  # where a vehicle looks like its ground


@dataclass(frozen=True)
class Scene:
    """One picture and what is in it.

    Attributes:
        image: uint8 (4, size, size).
        boxes: (n, 4) float32, x1 y1 x2 y2 in pixels, hulls of the vehicles, clipped to the picture.
        labels: (n,) int64, places in the list of classes that was asked for.
        corners: (n, 4, 2) float32, of the vehicles' rectangles.
        camouflage: (n,) int64, places in CAMOUFLAGE.
    """

    image: torch.Tensor
    boxes: torch.Tensor
    labels: torch.Tensor
    corners: torch.Tensor
    camouflage: torch.Tensor


@dataclass
class Placed:
    """A vehicle in a scene that is being made: centre (2,), heading, class, and its camouflage."""

    centre: np.ndarray
    heading: float
    kind: str
    camouflage: int


class Canvas:
    """A picture that polygons and discs are painted on: values (h, w, 4) float32, coordinates in metres."""

    def __init__(self, size: int, scale: float) -> None:
        self.pixels = FINE * size
        self.scale = FINE * scale  # pixels a metre
        self.values = np.zeros((self.pixels, self.pixels, 4), dtype=np.float32)

    def area(self, polygon: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """Where a polygon (k, 2) lies: slices of the picture and a mask (bool) in them; None where it is outside."""
        points = polygon * self.scale
        low = np.clip(np.floor(points.min(0)).astype(int), 0, self.pixels)
        high = np.clip(np.ceil(points.max(0)).astype(int) + 1, 0, self.pixels)
        if (high <= low).any():
            return None
        mask = Image.new("1", (int(high[0] - low[0]), int(high[1] - low[1])))
        ImageDraw.Draw(mask).polygon([tuple(p) for p in (points - low).tolist()], fill=1)
        return (slice(low[1], high[1]), slice(low[0], high[0])), np.asarray(mask)

    def fill(self, polygon: np.ndarray, colour: np.ndarray | tuple[int, ...]) -> None:
        """Paint a polygon in one colour (4,)."""
        found = self.area(polygon)
        if found:
            self.values[found[0]][found[1]] = colour

    def shade(self, polygon: np.ndarray, factor: np.ndarray = SHADOW) -> None:
        """Darken a polygon."""
        found = self.area(polygon)
        if found:
            self.values[found[0]][found[1]] *= factor

    def mean(self, polygon: np.ndarray) -> np.ndarray:
        """Mean colour (4,) under a polygon; the whole picture's where it is outside."""
        found = self.area(polygon)
        inside = self.values[found[0]][found[1]] if found else self.values.reshape(-1, 4)
        return (inside if len(inside) else self.values.reshape(-1, 4)).mean(0)


def _smooth(rng: np.random.Generator, pixels: int, cells: tuple[int, ...] = (3, 7, 15)) -> np.ndarray:
    """Smooth noise (pixels, pixels), several octaves, mean 0 and deviation 1."""
    total = np.zeros((pixels, pixels), dtype=np.float32)
    for octave, count in enumerate(cells):
        coarse = Image.fromarray(rng.standard_normal((count, count)).astype(np.float32))
        total += 0.5**octave * np.asarray(coarse.resize((pixels, pixels), Image.Resampling.BICUBIC))
    return (total - total.mean()) / total.std()


def _rectangle(centre: np.ndarray, length: float, width: float, heading: float) -> np.ndarray:
    """Corners (4, 2)."""
    return place(np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [length / 2, width / 2], centre, heading)


def place(points: np.ndarray, centre: np.ndarray, heading: float) -> np.ndarray:
    """Turn points (k, 2) by a heading and move them to a centre."""
    cos, sin = np.cos(heading), np.sin(heading)
    return points @ np.array([[cos, sin], [-sin, cos]]) + centre


# ------------------------------------------------------------------------------------------- the ground


def _ground(canvas: Canvas, rng: np.random.Generator) -> None:
    kinds = _smooth(rng, canvas.pixels)
    border = rng.uniform(-0.6, 1.0)
    canvas.values[:] = GRASS
    canvas.values[kinds > border] = DRY
    canvas.values[kinds > border + 0.9] = SOIL
    canvas.values *= 1 + 0.07 * _smooth(rng, canvas.pixels, (20, 60))[..., None]
    if rng.random() < 0.15:
        canvas.values[_smooth(rng, canvas.pixels) > 1.3] = WATER


def _road(canvas: Canvas, rng: np.random.Generator, side: float) -> tuple[np.ndarray, np.ndarray]:
    """One curved road; returns points (k, 2) along it and headings (k,)."""
    across = rng.integers(2)
    ends = np.array([[-4.0, rng.uniform(0.1, 0.9) * side], [side + 4.0, rng.uniform(0.1, 0.9) * side]])
    ends = ends[:, ::-1] if across else ends
    bend = ends.mean(0) + rng.uniform(-0.25, 0.25, 2) * side
    t = np.linspace(0, 1, 40)[:, None]
    line = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * bend + t**2 * ends[1]
    slope = np.gradient(line, axis=0)
    heading = np.arctan2(slope[:, 1], slope[:, 0])
    width = rng.uniform(4.0, 5.5)
    for half, colour in ((width / 2 + 0.5, CONCRETE), (width / 2, ASPHALT)):
        normal = half * np.stack([-np.sin(heading), np.cos(heading)], 1)
        canvas.fill(np.concatenate([line + normal, (line - normal)[::-1]]), colour)
    for k in range(0, 40, 2):  # the dashes in the middle look a little like roofs of cars
        canvas.fill(_rectangle(line[k], 1.0, 0.15, heading[k]), WHITE)
    return line, heading


def _building(canvas: Canvas, rng: np.random.Generator, side: float, sun: np.ndarray) -> np.ndarray:
    """A house with a ridge, a shadow and perhaps a skylight; returns its corners."""
    centre, heading = rng.uniform(0, side, 2), rng.uniform(0, np.pi)
    length, width = rng.uniform(7, 14), rng.uniform(5, 9)
    roof = np.array(TILE if rng.random() < 0.5 else SLATE) * rng.uniform(0.85, 1.15)
    corners = _rectangle(centre, length, width, heading)
    canvas.shade(corners + 2.2 * sun)
    canvas.fill(corners, roof)
    half = place(np.array([[-length, 0], [length, 0], [length, width], [-length, width]]) / 2, centre, heading)
    canvas.shade(half, np.full(4, 0.82, dtype=np.float32))
    for _ in range(rng.integers(0, 3)):  # skylights: distractors
        canvas.fill(
            _rectangle(place(rng.uniform(-0.3, 0.3, (1, 2)) * [length, width], centre, heading)[0], 1.2, 0.9, heading),
            GLASS,
        )
    return corners


def _tree(canvas: Canvas, rng: np.random.Generator, centre: np.ndarray, sun: np.ndarray) -> np.ndarray:
    """A crown with a rough edge and a bright side; returns its outline."""
    radius = rng.uniform(1.2, 2.6)
    angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    rough = radius * rng.uniform(0.8, 1.1, 14)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    canvas.shade(centre + rough + 1.2 * sun)
    leaves = np.array(LEAVES) * rng.uniform(0.85, 1.2)
    for share, light in ((1.0, 0.85), (0.7, 1.0), (0.4, 1.15)):
        canvas.fill(centre - 0.25 * (1 - share) * radius * sun + share * rough, leaves * light)
    return centre + rough


# ----------------------------------------------------------------------------------------- the vehicles


def _draw_vehicle(canvas: Canvas, rng: np.random.Generator, vehicle: Placed, sun: np.ndarray) -> None:
    length, width = SIZES[vehicle.kind]
    hull = _rectangle(vehicle.centre, length, width, vehicle.heading)
    paint = paint_of(rng, canvas.mean(hull), CAMOUFLAGE[vehicle.camouflage])
    body = place(outline(vehicle.kind) * [length, width], vehicle.centre, vehicle.heading)
    canvas.shade(body + 0.6 * sun)
    canvas.fill(body, paint)
    for polygon, light in parts(vehicle.kind, rng):
        shape = place(polygon * [length, width], vehicle.centre, vehicle.heading)
        canvas.shade(shape, np.full(4, light, dtype=np.float32))


def _spots(
    rng: np.random.Generator,
    roads: list[tuple[np.ndarray, np.ndarray]],
    yards: list[tuple[np.ndarray, float]],
    side: float,
) -> Iterable[tuple[np.ndarray, float]]:
    """Places for vehicles: on a road, in a yard, or anywhere."""
    while True:
        choice = rng.random()
        if choice < 0.5 and roads:
            line, heading = roads[rng.integers(len(roads))]
            k = rng.integers(2, len(line) - 2)
            lane = rng.choice([-1.1, 1.1]) * np.array([-np.sin(heading[k]), np.cos(heading[k])])
            yield line[k] + lane, float(heading[k] + (np.pi if rng.random() < 0.5 else 0))
        elif choice < 0.8 and yards:
            centre, turn = yards[rng.integers(len(yards))]
            yield place(rng.uniform(-1, 1, (1, 2)) * [5.5, 2.8], centre, turn)[0], turn + np.pi / 2
        else:
            yield rng.uniform(1, side - 1, 2), float(rng.uniform(0, 2 * np.pi))


def _vehicles(
    rng: np.random.Generator, count: int, classes: tuple[str, ...], side: float, camouflage: bool,
    spots: Iterable[tuple[np.ndarray, float]], houses: list[np.ndarray],
) -> list[Placed]:  # fmt: skip
    """Vehicles that touch neither each other nor a house."""
    found: list[Placed] = []
    for _, (centre, heading) in zip(range(30 * count), spots, strict=False):
        kind = classes[rng.integers(len(classes))]
        state = int(rng.choice(3, p=(0.4, 0.3, 0.3))) if camouflage else 0
        apart = all(np.linalg.norm(centre - v.centre) > (SIZES[kind][0] + SIZES[v.kind][0]) / 2 for v in found)
        clear = all(np.linalg.norm(centre - h.mean(0)) > SIZES[kind][0] / 2 + 5.5 for h in houses)
        if apart and clear and (centre > 0.5).all() and (centre < side - 0.5).all():
            found.append(Placed(centre, heading, kind, state))
        if len(found) == count:
            break
    return found


def scene(
    seed: int, *, size: int = 128, classes: tuple[str, ...] = COMPACT, camouflage: bool = True, occlusion: bool = True,
    pixels_per_metre: float = 3.0,
) -> Scene:  # fmt: skip
    """One scene; the same arguments give the same pixels.

    Args:
        seed: of everything in it.
        size: pixels a side.
        classes: some of CLASSES; labels count in this list.
        camouflage: three in ten vehicles look like their ground in colour, three in ten in the infrared.
        occlusion: trees may stand over vehicles.
        pixels_per_metre: 3 makes a car 13 pixels long; VEDAI at 512 pixels has 4.
    """
    unknown = set(classes) - set(CLASSES)
    if unknown or not classes:
        raise ValueError(f"Unknown class {sorted(unknown)[0]!r}." if unknown else "At least one class is needed.")
    rng = np.random.default_rng([seed, size])
    canvas, side = Canvas(size, pixels_per_metre), size / pixels_per_metre
    angle = rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(angle), np.sin(angle)])
    _ground(canvas, rng)
    yards = [(rng.uniform(6, side - 6, 2), float(rng.uniform(0, np.pi))) for _ in range(rng.integers(0, 3))]
    for centre, heading in yards:
        canvas.fill(_rectangle(centre, 15.0, 9.0, heading), np.array(CONCRETE) * rng.uniform(0.8, 1.0))
    roads = [_road(canvas, rng, side) for _ in range(rng.integers(1, 3))]
    houses = [_building(canvas, rng, side, sun) for _ in range(rng.integers(0, 4))]
    for _ in range(rng.integers(1, 4)):  # sheds and dustbins: distractors
        long = rng.random() < 0.6
        shed = _rectangle(rng.uniform(0, side, 2), 4.0 if long else 0.9, 2.2 if long else 0.9, rng.uniform(0, np.pi))
        canvas.shade(shed + 0.8 * sun)
        canvas.fill(shed, np.array(SLATE if rng.random() < 0.5 else CONCRETE) * rng.uniform(0.7, 1.1))
    vehicles = _vehicles(
        rng, int(rng.integers(4, 13)), classes, side, camouflage, _spots(rng, roads, yards, side), houses
    )
    for vehicle in vehicles:
        _draw_vehicle(canvas, rng, vehicle, sun)
    crowns = []
    for _ in range(rng.integers(3, 9)):
        over = occlusion and vehicles and rng.random() < 0.25
        centre = (
            vehicles[rng.integers(len(vehicles))].centre + rng.uniform(-2.5, 2.5, 2)
            if over
            else rng.uniform(0, side, 2)
        )
        free = all(np.linalg.norm(centre - v.centre) > 0.5 * SIZES[v.kind][0] + 2.6 for v in vehicles)
        if over or free:
            crowns.append(_tree(canvas, rng, centre, sun))
    gain = 1 + 0.05 * _smooth(rng, canvas.pixels, (2, 3))[..., None]
    fine = canvas.values * gain
    coarse = fine.reshape(size, FINE, size, FINE, 4).mean((1, 3)) + 6 * rng.standard_normal((size, size, 4))
    image = np.clip(np.rint(coarse), 0, 255).astype(np.uint8).transpose(2, 0, 1)
    return _labelled(image, canvas, vehicles, crowns, classes)


def _labelled(
    image: np.ndarray, canvas: Canvas, vehicles: list[Placed], crowns: list[np.ndarray], classes: tuple[str, ...]
) -> Scene:
    """Boxes of what can be seen: hulls of at least 4 pixels a side, at most half under trees."""
    size, scale = image.shape[1], canvas.scale / FINE
    cover = np.zeros(canvas.values.shape[:2], dtype=bool)
    for crown in crowns:
        found = canvas.area(crown)
        if found:
            cover[found[0]] |= found[1]
    boxes, labels, corners, states = [], [], [], []
    for vehicle in vehicles:
        hull = _rectangle(vehicle.centre, *SIZES[vehicle.kind], vehicle.heading)
        found = canvas.area(hull)
        if found is None:
            continue
        hidden = cover[found[0]][found[1]].mean() if found[1].any() else 1.0
        box = np.clip(np.concatenate([hull.min(0), hull.max(0)]) * scale, 0, size)
        if hidden <= 0.5 and (box[2:] - box[:2] >= 4).all():
            boxes.append(box)
            labels.append(classes.index(vehicle.kind))
            corners.append(hull * scale)
            states.append(vehicle.camouflage)
    return Scene(
        torch.from_numpy(image.copy()),
        torch.tensor(np.array(boxes).reshape(-1, 4), dtype=torch.float32),
        torch.tensor(labels, dtype=torch.int64),
        torch.tensor(np.array(corners).reshape(-1, 4, 2), dtype=torch.float32),
        torch.tensor(states, dtype=torch.int64),
    )


@lru_cache(maxsize=8)
def scenes(
    first: int, count: int, *, size: int = 128, camouflage: bool = True, occlusion: bool = True
) -> tuple[Scene, ...]:
    """Scenes of seeds first, first + 1, …, kept."""
    return tuple(scene(first + k, size=size, camouflage=camouflage, occlusion=occlusion) for k in range(count))
