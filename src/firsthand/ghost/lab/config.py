"""Settings of the chapter's run, and their presets."""

from __future__ import annotations

from dataclasses import dataclass

from firsthand.ghost.lab.runs import LEARN, TEACH
from firsthand.ghost.training import (
    Recipe,
)


@dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        preset: name under which the result is stored.
        data: None: scenes made on the spot; else a folder in VEDAI's layout.
        fold: of VEDAI. size: pixels a side of its pictures.
        width: factor on the channels.
        scenes: how many of those made on the spot to train on, and a quarter of them to test; None: as the evidence.
        teach, learn: recipes of teacher and student.
        threshold: T of hybrid quantisation (released: 0.1; our small networks spread their bits at 100 to 3000).
        gate: of `runs.GATES`, or None: no lessons.
        strength: lambda; None: as `lessons_for`. The released 400 stands beside twice the sum of two pictures' losses,
            which is 100 beside our mean.
        ranges: activations are clipped at each layer's own range; else at 1, as released.
        out: folder for checkpoints; a run found there goes on.
    """

    preset: str
    data: str | None = None
    fold: int = 1
    size: int = 512
    width: float = 0.125
    scenes: int | None = None
    teach: Recipe = TEACH
    learn: Recipe = LEARN
    threshold: float = 1000.0
    gate: str | None = "frozen"
    strength: float | None = None
    ranges: bool = True
    out: str | None = None


PRESETS = {
    "smoke": Config("smoke", scenes=32, teach=Recipe(3, 5e-3, 1, batch=8), learn=Recipe(2, 2e-3, 1, batch=8)),
    "book": Config("book", scenes=240, teach=Recipe(90, 5e-3, 20), learn=Recipe(20, 2e-3, 5)),
    # The released schedule is 300 epochs of SGD at batch 2; ours is AdamW at batch 16 for as many passes.
    "paper": Config(
        "paper", data="VEDAI", width=0.5, teach=Recipe(20_400, 2e-3, 1000), learn=Recipe(20_400, 1e-3, 1000),
        threshold=0.1, strength=100.0, out="ghost-paper",
    ),
}  # fmt: skip
