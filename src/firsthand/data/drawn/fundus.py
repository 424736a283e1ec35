"""Drawn fundus photographs with exact lesion masks and a grade by the clinical rule; two cameras.

Pictures are uint8 (3, size, size), masks bool (4, size, size) in the order of KINDS. Every part of a picture has random
numbers of its own, so a picture without one kind of lesion is the same picture in all else.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from firsthand.data.drawn.eye import Paper, anatomy, paint_eye
from firsthand.data.drawn.lesions import DRAW, KINDS, Findings, Ground, draw_signs, findings_for

SIZE = 256
#: How often grades 0 to 4 occur in FGADR's pictures with masks.
SHARES = np.array([101, 212, 595, 647, 287]) / 1842
CUT = 0.417  # of the width: where camera A cuts the retina off at top and bottom


@dataclass(frozen=True)
class Fundus:
    """One picture.

    Attributes:
        image: uint8 (3, size, size).
        masks: bool (4, size, size), lesions of KINDS.
        retina: bool (size, size), the field of view.
        grade: 0 to 4, by the clinical rule from `findings`.
        findings: what was drawn, counted where it was drawn.
    """

    image: Tensor
    masks: Tensor
    retina: Tensor
    grade: int
    findings: Findings


def fundus(
    seed: int, *, size: int = SIZE, grade: int | None = None, camera: float = 0.0, contrast: float = 1.0,
    without: Collection[str] = (),
) -> Fundus:  # fmt: skip
    """Draw one picture.

    Args:
        seed: of everything.
        size: pixels a side.
        grade: 0 to 4; None: as often as in FGADR.
        camera: 0 for camera A, 1 for camera B, and what lies between.
        contrast: of the lesions; 0.5 is hard.
        without: kinds of lesions that are left out of the drawing; findings and grade stay those of the whole picture.

    Raises:
        ValueError: an unknown grade or kind.
    """
    if grade is not None and grade not in range(5):
        raise ValueError(f"Grades are 0 to 4; got {grade}.")
    if set(without) - set(KINDS):
        raise ValueError(f"Unknown lesion {sorted(set(without) - set(KINDS))[0]!r}: choose of {', '.join(KINDS)}.")
    plan, look = _stream(seed, 0), _stream(seed, 2)
    chosen = int(plan.choice(5, p=SHARES)) if grade is None else grade
    found, eye = findings_for(chosen, plan), anatomy(_stream(seed, 1))
    paper = Paper(size)
    beaded = np.isin(np.arange(4), found.beaded) if found.beaded else None
    ground = Ground(paper, eye, paint_eye(paper, eye, look, beaded))
    masks = np.zeros((len(KINDS), size, size), dtype=bool)
    for number, kind in enumerate(KINDS):
        if kind not in without:
            DRAW[kind](ground, masks[number], found, _stream(seed, 10 + number), contrast)
    masks[KINDS.index("HE")] |= draw_signs(ground, found, _stream(seed, 20))
    image, retina = photograph(paper, _stream(seed, 30), camera)
    masks &= retina
    drawn = _counted(ground, found, without)
    return Fundus(torch.from_numpy(image), torch.from_numpy(masks), torch.from_numpy(retina), drawn.grade, drawn)


def _counted(ground: Ground, planned: Findings, without: Collection[str]) -> Findings:
    """What lies where, by quadrant; kinds that were left out count as planned."""
    places = ground.placed["HE"]
    quadrants = np.bincount(ground.eye.quadrant(np.array(places)), minlength=4) if places else np.zeros(4, dtype=int)
    counts = {kind: len(ground.placed[kind]) for kind in KINDS}
    return replace(
        planned,
        ma=planned.ma if "MA" in without else counts["MA"], ex=planned.ex if "EX" in without else counts["EX"],
        se=planned.se if "SE" in without else counts["SE"],
        he_quadrants=planned.he_quadrants if "HE" in without else tuple(int(n) for n in quadrants),  # type: ignore[arg-type]
    )  # fmt: skip


def _stream(seed: int, part: int) -> np.random.Generator:
    return np.random.default_rng([seed, part])


def photograph(paper: Paper, rng: np.random.Generator, camera: float) -> tuple[np.ndarray, np.ndarray]:
    """What a camera makes of an eye: uint8 (3, s, s), and its field of view (s, s).

    Camera B sees a whole disc, has other colours, another gamma, a little blur, a stronger vignette and compresses.
    """
    values: np.ndarray = paper.values
    far = np.hypot(paper.x, paper.y)
    tint = np.array([rng.uniform(0.86, 0.96), rng.uniform(1.08, 1.22), rng.uniform(1.2, 1.6)])
    gamma, blur, dark = rng.uniform(0.8, 0.95), rng.uniform(0.4, 0.7), rng.uniform(0.5, 0.9)
    values = values * (1 + camera * (tint - 1)).astype(np.float32)[:, None, None]
    values = 255 * (np.clip(values, 0, 255) / 255) ** (1 + camera * (gamma - 1))
    values = values * (1 - camera * dark * far**2).astype(np.float32)
    if camera > 0:
        values = np.stack([gaussian_filter(plane, camera * blur) for plane in values])
    values = values + rng.normal(0, 2, values.shape)
    retina = (far <= 0.5) & (np.abs(paper.y) <= CUT + camera * (0.5 - CUT))
    image = np.where(retina, np.clip(values, 0, 255), 0).round().astype(np.uint8)
    if camera > 0:
        image = _compressed(image, round(95 - 55 * camera))
    return image, retina


def _compressed(image: np.ndarray, quality: int) -> np.ndarray:
    """After JPEG."""
    file = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).transpose(2, 0, 1).copy()


@lru_cache(maxsize=4096)
def _kept(seed: int, size: int, camera: float) -> Fundus:
    return fundus(seed, size=size, camera=camera)


def fundi(first: int, count: int, *, size: int = SIZE, camera: float = 0.0) -> tuple[Fundus, ...]:
    """Pictures of seeds first, first + 1, …; kept, since each takes about a seventh of a second."""
    return tuple(_kept(seed, size, camera) for seed in range(first, first + count))
