"""Choose learning rates: the same grid for every way to pre-train and every start, on validation pictures, one seed.

Pre-training's rate is the one with the least loss on hidden tokens: probes of neighbouring rates differ by less than
two seeds of one rate. `python -m firsthand.dmjd.tuning` runs it (about half an hour on two cores) and writes the grid
with its results to firsthand/evidence/dmjd_tuning.json. The seed is none of the evidence's.
"""

from __future__ import annotations

import json
import sys
from itertools import product
from typing import Any

import joblib
import torch

from firsthand.chapters import PACKAGE
from firsthand.dmjd.encoders import Encoder
from firsthand.dmjd.runs import (
    DISJOINT,
    JOINT,
    LABELS,
    LONG_SINGLE,
    PIXELS,
    RELEASED,
    SINGLE,
    STEPS,
    Run,
    held_out,
    pretrain_run,
    probe,
    tune_run,
)  # fmt: skip
from firsthand.kit.results import write_atomically

SEED = 1000
RUNS = {run.setting: run for run in (SINGLE, LONG_SINGLE, DISJOINT, JOINT, RELEASED, PIXELS)}
BLR = (5e-3, 1e-2, 2e-2, 4e-2)
TUNED = (SINGLE.setting, JOINT.setting, "scratch")  # starts that a claim fine-tunes
TUNE_LR = (1e-3, 2e-3, 4e-3, 8e-3)
LAYER_DECAY = (0.65, 1.0)


def _pretrain(run: Run, blr: float) -> tuple[Encoder, float, float]:
    """The encoder, its loss on hidden tokens, and its probe."""
    torch.set_num_threads(1)
    model = pretrain_run(run, SEED, blr)[0]
    found = model.encoder, held_out(model, "validation")[0], probe(model.encoder, "validation")
    print(run.setting, blr, *found[1:], flush=True)
    return found


def _tune(encoder: Encoder | None, lr: float, decay: float) -> float:
    torch.set_num_threads(1)
    return tune_run(encoder, lr, decay, SEED, "validation")


def main() -> None:
    """Measure the grid and write the file."""
    pool = joblib.Parallel(n_jobs=2)
    grid = list(product(RUNS, BLR))
    found = dict(zip(grid, pool(joblib.delayed(_pretrain)(RUNS[name], blr) for name, blr in grid), strict=True))
    rates = {name: min(BLR, key=lambda blr, name=name: found[name, blr][1]) for name in RUNS}  # type: ignore[misc]
    starts = {name: found[name, rates[name]][0] if name in RUNS else None for name in TUNED}
    cells = list(product(starts, TUNE_LR, LAYER_DECAY))
    values = pool(joblib.delayed(_tune)(starts[start], lr, decay) for start, lr, decay in cells)
    tune: dict[str, list[list[Any]]] = {start: [] for start in starts}
    for (start, lr, decay), value in zip(cells, values, strict=True):
        tune[start].append([lr, decay, value])
    content = {
        "command": "python -m firsthand.dmjd.tuning",
        "seed": SEED,
        "steps": STEPS,
        "labels": LABELS,
        "columns": {
            "pretrain": ["blr", "validation loss", "validation probe"],
            "tune": ["lr", "layer decay", "validation accuracy"],
        },
        "pretrain": {name: [[blr, *found[name, blr][1:]] for blr in BLR] for name in RUNS},
        "tune": tune,
        "chosen": {
            "pretrain": rates,
            "tune": {start: max(rows, key=lambda row: row[-1])[:2] for start, rows in tune.items()},
        },
    }
    write_atomically(PACKAGE / "evidence" / "dmjd_tuning.json", json.dumps(content, indent=1) + "\n")
    print(json.dumps(content["chosen"]), file=sys.stderr)


if __name__ == "__main__":
    main()
