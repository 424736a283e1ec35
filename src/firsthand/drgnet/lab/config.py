"""Settings of the chapter's run, and their presets."""

from __future__ import annotations

from dataclasses import dataclass

from firsthand.drgnet.interaction import Update
from firsthand.drgnet.lab.runs import GRADES, LESIONS, TERMS, TOGETHER, UNION
from firsthand.drgnet.training import Recipe, Terms

UPDATE = Update(steps=10, batch=4, terms=TERMS)


@dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        preset: name under which the result is stored.
        data: None: drawn pictures; else a folder in FGADR's layout (Seg-set), or in IDRiD's for lesions alone.
        pictures: drawn ones to train on; half as many to test, and half as many in the pool.
        size: pixels a side.
        width: of the networks.
        attention: of the grader.
        union, lesions, grades, together: recipes of the stages.
        terms: losses on explanations.
        expert: who corrects. rounds, chosen: how often, and how many pictures.
        update: recipe of a round.
        out: folder for checkpoints of the stages; a run found there goes on.
    """

    preset: str
    data: str | None = None
    pictures: int = 60
    size: int = 256
    width: int = 8
    attention: str = "both"
    union: Recipe = UNION
    lesions: Recipe = LESIONS
    grades: Recipe = GRADES
    together: Recipe = TOGETHER
    terms: Terms | None = TERMS
    expert: str = "masks"
    rounds: int = 1
    chosen: int = 4
    update: Update = UPDATE
    out: str | None = None


PRESETS = {
    "smoke": Config(
        "smoke", pictures=6, size=64, width=2, union=Recipe(2, batch=2, crop=32),
        lesions=Recipe(2, batch=2, crop=32), grades=Recipe(2, batch=2), together=Recipe(1, batch=2), chosen=2,
        update=Update(steps=1, batch=2, crop=32, terms=TERMS),
    ),
    "book": Config(
        "book", pictures=40, union=Recipe(25), lesions=Recipe(60), grades=Recipe(12, 1e-3),
        together=Recipe(4, 3e-4, batch=4), chosen=3, update=Update(steps=6, batch=4, terms=TERMS),
    ),
    # The released networks are one of width 64 a lesion at 512 pixels, SGD for thousands of epochs.
    "paper": Config(
        "paper", data="FGADR", size=512, width=64, union=Recipe(5_000, crop=512),
        lesions=Recipe(60_000, 1e-3, 500, crop=512), grades=Recipe(2_000, 1e-4, 100, batch=16),
        together=Recipe(2_000, 1e-4, 50, batch=4), terms=Terms(), rounds=4, chosen=5,
        update=Update(steps=60, crop=512, terms=Terms()), out="drgnet-paper",
    ),
}  # fmt: skip
