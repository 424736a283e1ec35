"""All victims of the evidence's headline, none left out: the faces that were attacked and what was found of them.

`python -m firsthand.grnn.lab.assets` attacks them again (about five minutes on two cores) and writes
firsthand/weights/grnn_gallery.*; the qualities are those that the evidence stores.
"""

from __future__ import annotations

import time

import joblib
import numpy as np
import torch
from torch import Tensor

from firsthand.grnn.lab.measures import HEADLINE
from firsthand.grnn.lab.runs import LONG, Outcome, outcome
from firsthand.grnn.victims import face_batch
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.provenance import processor
from firsthand.kit.train.weights import ship, shipped

VICTIMS = 20
COMMAND = "python -m firsthand.grnn.lab.assets"


def _attack(seed: int) -> Outcome:
    torch.set_num_threads(1)
    return outcome(HEADLINE, seed)


def main() -> None:
    """Attack and store."""
    begin = time.perf_counter()
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(_attack)(seed) for seed in range(VICTIMS))
    quality = np.array([float(o.psnr[0]) for o in found])
    images = (255 * torch.cat([o.found for o in found]).clamp(0, 1)).round().to(torch.uint8)
    card = {
        "command": COMMAND, "seed": 0, "steps": LONG, "minutes": round((time.perf_counter() - begin) / 60, 1),
        "processor": processor(), "threads": 1, "licence": "pictures: as Labeled Faces in the Wild, research use",
        "quality": {"mean PSNR": float(quality.mean()), "worst": float(quality.min()), "best": float(quality.max())},
        "log": [[seed, round(float(value), 3)] for seed, value in enumerate(quality)],
    }  # fmt: skip
    ship("grnn_gallery", {"found": images, "psnr": torch.from_numpy(quality)}, card)


@cached
def gallery() -> dict[str, Tensor]:
    """{"found", "truth": (20, 3, 32, 32) in [0, 1], "psnr": (20,) dB}, victim by victim."""
    tensors = shipped("grnn_gallery")
    truth = torch.cat([face_batch(1, seed)[0] for seed in range(VICTIMS)])
    return {"found": tensors["found"].float() / 255, "truth": truth, "psnr": tensors["psnr"]}


if __name__ == "__main__":
    main()
