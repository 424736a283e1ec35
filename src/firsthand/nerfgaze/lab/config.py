"""Settings of the chapter's run, and their presets."""

from __future__ import annotations

from dataclasses import dataclass, replace

from firsthand.nerfgaze.full import FullRecipe
from firsthand.nerfgaze.lab import runs
from firsthand.nerfgaze.model import Sizes
from firsthand.nerfgaze.training import Recipe


@dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        preset: name under which the result is stored.
        data: None: drawn heads; else a folder of ETH-XGaze, normalised.
        pictures, people: drawn ones to learn from.
        recipe: of the model of drawn heads. full: of the one of real faces.
        judged, judge_steps: pictures and steps of the judge.
        requests: redirections that are judged.
        out: folder for checkpoints of the full model.
    """

    preset: str
    data: str | None = None
    pictures: int = 400
    people: int = 6
    recipe: Recipe = runs.BOOK
    full: FullRecipe = FullRecipe()  # noqa: RUF009
    judged: int = 1500
    judge_steps: int = 350
    requests: int = 60
    out: str | None = None


PRESETS = {
    "smoke": Config(
        "smoke", pictures=12, people=3, recipe=Recipe(steps=3, rays=48, sizes=Sizes(face=8, eye=8)), judged=16,
        judge_steps=3, requests=4,
    ),
    "book": Config("book", recipe=replace(runs.BOOK, steps=700)),
    "paper": Config("paper", data="ETH-XGaze", out="nerfgaze-paper"),
}  # fmt: skip
