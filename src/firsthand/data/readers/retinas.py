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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from firsthand.data.drawn.lesions import KINDS
from firsthand.data.readers.files import UNREADABLE, is_within, only_frame, picture, why_not, with_ending
from firsthand.errors import UserError

PARTS = ("a. Training Set", "b. Testing Set")
IDRID_MASKS = {"MA": "1. Microaneurysms", "HE": "2. Haemorrhages", "EX": "3. Hard Exudates", "SE": "4. Soft Exudates"}
FGADR_MASKS = {
    "MA": "Microaneurysms_Masks", "HE": "Hemohedge_Masks", "EX": "HardExudate_Masks", "SE": "SoftExudate_Masks",
}  # fmt: skip
DARK = 12  # of 255: a pixel whose brightest channel is no brighter is no retina, a mask no brighter holds no lesion
SCALES = (1, 255, 65535)  # what white is in a mask
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


def _files(folder: Path, ending: str, root: Path) -> list[Path]:
    """Files of a folder, none of which is a link that leads out of the data."""
    files = with_ending(folder.iterdir(), folder, ending)
    outside = next((file for file in files if not is_within(file, root)), None)
    if outside is not None:
        raise UserError(f"{outside.name} is a link that leads out of {root.name}.")
    return files


def _named(folder: Path, ending: str, root: Path) -> dict[str, Path]:
    """Files by their names without the ending, of which no two may differ in capitals alone."""
    files = _files(folder, ending, root)
    named = {file.name[: -len(ending)].upper(): file for file in files}
    if len(named) < len(files):
        twice = next(file for file in files if named[file.name[: -len(ending)].upper()] != file)
        raise UserError(f"{folder.name} has two files named {twice.name}, but for capitals.")
    return named


def idrid_segmentation(folder: str | Path, *, test: bool = False) -> list[Record]:
    """IDRiD's part A: 54 pictures with masks to train on, 27 to test.

    Raises:
        UserError: a folder is missing, there are no pictures, or a mask belongs to none.
    """
    root, part = Path(folder), PARTS[test]
    images = _folder(root, "A. Segmentation", "1. Original Images", part)
    truths = _folder(root, "A. Segmentation", "2. All Segmentation Groundtruths", part)
    pictures = _named(images, ".jpg", root)
    masks = {
        kind: _masks(_folder(truths, place), f"_{kind}.tif", root, pictures) for kind, place in IDRID_MASKS.items()
    }
    return _some([Record(file.stem, file, _of(name, masks)) for name, file in pictures.items()], images)


def idrid_grading(folder: str | Path, *, test: bool = False) -> list[Record]:
    """IDRiD's part B: 413 graded pictures to train on, 103 to test. Its names have nothing to do with part A's.

    Raises:
        UserError: a folder or picture is missing, or a line of the labels is no grade.
    """
    root, part = Path(folder), PARTS[test]
    images = _folder(root, "B. Disease Grading", "1. Original Images", part)
    truths = _folder(root, "B. Disease Grading", "2. Groundtruths")
    grades = _grades(truths / f"{part[:2]} IDRiD_Disease Grading_{'Testing' if test else 'Training'} Labels.csv")
    pictures = _named(images, ".jpg", root)
    missing = next((name for name in grades if name.upper() not in pictures), None)
    if missing is not None:
        raise UserError(f"{missing}.jpg has a grade but is missing in {part}.")
    records = [Record(name, pictures[name.upper()], {}, grade, False) for name, grade in grades.items()]
    return _some(records, images)


def fgadr(folder: str | Path) -> list[Record]:
    """FGADR's Seg-set: 1,842 pictures with masks and grades; it has no test part of its own.

    Raises:
        UserError: a folder is missing, a mask belongs to no picture, or a picture has no grade.
    """
    root = Path(folder)
    images = _folder(root, "Seg-set", "Original_Images")
    grades = {name.upper(): grade for name, grade in _grades(root / "Seg-set" / "DR_Seg_Grading_Label.csv").items()}
    pictures = _named(images, ".png", root)
    masks = {
        kind: _masks(_folder(root, "Seg-set", place), ".png", root, pictures) for kind, place in FGADR_MASKS.items()
    }
    ungraded = next((file.stem for name, file in pictures.items() if name not in grades), None)
    if ungraded is not None:
        raise UserError(f"{ungraded}.png has no grade in DR_Seg_Grading_Label.csv.")
    return _some([Record(file.stem, file, _of(name, masks), grades[name]) for name, file in pictures.items()], images)


def _masks(folder: Path, ending: str, root: Path, pictures: dict[str, Path]) -> dict[str, Path]:
    """One kind's masks by the names of their pictures."""
    masks = _named(folder, ending, root)
    alone = next((file.name for name, file in masks.items() if name not in pictures), None)
    if alone is not None:
        place = next(iter(pictures.values())).parent.name if pictures else "the folder of pictures"
        raise UserError(f"{folder.name}/{alone} belongs to no picture in {place}.")
    return masks


def _of(name: str, masks: dict[str, dict[str, Path]]) -> dict[str, Path]:
    """One picture's masks by kind."""
    return {kind: files[name] for kind, files in masks.items() if name in files}


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
    except OSError as error:
        raise UserError(f"{file.name} {why_not(error)}.") from None
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
        except UserError as error:  # a ValueError too: first
            left_out.append(f"{record.name}: {str(error).rstrip('.')}")
            continue
        except UNREADABLE as error:
            left_out.append(f"{record.name}: it {why_not(error)}")
            continue
        images.append(image)
        masks.append(mask)
        kept.append(record)
    if not images:
        raise UserError(f"No picture could be read; the first: {left_out[0] if left_out else 'none was asked for'}.")
    return torch.stack(images), torch.stack(masks), kept, left_out


def _read(record: Record, size: int) -> tuple[Tensor, Tensor]:
    whole = picture(record.image, largest=LARGEST)
    pixels = _square(whole).resize((size, size), Image.Resampling.BOX)
    mask = np.zeros((len(KINDS), size, size), dtype=bool)
    for number, kind in enumerate(KINDS):
        if kind in record.masks:
            mask[number] = _mask(record.masks[kind], whole.size, size)
    return torch.from_numpy(np.asarray(pixels).transpose(2, 0, 1).copy()), torch.from_numpy(mask)


def _mask(file: Path, shape: tuple[int, int], size: int) -> np.ndarray:
    with Image.open(file) as opened:
        if opened.size != shape:
            raise UserError(f"{file.name} has another size than its picture.")
        values = _brightness(only_frame(opened, file))
    full = np.zeros((max(shape), max(shape)), dtype=bool)
    top, left = ((max(shape) - side) // 2 for side in (shape[1], shape[0]))
    full[top : top + shape[1], left : left + shape[0]] = _lesion(values, file.name)
    rows, columns = np.nonzero(full)  # by pixel, since averaging would lose a single one
    found = np.zeros((size, size), dtype=bool)
    found[rows * size // len(full), columns * size // len(full)] = True
    return found


def _brightness(mask: Image.Image) -> np.ndarray:
    """(height, width): the brightest channel of a palette's colours (IDRiD), else the first channel (FGADR)."""
    if mask.mode in ("P", "PA"):
        return np.asarray(mask.convert("RGB")).max(-1)
    values = np.asarray(mask)
    return values if values.ndim == 2 else values[..., 0]


def _lesion(values: np.ndarray, name: str) -> np.ndarray:
    """Lesion pixels of a mask, which do not depend on how it was stored.

    With black and one other level, these are the other's, whatever it is (1, 76, 255); with more, as soft edges have,
    those of half of white or more.

    Raises:
        UserError: a mask of several levels that are all dark.
    """
    brightest = values.max(initial=0)
    if ((values == 0) | (values == brightest)).all():
        return values > 0
    white = next((scale for scale in SCALES if brightest <= scale), float(brightest))
    if DARK / 255 < brightest / white < 0.5:
        raise UserError(f"{name} should be black and white; its brightest pixel is {brightest} of {white}.")
    return values >= white / 2


def _square(whole: Image.Image) -> Image.Image:
    """Padded with black to a square, the picture in the middle."""
    side = max(whole.size)
    found = Image.new(whole.mode, (side, side))
    found.paste(whole, ((side - whole.width) // 2, (side - whole.height) // 2))
    return found


def field_of_view(images: Tensor) -> Tensor:
    """Where a picture shows retina: uint8 (N, 3, s, s) to bool (N, s, s)."""
    return images.amax(1) > DARK
