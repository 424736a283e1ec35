"""The chapter's pipeline: attack victims by several methods and batch sizes, and score what was recovered.

`run` is what the notebook, the command line and the tests call.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from firsthand.data.readers.images import ImageFiles, faces
from firsthand.errors import UserError
from firsthand.grnn.attacks import METHODS, attack_many, match, psnr
from firsthand.grnn.gradients import shared_gradient
from firsthand.grnn.lab.config import PRESETS, Config
from firsthand.grnn.lab.runs import RECOVERED
from firsthand.grnn.networks import LeNet, SigmoidResNet18, uniform_init_
from firsthand.grnn.victims import PEOPLE
from firsthand.kit.lab.results import Result
from firsthand.kit.train.device import LARGEST_SEED, resolve_device, seed_refused

__all__ = ["PRESETS", "Config", "run", "with_data"]


TV_WEIGHT = {"lenet": 1e-3, "resnet18": 1e-6}  # the released code's


def with_data(config: Config, path: str) -> Config:
    """The same experiment on a folder with one subfolder of images a class."""
    if not Path(path).is_dir():
        raise UserError(f"--data must be a folder with one subfolder of images a class; {Path(path).name} is none.")
    return replace(config, data=path)


class Pictures:
    """Images to attack and their classes, from the shipped faces or a folder."""

    def __init__(self, config: Config) -> None:
        self.size = config.image_size
        self.folder = None
        if config.data is None:
            self.num_classes, self.count = PEOPLE, PEOPLE
            return
        self.folder = ImageFiles(Path(config.data))
        self.num_classes, self.count = len(self.folder.classes), len(self.folder)

    def batch(self, size: int, seed: int) -> tuple[Tensor, Tensor]:
        """(B, 3, s, s) in [0, 1], not standardised, and classes (B,)."""
        if size > self.count:
            raise UserError(f"A batch of {size} needs as many images; there are {self.count}.")
        rows = np.random.default_rng([seed, size]).choice(self.count, size, replace=False)
        if self.folder is None:
            who = torch.from_numpy(rows)
            return faces(side=self.size)[who].repeat(1, 3, 1, 1), who
        from torchvision.transforms import v2

        change = v2.Compose([v2.Resize((self.size, self.size)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
        pairs = [self.folder[int(row)] for row in rows]
        images = torch.stack([change(picture) for picture, _ in pairs])
        return images, torch.tensor([label for _, label in pairs])


def victim(name: str, num_classes: int, seed: int) -> nn.Module:
    """A fresh victim by name.

    Raises:
        UserError: an unknown name.
    """
    if name not in TV_WEIGHT:
        raise UserError(f"Unknown victim {name!r}: choose lenet or resnet18.")
    model = LeNet(num_classes) if name == "lenet" else SigmoidResNet18(num_classes)
    return uniform_init_(model, generator=torch.Generator().manual_seed(seed))


def run(config: Config, *, seed: int = 0, device: str = "auto", progress: bool = True) -> Result:
    """Attack every victim by every method at every batch size.

    Args:
        config: one of PRESETS, or a changed copy.
        seed: victims and batches take 1000 seed, 1000 seed + 1, …
        device: of victims and attacks.
        progress: show a bar over attacks.

    Returns:
        Result with metrics "<method>/<victim>/<B>/psnr" (dB, median over images), "…/labels" and "…/success"
        (shares), and arrays of the same names "…/found" and "…/truth" (images of the first repeat).

    Raises:
        UserError: a seed out of range, or data that are missing or do not fit.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(seed_refused(seed))
    from tqdm import tqdm

    unknown = [name for name in config.victims if name not in TV_WEIGHT]
    if unknown:
        raise UserError(f"Unknown victim {unknown[0]!r}: choose lenet or resnet18.")
    if not set(config.methods) <= set(METHODS):
        raise UserError(f"Unknown method among {', '.join(config.methods)}: choose of {', '.join(METHODS)}.")
    if "lenet" in config.victims and config.image_size != 32:
        raise UserError(f"A LeNet takes images of 32 pixels a side, not {config.image_size}: choose resnet18.")
    if config.iterations is not None and config.iterations < 1:
        raise UserError(f"An attack needs at least one iteration; got {config.iterations}.")
    where, begin = resolve_device(device), time.perf_counter()
    pictures = Pictures(config)
    if max(config.batches) > pictures.count:  # before the smaller ones have taken their hours
        raise UserError(f"A batch of {max(config.batches)} needs as many images; there are {pictures.count}.")
    seeds = [1000 * seed + number for number in range(config.repeats)]
    drawn = {b: [pictures.batch(b, s) for s in seeds] for b in config.batches}  # a damaged picture is said before hours
    metrics: dict[str, float] = {}
    arrays: dict[str, np.ndarray] = {}
    plan = [
        (m, v, b) for v in config.victims for b in config.batches for m in config.methods if not (m == "idlg" and b > 1)
    ]
    for method, name, batch in tqdm(plan, disable=not progress, unit="attack"):
        models = [victim(name, pictures.num_classes, s).to(where) for s in seeds]
        batches = drawn[batch]
        gradients = [shared_gradient(m, x.to(where), y.to(where)) for m, (x, y) in zip(models, batches, strict=True)]
        found = attack_many(
            models, gradients, batch=batch, image_shape=(3, config.image_size, config.image_size), seeds=seeds,
            num_classes=pictures.num_classes, method=method, iterations=config.iterations, restarts=config.restarts,
            tv_weight=TV_WEIGHT[name],
        )  # fmt: skip
        quality, hits = [], []
        for result, (x, y) in zip(found, batches, strict=True):
            images = result.images.clamp(0, 1).cpu()
            order = match(images, x)
            quality.append(psnr(images[order], x).numpy())
            labels = result.labels.cpu()
            hits.append(sum(min(int((labels == c).sum()), int((y == c).sum())) for c in y.unique()) / batch)
            arrays.setdefault(f"{method}/{name}/{batch}/found", images[order].numpy())
            arrays.setdefault(f"{method}/{name}/{batch}/truth", x.numpy())
        key = f"{method}/{name}/{batch}"
        metrics[f"{key}/psnr"] = float(np.median(np.concatenate(quality)))
        metrics[f"{key}/labels"] = float(np.mean(hits))
        metrics[f"{key}/success"] = float(np.mean([(q >= RECOVERED).mean() >= 0.8 for q in quality]))
    return Result("grnn", config.preset, seed, metrics, arrays, time.perf_counter() - begin)
