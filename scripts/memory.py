"""What the presets `paper` need in memory, computed from their models: python scripts/memory.py

Each preset's own code starts on a few small files of noise in its data's layout; its training loop is replaced by one
that computes a single loss and counts what the backward pass would need. Weights, gradients and Adam's two moments do
not depend on the batch, activations grow with it. Single precision; with bf16 activations are between a half and all of
it. Writes book/_memory.md, which the page "Scaling" includes.
"""

from __future__ import annotations

import gc
import importlib
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

MIB, FEW = 2**20, 2  # images in a pass that is counted: batch norm wants two
TARGET = Path(__file__).parents[1] / "book" / "_memory.md"


class Count:
    """Bytes of tensors that are kept for a backward pass: now, and at most."""

    def __init__(self, model: nn.Module) -> None:
        self.now = self.most = 0
        self.held: dict[int, int] = {}
        self.own = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def keep(self, tensor: Tensor) -> Tensor:
        """Count a tensor's memory once, until nobody holds it any more."""
        storage = tensor.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        if key and key not in self.own:
            if key not in self.held:
                self.now += size
                self.most = max(self.most, self.now)
            self.held[key] = self.held.get(key, 0) + 1
            kept = tensor.view_as(tensor) if tensor.is_leaf else tensor.detach()
            weakref.finalize(kept, self.drop, key, size)
            return kept
        return tensor

    def drop(self, key: int, size: int) -> None:
        """One holder less."""
        self.held[key] -= 1
        if not self.held[key]:
            del self.held[key]
            self.now -= size

    @contextmanager
    def counting(self) -> Iterator[None]:
        """While a loss is computed and differentiated."""
        with torch.autograd.graph.saved_tensors_hooks(self.keep, lambda kept: kept):
            yield


@dataclass
class Found:
    """Parameters that are trained, and bytes of activations an image."""

    parameters: int = 0
    image: float = 0.0

    def take(self, model: nn.Module, images: int, loss: Callable[[], Tensor]) -> float:
        """Count one loss; what is kept is the largest of a preset's stages."""
        count = Count(model)
        with count.counting():
            value = loss()
            value.backward()
        self.parameters = max(self.parameters, sum(p.numel() for p in model.parameters() if p.requires_grad))
        self.image = max(self.image, count.most / images)
        model.zero_grad()
        found = float(value.detach())
        del value
        gc.collect()
        return found


def probe(found: Found) -> Callable[..., list[float]]:
    """In place of `kit.training.train`."""

    def train(model: nn.Module, optimizer: Any, loss: Callable[..., Tensor], **_: Any) -> list[float]:
        from firsthand.kit.train.loop import MicroBatch

        model.train()
        return [found.take(model, FEW, lambda: loss(model, MicroBatch(0, 0, 1, 0)))]

    return train


def noise(file: Path, size: int) -> None:
    """A picture of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)).save(file)


def imagenet(folder: Path) -> Path:
    """Four pictures in ImageNet's layout."""
    for split in ("train", "val"):
        for n in range(4):
            noise(folder / split / f"n{n % 2:02d}" / f"{n}.JPEG", 256)
    return folder


def presets(folder: Path) -> dict[str, tuple[str, Callable[[Any], Any], int]]:
    """For each chapter: the loop to replace, how its preset shrinks to FEW images, and images of the real batch."""
    from firsthand.data.drawn.aerial import CLASSES, scene
    from firsthand.data.drawn.fundus import fundus

    sys.path.insert(0, str(TARGET.parents[1]))
    from tests.writers.retinas import write_fgadr
    from tests.writers.vedai import write_vedai

    pictures = str(imagenet(folder / "imagenet"))
    write_vedai(folder / "vedai", [scene(k, size=512, classes=CLASSES) for k in range(8)], CLASSES)
    (folder / "fgadr").mkdir()
    write_fgadr(folder / "fgadr", [fundus(k, size=512, grade=3) for k in range(10)])

    def self_supervised(config: Any) -> Any:
        return replace(config, data=pictures, batch=FEW, passes=FEW, workers=0, out=None)

    def ghost(config: Any) -> Any:
        few = {name: replace(getattr(config, name), batch=FEW, steps=1) for name in ("teach", "learn")}
        return replace(config, data=str(folder / "vedai"), out=None, **few)

    def drgnet(config: Any) -> Any:
        stages = ("union", "lesions", "grades", "together")
        few = {name: replace(getattr(config, name), batch=FEW, steps=1) for name in stages}
        return replace(config, data=str(folder / "fgadr"), out=None, **few)

    return {
        "convnextv2": ("recipes.train", self_supervised, 64),
        "dmjd": ("recipes.train", self_supervised, 64),
        "ghost": ("training.train", ghost, 16),
        "drgnet": ("training.train", drgnet, 8),
    }


def of_fonts() -> Found:
    """Chapter 07 has a loop of its own; its released networks make one step."""
    from firsthand.data.readers.glyphs import latin
    from firsthand.dgfont.batches import Sampler, chance
    from firsthand.dgfont.recipes import RELEASED
    from firsthand.dgfont.trainer import Trainer

    glyphs, found = latin(64), Found()
    sampler = Sampler(glyphs, 3)
    trainer = Trainer(replace(RELEASED, batch=FEW), fonts=len(sampler.images), size=64)
    networks = trainer.networks()
    count = Count(networks)
    with count.counting():
        trainer.step(0, sampler, chance(0, 0))
    found.parameters = sum(p.numel() for part in networks.values() for p in part.parameters() if p.requires_grad)
    found.image = count.most / FEW
    return found


def of_heads() -> Found:
    """Chapter 08's full model on a quarter of its rays, which are counted four times."""
    from firsthand.nerfgaze.full import FullHead

    found, grid, part = Found(), 64, 2
    model = FullHead(2, FEW, grid=grid // part)
    zero, people = torch.zeros(FEW, 2), torch.arange(FEW)
    found.take(model, FEW, lambda: model(people, people, zero, zero).mean())
    found.image *= part**2
    found.parameters = sum(p.numel() for p in FullHead(2, FEW).parameters())
    return found


def measured(chapter: str, folder: Path) -> tuple[Found, int]:
    """What a chapter's preset needs, and images of its batch."""
    if chapter == "dgfont":
        return of_fonts(), 32
    if chapter == "nerfgaze":
        return of_heads(), 2
    loop, few, batch = presets(folder)[chapter]
    experiment, found = importlib.import_module(f"firsthand.{chapter}.lab.pipeline"), Found()
    without_rounds = patch.object(experiment, "_rounds", lambda *_: {}, create=True)  # chapter 06's need less
    with without_rounds, patch(f"firsthand.{chapter}.{loop}", probe(found)):
        experiment.run(few(experiment.PRESETS["paper"]), device="cpu", progress=False)
    return found, batch


def line(chapter: str, found: Found, batch: int) -> str:
    """A row of the table."""
    fixed, images = found.parameters * 16 / MIB, found.image / MIB
    whole = (fixed + batch * images) / 1024
    return f"| `{chapter}` | {found.parameters:,} | {fixed:,.0f} | {images:,.0f} | {batch} | {whole:,.1f} |"


def main(chapters: list[str]) -> None:
    """Measure and write, or only print what is named."""
    head = ["Chapter", "Parameters", "Fixed (MiB)", "An image (MiB)", "Images", "In all (GiB)"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for chapter in chapters or ["convnextv2", "dmjd", "ghost", "drgnet", "dgfont", "nerfgaze"]:
        with tempfile.TemporaryDirectory() as folder:
            found, batch = measured(chapter, Path(folder))
        lines.append(line(chapter, found, batch))
        print(lines[-1], flush=True)
    if not chapters:
        TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
