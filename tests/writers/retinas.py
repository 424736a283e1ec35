"""Write drawn pictures of eyes as IDRiD and FGADR lay theirs out, for tests of the readers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from firsthand.data.drawn.fundus import Fundus
from firsthand.data.drawn.lesions import KINDS
from firsthand.data.readers.retinas import FGADR_MASKS, IDRID_MASKS, PARTS


def write_idrid(folder: str | Path, pictures: Iterable[Fundus], *, test: bool = False) -> list[str]:
    """Write drawn pictures (`fundus`) as IDRiD does, both parts; returns names."""
    root, part = Path(folder), PARTS[test]
    segmentation, grading = root / "A. Segmentation", root / "B. Disease Grading"
    lines, names = ["Image name,Retinopathy grade,Risk of macular edema ,,"], []
    for number, one in enumerate(pictures, 1):
        name, other = f"IDRiD_{number:02d}", f"IDRiD_{number:03d}"
        image = Image.fromarray(one.image.permute(1, 2, 0).numpy())
        for place, stem in ((segmentation, name), (grading, other)):
            target = place / "1. Original Images" / part
            target.mkdir(parents=True, exist_ok=True)
            image.save(target / f"{stem}.jpg", quality=95)
        for kind, mask in zip(KINDS, one.masks.numpy(), strict=True):
            target = segmentation / "2. All Segmentation Groundtruths" / part / IDRID_MASKS[kind]
            target.mkdir(parents=True, exist_ok=True)
            if mask.any():
                palette = Image.fromarray(mask.astype(np.uint8), mode="P")
                palette.putpalette([0, 0, 0, 255, 0, 0])
                palette.save(target / f"{name}_{kind}.tif")
        lines.append(f"{other} ,{one.grade},0,,")
        names.append(name)
    truths = grading / "2. Groundtruths"
    truths.mkdir(parents=True, exist_ok=True)
    labels = truths / f"{part[:2]} IDRiD_Disease Grading_{'Testing' if test else 'Training'} Labels.csv"
    labels.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return names


def write_fgadr(folder: str | Path, pictures: Iterable[Fundus]) -> list[str]:
    """Write drawn pictures as FGADR does; returns names."""
    root = Path(folder) / "Seg-set"
    lines, names = [], []
    for place in FGADR_MASKS.values():
        (root / place).mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(pictures):
        name = f"{number:04d}_1"
        for place, pixels in (("Original_Images", one.image.permute(1, 2, 0).numpy()), *_fgadr_masks(one)):
            (root / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / place / f"{name}.png")
        lines.append(f"{name}.png,{one.grade}")
        names.append(name)
    (root / "DR_Seg_Grading_Label.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return names


def _fgadr_masks(one: Fundus) -> list[tuple[str, np.ndarray]]:
    masks = dict(zip(KINDS, one.masks.numpy(), strict=True))
    return [
        (place, np.repeat((255 * masks[kind])[..., None], 3, 2).astype(np.uint8))
        for kind, place in FGADR_MASKS.items()
        if masks[kind].any()
    ]
