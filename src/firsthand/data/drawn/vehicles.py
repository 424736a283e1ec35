"""How vehicles look from above, for `firsthand.data.drawn.aerial`: sizes, outlines, parts, paint.

Shapes are polygons (k, 2) in the vehicle's own square: x from the back (-0.5) to the front (0.5), y across.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

#: The eight classes of VEDAI as the released code orders them.
CLASSES = ("car", "pickup", "camping", "truck", "other", "tractor", "boat", "van")
COMPACT = ("car", "pickup", "van", "truck")
#: Length and width in metres.
SIZES = {
    "car": (4.5, 1.8), "pickup": (5.5, 2.0), "van": (5.8, 2.1), "truck": (9.0, 2.5), "camping": (7.0, 2.4),
    "tractor": (4.0, 2.2), "boat": (6.0, 2.2), "other": (5.0, 2.0),
}  # fmt: skip
PAINTS = np.array(
    [(228, 228, 226), (188, 190, 194), (38, 38, 42), (150, 38, 36), (46, 66, 128), (196, 182, 150)], dtype=np.float32
)
NEAR, FAR = 8.0, 50.0  # grey levels: contrast of a camouflaged and of a plain vehicle with its ground


def _box(back: float, front: float, left: float = -0.42, right: float = 0.42) -> np.ndarray:
    return np.array([[back, left], [front, left], [front, right], [back, right]])


def outline(kind: str) -> np.ndarray:
    """The body: a rectangle with cut corners, a pointed hull for a boat."""
    if kind == "boat":
        return np.array([[-0.5, -0.4], [0.15, -0.5], [0.5, 0.0], [0.15, 0.5], [-0.5, 0.4]])
    x, y = 0.44, 0.36
    return np.array(
        [[-0.5, -y], [-x, -0.5], [x, -0.5], [0.5, -y], [0.5, y], [x, 0.5], [-x, 0.5], [-0.5, y]]
    )  # fmt: skip


def parts(kind: str, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, float]]:
    """What is darker (below one) or brighter than the paint: polygons and factors."""
    if kind in ("car", "pickup", "van"):
        front = {"car": 0.1, "pickup": 0.14, "van": 0.34}[kind]
        yield _box(front, front + 0.11), 0.35  # windscreen
    if kind == "car":
        yield _box(-0.33, -0.24), 0.4  # rear window
    elif kind == "pickup":
        yield _box(-0.46, -0.06, -0.36, 0.36), 0.45  # bed
    elif kind == "truck":
        yield _box(0.2, 0.25, -0.5, 0.5), 0.3  # gap behind the cab
        yield _box(0.4, 0.46), 0.4
    elif kind == "camping":
        yield _box(0.38, 0.46), 0.4
        for x in rng.uniform(-0.35, 0.2, 2):
            yield _box(x, x + 0.1, -0.15, 0.15), 1.15  # hatches
    elif kind == "tractor":
        yield _box(-0.45, -0.1, -0.5, -0.3), 0.3  # wheels
        yield _box(-0.45, -0.1, 0.3, 0.5), 0.3
        yield _box(-0.3, 0.0, -0.2, 0.2), 0.5  # cabin
    elif kind == "boat":
        yield _box(-0.35, 0.1, -0.25, 0.25), 0.6
    elif kind == "other":
        x = rng.uniform(-0.3, 0.1)
        yield _box(x, x + 0.25, -0.4, 0.4), rng.uniform(0.5, 1.2)


def paint_of(rng: np.random.Generator, ground: np.ndarray, camouflage: str) -> np.ndarray:
    """Red, green, blue and near infrared (4,) of a vehicle.

    The infrared of paint hardly follows its brightness. Under "colour" camouflage red, green and blue are within about
    8 levels of the ground while the infrared is 50 or more away; under "infrared" the other way round.
    """
    colour = PAINTS[rng.integers(len(PAINTS))] + rng.uniform(-12, 12)
    infrared = 0.4 * float(colour @ [0.3, 0.59, 0.11]) + 0.6 * rng.uniform(30, 230)
    if camouflage == "colour":
        colour = ground[:3] + rng.uniform(-NEAR, NEAR)
        infrared = _away(rng, float(ground[3]), infrared)
    elif camouflage == "infrared":
        colour = np.array([_away(rng, float(g), float(c)) for g, c in zip(ground[:3], colour, strict=True)])
        infrared = float(ground[3]) + rng.uniform(-NEAR, NEAR)
    return np.clip(np.append(colour, infrared), 5, 250).astype(np.float32)


def _away(rng: np.random.Generator, ground: float, value: float) -> float:
    """A value at least FAR from the ground's."""
    if abs(value - ground) >= FAR:
        return value
    up = ground + FAR + rng.uniform(0, 30)
    return up if up < 250 and (value >= ground or ground < FAR) else ground - FAR - rng.uniform(0, 30)
