"""Bands that a reader's own run is drawn upon."""

from __future__ import annotations

from firsthand.drgnet.lab import live
from firsthand.drgnet.lab.config import PRESETS
from firsthand.drgnet.lab.pipeline import run
from firsthand.kit.lab.curves import along_steps


def _losses(seed: int) -> list[float]:
    """The segmenter's, in a reader's own run."""
    return [*run(PRESETS["book"], seed=seed, device="cpu", progress=False).arrays["loss/lesions"]]


EVERY = 10  # steps of a reader's run for a point of its band
CURVES = [along_steps("reader", PRESETS["book"].lesions.steps, EVERY, _losses), *live.CURVES]
