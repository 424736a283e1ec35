"""ImageNet's layout on disk, train/<class>/<image> and val/<class>/<image>, and what its recipes share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from firsthand.data.readers.images import IMAGENET_MEAN, IMAGENET_STD, FolderBatches, all_chance
from firsthand.errors import UserError
from firsthand.kit.train.loop import Share


def split_folder(data: str, split: str) -> Path:
    """`data/train` or `data/val` of the usual layout: one folder a class in each.

    Raises:
        UserError: it is not there.
    """
    folder = Path(data) / split
    if not folder.is_dir():
        raise UserError(f"{Path(data).name} has no folder {split!r}; ImageNet's layout is {split}/<class>/<image>.")
    return folder


def pretraining_transform(image: int, scale: tuple[float, float]) -> Callable[[Any], Tensor]:
    """Random crop and mirror, then ImageNet's mean and deviation taken out.

    Args:
        image: pixels a side.
        scale: smallest and largest share of the area that a crop covers.
    """
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.RandomResizedCrop(image, scale=scale, interpolation=v2.InterpolationMode.BICUBIC),
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
    """Batches with mixup and cutmix by timm; labels become (N, classes).

    Args:
        batches: share -> (images, labels).
        mixup, cutmix: their alpha; 0 leaves one out.
        classes: number of classes.
    """

    def __init__(self, batches: FolderBatches, mixup: float, cutmix: float, classes: int) -> None:
        self.batches, self.mixup = batches, None
        if mixup or cutmix:
            from timm.data import Mixup

            # The loss smooths labels; here they are only mixed.
            self.mixup = Mixup(mixup, cutmix, label_smoothing=0.0, num_classes=classes)

    def __call__(self, share: Share) -> tuple[Tensor, Tensor]:
        images, labels = self.batches(share)
        if self.mixup is None:
            return images, labels
        with all_chance(share.generator(3).initial_seed() % 2**31 + share.part):
            return self.mixup(images, labels)


def validation_accuracy(model: nn.Module, folder: Path, image: int, *, batch: int = 256, workers: int = 8) -> float:
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
