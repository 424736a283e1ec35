"""ImageNet's layout on disk, train/<class>/<image> and val/<class>/<image>, and what its recipes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from firsthand.data.readers.images import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    FolderBatches,
    ImageFiles,
    collated,
    loaded,
    seeding,
)
from firsthand.errors import UserError
from firsthand.kit.train.loop import MicroBatch


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

    def __call__(self, micro_batch: MicroBatch) -> tuple[Tensor, Tensor]:
        images, labels = self.batches(micro_batch)
        if self.mixup is None:
            return images, labels
        with seeding(micro_batch.generator(3).initial_seed() % 2**31 + micro_batch.part):
            return self.mixup(images, labels)


def validation_files(folder: Path, classes: Sequence[str], *, workers: int = 8) -> ImageFiles:
    """The images of `val`, labelled as in training. Each is opened once, so that no training ends at a damaged one.

    Args:
        folder: one subfolder a class; it may lack some. classes: of training, in the order of its labels.
        workers: processes that open.

    Raises:
        UserError: no images, a class that training lacks, or an image that cannot be read.
    """
    files = ImageFiles(folder, classes)
    for _ in _loader(_Opened(files), batch=64, workers=workers):
        pass
    return files


def validation_accuracy(
    model: nn.Module, files: ImageFiles, image: int, *, batch: int = 256, workers: int = 8
) -> float:  # fmt: skip
    """Top-1 accuracy on the files of `validation_files`."""
    device = next(model.parameters()).device
    model.eval()
    hits = 0
    with torch.no_grad():
        for images, labels in _loader(_Opened(files, tuning_transform(image, training=False)), batch, workers):
            hits += int((model(images.to(device)).argmax(1).cpu() == labels).sum())
    return hits / len(files)


def _loader(data: _Opened, batch: int, workers: int) -> Iterator[Any]:
    from torch.utils.data import DataLoader

    return loaded(DataLoader(data, batch_size=batch, num_workers=workers, collate_fn=collated))


class _Opened(torch.utils.data.Dataset):
    """Images through a transform, or only opened; with their labels."""

    def __init__(self, files: ImageFiles, transform: Callable[[Any], Tensor] | None = None) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Any:
        try:
            picture, label = self.files[index]
        except UserError as error:
            return error
        return (0 if self.transform is None else self.transform(picture)), label
