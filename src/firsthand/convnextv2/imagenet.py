"""The paper's recipes on a folder of ImageNet: what its appendix and its code say, and where they differ.

Sizes not in TUNING's keys have no published recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from firsthand.convnextv2.model import ConvNeXtV2
from firsthand.data.images import IMAGENET_MEAN, IMAGENET_STD, FolderBatches, all_chance
from firsthand.errors import UserError
from firsthand.kit.training import Share

PRETRAIN_LR = 1.5e-4  # a batch of 256
PRETRAIN_EPOCHS, PRETRAIN_WARMUP = 1600, 40
CROP = (0.2, 1.0)  # share of the area; from the code


@dataclass(frozen=True)
class Tuning:
    """Fine-tuning on ImageNet-1K at batch 1024 (appendix A, checked against the code's commands).

    Attributes:
        lr: peak rate at a batch of 256. Base and large: the code's 6.25e-4; the paper's table prints ten times it.
        weight_decay, layer_decay, smoothing, mixup, cutmix, drop_path: as their names say.
        groups: layer-wise decay in twelve groups of three blocks.
        epochs, warmup: of the schedule.
    """

    lr: float
    weight_decay: float
    layer_decay: float
    epochs: int
    warmup: int
    smoothing: float
    mixup: float
    cutmix: float
    drop_path: float
    groups: bool = False


TUNING: dict[str, Tuning] = {
    "atto": Tuning(2e-4, 0.3, 0.9, 600, 0, 0.2, 0.0, 0.0, 0.1),
    "femto": Tuning(2e-4, 0.05, 0.9, 600, 0, 0.2, 0.3, 0.3, 0.0),
    "pico": Tuning(2e-4, 0.3, 0.9, 600, 0, 0.2, 0.3, 0.3, 0.0),
    "nano": Tuning(2e-4, 0.3, 0.9, 600, 0, 0.2, 0.5, 0.5, 0.1),
    "tiny": Tuning(8e-4, 0.05, 0.9, 300, 40, 0.1, 0.8, 1.0, 0.2),
    "base": Tuning(6.25e-4, 0.05, 0.6, 100, 20, 0.1, 0.8, 1.0, 0.1, groups=True),
    "large": Tuning(6.25e-4, 0.05, 0.6, 100, 20, 0.1, 0.8, 1.0, 0.2, groups=True),
    "huge": Tuning(1.25e-3, 0.05, 0.75, 50, 10, 0.1, 0.8, 1.0, 0.3),
}


def split_folder(data: str, split: str) -> Path:
    """`data/train` or `data/val` of the usual layout: one folder a class in each.

    Raises:
        UserError: it is not there.
    """
    folder = Path(data) / split
    if not folder.is_dir():
        raise UserError(f"{Path(data).name} has no folder {split!r}; ImageNet's layout is {split}/<class>/<image>.")
    return folder


def pretraining_transform(image: int) -> Callable[[Any], Tensor]:
    """Random crop and mirror, as the code does (the paper names the crop only), then ImageNet's mean and deviation."""
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.RandomResizedCrop(image, scale=CROP, interpolation=v2.InterpolationMode.BICUBIC),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )


def tuning_transform(image: int, *, training: bool) -> Callable[[Any], Tensor]:
    """RandAugment (9, 0.5) and random erasing (0.25) for training, resize and centre crop for testing, by timm."""
    from timm.data import create_transform

    options: dict[str, Any] = {
        "input_size": image,
        "interpolation": "bicubic",
        "mean": IMAGENET_MEAN,
        "std": IMAGENET_STD,
    }
    if training:
        options |= {"is_training": True, "auto_augment": "rand-m9-mstd0.5-inc1", "re_prob": 0.25, "re_mode": "pixel"}
    return create_transform(**options)


class Mixed:
    """Batches with mixup and cutmix by timm; labels become (N, classes)."""

    def __init__(self, batches: FolderBatches, recipe: Tuning, classes: int) -> None:
        self.batches, self.mixup = batches, None
        if recipe.mixup or recipe.cutmix:
            from timm.data import Mixup

            # The loss smooths labels; here they are only mixed.
            self.mixup = Mixup(recipe.mixup, recipe.cutmix, label_smoothing=0.0, num_classes=classes)

    def __call__(self, share: Share) -> tuple[Tensor, Tensor]:
        images, labels = self.batches(share)
        if self.mixup is None:
            return images, labels
        with all_chance(share.generator(3).initial_seed() % 2**31 + share.part):
            return self.mixup(images, labels)


class Average:
    """The moving average of a model's weights (timm's), which is what gets tested."""

    def __init__(self, model: nn.Module, decay: float = 0.9999) -> None:
        from timm.utils import ModelEmaV3

        self.model, self.kept = model, ModelEmaV3(model, decay=decay)

    def after_step(self, _: int) -> None:
        """Take the model's weights in."""
        self.kept.update(self.model)

    @property
    def module(self) -> ConvNeXtV2:
        """The averaged model."""
        return self.kept.module


def validation_accuracy(model: ConvNeXtV2, folder: Path, image: int, *, batch: int = 256, workers: int = 8) -> float:
    """Top-1 accuracy on a folder of classes."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    data = ImageFolder(str(folder), tuning_transform(image, training=False))
    device = next(model.parameters()).device
    model.eval()
    hits = 0
    with torch.no_grad():
        for images, labels in DataLoader(data, batch_size=batch, num_workers=workers):
            hits += int((model(images.to(device)).argmax(1).cpu() == labels).sum())
    return hits / len(data)
