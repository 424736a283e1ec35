"""The healthy part of a drawn fundus: field of view, colour, optic disc, macula, vessels.

Lengths are in units of the retina's width D, with the origin at the middle of the picture, x to the right and y down.
Ours; sizes and colours follow measurements on IDRiD's photographs and on scikit-image's `retina`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

FINE = 2  # lines are drawn so many times larger and averaged down
FILL = 0.97  # width of the retina over that of the picture
#: Mean colours of retinas, least and most.
COLOUR = np.array([[140.0, 60.0, 18.0], [205.0, 96.0, 58.0]])
DISC_ADDS = np.array([58.0, 78.0, 44.0])
CUP_ADDS = np.array([14.0, 32.0, 30.0])
MACULA_ADDS = np.array([-34.0, -26.0, -8.0])
ARTERY_ADDS = np.array([-26.0, -36.0, -14.0])
VEIN_ADDS = np.array([-52.0, -44.0, -14.0])
REFLEX_ADDS = np.array([26.0, 26.0, 10.0])
WIDTH = 0.0125  # of a vein where it leaves the disc
FOVEA_FREE = 0.045  # radius around the fovea without vessels


@dataclass
class Vessel:
    """A stretch of vessel: points (k, 2), widths (k,), and whether it is a vein."""

    points: np.ndarray
    widths: np.ndarray
    vein: bool


@dataclass
class Eye:
    """Where things are, before anything is drawn.

    Attributes:
        disc, fovea: centres (2,). radius: of the disc. temporal: +1 or -1, from disc to fovea along x.
        vessels: all of them.
    """

    disc: np.ndarray
    fovea: np.ndarray
    radius: float
    temporal: int
    vessels: list[Vessel] = field(default_factory=list)

    def quadrant(self, points: np.ndarray) -> np.ndarray:
        """Quadrant 0 to 3 of points (n, 2): upper or lower, nasal or temporal, as seen from the fovea."""
        upper, nasal = points[:, 1] < self.fovea[1], (points[:, 0] - self.fovea[0]) * self.temporal < 0
        return 2 * upper.astype(int) + nasal.astype(int)


class Paper:
    """A square picture that is being drawn: values (3, s, s) float32, the coordinates x and y of its pixels (s, s)."""

    def __init__(self, size: int) -> None:
        self.size, self.scale = size, FILL * size  # pixels, and pixels a unit of length
        self.values = np.zeros((3, size, size), dtype=np.float32)
        axis = (((np.arange(size) + 0.5) / size - 0.5) / FILL).astype(np.float32)
        self.x, self.y = np.meshgrid(axis, axis)

    def add(self, cover: np.ndarray, colour: np.ndarray) -> None:
        """Add a colour (3,) where something covers (s, s) the picture."""
        for channel, value in enumerate(colour.tolist()):
            self.values[channel] += cover * np.float32(value)

    def at(self, points: np.ndarray) -> np.ndarray:
        """Pixel coordinates of points (k, 2)."""
        return (points * FILL + 0.5) * self.size

    def lines(self, strokes: list[tuple[np.ndarray, np.ndarray]], blur: float = 0.5) -> np.ndarray:
        """Coverage in [0, 1] of polylines, points (k, 2) with widths (k,), drawn FINE times too large."""
        image = Image.new("L", (FINE * self.size, FINE * self.size))
        draw = ImageDraw.Draw(image)
        for points, widths in strokes:
            pixels = FINE * self.at(points)
            thick = FINE * self.scale * widths
            if thick.max() < 1.5:
                draw.line([tuple(point) for point in pixels.tolist()], fill=255, width=1)
                continue
            for a, b, width in zip(pixels[:-1], pixels[1:], thick[:-1].tolist(), strict=True):
                draw.line([*a, *b], fill=255, width=max(1, round(width)))
                if width > 2:  # joints
                    draw.ellipse([*(b - width / 2), *(b + width / 2)], fill=255)
        cover = np.asarray(image.reduce(FINE), dtype=np.float32) / 255
        return gaussian_filter(cover, blur)

    def smooth(self, rng: np.random.Generator, cells: tuple[int, ...]) -> np.ndarray:
        """Smooth noise over the picture, several octaves, mean 0 and deviation 1."""
        total = np.zeros((self.size, self.size), dtype=np.float32)
        for octave, count in enumerate(cells):
            coarse = Image.fromarray(rng.standard_normal((count, count)).astype(np.float32))
            total += 0.6**octave * np.asarray(coarse.resize((self.size, self.size), Image.Resampling.BICUBIC))
        return (total - total.mean()) / total.std()

    def spot(self, centre: np.ndarray, radii: tuple[float, float], soft: float, angle: float = 0.0) -> np.ndarray:
        """Coverage (s, s) of an ellipse with a soft edge."""
        dx, dy = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        far = np.hypot((dx * cos + dy * sin) / np.float32(radii[0]), (dy * cos - dx * sin) / np.float32(radii[1]))
        return 1 / (1 + np.exp(np.minimum((far - 1) / np.float32(soft), 40)))


# --------------------------------------------------------------------------------------------- anatomy


def anatomy(rng: np.random.Generator) -> Eye:
    """Disc, fovea and vessels of an eye."""
    temporal = 1 if rng.random() < 0.5 else -1
    disc = np.array([-temporal * rng.uniform(0.20, 0.28), rng.uniform(-0.05, 0.03)])
    radius = rng.uniform(0.058, 0.07)
    fovea = disc + np.array([temporal * 5 * radius * rng.uniform(0.92, 1.05), rng.uniform(0.01, 0.04)])
    eye = Eye(disc, fovea, radius, temporal)
    for upper in (-1, 1):
        for side in (temporal, -temporal):
            for vein in (True, False):
                _arcade(eye, rng, upper, side, vein)
    return eye


def _arcade(eye: Eye, rng: np.random.Generator, upper: int, side: int, vein: bool) -> None:
    """One large vessel out of the disc: upright at first, then around the fovea or towards the nose."""
    t = np.linspace(0, 1, 60)
    if side == eye.temporal:
        reach, height = rng.uniform(0.55, 0.7), rng.uniform(0.24, 0.3)
        x, y = side * reach * t**1.55, height * (1 - (1 - t) ** 2.3) - 0.12 * t**4
    else:
        reach, height = rng.uniform(0.22, 0.34), rng.uniform(0.3, 0.42)
        x, y = side * reach * t**1.2, height * (0.35 * t + 0.65 * (1 - (1 - t) ** 1.6))
    wave = _wave(rng, len(t), 0.012 if vein else 0.008) * np.minimum(1, 4 * t)
    offset = (0.012 if vein else -0.012) * np.minimum(1, 6 * t) * rng.uniform(0.6, 1.4)
    start = eye.disc + rng.uniform(-0.25, 0.25, 2) * eye.radius
    points = start + np.stack([x + side * offset, upper * (y + wave)], 1)
    width = (WIDTH if vein else 0.72 * WIDTH) * rng.uniform(0.85, 1.1)
    _grow(eye, rng, points, width * (1 - 0.55 * t), vein, level=0)


def _wave(rng: np.random.Generator, count: int, size: float) -> np.ndarray:
    """A smooth random function about zero, of deviation `size`, as some sines."""
    turns, phases = rng.uniform(0.4, 3.2, 3), rng.uniform(0, 2 * np.pi, 3)
    t = np.linspace(0, 1, count)[:, None]
    return size * 0.8 * np.sin(2 * np.pi * turns * t + phases).sum(1)


def _grow(eye: Eye, rng: np.random.Generator, points: np.ndarray, widths: np.ndarray, vein: bool, level: int) -> None:
    """Keep a vessel and let branches leave it."""
    keep = np.hypot(*(points - eye.fovea).T) > FOVEA_FREE
    if not keep.all():  # nothing crosses the fovea
        points, widths = points[: int(keep.argmin())], widths[: int(keep.argmin())]
    if len(points) < 5:
        return
    eye.vessels.append(Vessel(points, widths, vein))
    if level >= 4 or widths[0] < 0.0018:
        return
    heading = np.arctan2(*np.gradient(points, axis=0).T[::-1])
    count = rng.integers(4, 7) if level == 0 else rng.integers(1, 4)
    side = 1 if rng.random() < 0.5 else -1
    for number in range(count):
        at, side = int((number + rng.uniform(0.3, 0.9)) / count * (len(points) - 1)), -side
        angle = heading[at] + side * np.deg2rad(rng.uniform(20, 50))
        length = rng.uniform(0.16, 0.34) * 0.72**level
        steps = max(6, int(length / 0.01))
        bend = _wave(rng, steps, 0.22) - side * np.linspace(0, np.deg2rad(rng.uniform(-10, 40)), steps)
        walk = np.cumsum(length / steps * np.stack([np.cos(angle + bend), np.sin(angle + bend)], 1), 0)
        line = np.concatenate([points[at : at + 1], points[at] + walk])
        _grow(eye, rng, line, widths[at] * rng.uniform(0.55, 0.8) * np.linspace(1, 0.5, len(line)), vein, level + 1)


# -------------------------------------------------------------------------------------------- painting


def paint_eye(paper: Paper, eye: Eye, rng: np.random.Generator, beaded: np.ndarray | None = None) -> np.ndarray:
    """Paint all that is healthy; returns the vessels' coverage (s, s), on which no small lesion is put.

    Args:
        paper: to paint on.
        eye: where things are.
        rng: of colours and texture.
        beaded: bool (4,): quadrants whose veins are strung like beads.
    """
    base = rng.uniform(0, 1) * (COLOUR[1] - COLOUR[0]) + COLOUR[0] + rng.normal(0, 6, 3)
    far = np.hypot(paper.x, paper.y)
    light = 1.06 - rng.uniform(0.7, 1.15) * far**2 + 0.05 * paper.smooth(rng, (2, 3))
    texture = 1 + 0.035 * paper.smooth(rng, (6, 14, 30)) + 0.02 * paper.smooth(rng, (50, 110))
    paper.values[:] = (light * texture) * base.astype(np.float32)[:, None, None]
    _choroid(paper, eye, rng)
    away = np.hypot(paper.x - eye.fovea[0], paper.y - eye.fovea[1])
    paper.add(np.exp(-0.5 * (away / rng.uniform(0.045, 0.06)) ** 2), MACULA_ADDS)
    paper.add(np.exp(-0.5 * (away / 0.14) ** 2), 0.35 * MACULA_ADDS)
    _paint_disc(paper, eye, rng)
    return _paint_vessels(paper, eye, rng, beaded)


def _choroid(paper: Paper, eye: Eye, rng: np.random.Generator) -> None:
    """Broad faint vessels from the layer behind, and the pale streaks of nerve fibres near the disc."""
    strokes = []
    for _ in range(26):
        start, angle = rng.uniform(-0.5, 0.5, 2), rng.uniform(0, 2 * np.pi)
        bend = angle + np.cumsum(_wave(rng, 20, 0.09))
        walk = start + np.cumsum(0.025 * np.stack([np.cos(bend), np.sin(bend)], 1), 0)
        strokes.append((walk, np.full(20, rng.uniform(0.008, 0.018))))
    paper.add(paper.lines(strokes, blur=2.5), rng.uniform(3, 9) * np.array([1.0, 0.7, 0.4]))
    near = np.hypot(paper.x - eye.disc[0], paper.y - eye.disc[1])
    around = np.arctan2(paper.y - eye.disc[1], paper.x - eye.disc[0])
    streaks = np.sin(70 * around + 6 * paper.smooth(rng, (3, 5))) * np.exp(-((near - 0.1) ** 2) / 0.012)
    paper.add(streaks, np.array([2.4, 3.0, 1.5]))


def _paint_disc(paper: Paper, eye: Eye, rng: np.random.Generator) -> None:
    tall = rng.uniform(1.0, 1.12)
    radii = (eye.radius, eye.radius * tall)
    glow = np.hypot(paper.x - eye.disc[0], paper.y - eye.disc[1])
    paper.add(np.exp(-((glow / (1.9 * eye.radius)) ** 2)), 0.22 * DISC_ADDS)
    paper.add(paper.spot(eye.disc, radii, 0.055), 0.9 * DISC_ADDS)
    cup = eye.disc + np.array([eye.temporal * 0.12, 0.0]) * eye.radius
    size = rng.uniform(0.36, 0.5)
    paper.add(paper.spot(cup, (size * radii[0], size * radii[1]), 0.16), CUP_ADDS)


def _paint_vessels(paper: Paper, eye: Eye, rng: np.random.Generator, beaded: np.ndarray | None) -> np.ndarray:
    covered = np.zeros_like(paper.x)
    for vein, adds in ((False, ARTERY_ADDS), (True, VEIN_ADDS)):
        strokes = []
        for vessel in eye.vessels:
            if vessel.vein == vein:
                widths = vessel.widths
                if vein and beaded is not None and vessel.widths[0] > 0.5 * WIDTH:
                    bead = 1 + 0.65 * np.sin(np.arange(len(widths)) * 1.15)
                    widths = np.where(beaded[eye.quadrant(vessel.points)], widths * bead, widths)
                strokes.append((vessel.points, widths))
        cover = paper.lines(strokes)
        paper.add(cover, adds * rng.uniform(0.85, 1.1))
        covered = np.maximum(covered, cover)
    reflex = [(v.points, 0.3 * v.widths) for v in eye.vessels if not v.vein and v.widths[0] > 0.45 * WIDTH]
    paper.add(paper.lines(reflex, blur=0.35), REFLEX_ADDS)
    return covered
