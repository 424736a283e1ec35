"""Bands that a reader's own run is drawn upon."""

from __future__ import annotations

from functools import partial

from firsthand.ghost.lab.config import PRESETS
from firsthand.ghost.lab.pipeline import run
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.curves import along_steps
from firsthand.kit.lab.results import Result


@cached
def _reader(seed: int) -> Result:
    """A reader's own run."""
    return run(PRESETS["book"], seed=seed, device="cpu", progress=False)


def _losses(who: str, seed: int) -> list[float]:
    return [*_reader(seed).arrays[f"loss/{who}"]]


#: Bands for a reader's run: (who learns, steps, steps for a point).
BANDS = (("teacher", PRESETS["book"].teach.steps, 10), ("student", PRESETS["book"].learn.steps, 5))
CURVES = [along_steps(f"reader-{who}", steps, every, partial(_losses, who)) for who, steps, every in BANDS]
