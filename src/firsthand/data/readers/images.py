"""Images: the Fashion-MNIST subset that ships, photographs of scikit-image, and a folder of one's own.

Everything is returned as float32 tensors (N, C, H, W).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from firsthand.data.readers.files import UNREADABLE, is_hidden, picture, why_not
from firsthand.errors import UserError
from firsthand.kit.train.loop import MicroBatch, epoch_indices

FASHION = (
    "T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@cache
def fashion_mnist(split: str = "train", *, side: int = 32) -> tuple[Tensor, Tensor]:
    """The shipped part of Fashion-MNIST: 10,000 training and 2,000 test pictures of clothes.

    Args:
        split: "train" or "test".
        side: pictures of 28 x 28 are set in the middle of a background of this side.

    Returns:
        images (N, 1, side, side), pixels / 255, and labels (N,) int64. Do not change them in place: they are kept.
    """
    if split not in ("train", "test"):
        raise UserError(f"Unknown split {split!r}: choose train or test.")
    with resources.files("firsthand.data").joinpath("embedded", "fashion_mnist.npz").open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        pixels, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    return _padded(torch.from_numpy(pixels), side), torch.from_numpy(labels.astype(np.int64))


def fashion_mnist_full(folder: Path, split: str = "train", *, side: int = 32) -> tuple[Tensor, Tensor]:
    """All of Fashion-MNIST through torchvision, downloaded into `folder` if it is not there. As `fashion_mnist`."""
    from torchvision.datasets import FashionMNIST

    data = FashionMNIST(folder, train=split == "train", download=True)
    return _padded(data.data, side), data.targets


def _padded(pixels: Tensor, side: int) -> Tensor:
    before = (side - pixels.shape[-1]) // 2
    after = side - pixels.shape[-1] - before
    return torch.nn.functional.pad(pixels.float() / 255, (before, after, before, after)).unsqueeze(1)


def photo(name: str, side: int | None = None) -> Tensor:
    """A colour photograph that comes with scikit-image, (1, 3, H, W) in [0, 1]: astronaut, chelsea, coffee, rocket.

    Args:
        name: of the picture.
        side: cut the largest square from the middle and scale it to this; None = as it is.
    """
    import skimage.data
    import skimage.transform

    if name not in PHOTOS:
        raise UserError(f"Unknown photograph {name!r}: choose one of {', '.join(PHOTOS)}.")
    pixels = getattr(skimage.data, name)()
    if side is not None:
        short = min(pixels.shape[:2])
        top, left = (pixels.shape[0] - short) // 2, (pixels.shape[1] - short) // 2
        pixels = skimage.transform.resize(
            pixels[top : top + short, left : left + short], (side, side), anti_aliasing=True
        )
        return torch.from_numpy(pixels).float().permute(2, 0, 1).unsqueeze(0)
    return torch.from_numpy(pixels).float().permute(2, 0, 1).unsqueeze(0) / 255


@cache
def faces(*, side: int = 32) -> Tensor:
    """A hundred grey faces of scikit-image (`lfw_subset`), scaled to `side`; (100, 1, side, side) in [0, 1]."""
    import skimage.data

    pixels = torch.from_numpy(np.ascontiguousarray(skimage.data.lfw_subset()[:100])).float().unsqueeze(1)
    return torch.nn.functional.interpolate(pixels, size=(side, side), mode="bilinear").clamp(0, 1)


class InMemory:
    """Batches from tensors that fit into memory: call it with a `MicroBatch` to get its (images, labels).

    Args:
        images: (N, C, H, W).
        labels: (N,) or None.
        batch: examples a step, over all shares.
        flip: mirror half of the images.
    """

    def __init__(self, images: Tensor, labels: Tensor | None = None, *, batch: int, flip: bool = False) -> None:
        self.images, self.labels, self.batch, self.flip = images, labels, batch, flip

    def __call__(self, micro_batch: MicroBatch) -> tuple[Tensor, Tensor | None]:
        chosen = micro_batch.take(epoch_indices(micro_batch.step, self.batch, len(self.images), micro_batch.seed))
        rows = torch.from_numpy(chosen).to(self.images.device)
        images = self.images[rows]
        if self.flip:
            turned = micro_batch.take(torch.rand(self.batch, generator=micro_batch.generator(2)) < 0.5).to(
                images.device
            )
            images = torch.where(turned.view(-1, 1, 1, 1), images.flip(-1), images)
        return images, None if self.labels is None else self.labels[rows]


class ImageFiles:
    """Images of a folder with one subfolder a class, in torchvision's order; what is hidden does not count.

    Args:
        folder: whose subfolders are the classes.
        classes: their names in the order of the labels; None: those of the folder, sorted.

    Raises:
        UserError: no such folder, no class, a class without an image or that is not among `classes`.
    """

    def __init__(self, folder: Path, classes: Sequence[str] | None = None) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"No folder {str(folder)!r}: give one that holds a subfolder of images for every class.")
        own = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
        if not own:
            raise UserError(f"{self.folder.name} must hold a subfolder of images for every class.")
        self.classes = own if classes is None else list(classes)
        alone = next((name for name in own if name not in set(self.classes)), None)
        if alone is not None:
            raise UserError(f"{self.folder.name}/{alone} is none of the {len(self.classes)} classes to train on.")
        number = {name: label for label, name in enumerate(self.classes)}
        self.samples = [(file, number[name]) for name in own for file in self._files(name)]

    def _files(self, name: str) -> list[str]:
        images = [
            os.path.join(place, file)
            for place, _, files in sorted(os.walk(self.folder / name, followlinks=True))
            if not is_hidden(Path(place), self.folder)
            for file in sorted(files)
            if file.lower().endswith(ENDINGS) and not file.startswith(".")
        ]
        if not images:
            raise UserError(f"{self.folder.name}/{name} holds no image; a folder is a class, so remove it or fill it.")
        return images

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        """A picture in RGB and its label.

        Raises:
            UserError: the file cannot be read.
        """
        file, label = self.samples[index]
        try:
            return picture(Path(file)), label
        except UserError:
            raise
        except UNREADABLE as error:
            raise UserError(f"The image {Path(file).name} cannot be read: it {why_not(error)}.") from None


def loaded(loader: Any) -> Iterator[Any]:
    """What a DataLoader with `collated` gives; a UserError of one of its processes comes as the sentence that it is."""
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        yield batch


def collated(examples: list[Any]) -> Any:
    """A batch of examples, or the first UserError among them: raised in a worker, it would come as a traceback."""
    from torch.utils.data import default_collate

    error = next((one for one in examples if isinstance(one, UserError)), None)
    return default_collate(examples) if error is None else error


class FolderBatches:
    """The same from a folder with one subfolder a class, decoded and augmented by worker processes.

    What happens to an image depends on the seed, the step and the image's place in the batch only, not on workers.

    Args:
        folder: such as ImageNet's `train`.
        transform: PIL image -> tensor (C, H, W); it may use torch's, NumPy's and Python's global chance.
        batch: examples a step, over all shares.
        workers: processes that load.

    Raises:
        UserError: as `ImageFiles`, or (while loading) a file that cannot be read.
    """

    def __init__(self, folder: Path, transform: Callable[[Any], Tensor], *, batch: int, workers: int = 8) -> None:
        self.files = ImageFiles(folder)
        self.transform, self.batch, self.workers = transform, batch, workers
        self._iterator: Iterator[tuple[Tensor, Tensor]] | None = None
        self._next: MicroBatch | None = None

    def __len__(self) -> int:
        return len(self.files)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the labels."""
        return self.files.classes

    def __call__(self, micro_batch: MicroBatch) -> tuple[Tensor, Tensor]:
        if self._iterator is None or micro_batch != self._next:  # the first call, or a resumed run
            self._iterator = self._from(micro_batch)
        self._next = self._following(micro_batch)
        return next(self._iterator)

    def _following(self, micro_batch: MicroBatch) -> MicroBatch:
        from firsthand.kit.train.loop import processes

        later = micro_batch.part + processes()
        if later < micro_batch.parts:
            return MicroBatch(micro_batch.step, later, micro_batch.parts, micro_batch.seed)
        return MicroBatch(micro_batch.step + 1, later - micro_batch.parts, micro_batch.parts, micro_batch.seed)

    def _from(self, micro_batch: MicroBatch) -> Iterator[tuple[Tensor, Tensor]]:
        from torch.utils.data import DataLoader

        def batches() -> Iterator[list[tuple[int, int, int]]]:
            at = micro_batch
            while True:
                indices = at.take(epoch_indices(at.step, self.batch, len(self.files), at.seed))
                place = at.part * len(indices)
                yield [(int(i), at.step, place + n) for n, i in enumerate(indices)]
                at = self._following(at)

        loader = DataLoader(
            _Seeded(self.files, self.transform, micro_batch.seed),
            batch_sampler=_Endless(batches),
            num_workers=self.workers,
            collate_fn=collated,
            pin_memory=torch.cuda.is_available(),
        )
        return loaded(loader)


class _Endless:
    """A batch sampler without an end."""

    def __init__(self, make: Callable[[], Iterator[Any]]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[Any]:
        return self.make()


class _Seeded(torch.utils.data.Dataset):
    """Loads one image with all chance set by (seed, step, place), the caller's left as it was."""

    def __init__(self, files: ImageFiles, transform: Callable[[Any], Tensor], seed: int) -> None:
        self.files, self.transform, self.seed = files, transform, seed

    def __getitem__(self, key: tuple[int, int, int]) -> tuple[Tensor, int] | UserError:
        index, step, place = key
        try:
            image, label = self.files[index]
        except UserError as error:
            return error
        with seeding(int(np.random.SeedSequence([self.seed, step, place]).generate_state(1)[0])):
            return self.transform(image), label


@contextmanager
def seeding(seed: int) -> Iterator[None]:
    """Set torch's (CPU), NumPy's and Python's global chance, for transforms of other libraries; restore it after."""
    kept, kept_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield
    finally:
        random.setstate(kept)
        np.random.set_state(kept_numpy)  # noqa: NPY002
