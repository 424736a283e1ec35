"""IDRiD and FGADR: real fundus photographs with lesion masks and grades, read from their own folders.

IDRiD (Porwal and others, 2018; CC BY 4.0)::

    A. Segmentation/1. Original Images/{a. Training Set,b. Testing Set}/IDRiD_01.jpg
    A. Segmentation/2. All Segmentation Groundtruths/{a. …,b. …}/{1. Microaneurysms,…}/IDRiD_01_MA.tif
    B. Disease Grading/1. Original Images/{a. …,b. …}/IDRiD_001.jpg
    B. Disease Grading/2. Groundtruths/a. IDRiD_Disease Grading_Training Labels.csv (and b. … Testing …)

FGADR's Seg-set (Zhou and others, 2020; on application, not to be passed on)::

    Seg-set/Original_Images/0000_1.png, Seg-set/{Microaneurysms_Masks,…}/0000_1.png, Seg-set/DR_Seg_Grading_Label.csv

A mask that is not there means that the lesion is absent. Pictures are read one at a time and never leave the machine.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from firsthand.data.drawn.lesions import KINDS
from firsthand.errors import UserError

PARTS = ("a. Training Set", "b. Testing Set")
IDRID_MASKS = {"MA": "1. Microaneurysms", "HE": "2. Haemorrhages", "EX": "3. Hard Exudates", "SE": "4. Soft Exudates"}
FGADR_MASKS = {
    "MA": "Microaneurysms_Masks", "HE": "Hemohedge_Masks", "EX": "HardExudate_Masks", "SE": "SoftExudate_Masks",
}  # fmt: skip
FULL = 128  # a mask's red channel from which a pixel of FGADR is lesion
DARK = 12  # brightest channel up to which a pixel is no retina
LARGEST = 60_000_000  # pixels of a picture that is read


@dataclass(frozen=True)
class Record:
    """Where one picture lies.

    Attributes:
        name: without its ending. image: its file. masks: files by kind; absent kinds are missing.
        grade: 0 to 4, or None. segmented: whether masks were drawn for it at all.
    """

    name: str
    image: Path
    masks: dict[str, Path] = field(default_factory=dict)
    grade: int | None = None
    segmented: bool = True


def _folder(root: Path, *parts: str) -> Path:
    found = root.joinpath(*parts)
    if not found.is_dir():
        raise UserError(f"{root.name} has no folder {'/'.join(parts)}.")
    return found


def _files(folder: Path, pattern: str, root: Path) -> list[Path]:
    """Files of a folder, none of which is a link that leads out of the data."""
    found = sorted(folder.glob(pattern))
    outside = next((file for file in found if not file.resolve().is_relative_to(root.resolve())), None)
    if outside is not None:
        raise UserError(f"{outside.name} is a link that leads out of {root.name}.")
    return found


def idrid_segmentation(folder: str | Path, *, test: bool = False) -> list[Record]:
    """IDRiD's part A: 54 pictures with masks to train on, 27 to test.

    Raises:
        UserError: a folder is missing, there are no pictures, or a mask belongs to none.
    """
    root, part = Path(folder), PARTS[test]
    images = _folder(root, "A. Segmentation", "1. Original Images", part)
    truths = _folder(root, "A. Segmentation", "2. All Segmentation Groundtruths", part)
    pictures = {file.stem: file for file in _files(images, "*.jpg", root)}
    masks: dict[str, dict[str, Path]] = {name: {} for name in pictures}
    for kind, place in IDRID_MASKS.items():
        for file in _files(_folder(truths, place), f"*_{kind}.tif", root):
            name = file.stem.removesuffix(f"_{kind}")
            if name not in pictures:
                raise UserError(f"{place}/{file.name} belongs to no picture in {part}.")
            masks[name][kind] = file
    return _some([Record(name, file, masks[name]) for name, file in pictures.items()], images)


def idrid_grading(folder: str | Path, *, test: bool = False) -> list[Record]:
    """IDRiD's part B: 413 graded pictures to train on, 103 to test. Its names have nothing to do with part A's.

    Raises:
        UserError: a folder or picture is missing, or a line of the labels is no grade.
    """
    root, part = Path(folder), PARTS[test]
    images = _folder(root, "B. Disease Grading", "1. Original Images", part)
    truths = _folder(root, "B. Disease Grading", "2. Groundtruths")
    grades = _grades(truths / f"{part[:2]} IDRiD_Disease Grading_{'Testing' if test else 'Training'} Labels.csv")
    missing = next((name for name in grades if not (images / f"{name}.jpg").is_file()), None)
    if missing is not None:
        raise UserError(f"{missing}.jpg has a grade but is missing in {part}.")
    records = [Record(name, images / f"{name}.jpg", {}, grade, False) for name, grade in grades.items()]
    return _some(records, images)


def fgadr(folder: str | Path) -> list[Record]:
    """FGADR's Seg-set: 1,842 pictures with masks and grades; it has no test part of its own.

    Raises:
        UserError: a folder is missing, a mask belongs to no picture, or a picture has no grade.
    """
    root = Path(folder)
    images = _folder(root, "Seg-set", "Original_Images")
    grades = _grades(root / "Seg-set" / "DR_Seg_Grading_Label.csv")
    pictures = {file.stem: file for file in _files(images, "*.png", root)}
    masks: dict[str, dict[str, Path]] = {name: {} for name in pictures}
    for kind, place in FGADR_MASKS.items():
        for file in _files(_folder(root, "Seg-set", place), "*.png", root):
            if file.stem not in pictures:
                raise UserError(f"{place}/{file.name} belongs to no picture in Original_Images.")
            masks[file.stem][kind] = file
    ungraded = next((name for name in pictures if name not in grades), None)
    if ungraded is not None:
        raise UserError(f"{ungraded}.png has no grade in DR_Seg_Grading_Label.csv.")
    return _some([Record(name, file, masks[name], grades[name]) for name, file in pictures.items()], images)


def _some(records: list[Record], where: Path) -> list[Record]:
    if not records:
        raise UserError(f"{where.name} holds no pictures.")
    return records


def _grades(file: Path) -> dict[str, int]:
    """{name: grade} of a table whose first two columns are name and grade, with or without a line of titles."""
    if not file.is_file():
        raise UserError(f"{file.name} is missing.")
    found: dict[str, int] = {}
    try:
        lines = list(csv.reader(file.read_text(encoding="utf-8-sig").splitlines()))
    except (ValueError, csv.Error) as error:
        raise UserError(f"{file.name} is no table of text: {error}.") from None
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line[:2]]
        if not any(cells):
            continue
        if len(cells) < 2 or cells[1] not in list("01234"):
            if number == 1:
                continue  # titles
            raise UserError(f"{file.name}, line {number}: a name and a grade from 0 to 4 are expected.")
        found[Path(cells[0]).stem if cells[0].lower().endswith((".png", ".jpg")) else cells[0]] = int(cells[1])
    return found


# ------------------------------------------------------------------------------------------------- reading


def read_retinas(records: Sequence[Record], size: int) -> tuple[Tensor, Tensor, list[Record], list[str]]:
    """Pictures and masks at one size, padded to squares and averaged down; a pixel of a mask is set if any part is.

    Args:
        records: from one of the functions above.
        size: pixels a side.

    Returns:
        images uint8 (N, 3, size, size), masks bool (N, 4, size, size), the N records that could be read, and a
        sentence for every other one.

    Raises:
        UserError: nothing could be read.
    """
    images, masks, kept, left_out = [], [], [], []
    for record in records:
        try:
            image, mask = _read(record, size)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            left_out.append(f"{record.name}: {error}")
            continue
        images.append(image)
        masks.append(mask)
        kept.append(record)
    if not images:
        raise UserError(f"No picture could be read; the first: {left_out[0] if left_out else 'none was asked for'}.")
    return torch.stack(images), torch.stack(masks), kept, left_out


def _read(record: Record, size: int) -> tuple[Tensor, Tensor]:
    with Image.open(record.image) as picture:
        shape = picture.size
        if shape[0] * shape[1] > LARGEST:
            raise ValueError(f"{record.image.name} has more than {LARGEST:,} pixels")
        pixels = _square(picture.convert("RGB")).resize((size, size), Image.Resampling.BOX)
    mask = np.zeros((len(KINDS), size, size), dtype=bool)
    for number, kind in enumerate(KINDS):
        if kind in record.masks:
            mask[number] = _mask(record.masks[kind], shape, size)
    return torch.from_numpy(np.asarray(pixels).transpose(2, 0, 1).copy()), torch.from_numpy(mask)


def _mask(file: Path, shape: tuple[int, int], size: int) -> np.ndarray:
    """Lesion pixels: of a picture of one channel all that are not 0 (IDRiD's palettes), else those with a bright first
    channel (FGADR)."""
    with Image.open(file) as picture:
        if picture.size != shape:
            raise ValueError(f"{file.name} has another size than its picture")
        values = np.asarray(picture)
    lesion = values > 0 if values.ndim == 2 else values[..., 0] >= FULL
    full = np.zeros((max(shape), max(shape)), dtype=bool)
    top, left = ((max(shape) - side) // 2 for side in (shape[1], shape[0]))
    full[top : top + shape[1], left : left + shape[0]] = lesion
    rows, columns = np.nonzero(full)  # by pixel, since averaging would lose a single one
    found = np.zeros((size, size), dtype=bool)
    found[rows * size // len(full), columns * size // len(full)] = True
    return found


def _square(picture: Image.Image) -> Image.Image:
    """Padded with black to a square, the picture in the middle."""
    side = max(picture.size)
    found = Image.new(picture.mode, (side, side))
    found.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return found


def field_of_view(images: Tensor) -> Tensor:
    """Where a picture shows retina: uint8 (N, 3, s, s) to bool (N, s, s)."""
    return images.amax(1) > DARK


# ------------------------------------------------------------------------------------------------- writing


def write_idrid(folder: str | Path, pictures: Iterable, *, test: bool = False) -> list[str]:
    """Write drawn pictures (`fundus`) as IDRiD does, both parts; for tests and for a look at the layout."""
    root, part = Path(folder), PARTS[test]
    segmentation, grading = root / "A. Segmentation", root / "B. Disease Grading"
    lines, names = ["Image name,Retinopathy grade,Risk of macular edema ,,"], []
    for number, one in enumerate(pictures, 1):
        name, other = f"IDRiD_{number:02d}", f"IDRiD_{number:03d}"
        image = Image.fromarray(one.image.permute(1, 2, 0).numpy())
        for place, stem in ((segmentation, name), (grading, other)):
            target = place / "1. Original Images" / part
            target.mkdir(parents=True, exist_ok=True)
            image.save(target / f"{stem}.jpg", quality=95)
        for kind, mask in zip(KINDS, one.masks.numpy(), strict=True):
            target = segmentation / "2. All Segmentation Groundtruths" / part / IDRID_MASKS[kind]
            target.mkdir(parents=True, exist_ok=True)
            if mask.any():
                palette = Image.fromarray(mask.astype(np.uint8), mode="P")
                palette.putpalette([0, 0, 0, 255, 0, 0])
                palette.save(target / f"{name}_{kind}.tif")
        lines.append(f"{other} ,{one.grade},0,,")
        names.append(name)
    truths = grading / "2. Groundtruths"
    truths.mkdir(parents=True, exist_ok=True)
    labels = truths / f"{part[:2]} IDRiD_Disease Grading_{'Testing' if test else 'Training'} Labels.csv"
    labels.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return names


def write_fgadr(folder: str | Path, pictures: Iterable) -> list[str]:
    """Write drawn pictures as FGADR does."""
    root = Path(folder) / "Seg-set"
    lines, names = [], []
    for place in FGADR_MASKS.values():
        (root / place).mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(pictures):
        name = f"{number:04d}_1"
        for place, pixels in (("Original_Images", one.image.permute(1, 2, 0).numpy()), *_fgadr_masks(one)):
            (root / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / place / f"{name}.png")
        lines.append(f"{name}.png,{one.grade}")
        names.append(name)
    (root / "DR_Seg_Grading_Label.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return names


def _fgadr_masks(one: object) -> list[tuple[str, np.ndarray]]:
    masks = dict(zip(KINDS, one.masks.numpy(), strict=True))  # type: ignore[attr-defined]
    return [
        (place, np.repeat((255 * masks[kind])[..., None], 3, 2).astype(np.uint8))
        for kind, place in FGADR_MASKS.items()
        if masks[kind].any()
    ]
