"""What is killed: small runs that go through the book's own loops and writers."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from firsthand.kit.files import write_atomically
from firsthand.kit.lab import evidence, measuring
from firsthand.kit.lab.claims import Claim
from firsthand.kit.train.loop import Cosine, MicroBatch, train

STEPS, PAUSE = 80, 0.004  # seconds


def training(folder: Path, pause: float = PAUSE) -> None:
    """A net with dropout, momentum and a schedule, checkpointed at every step."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 256), nn.Dropout(0.3), nn.Linear(256, 1))

    def loss(wrapped: nn.Module, share: MicroBatch) -> Tensor:
        time.sleep(pause)
        return wrapped(torch.randn(8, 64, generator=share.generator())).square().mean()

    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    train(
        model, optimizer, loss, steps=STEPS, lr=Cosine(0.01, STEPS, 5), seed=3,
        checkpoint=folder / "run.safetensors", every=1,
    )  # fmt: skip


def fonts(folder: Path) -> None:
    """Chapter 07's training, which has a loop of its own, checkpointed at every step."""
    from dataclasses import replace

    from firsthand.data.readers.glyphs import shipped
    from firsthand.dgfont import training as module
    from firsthand.dgfont.lab.config import TINY

    torch.set_num_threads(1)
    module.SAVE_EVERY = 1
    module.train(replace(TINY, steps=20, warmup=4), shipped(), 0, checkpoint=folder / "run.safetensors")


def sweep(folder: Path, pause: float = 10 * PAUSE) -> None:
    """Evidence of two toy claims at six seeds; its content as a file."""
    import json
    import os

    def draw(scale: float, seed: int) -> tuple[float, None]:
        time.sleep(pause)
        return scale * float(torch.rand((), generator=torch.Generator().manual_seed(seed))), None

    def claim(scale: float) -> Claim:
        rest = ("A sentence.", "ours", "value", "1", None, "at_least", 0.3, 0.0)
        return Claim(f"by-{scale:g}", *rest, lambda seed: draw(scale, seed))

    os.chdir(folder)
    evidence.claims_of = lambda key: [claim(1.0), claim(2.0)]
    evidence.curves_of = lambda key: []
    content = measuring.measure("hcvi", seeds=6, progress=False)
    kept = [[row["method"], row["verdict"]] for row in content["claims"]]
    write_atomically(folder / "content.json", json.dumps(kept))


if __name__ == "__main__":  # by hand: victims.py training FOLDER
    globals()[sys.argv[1]](Path(sys.argv[2]))
