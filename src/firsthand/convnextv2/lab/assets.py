"""The long runs whose weights ship: three architectures on clothes, watched while they train, and one on photographs.

`python -m firsthand.convnextv2.lab.assets` trains them (about twenty minutes on two cores; a killed run goes on where
it was) and writes firsthand/weights/convnextv2_*.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from torch import Tensor

from firsthand.convnextv2.diversity import diversity_by_block, expanded_features
from firsthand.convnextv2.fcmae import FCMAE
from firsthand.convnextv2.lab.runs import BATCH, DECODER, SIZE, VARIANTS, WARMUP, Run, images, new_model, probe
from firsthand.convnextv2.model import ConvNeXtV2
from firsthand.convnextv2.recipes import pretrain
from firsthand.data.readers.images import InMemory, photo
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.provenance import processor
from firsthand.kit.train.loop import MicroBatch, load_tensors, save_tensors
from firsthand.kit.train.weights import ship, shipped

SEED = 0
STEPS = 6000
LR = 8e-3  # one rate that all three architectures bear
SNAPSHOTS = (0, 20, 50, 100, 200, 400, 800, 1600, 3000, 4500, 6000)
PICTURE = 23  # of the test split: what the recorded run shows
SHOWN = {0: 16, 1: 36, 4: 64}  # block -> channels kept of it
WORK = Path(".firsthand") / "assets"
COMMAND = "python -m firsthand.convnextv2.lab.assets"
PHOTO_STEPS, PHOTO_BATCH, PHOTO_SIDE = 3000, 64, 64
LEARNT = ("astronaut", "coffee", "rocket")  # the cat of "chelsea" is kept for looking


def file_of(variant: str) -> str:
    """Name under which a variant's weights ship."""
    return "convnextv2_" + variant.replace(" ", "_").lower()


def _watch(model: FCMAE) -> dict[str, Tensor]:
    """What the recorded run keeps of one moment: D of every block, and channel maps of three blocks."""
    pictures = images("test")[0]
    maps = expanded_features(model.encoder, pictures[PICTURE : PICTURE + 1])
    kept = {f"map{block}": _bytes(maps[block][0, ..., :count]) for block, count in SHOWN.items()}
    return {"diversity": diversity_by_block(model.encoder, pictures[:200]).float(), **kept}


def _bytes(maps: Tensor) -> Tensor:
    """(H, W, C) to uint8, every channel scaled to its own largest magnitude: 128 is zero."""
    largest = maps.abs().amax((0, 1)).clamp_min(1e-12)
    return (128 + 127 * maps / largest).round().to(torch.uint8)


def train_variant(variant: str) -> None:
    """Train one architecture for STEPS steps in pieces between the moments that the recorded run keeps; ship it."""
    torch.set_num_threads(1)
    begin = time.perf_counter()
    model = new_model(Run(variant), SEED)
    batches = InMemory(images("train")[0], batch=BATCH, flip=True)
    state, watched = WORK / f"{file_of(variant)}.safetensors", WORK / f"{file_of(variant)}-film.safetensors"
    frames, about = load_tensors(watched) if watched.is_file() else ({}, {"seconds": 0.0})
    losses: list[float] = []
    for moment in SNAPSHOTS:
        if moment:
            losses = pretrain(
                model, batches, steps=STEPS, batch=BATCH, lr=LR, warmup=WARMUP, seed=SEED,
                checkpoint=state, stop=moment,
            )  # fmt: skip
        if f"film.{moment}.diversity" not in frames:  # else a killed run is catching up
            frames.update({f"film.{moment}.{name}": t for name, t in _watch(model).items()})
            seconds = about["seconds"] + time.perf_counter() - begin
            save_tensors(watched, frames, {"seconds": seconds})
    # Only the standard network reconstructs pictures in the book; of the others the encoder is enough.
    weights = model.state_dict() if variant == "v2" else model.encoder.state_dict()
    ship(file_of(variant), {**weights, **frames}, _card(losses, seconds, {"test probe": probe(model.encoder)}))


def train_photographs() -> None:
    """Train version 2 on crops of three photographs, pixels not normalised, so that what it paints can be shown."""
    torch.set_num_threads(1)
    begin = time.perf_counter()
    torch.manual_seed(SEED)
    model = FCMAE(SIZE, decoder_dim=DECODER, norm_pix=False)
    losses = pretrain(
        model, Crops(), steps=PHOTO_STEPS, batch=PHOTO_BATCH, lr=4e-3, warmup=WARMUP, seed=SEED,
        checkpoint=WORK / "photographs.safetensors",
    )  # fmt: skip
    ship("convnextv2_photographs", model.state_dict(), _card(losses, time.perf_counter() - begin, {}))


def _card(losses: list[float], seconds: float, quality: dict[str, float]) -> dict[str, Any]:
    log = [[step, round(float(np.mean(losses[step : step + 100])), 5)] for step in range(0, len(losses), 100)]
    return {
        "command": COMMAND,
        "seed": SEED,
        "steps": len(losses),
        "minutes": round(seconds / 60, 1),
        "processor": processor(),
        "threads": 1,
        "licence": "MIT, as the code",
        "quality": {**quality, "loss of the last 100 steps": float(np.mean(losses[-100:]))},
        "log": log,
    }


class Crops:
    """Random mirrored crops of the photographs at several scales, as `InMemory` gives batches."""

    def __init__(self) -> None:
        self.pictures = [photo(name, side)[0] for name in LEARNT for side in (128, 192, 256)]

    def __call__(self, share: MicroBatch) -> tuple[Tensor, None]:
        draw = torch.rand(PHOTO_BATCH, 4, generator=share.generator(2))
        return torch.stack([self._crop(*row) for row in share.take(draw).tolist()]), None

    def _crop(self, which: float, top: float, left: float, turn: float) -> Tensor:
        picture = self.pictures[int(which * len(self.pictures))]
        room = picture.shape[-1] - PHOTO_SIDE + 1
        y, x = int(top * room), int(left * room)
        crop = picture[:, y : y + PHOTO_SIDE, x : x + PHOTO_SIDE]
        return crop.flip(-1) if turn < 0.5 else crop


# ---------------------------------------------------------------------------------------------- reading


@cached
def shipped_encoder(variant: str) -> ConvNeXtV2:
    """The encoder of a shipped variant, in evaluation mode."""
    model = new_model(Run(variant), 0)
    found = {name: t for name, t in shipped(file_of(variant)).items() if not name.startswith("film.")}
    (model if variant == "v2" else model.encoder).load_state_dict(found)
    return model.encoder.eval()


@cached
def shipped_autoencoder(name: str = "v2") -> FCMAE:
    """The whole shipped autoencoder: "v2" (clothes) or "photographs" (colour)."""
    if name == "photographs":
        model = FCMAE(SIZE, decoder_dim=DECODER, norm_pix=False)
        model.load_state_dict(shipped("convnextv2_photographs"))
        return model.eval()
    model = new_model(Run(), 0)
    model.load_state_dict({k: t for k, t in shipped(file_of("v2")).items() if not k.startswith("film.")})
    return model.eval()


@cached
def recorded(variant: str) -> dict[str, np.ndarray]:
    """{"steps" (S,), "diversity" (S, blocks), "map<block>" (S, H, W, C) uint8 with 128 = zero}."""
    tensors = shipped(file_of(variant))
    names = ("diversity", *(f"map{block}" for block in SHOWN))
    found = {name: np.stack([tensors[f"film.{s}.{name}"].numpy() for s in SNAPSHOTS]) for name in names}
    return {"steps": np.array(SNAPSHOTS), **found}


def main() -> None:
    """Train whatever is not shipped yet, two runs at a time."""
    jobs = [joblib.delayed(train_photographs)(), *(joblib.delayed(train_variant)(v) for v in VARIANTS)]
    joblib.Parallel(n_jobs=2)(jobs)


if __name__ == "__main__":
    main()
