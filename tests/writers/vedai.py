"""Write drawn scenes as VEDAI lays its pictures out, for tests of the reader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from firsthand.data.drawn.aerial import Scene
from firsthand.data.readers.vedai import CLASS_NUMBERS


def write_vedai(folder: str | Path, scenes: Iterable[Scene], classes: Sequence[str], *, fold: int = 1) -> list[str]:
    """Write `firsthand.data.drawn.aerial` scenes as VEDAI, the last quarter as the fold's test; returns names."""
    root, names = Path(folder), []
    numbers = {name: number for number, name in CLASS_NUMBERS.items()}
    for count, scene in enumerate(scenes):
        size, name = scene.image.shape[-1], f"{count:08d}"
        for kind in ("Vehicules", "Annotations"):
            (root / f"{kind}{size}").mkdir(parents=True, exist_ok=True)
        pixels = scene.image.permute(1, 2, 0).numpy()
        Image.fromarray(np.ascontiguousarray(pixels[..., :3])).save(root / f"Vehicules{size}" / f"{name}_co.png")
        Image.fromarray(np.repeat(pixels[..., 3:], 3, 2)).save(root / f"Vehicules{size}" / f"{name}_ir.png")
        lines = []
        for corners, label in zip(scene.corners, scene.labels.tolist(), strict=True):
            centre, forward = corners.mean(0).tolist(), corners[1] - corners[0]
            turn = float(torch.atan2(forward[1], forward[0]))
            numbers_of_line = [
                *centre,
                turn,
                numbers[classes[label]],
                1,
                0,
                *corners[:, 0].tolist(),
                *corners[:, 1].tolist(),
            ]
            lines.append(" ".join(f"{value:.6g}" for value in numbers_of_line))
        (root / f"Annotations{size}" / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        names.append(name)
    cut = len(names) - max(1, len(names) // 4)
    for suffix, part in (("", names[:cut]), ("test", names[cut:])):
        (root / f"Annotations{size}" / f"fold{fold:02d}{suffix}.txt").write_text(
            "\n".join(part) + "\n", encoding="utf-8"
        )
    return names
