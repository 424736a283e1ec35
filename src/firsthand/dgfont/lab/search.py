"""How heavy the judges weigh, for the method and for each rival with other parts, at a seed that no claim uses.

`python -m firsthand.dgfont.lab.search [--workers 2]` (two hours of one core) writes
firsthand/evidence/dgfont_tuning.json; a killed search goes on where it was. Everything is chosen on twenty of the 120
characters to train on, kept out here; the forty of the evidence are not looked at. Where the best lies at an end, the
search goes on beyond it.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch

from firsthand.chapters import PACKAGE
from firsthand.data.readers.glyphs import Glyphs, shipped
from firsthand.dgfont.lab import evaluation
from firsthand.dgfont.lab.evaluation import Task
from firsthand.dgfont.lab.runs import BOOK, VARIANTS
from firsthand.dgfont.recipes import Recipe
from firsthand.dgfont.trainer import Model
from firsthand.dgfont.training import train
from firsthand.kit.files import write_atomically
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.fingerprint import code_hash

SEED, KEPT = 999, 20
WEIGHTS = (0.05, 0.1, 0.2, 0.4)  # of the judges; the other losses keep theirs
BEYOND = 2  # more weights at most, each half of the least or twice the most
KINDS = tuple(kind for kind in VARIANTS if kind != "lean")  # which is the method on another set, and nobody's rival
READ = 0.8  # share of characters that must be read, as in the evidence; of those the nearest in features is taken


def glyphs() -> Glyphs:
    """The shipped set without the evidence's characters, with KEPT of the others kept from training."""
    whole = shipped()
    many = whole.seen[1].stop
    return replace(
        whole, ink=whole.ink[:, :many], present=whole.present[:, :many], characters=whole.characters[:many],
        unseen_characters=KEPT,
    )  # fmt: skip


@cached
def reader() -> evaluation.Reader:
    """The reader of this search."""
    return evaluation.train_reader(glyphs(), SEED)


def scored(model: Model, reader: evaluation.Reader) -> dict[str, float]:
    """Characters read, fonts told in times chance, and the features' distance, in fonts that were trained on."""
    here = glyphs()
    task = Task.of(here, seen=True)
    made = evaluation.generate(model, here, task)
    found = evaluation.score(made, task.true(here), reader, task)
    chance = task.chance(here.seen[0].stop)
    return {
        "read": round(found.character, 4), "certainty": round(found.certainty, 4),
        "told": round(found.font / chance, 3), "features": round(found.features, 5), "l1": round(found.l1, 5),
    }  # fmt: skip


def chosen(rows: list[dict[str, float]]) -> dict[str, float]:
    """Of the rows that are read well enough the nearest in features; if none is, the one that is read best."""
    good = [row for row in rows if row["read"] >= READ]
    return min(good, key=lambda row: row["features"]) if good else max(rows, key=lambda row: row["read"])


def recipe_of(kind: str, weight: float) -> Recipe:
    """A variant's with another weight of the judges."""
    return replace(BOOK, **{**VARIANTS[kind], "adversarial": weight})  # type: ignore[arg-type]


def measured(kind: str, weight: float, folder: Path) -> dict[str, float]:
    """One cell of the grid; one that is in the folder already, by the same code, is not trained again."""
    file = folder / f"{kind}-{weight}.json"
    if not file.is_file():
        torch.set_num_threads(1)
        here = glyphs()
        found = {"weight": weight, **scored(train(recipe_of(kind, weight), here, SEED), reader())}
        write_atomically(file, json.dumps(found) + "\n")
        print(kind, found, file=sys.stderr, flush=True)
    return json.loads(file.read_text(encoding="utf-8"))


def searched(kind: str, folder: Path) -> list[dict[str, float]]:
    """A variant's line of the grid, by weight, with what lies beyond an end while that is best."""
    rows = [measured(kind, weight, folder) for weight in WEIGHTS]
    for _ in range(BEYOND):
        best = chosen(rows)
        if best is rows[0]:
            rows.insert(0, measured(kind, rows[0]["weight"] / 2, folder))
        elif best is rows[-1]:
            rows.append(measured(kind, rows[-1]["weight"] * 2, folder))
    return rows


def main() -> None:
    """Measure and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1)
    folder = Path(".firsthand") / "tuning" / f"dgfont-{code_hash(measured)}"
    with ProcessPoolExecutor(parser.parse_args().workers) as pool:
        lines = {kind: pool.submit(searched, kind, folder) for kind in KINDS}
        grid = {kind: line.result() for kind, line in lines.items()}
    content = {
        "command": "python -m firsthand.dgfont.lab.search", "seed": SEED, "steps": BOOK.steps, "kept characters": KEPT,
        "grid": grid, "chosen": {kind: chosen(rows)["weight"] for kind, rows in grid.items()},
    }  # fmt: skip
    write_atomically(PACKAGE / "evidence" / "dgfont_tuning.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
