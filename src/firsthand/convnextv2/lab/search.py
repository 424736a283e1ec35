"""Choose learning rates: the same grid for every architecture, ablation and start, on validation pictures, one seed.

`python -m firsthand.convnextv2.lab.search` runs it (about twenty minutes on two cores) and writes the grid with its
results to firsthand/evidence/convnextv2_tuning.json. The seed is none of the evidence's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import product
from typing import Any

import joblib
import torch

from firsthand.chapters import PACKAGE
from firsthand.convnextv2.lab.runs import DEEPER, SHORT, VARIANTS, Run, pretrain_run, probe, tune_run
from firsthand.convnextv2.model import ConvNeXtV2
from firsthand.kit.files import write_atomically

SEED = 1000
PRETRAIN_LR = (4e-3, 8e-3, 1.6e-2, 3.2e-2)
TUNE_LR = (2e-3, 4e-3, 8e-3, 1.6e-2)
LAYER_DECAY = (0.8, 1.0)
LABELS = 1000
PRETRAINED = (*(Run(variant) for variant in VARIANTS), Run(leaky=True), Run(depth=DEEPER))
TUNED = ("v2", "v2 minus GRN", "v1", "leaky")  # the deep decoder is only probed


def _pretrain(run: Run, lr: float) -> tuple[ConvNeXtV2, float]:
    torch.set_num_threads(1)
    encoder = pretrain_run(run, SEED, lr)[0].encoder
    return encoder, probe(encoder, "validation")


def _tune(encoder: ConvNeXtV2 | None, options: dict[str, Any], lr: float, decay: float) -> float:
    torch.set_num_threads(1)
    return tune_run(encoder, options, LABELS, lr, decay, SEED, "validation")


def _all(jobs: Sequence[Any]) -> list[Any]:
    return joblib.Parallel(n_jobs=2)(jobs)


def main() -> None:
    """Measure the grid and write the file."""
    grid = list(product(PRETRAINED, PRETRAIN_LR))
    found = dict(zip(grid, _all([joblib.delayed(_pretrain)(*cell) for cell in grid]), strict=True))
    rates = {run: max(PRETRAIN_LR, key=lambda lr, run=run: found[run, lr][1]) for run in PRETRAINED}  # type: ignore[misc]
    starts: dict[str, tuple[ConvNeXtV2 | None, dict[str, Any]]] = {
        run.setting: (found[run, rates[run]][0], VARIANTS[run.variant]) for run in PRETRAINED if run.setting in TUNED
    }
    starts |= {f"scratch {variant}": (None, options) for variant, options in VARIANTS.items()}
    cells = list(product(starts, TUNE_LR, LAYER_DECAY))
    accuracies = _all([joblib.delayed(_tune)(*starts[start], lr, decay) for start, lr, decay in cells])
    tune: dict[str, list[list[float]]] = {start: [] for start in starts}
    for (start, lr, decay), value in zip(cells, accuracies, strict=True):
        tune[start].append([lr, decay, value])
    content = {
        "command": "python -m firsthand.convnextv2.lab.search",
        "seed": SEED,
        "steps": SHORT,
        "labels": LABELS,
        "columns": {"pretrain": ["lr", "validation probe"], "tune": ["lr", "layer decay", "validation accuracy"]},
        "pretrain": {run.setting: [[lr, found[run, lr][1]] for lr in PRETRAIN_LR] for run in PRETRAINED},
        "tune": tune,
        "chosen": {
            "pretrain": {run.setting: lr for run, lr in rates.items()},
            "tune": {start: max(rows, key=lambda row: row[-1])[:2] for start, rows in tune.items()},
        },
    }
    path = PACKAGE / "evidence" / "convnextv2_tuning.json"
    write_atomically(path, json.dumps(content, indent=1) + "\n")
    print(json.dumps(content["chosen"]), file=sys.stderr)


if __name__ == "__main__":
    main()
