"""The longer runs whose weights ship: both branches, with aligned targets and in the released order.

`python -m firsthand.dmjd.lab.assets` trains them (about ten minutes on two cores; a killed run goes on where it was)
and writes firsthand/weights/dmjd_*.
"""

from __future__ import annotations

import time
from pathlib import Path

import joblib
import numpy as np
import torch
from torch import Tensor

from firsthand.data.readers.images import InMemory
from firsthand.dmjd.lab.runs import CORRUPTION, JOINT, RELEASED, WARMUP, chosen, held_out, images, new_model, probe
from firsthand.dmjd.masks import disjoint_masks, first_visible
from firsthand.dmjd.model import DMJD
from firsthand.dmjd.recipes import pretrain, scaled_lr
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.provenance import processor
from firsthand.kit.train.loop import load_tensors, save_tensors
from firsthand.kit.train.weights import ship, shipped

SEED = 0
STEPS = 1200
SNAPSHOTS = (0, 30, 100, 300, 600, 1200)
PICTURES = (10, 12, 17, 23)  # of the test split: what the recorded run shows
RUNS = {"aligned": JOINT, "released": RELEASED}
WORK = Path(".firsthand") / "assets"
COMMAND = "python -m firsthand.dmjd.lab.assets"


def watched_masks() -> tuple[Tensor, Tensor]:
    """The masks (pictures, L) and the order of visible tokens that the recorded run uses, the same at every moment."""
    generator = torch.Generator().manual_seed(4)
    mask = disjoint_masks(len(PICTURES), 8, CORRUPTION, block=2, generator=generator)[0]
    return mask, first_visible(mask, 24, block=2, generator=generator)


@torch.no_grad()
def _watch(model: DMJD) -> dict[str, Tensor]:
    """Predictions of hidden and of visible tokens for the recorded run's pictures, half precision: (pictures, L, D)."""
    mask, ids = watched_masks()
    pictures = images("test")[0][list(PICTURES)]
    model.eval()
    latents = model.encode(pictures, ids, mask)
    assert model.visible_branch is not None
    seen = model.visible_branch(latents)
    whole = torch.zeros(len(pictures), mask.shape[1], seen.shape[-1])
    whole.scatter_(1, ids.unsqueeze(-1).expand_as(seen), seen)
    return {"hidden": model.decoder(latents, ids).half(), "visible": whole.half()}


def train(pairing: str) -> None:
    """Train one pairing for STEPS steps in pieces between the moments that the recorded run keeps; ship it."""
    torch.set_num_threads(1)
    begin = time.perf_counter()
    run = RUNS[pairing]
    blr = chosen()["pretrain"][run.setting]
    model = new_model(run, SEED)
    batches = InMemory(images("train")[0], batch=run.images, flip=True)
    state, watched = WORK / f"dmjd_{pairing}.safetensors", WORK / f"dmjd_{pairing}-film.safetensors"
    frames, about = load_tensors(watched) if watched.is_file() else ({}, {"seconds": 0.0})
    losses: list[float] = []
    seconds = float(about["seconds"])
    for moment in SNAPSHOTS:
        if moment:
            losses = pretrain(
                model, batches, steps=STEPS, batch=run.images, lr=scaled_lr(blr, run.images, corruption=CORRUPTION),
                warmup=WARMUP, seed=SEED, checkpoint=state, stop=moment,
            )  # fmt: skip
        if f"film.{moment}.hidden" not in frames:  # else a killed run is catching up
            frames.update({f"film.{moment}.{name}": t for name, t in _watch(model).items()})
            seconds = about["seconds"] + time.perf_counter() - begin
            save_tensors(watched, frames, {"seconds": seconds})
    hidden, visible = held_out(model)
    quality = {"test probe": probe(model.encoder), "held-out loss": hidden, "held-out visible loss": visible}
    log = [[step, round(float(np.mean(losses[step : step + 50])), 5)] for step in range(0, len(losses), 50)]
    card = {
        "command": COMMAND, "seed": SEED, "steps": len(losses), "minutes": round(seconds / 60, 1),
        "processor": processor(), "threads": 1, "licence": "MIT, as the code", "quality": quality, "log": log,
    }  # fmt: skip
    weights = {name: t for name, t in model.state_dict().items() if not name.endswith("position")}
    ship(f"dmjd_{pairing}", {**weights, **frames}, card)


# ---------------------------------------------------------------------------------------------- reading


@cached
def shipped_model(pairing: str) -> DMJD:
    """The shipped model of a pairing, in evaluation mode."""
    model = new_model(RUNS[pairing], SEED)
    found = {name: t for name, t in shipped(f"dmjd_{pairing}").items() if not name.startswith("film.")}
    model.load_state_dict(found, strict=False)
    return model.eval()


@cached
def recorded(pairing: str) -> dict[int, dict[str, Tensor]]:
    """{step: {"hidden", "visible"}: predictions (pictures, L, D) of every token}."""
    tensors = shipped(f"dmjd_{pairing}")
    return {s: {name: tensors[f"film.{s}.{name}"].float() for name in ("hidden", "visible")} for s in SNAPSHOTS}


def main() -> None:
    """Train both, side by side."""
    joblib.Parallel(n_jobs=2)(joblib.delayed(train)(pairing) for pairing in RUNS)


if __name__ == "__main__":
    main()
