"""Choose learning rates: the same grid for every architecture and start, on validation pictures, at one seed.

`python -m firsthand.convnextv2.tuning` runs it (about a quarter of an hour) and writes the grid with its results to
firsthand/evidence/convnextv2_tuning.json. The seed is none of the evidence's.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import joblib
import torch

from firsthand.chapters import PACKAGE
from firsthand.convnextv2.runs import VARIANTS, Run, pretrain_run, probe, tune_run
from firsthand.kit.results import write_atomically

SEED = 1000
STEPS = 500  # of pre-training
PRETRAIN_LR = (1e-3, 2e-3, 4e-3, 8e-3)
TUNE_LR = (2e-3, 4e-3, 8e-3, 1.6e-2)
LAYER_DECAY = (0.8, 1.0)
LABELS = 1000


def _variant(variant: str) -> dict[str, Any]:
    """One variant: pre-training rates by validation probe, then fine-tuning from the best and from scratch."""
    torch.set_num_threads(1)
    options = VARIANTS[variant]
    models = {lr: pretrain_run(Run(variant, STEPS), SEED, lr)[0].encoder for lr in PRETRAIN_LR}
    probes = {lr: probe(model, "validation") for lr, model in models.items()}
    best = max(probes, key=lambda lr: probes[lr])
    grid = [(lr, decay) for lr in TUNE_LR for decay in LAYER_DECAY]
    tune = {
        start: [[lr, decay, tune_run(encoder, options, LABELS, lr, decay, SEED, "validation")] for lr, decay in grid]
        for start, encoder in ((variant, models[best]), (f"scratch {variant}", None))
    }
    return {"variant": variant, "pretrain": [[lr, value] for lr, value in probes.items()], "tune": tune}


def main() -> None:
    """Measure the grid and write the file."""
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(_variant)(variant) for variant in VARIANTS)
    tune = {start: rows for entry in found for start, rows in entry["tune"].items()}
    content = {
        "command": "python -m firsthand.convnextv2.tuning",
        "seed": SEED,
        "columns": {"pretrain": ["lr", "validation probe"], "tune": ["lr", "layer decay", "validation accuracy"]},
        "pretrain": {entry["variant"]: entry["pretrain"] for entry in found},
        "tune": tune,
        "chosen": {
            "pretrain": {e["variant"]: max(e["pretrain"], key=lambda row: row[-1])[0] for e in found},
            "tune": {start: max(rows, key=lambda row: row[-1])[:2] for start, rows in tune.items()},
        },
    }
    path = PACKAGE / "evidence" / "convnextv2_tuning.json"
    write_atomically(path, json.dumps(content, indent=1) + "\n")
    print(json.dumps(content["chosen"]), file=sys.stderr)


if __name__ == "__main__":
    main()
