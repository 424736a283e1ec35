"""The same three rates for every kind of model and three for the rival without space, at a seed no claim uses.

`python -m firsthand.nerfgaze.lab.search` (about forty minutes on one core) writes
firsthand/evidence/nerfgaze_tuning.json: the distance, in degrees, of redirected pictures to the truth in the judge's
eyes, within what was trained on.
"""

from __future__ import annotations

import json
from dataclasses import replace

import torch

from firsthand.chapters import PACKAGE
from firsthand.data.drawn.heads import SOURCE, redrawn
from firsthand.kit.files import write_atomically
from firsthand.nerfgaze import estimator as est
from firsthand.nerfgaze.lab import runs
from firsthand.nerfgaze.synthesis import redirected
from firsthand.nerfgaze.training import train
from firsthand.nerfgaze.turning import train_turner

SEED = 999
RATES, TURNER_RATES = (3e-3, 1e-2, 3e-2), (7e-4, 2e-3, 6e-3)
STEPS = 800
LONGER = {"single": runs.BOOK.steps}  # after 800 one field looks nowhere yet, and its rates cannot be told apart


def distance(kind: str, lr: float) -> float:
    """Of a kind trained at a rate."""
    data, most = runs.learned_from(kind, SEED), runs.KINDS[kind][0]
    recipe = replace(runs.recipe_of(kind), steps=LONGER.get(kind, STEPS), lr=lr, code_lr=3 * lr)
    model = train(recipe, data, SEED)[0]
    rows, gaze, pose = runs.requests(SEED, data, "trained", most)
    made = redirected(model, runs.codes_of(model, data, rows), gaze, pose)
    return float(runs.judged(made, data.pick(rows), gaze, pose, SEED).paired.mean())


def turner_distance(lr: float) -> float:
    """Of the rival without space, in the poses of training."""
    data = runs.pictures("wide", SEED)
    net = train_turner(data, steps=runs.TURNS, gaze=runs.WIDE, seed=SEED, lr=lr)
    rows, gaze, pose = runs.requests(SEED, data, "trained", runs.WIDE)
    images = net.turned(redrawn(data.pick(rows), pose=pose), gaze)
    true = redrawn(data.pick(rows), gaze=gaze, pose=pose).images
    said = [est.estimated(runs.judge(SEED), i) for i in (images, true)]
    return float(runs.between(*said).mean())


def main() -> None:
    """Measure the grid and write the file."""
    torch.set_num_threads(1)
    grid = {kind: [[lr, round(distance(kind, lr), 2)] for lr in RATES] for kind in runs.KINDS}
    grid["turner"] = [[lr, round(turner_distance(lr), 2)] for lr in TURNER_RATES]
    content = {
        "command": "python -m firsthand.nerfgaze.lab.search", "seed": SEED, "steps": STEPS, "longer": LONGER,
        "poses": SOURCE.pose, "columns": ["rate", "degrees to the truth"], "grid": grid,
        "chosen": {kind: min(rows, key=lambda row: row[1])[0] for kind, rows in grid.items()},
    }  # fmt: skip
    write_atomically(PACKAGE / "evidence" / "nerfgaze_tuning.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
