"""Choose FedProx's mu on words, at a seed that is none of the evidence's: `python -m firsthand.fedboost.lab.search`.

About five minutes on one core. It writes firsthand/evidence/fedboost_tuning.json. FedBoosting itself has nothing to
tune.
"""

from __future__ import annotations

import json

import torch

from firsthand.chapters import PACKAGE
from firsthand.fedboost.lab.runs import Case, final, history
from firsthand.kit.files import write_atomically

SEED = 1000
MU = (0.001, 0.01, 0.1, 1.0)
FILE = PACKAGE / "evidence" / "fedboost_tuning.json"


def main() -> None:
    """Measure the grid and write the file."""
    torch.set_num_threads(1)
    rows = []
    for mu in MU:
        case = Case("words", "domains", "fedprox", options=(("mu", mu),))
        rows.append([mu, round(final(history(case, SEED).mean_score(), case.last), 3)])
        print(rows[-1], flush=True)
    content = {
        "command": "python -m firsthand.fedboost.lab.search", "seed": SEED,
        "columns": ["mu", "word accuracy, mean of both tests"],
        "fedprox": rows, "chosen": max(rows, key=lambda row: row[1])[0],
    }  # fmt: skip
    write_atomically(FILE, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
