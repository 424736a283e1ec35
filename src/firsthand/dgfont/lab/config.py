"""Settings of the chapter's run, and their presets."""

from __future__ import annotations

from dataclasses import dataclass

from firsthand.dgfont.lab.runs import BOOK, READER
from firsthand.dgfont.recipes import RELEASED, Recipe


@dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        preset: name under which the result is stored.
        data: None: the shipped set; "latin": letters in matplotlib's fonts; else a folder of .ttf, .otf, .ttc.
        characters: of a folder's glyphs; None: the common characters, as many as in the paper.
        size: pixels of a folder's glyphs.
        recipe: how to train.
        out: folder for checkpoints; a run found there goes on.
    """

    preset: str
    data: str | None = None
    characters: str | None = None
    size: int = 32
    recipe: Recipe = BOOK
    out: str | None = None


TINY = Recipe(steps=3, warmup=1, ahead=2, batch=4, width=4, style_dim=8, judge_width=4, most=8, queue=16)


PRESETS = {
    "smoke": Config("smoke", recipe=TINY),
    "book": Config("book", recipe=READER),
    # 64 pixels, not the released 80: at 80 the released judges share channels, and pooled ones would not be comparable.
    "paper": Config("paper", data="fonts", size=64, recipe=RELEASED, out="dgfont-paper"),
}
