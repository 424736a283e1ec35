"""VEDAI (Razakarivony and Jurie, 2016): vehicles in colour and near infrared, read from its own folders.

Layout: Vehicules512/00000000_co.png and …_ir.png (three channels each, those of the infrared equal),
Annotations512/00000000.txt with one object a line in 14 fields

    xc yc orientation class contained occluded x1 x2 x3 x4 y1 y2 y3 y4

in pixels, and fold01.txt, fold01test.txt, … beside the annotations, one 8-digit name a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from firsthand.data.drawn.vehicles import CLASSES
from firsthand.data.readers.files import UNREADABLE, picture, why_not
from firsthand.errors import UserError

#: VEDAI's class number: ours. Motorcycles (7), buses (8), planes (31), and small land vehicles (201) are left
#: out; the released conversion of labels lets motorcycles through as vans.
CLASS_NUMBERS = {1: "car", 2: "truck", 4: "tractor", 5: "camping", 9: "van", 10: "other", 11: "pickup", 23: "boat"}
LEFT_OUT = (7, 8, 31, 201)


@dataclass(frozen=True)
class Vedai:
    """What a folder holds.

    Attributes:
        images: uint8 (N, 4, s, s), red, green, blue, near infrared.
        boxes, labels: a list each, (n, 4) float32 x1 y1 x2 y2 and (n,) int64, places in CLASSES.
        names: of the pictures.
        left_out: a sentence for everything that could not be used.
    """

    images: Tensor
    boxes: list[Tensor]
    labels: list[Tensor]
    names: list[str]
    left_out: list[str]


def read_names(folder: str | Path, fold: int, *, test: bool = False, size: int = 512) -> list[str]:
    """The names of a fold.

    Raises:
        UserError: the list is missing or a line is no name.
    """
    file = Path(folder) / f"Annotations{size}" / f"fold{fold:02d}{'test' if test else ''}.txt"
    if not file.is_file():
        raise UserError(f"{file.parent.name}/{file.name} is missing; an unpacked VEDAI has it.")
    try:
        names = file.read_text(encoding="utf-8-sig", errors="replace").split()
    except OSError as error:
        raise UserError(f"{file.name} {why_not(error)}.") from None
    wrong = next((name for name in names if not (len(name) == 8 and name.isascii() and name.isdigit())), None)
    if wrong is not None or not names:
        raise UserError(
            f"{file.name} should hold names of 8 digits; {wrong[:80]!r} is none." if wrong else f"{file.name} is empty."
        )
    return names


def parse_annotation(text: str, name: str, size: int) -> tuple[Tensor, Tensor]:
    """Boxes (n, 4), hulls clipped to the picture, and labels (n,) of an annotation; those wholly outside are left out.

    Raises:
        UserError: a line without 14 numbers, or an unknown class; file and line are named.
    """
    boxes, labels = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            fields = [float(field) for field in line.split()]
        except ValueError:
            fields = []
        if len(fields) != 14 or not np.isfinite(fields).all():
            raise UserError(f"{name}, line {number}: 14 numbers are expected; got {line.strip()[:60]!r}.")
        kind = fields[3]
        if kind in LEFT_OUT:
            continue
        if kind not in CLASS_NUMBERS:
            raise UserError(f"{name}, line {number}: unknown class {kind:g}.")
        xs, ys = np.clip(fields[6:10], 0, size), np.clip(fields[10:14], 0, size)
        if xs.min() == xs.max() or ys.min() == ys.max():  # no pixel of it is seen, so no detector can meet it
            continue
        boxes.append([xs.min(), ys.min(), xs.max(), ys.max()])
        labels.append(CLASSES.index(CLASS_NUMBERS[int(kind)]))
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.tensor(labels, dtype=torch.int64)


def _pixels(file: Path, size: int) -> np.ndarray:
    pixels = np.asarray(picture(file))
    if pixels.shape != (size, size, 3):
        raise UserError(f"{file.name} has {pixels.shape[1]} by {pixels.shape[0]} pixels, not {size}.")
    return pixels


def read_vedai(folder: str | Path, names: Sequence[str], *, size: int = 512) -> Vedai:
    """Pictures and boxes by name; what is missing, unpaired or damaged is named and left out.

    Args:
        folder: holds Vehicules<size> and Annotations<size>.
        names: from `read_names`.
        size: 512 or 1024.

    Raises:
        UserError: nothing could be read.
    """
    root = Path(folder)
    images, boxes, labels, kept, left_out = [], [], [], [], []
    for name in names:
        try:
            colour, infrared = (
                _pixels(root / f"Vehicules{size}" / f"{name}_{kind}.png", size) for kind in ("co", "ir")
            )
            text = (root / f"Annotations{size}" / f"{name}.txt").read_text(encoding="utf-8-sig")
            found = parse_annotation(text, f"{name}.txt", size)
        except FileNotFoundError as error:
            left_out.append(f"{name}: {Path(str(error.filename)).name} is missing")
            continue
        except UserError as error:  # a ValueError too: first
            left_out.append(str(error).rstrip("."))
            continue
        except UNREADABLE as error:
            left_out.append(f"{name}: it {why_not(error)}")
            continue
        images.append(torch.from_numpy(np.concatenate([colour, infrared[..., :1]], 2).transpose(2, 0, 1).copy()))
        boxes.append(found[0])
        labels.append(found[1])
        kept.append(name)
    if not images:
        raise UserError(
            f"No picture of VEDAI could be read in {root.name}: {left_out[0] if left_out else 'no names given'}."
        )
    return Vedai(torch.stack(images), boxes, labels, kept, left_out)
