"""Lesions of diabetic retinopathy, drawn on an eye, and the clinical rule that grades them.

Median sizes are near those measured in eight pictures of IDRiD; microaneurysms and hard exudates are 1.7 times as wide
as there, since at 256 pixels a true microaneurysm is one pixel. Colours, places and numbers are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from firsthand.data.drawn.eye import Eye, Paper

KINDS = ("MA", "HE", "EX", "SE")
NAMES = ("microaneurysms", "haemorrhages", "hard exudates", "soft exudates")
HE_LIMIT = 5  # haemorrhages a quadrant beyond which a compact picture is severe; the clinic says 20
LARGER = 1.7  # of microaneurysms and hard exudates
#: Median diameters in units of D, and the spread of their logarithm.
DIAMETER = {"MA": (LARGER * 0.0050, 0.3), "HE": (0.0125, 0.45), "EX": (LARGER * 0.0054, 0.35), "SE": (0.025, 0.3)}
ADDS = {
    "MA": np.array([-44.0, -40.0, -12.0]), "HE": np.array([-56.0, -42.0, -12.0]), "EX": np.array([48.0, 66.0, 22.0]),
    "SE": np.array([40.0, 54.0, 42.0]),
}  # fmt: skip
IRMA_ADDS, NEW_ADDS, BOAT_ADDS = (
    np.array(rgb) for rgb in ((-42.0, -34.0, -10.0), (-50.0, -38.0, -12.0), (-80.0, -54.0, -16.0))
)
REACH, FLAT = 0.46, 0.385  # lesions lie so far from the middle at most, and so far up or down


def icdr_grade(
    *, ma: int = 0, he_quadrants: tuple[int, int, int, int] = (0, 0, 0, 0), ex: int = 0, se: int = 0,
    venous_beading_quadrants: int = 0, irma_quadrants: int = 0, neovascularisation: bool = False,
    preretinal_haemorrhage: bool = False, he_limit: int = 20,
) -> int:  # fmt: skip
    """The international clinical grade of diabetic retinopathy, 0 to 4, from what is seen.

    4: new vessels or a haemorrhage before the retina. 3: more than `he_limit` haemorrhages in each quadrant, venous
    beading in two quadrants or more, or intraretinal microvascular anomalies (IRMA) in one. 1: microaneurysms alone.
    2: anything else. 0: nothing.

    Raises:
        ValueError: a negative count, or not four quadrants.
    """
    counts = (ma, *he_quadrants, ex, se, venous_beading_quadrants, irma_quadrants)
    if min(counts) < 0 or len(he_quadrants) != 4:
        raise ValueError("Counts must not be negative, and haemorrhages are counted in four quadrants.")
    if neovascularisation or preretinal_haemorrhage:
        return 4
    if min(he_quadrants) > he_limit or venous_beading_quadrants >= 2 or irma_quadrants >= 1:
        return 3
    if sum(counts) == ma:
        return 1 if ma else 0
    return 2


@dataclass(frozen=True)
class Findings:
    """What is drawn; the fields are the arguments of `icdr_grade`, with the quadrants of beading and IRMA named."""

    ma: int = 0
    he_quadrants: tuple[int, int, int, int] = (0, 0, 0, 0)
    ex: int = 0
    se: int = 0
    beaded: tuple[int, ...] = ()
    irma: tuple[int, ...] = ()
    neovascularisation: bool = False
    preretinal_haemorrhage: bool = False

    @property
    def grade(self) -> int:
        """By the clinical rule, with HE_LIMIT."""
        return icdr_grade(
            ma=self.ma, he_quadrants=self.he_quadrants, ex=self.ex, se=self.se,
            venous_beading_quadrants=len(self.beaded), irma_quadrants=len(self.irma),
            neovascularisation=self.neovascularisation, preretinal_haemorrhage=self.preretinal_haemorrhage,
            he_limit=HE_LIMIT,
        )  # fmt: skip


# ------------------------------------------------------------------------------------ what there shall be


def findings_for(grade: int, rng: np.random.Generator) -> Findings:
    """Findings of a grade, as often as published statistics of FGADR have them."""
    if grade == 0:
        return Findings()
    ma = int(rng.integers(3, 25)) if grade > 1 and rng.random() < 0.8 else 0
    if grade == 1:
        return Findings(ma=int(rng.integers(2, 12)))
    share = {2: (0.85, 0.68, 0.30), 3: (0.98, 0.90, 0.52), 4: (0.91, 0.85, 0.37)}[grade]
    he, ex, se = (bool(rng.random() < p) for p in share)
    if not (he or ex or se):
        he = True
    quadrants = rng.integers(0, HE_LIMIT + 1, 4) if he else np.zeros(4, dtype=int)
    quadrants[0] += int(he and not quadrants.any())
    exudates, spots = int(ex) * int(rng.integers(6, 50)), int(se) * int(rng.integers(1, 5))
    beaded: tuple[int, ...] = ()
    irma: tuple[int, ...] = ()
    if grade == 3:
        sign = rng.choice(["haemorrhages", "beading", "irma"], p=[0.6, 0.15, 0.25])
        if sign == "haemorrhages":
            quadrants = HE_LIMIT + 1 + rng.integers(0, 5, 4)
        chosen = tuple(int(q) for q in rng.permutation(4)[: rng.integers(2, 4)])
        beaded, irma = (chosen if sign == "beading" else ()), (chosen[:-1] if sign == "irma" else ())
    new = grade == 4 and rng.random() < 0.65
    return Findings(ma, tuple(int(q) for q in quadrants), exudates, spots, beaded, irma, new, grade == 4 and not new)  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------- where


class Ground:
    """Where a lesion may lie: in the field of view, away from the disc, and some of them off the vessels."""

    def __init__(self, paper: Paper, eye: Eye, vessels: np.ndarray) -> None:
        self.paper, self.eye, self.vessels = paper, eye, vessels
        self.placed: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}  # where each lesion was drawn

    def allows(self, point: np.ndarray, off_vessels: bool) -> bool:
        """Whether a lesion may lie at a point (2,)."""
        if np.hypot(*point) > REACH or abs(point[1]) > FLAT or np.hypot(*(point - self.eye.disc)) < 0.1:
            return False
        column, line = (int(v) for v in self.paper.at(point))
        return not off_vessels or bool(self.vessels[line, column] < 0.25)

    def draw(self, propose: Callable[[], np.ndarray], off_vessels: bool = False) -> np.ndarray:
        """The first proposal that is allowed; after many, the last one that at least lies in the field of view."""
        found = np.zeros(2)
        for _ in range(200):
            point = propose()
            if self.allows(point, off_vessels):
                return point
            found = point if self.allows(point, False) else found
        return found

    def anywhere(self, rng: np.random.Generator) -> np.ndarray:
        """A point of the retina."""
        return rng.uniform(-REACH, REACH, 2)

    def about(self, rng: np.random.Generator, centre: np.ndarray, spread: float) -> np.ndarray:
        """A point near another one."""
        return centre + spread * rng.standard_normal(2)


def _window(paper: Paper, centre: np.ndarray, radius: float) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """The part of the picture around a point, and its coordinates relative to it."""
    low, high = paper.at(centre - radius), paper.at(centre + radius)
    part = tuple(slice(max(0, int(a)), min(paper.size, int(b) + 2)) for a, b in zip(low[::-1], high[::-1], strict=True))
    return part, paper.x[part] - centre[0], paper.y[part] - centre[1]  # type: ignore[return-value]


def _mark(paper: Paper, mask: np.ndarray, part: tuple[slice, slice], cover: np.ndarray, colour: np.ndarray) -> None:
    """Add colour where a lesion covers the picture, and note the pixels that it covers by half; at least one."""
    for channel, value in enumerate(colour.tolist()):
        paper.values[channel][part] += cover * np.float32(value)
    if cover.size:
        mask[part] |= cover >= min(0.5, float(cover.max()))


def _sized(rng: np.random.Generator, kind: str) -> float:
    """A radius."""
    median, spread = DIAMETER[kind]
    return 0.5 * median * float(np.exp(spread * np.clip(rng.standard_normal(), -2, 2)))


def _rough(x: np.ndarray, y: np.ndarray, radius: float, rng: np.random.Generator, soft: float) -> np.ndarray:
    """Coverage of a blot with an irregular edge."""
    angle = np.arctan2(y, x)
    edge = np.ones_like(angle)
    for k in range(2, 6):
        edge += rng.uniform(0, 0.3 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    return 1 / (1 + np.exp(np.clip((np.hypot(x, y) / (radius * edge) - 1) / soft, -40, 40)))


# ------------------------------------------------------------------------------------------------- drawing


def draw_ma(ground: Ground, mask: np.ndarray, found: Findings, rng: np.random.Generator, contrast: float) -> None:
    """Microaneurysms: red dots, most of them around the fovea, off the vessels."""

    def propose() -> np.ndarray:
        return ground.about(rng, ground.eye.fovea, 0.17) if rng.random() < 0.7 else ground.anywhere(rng)

    for _ in range(found.ma):
        point = ground.draw(propose, True)
        ground.placed["MA"].append(point)
        radius = _sized(rng, "MA")
        part, x, y = _window(ground.paper, point, 3 * radius + 0.01)
        cover = np.exp(-np.log(2) * (x**2 + y**2) / radius**2)
        _mark(ground.paper, mask, part, cover, contrast * rng.uniform(0.8, 1.3) * ADDS["MA"])


def draw_he(ground: Ground, mask: np.ndarray, found: Findings, rng: np.random.Generator, contrast: float) -> None:
    """Haemorrhages: blots, and flames along the nerve fibres that leave the disc."""
    eye = ground.eye
    for quadrant, count in enumerate(found.he_quadrants):
        for _ in range(count):

            def propose(quadrant: int = quadrant) -> np.ndarray:
                while True:
                    point = ground.anywhere(rng)
                    if eye.quadrant(point[None])[0] == quadrant:
                        return point

            point, radius = ground.draw(propose, True), _sized(rng, "HE")
            ground.placed["HE"].append(point)
            part, x, y = _window(ground.paper, point, 4 * radius + 0.01)
            if rng.random() < 0.4:
                along = np.arctan2(*(point - eye.disc)[::-1])
                u, v = x * np.cos(along) + y * np.sin(along), y * np.cos(along) - x * np.sin(along)
                cover = _rough(u / 1.9, v * 1.6, radius, rng, 0.2)
            else:
                cover = _rough(x, y, radius, rng, 0.12)
            _mark(ground.paper, mask, part, cover, contrast * rng.uniform(0.75, 1.15) * ADDS["HE"])


def draw_ex(ground: Ground, mask: np.ndarray, found: Findings, rng: np.random.Generator, contrast: float) -> None:
    """Hard exudates: sharp waxy spots in clusters, half of them rings, near the macula."""
    left = found.ex
    while left > 0:
        middle = ground.draw(lambda: ground.about(rng, ground.eye.fovea, 0.16))
        size, ring = rng.uniform(0.02, 0.06), rng.random() < 0.5
        count = min(left, int(rng.integers(5, 18)))
        left -= count
        for _ in range(count):
            angle, far = rng.uniform(0, 2 * np.pi), size * (rng.normal(1, 0.12) if ring else rng.uniform(0, 1) ** 0.7)
            point = middle + far * np.array([np.cos(angle), np.sin(angle)])
            if not ground.allows(point, False):
                point = middle
            ground.placed["EX"].append(point)
            radius = _sized(rng, "EX")
            part, x, y = _window(ground.paper, point, 2.5 * radius + 0.01)
            _mark(
                ground.paper, mask, part, _rough(x, y, radius, rng, 0.1), contrast * rng.uniform(0.8, 1.3) * ADDS["EX"]
            )


def draw_se(ground: Ground, mask: np.ndarray, found: Findings, rng: np.random.Generator, contrast: float) -> None:
    """Soft exudates: fluffy pale spots along the large vessels."""
    large = [v for v in ground.eye.vessels if v.widths[0] > 0.007]
    for _ in range(found.se):

        def propose() -> np.ndarray:
            vessel = large[rng.integers(len(large))]
            return ground.about(rng, vessel.points[rng.integers(len(vessel.points))], 0.03)

        point, radius = ground.draw(propose), _sized(rng, "SE")
        ground.placed["SE"].append(point)
        part, x, y = _window(ground.paper, point, 4 * radius)
        _mark(ground.paper, mask, part, _rough(x, y, radius, rng, 0.3), contrast * rng.uniform(0.9, 1.4) * ADDS["SE"])


DRAW = {"MA": draw_ma, "HE": draw_he, "EX": draw_ex, "SE": draw_se}


def _curls(rng: np.random.Generator, centre: np.ndarray, count: int, reach: float, curl: float) -> list:
    """Short curled lines around a point."""
    strokes = []
    for _ in range(count):
        turn = np.cumsum(rng.normal(0, curl, 14)) + rng.uniform(0, 2 * np.pi)
        walk = np.cumsum(reach / 14 * np.stack([np.cos(turn), np.sin(turn)], 1), 0)
        strokes.append((centre + 0.25 * reach * rng.standard_normal(2) + walk, np.full(14, 0.0024)))
    return strokes


def draw_signs(ground: Ground, found: Findings, rng: np.random.Generator) -> np.ndarray:
    """What makes an eye severe or proliferative, beside the four lesions: IRMA, new vessels, a large haemorrhage.

    Returns:
        bool (s, s), the large haemorrhage; it belongs to the mask of haemorrhages although it lies before the retina.
    """
    paper, eye = ground.paper, ground.eye
    for quadrant in found.irma:

        def propose(quadrant: int = quadrant) -> np.ndarray:
            while True:
                point = ground.anywhere(rng)
                if eye.quadrant(point[None])[0] == quadrant and np.hypot(*(point - eye.fovea)) > 0.1:
                    return point

        strokes = _curls(rng, ground.draw(propose), int(rng.integers(7, 13)), 0.06, 0.9)
        paper.add(paper.lines(strokes, blur=0.4), IRMA_ADDS)
    if found.neovascularisation:
        edge = eye.disc + 0.6 * eye.radius * rng.standard_normal(2)
        paper.add(paper.lines(_curls(rng, edge, int(rng.integers(22, 38)), 0.13, 0.75), blur=0.45), NEW_ADDS)
    if found.preretinal_haemorrhage:
        point = ground.draw(lambda: ground.about(rng, np.array([eye.fovea[0], 0.2]), 0.1))
        radius = rng.uniform(0.06, 0.11)
        below = 1 / (1 + np.exp(np.clip(-(paper.y - point[1] + 0.15 * radius) / 0.004, -40, 40)))
        boat = paper.spot(point, (1.5 * radius, radius), 0.05) * below
        paper.add(boat, BOAT_ADDS)
        return boat > 0.5  # type: ignore[no-any-return]
    return np.zeros_like(paper.x, dtype=bool)
