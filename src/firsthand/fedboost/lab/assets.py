"""What the moving figures show, made beforehand: federations on digits, and who reads what of a protected update.

`python -m firsthand.fedboost.lab.assets` makes it (about five minutes on two cores) and writes
firsthand/weights/fedboost_film.*.
"""

from __future__ import annotations

import time

import joblib
import numpy as np
import torch
from torch import Tensor

from firsthand.fedboost.federation import History
from firsthand.fedboost.lab.runs import Case, history
from firsthand.fedboost.weights import mix
from firsthand.grnn.attacks import attack, psnr
from firsthand.grnn.gradients import shared_gradient
from firsthand.grnn.victims import PEOPLE, face_batch, untrained_victim
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.provenance import processor
from firsthand.kit.train.weights import ship, shipped

COMMAND = "python -m firsthand.fedboost.lab.assets"
SPLITS = ("iid", "dirichlet", "sorted", "corrupted")
EPOCHS = (1, 5)
ROUNDS = 20
KEEPS = (0.5, 0.6, 0.75, 0.9, 1.0)
SEED = 0  # of federations
VICTIM = 0  # of the face that is attacked
ITERATIONS = 1000  # of the attack: more than in the evidence, for one face only


def _rounds(split: str, epochs: int, name: str) -> History:
    torch.set_num_threads(1)
    return history(Case("digits", split, name, epochs=epochs, rounds=ROUNDS), SEED)


def _attacked(view: float | str) -> tuple[Tensor, float]:
    """The face found in a mixture with this share, in a "masked" upload, which is uniform noise, or in the "sum"."""
    torch.set_num_threads(1)
    model = untrained_victim(VICTIM)
    x, y = face_batch(2, VICTIM)
    gradients = np.stack([shared_gradient(model, x[i : i + 1], y[i : i + 1]).numpy() for i in (0, 1)])
    if view == "masked":
        generator = torch.Generator().manual_seed(VICTIM)
        bound = float(np.abs(gradients).max())
        held = bound * (2 * torch.rand(gradients.shape[1], generator=generator) - 1)
    elif view == "sum":
        held = torch.from_numpy(gradients.mean(0)).float()
    else:
        held = torch.from_numpy(mix(gradients, keep=float(view))[0]).float()
    batch = 2 if view == "sum" else 1
    found = attack(
        model, held, batch=batch, image_shape=(3, 32, 32), num_classes=PEOPLE, iterations=ITERATIONS, seed=VICTIM
    )
    images = found.images.clamp(0, 1)
    quality = psnr(images, x[:1].expand(batch, -1, -1, -1))
    return images[quality.argmax()], float(quality.max())


def main() -> None:
    """Run and store."""
    begin = time.perf_counter()
    pool = joblib.Parallel(n_jobs=2)
    cases = [(s, e, n) for s in SPLITS for e in EPOCHS for n in ("fedavg", "fedboosting")]
    tensors: dict[str, Tensor] = {}
    for (split, epochs, name), found in zip(cases, pool(joblib.delayed(_rounds)(*c) for c in cases), strict=True):
        tensors[f"{split}/{epochs}/{name}/score"] = torch.from_numpy(found.scores["digits"]).float()
        if name == "fedboosting":
            tensors[f"{split}/{epochs}/weights"] = torch.from_numpy(found.weights).float()
            tensors[f"{split}/{epochs}/validation"] = torch.from_numpy(found.validation).float()
    views: list[float | str] = [*KEEPS, "masked", "sum"]
    quality = {}
    for view, (image, dB) in zip(views, pool(joblib.delayed(_attacked)(v) for v in views), strict=True):
        name = view if isinstance(view, str) else f"keep {view:g}"
        tensors[name] = (255 * image).round().to(torch.uint8)
        tensors[f"{name}/psnr"] = torch.tensor(dB)
        quality[name] = round(dB, 3)
    shown = tensors["iid/1/fedboosting/score"].tolist()  # its error stands for a loss
    card = {
        "command": COMMAND, "seed": SEED, "minutes": round((time.perf_counter() - begin) / 60, 1), "steps": ROUNDS,
        "processor": processor(), "threads": 1, "licence": "pictures: as Labeled Faces in the Wild, research use",
        "quality": quality, "log": [[at, round(1 - s, 4)] for at, s in enumerate(shown)],
    }  # fmt: skip
    ship("fedboost_film", tensors, card)


@cached
def recorded() -> dict[str, Tensor]:
    """All that is stored: "<split>/<epochs>/weights" (R, N), "…/validation" (R, N, N), "…/<strategy>/score" (R,),
    "keep <share>", "masked" and "sum" (3, 32, 32) uint8 with "…/psnr"."""
    return shipped("fedboost_film")


if __name__ == "__main__":
    main()
