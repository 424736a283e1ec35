"""Choose learning rates: the same grid for every way to pre-train and every start, on validation pictures, one seed.

Pre-training's rate is the one with the least loss on hidden tokens: probes of neighbouring rates differ by less than
two seeds of one rate. Where the best rate of the grid is its largest, twice that rate is tried as well, for every way
alike, until it is no better. `python -m firsthand.dmjd.lab.search` runs it (about half an hour on two cores; a killed
run goes on where it was) and writes the grid with its results to firsthand/evidence/dmjd_tuning.json. The seed is
none of the evidence's.
"""

from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

import joblib
import torch

from firsthand.chapters import PACKAGE
from firsthand.dmjd.encoders import Encoder
from firsthand.dmjd.lab.runs import (
    DISJOINT,
    JOINT,
    LABELS,
    LONG_SINGLE,
    PIXELS,
    RELEASED,
    SINGLE,
    STEPS,
    held_out,
    new_model,
    pretrain_run,
    probe,
    tune_run,
)  # fmt: skip
from firsthand.kit.files import write_atomically
from firsthand.kit.train.loop import load_tensors, save_tensors

SEED = 1000
RUNS = {run.setting: run for run in (SINGLE, LONG_SINGLE, DISJOINT, JOINT, RELEASED, PIXELS)}
BLR = (5e-3, 1e-2, 2e-2, 4e-2)
TUNED = (SINGLE.setting, JOINT.setting, "scratch")  # starts that a claim fine-tunes
TUNE_LR = (1e-3, 2e-3, 4e-3, 8e-3)
LAYER_DECAY = (0.65, 1.0)
WORK = Path(".firsthand") / "tuning" / "dmjd"


def _pretrain(name: str, blr: float) -> tuple[float, float]:
    """Loss on hidden tokens, and probe; the encoder is kept in a file."""
    file = WORK / f"{name.replace(' ', '-')}-{blr:g}.safetensors"
    if not file.is_file():
        torch.set_num_threads(1)
        model = pretrain_run(RUNS[name], SEED, blr)[0]
        values = held_out(model, "validation")[0], probe(model.encoder, "validation")
        save_tensors(file, model.encoder.state_dict(), {"values": values})
        print(name, blr, *values, flush=True)
    loss, accuracy = load_tensors(file)[1]["values"]
    return loss, accuracy


def _encoder(name: str, blr: float) -> Encoder:
    """What `_pretrain` has kept."""
    encoder = new_model(RUNS[name], SEED).encoder
    encoder.load_state_dict(load_tensors(WORK / f"{name.replace(' ', '-')}-{blr:g}.safetensors")[0])
    return encoder.eval()


def _tune(encoder: Encoder | None, lr: float, decay: float) -> float:
    torch.set_num_threads(1)
    return tune_run(encoder, lr, decay, SEED, "validation")


def _rates(pool: joblib.Parallel) -> dict[str, dict[float, tuple[float, float]]]:
    """Results by rate for every way to pre-train: the grid, and further upward where it ends too early."""
    found: dict[str, dict[float, tuple[float, float]]] = {name: {} for name in RUNS}
    wanted = list(product(RUNS, BLR))
    while wanted:
        results = pool(joblib.delayed(_pretrain)(name, blr) for name, blr in wanted)
        for (name, blr), values in zip(wanted, results, strict=True):
            found[name][blr] = values
        wanted = [(name, 2 * max(rows)) for name, rows in found.items() if _best(rows) == max(rows)]
    return found


def _best(rows: dict[float, tuple[float, float]]) -> float:
    return min(rows, key=lambda blr: rows[blr][0])


def main() -> None:
    """Measure the grid and write the file."""
    WORK.mkdir(parents=True, exist_ok=True)
    pool = joblib.Parallel(n_jobs=2)
    found = _rates(pool)
    rates = {name: _best(rows) for name, rows in found.items()}
    starts = {name: _encoder(name, rates[name]) if name in RUNS else None for name in TUNED}
    cells = list(product(starts, TUNE_LR, LAYER_DECAY))
    values = pool(joblib.delayed(_tune)(starts[start], lr, decay) for start, lr, decay in cells)
    tune: dict[str, list[list[Any]]] = {start: [] for start in starts}
    for (start, lr, decay), value in zip(cells, values, strict=True):
        tune[start].append([lr, decay, value])
    content = {
        "command": "python -m firsthand.dmjd.lab.search",
        "seed": SEED,
        "steps": STEPS,
        "labels": LABELS,
        "columns": {
            "pretrain": ["blr", "validation loss", "validation probe"],
            "tune": ["lr", "layer decay", "validation accuracy"],
        },
        "pretrain": {name: [[blr, *rows[blr]] for blr in sorted(rows)] for name, rows in found.items()},
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
