"""Glyphs: one picture of one character in one font, from a shipped set of free fonts or from any folder of fonts.

Pictures are kept as ink, uint8, nought where the paper is; networks see them in [-1, 1] with white paper at +1.
Every glyph is centred on its ink, and every font is scaled so that its larger glyphs have the same size: what is left
is style.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from firsthand.data.readers.files import why_not, with_ending
from firsthand.errors import UserError

SIZE, BOX = 32, 24  # pixels of a picture, and of the ink of a font's larger glyphs
MEASURE = 96  # em at which fonts are measured
LARGEST = 20  # of those, that a glyph may be wide or high
KEPT = 190  # characters of a folder's fonts kept from training at most, as many as the paper keeps of 990
FAINT = 5  # dark pixels below which a rendering counts as empty
SUFFIXES = (".ttf", ".otf", ".ttc")
MOST_FACES = 64  # of a collection
CODECS = {"gb2312": (0xB0A1, 0xD7F9), "big5": (0xA440, 0xC67E), "shift_jis": (0x889F, 0x9872)}  # their first levels
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
LATIN_FACES = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmb", "cmr", "cmss", "cmti", "cmtt")  # with letters


@dataclass(frozen=True)
class Glyphs:
    """Pictures of the same characters in several fonts.

    Attributes:
        ink: uint8 (fonts, characters, size, size). present: bool (fonts, characters), False where a font lacks one.
        fonts: their names. characters: in the order of the pictures.
        unseen_fonts, unseen_characters: how many at the end of each are kept from training.
    """

    ink: np.ndarray
    present: np.ndarray
    fonts: list[str]
    characters: str
    unseen_fonts: int
    unseen_characters: int

    def images(self, fonts: slice | list[int], characters: slice | list[int]) -> Tensor:
        """Float (fonts, characters, 1, size, size) in [-1, 1], white paper at +1."""
        chosen = torch.from_numpy(self.ink[fonts][:, characters]).float()
        return (1 - chosen / 127.5).unsqueeze(2)

    @property
    def seen(self) -> tuple[slice, slice]:
        """Fonts and characters to train on."""
        return (
            slice(0, len(self.fonts) - self.unseen_fonts),
            slice(0, len(self.characters) - self.unseen_characters),
        )


def common_characters() -> list[str]:
    """The characters at the first level of GB 2312, Big5 and JIS X 0208 alike: 1,583 by Python's codecs."""
    found = []
    for code in range(0x4E00, 0xA000):
        for codec, (low, high) in CODECS.items():
            try:
                value = int.from_bytes(chr(code).encode(codec), "big")
            except UnicodeEncodeError:
                break
            if not low <= value <= high:
                break
        else:
            found.append(chr(code))
    return found


# ------------------------------------------------------------------------------------------------- rendering


def _truetype(path: Path, em: int, index: int) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(str(path), em, index=index, layout_engine=ImageFont.Layout.BASIC)
    except (OSError, ValueError):
        raise UserError(f"{path.name} cannot be read as a font.") from None


def _ink(font: ImageFont.FreeTypeFont, character: str) -> np.ndarray:
    """The ink of a character, cut to its box; empty where there is none.

    Raises:
        UserError: a damaged font, whose outline cannot be drawn or is out of all measure.
    """
    try:
        left, top, right, bottom = font.getbbox(character)
        width, height = max(1, round(right - left)) + 4, max(1, round(bottom - top)) + 4
        if max(width, height) > LARGEST * MEASURE:
            raise ValueError("too large")
        sheet = Image.new("L", (width, height), 0)
        ImageDraw.Draw(sheet).text((2 - left, 2 - top), character, font=font, fill=255)
    except (OSError, ValueError, OverflowError):
        raise UserError(f"{Path(str(font.path)).name} is damaged: it cannot draw {character!r}.") from None
    box = sheet.getbbox()
    return np.zeros((0, 0), np.uint8) if box is None else np.asarray(sheet.crop(box))


def characters_of(path: Path, index: int = 0) -> set[str]:
    """What a font says that it has.

    Raises:
        UserError: no font.
    """
    from fontTools.ttLib import TTFont

    try:
        with path.open("rb") as stream, TTFont(stream, fontNumber=index, lazy=True) as font:
            return {chr(code) for code, glyph in (font.getBestCmap() or {}).items() if glyph != ".notdef"}
    except Exception:  # fontTools raises whatever a damaged table leads it into
        raise UserError(f"{path.name} cannot be read as a font.") from None


def faces_in(path: Path) -> int:
    """How many fonts a file holds: several in a collection (.ttc), else one.

    Raises:
        UserError: a file that cannot be read at all, or a collection of more than can be meant.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
    except OSError as error:
        raise UserError(f"{path.name} {why_not(error)}.") from None
    several = int.from_bytes(head[8:], "big") if head[:4] == b"ttcf" else 1
    if several > MOST_FACES:
        raise UserError(f"{path.name} says that it holds {several} fonts; at most {MOST_FACES} are read.")
    return max(1, several)


def render_font(path: Path, characters: str, *, size: int = SIZE, index: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A font's pictures of characters, and which of them it has.

    Args:
        path: .ttf, .otf or .ttc. characters: what to draw. size: pixels. index: of a font in a .ttc.

    Returns:
        ink uint8 (C, size, size) and present bool (C,).

    Raises:
        UserError: no font, or it has none of the characters.
    """
    known = characters_of(path, index)
    measured = [max(_ink(_truetype(path, MEASURE, index), c).shape) for c in characters if c in known]
    if not measured or max(measured) == 0:
        raise UserError(f"{path.name} has none of the characters.")
    box = BOX * size / SIZE
    font = _truetype(path, max(4, round(MEASURE * box / np.quantile(measured, 0.9))), index)
    ink = np.zeros((len(characters), size, size), np.uint8)
    for number, character in enumerate(characters):
        if character in known:
            ink[number] = _centred(_ink(font, character), size)
    return ink, (ink > 127).sum((1, 2)) >= FAINT


def _centred(ink: np.ndarray, size: int) -> np.ndarray:
    """Ink in the middle of a square; what stands out is cut off."""
    sheet = np.zeros((size, size), np.uint8)
    height, width = (min(n, size) for n in ink.shape)
    cut = ink[(ink.shape[0] - height) // 2 :, (ink.shape[1] - width) // 2 :][:height, :width]
    top, left = (size - height) // 2, (size - width) // 2
    sheet[top : top + height, left : left + width] = cut
    return sheet


# --------------------------------------------------------------------------------------------------- sources


@cache
def shipped() -> Glyphs:
    """The set that comes with the book: thirty fonts to train on and six kept apart, 160 characters, 32 pixels."""
    with resources.as_file(resources.files("firsthand.data").joinpath("embedded", "glyphs.npz")) as file:
        content = np.load(file)
        ink, codes = content["ink"], content["characters"]
    names = [face["name"] for face in faces() if face["side"] != "refused"]
    return Glyphs(ink, np.ones(ink.shape[:2], bool), names, "".join(map(chr, codes)), 6, 40)


@cache
def faces() -> list[dict[str, str]]:
    """The shipped fonts' cards: name, file, package, maker, licence, look, side; also of those refused, and why."""
    text = resources.files("firsthand.data").joinpath("embedded", "glyphs.json").read_text(encoding="utf-8")
    return json.loads(text)["faces"]


def latin(size: int = SIZE) -> Glyphs:
    """Letters and digits in the fonts that come with matplotlib: a set that needs nothing else."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    files = [file for file in sorted(folder.glob("*.ttf")) if file.name.startswith(LATIN_FACES)]
    found, _ = from_files(files, LATIN, size=size)
    keep = [n for n in range(len(found.fonts)) if found.present[n].all()]
    return Glyphs(found.ink[keep], found.present[keep], [found.fonts[n] for n in keep], LATIN, 3, 12)


def font_files(folder: Path) -> list[Path]:
    """The fonts of a folder and of those in it; hidden ones are left out.

    Raises:
        UserError: no folder, or none in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder.name} is no folder; give one with .ttf, .otf or .ttc files.")
    found = with_ending(folder.rglob("*"), folder, *SUFFIXES)
    if not found:
        raise UserError(f"{folder.name} holds no .ttf, .otf or .ttc file.")
    return found


def from_files(files: list[Path], characters: str, *, size: int = SIZE) -> tuple[Glyphs, list[str]]:
    """Glyphs of fonts on disk, and a sentence for every one that was skipped or is incomplete.

    A tenth of the fonts (at least one) and a quarter of the characters, at most KEPT, are kept from training. The first
    font, which lends content, is the one that has most characters. Each font of a collection counts as "file number".

    Raises:
        UserError: fewer than three fonts are left.
    """
    ink, present, names, remarks = [], [], [], []
    count = 0
    for said, name, drawn in _rendered(files, characters, size):
        count += 1
        if isinstance(drawn, UserError):
            remarks.append(str(drawn))
            continue
        here = drawn[1]
        if here.mean() < 0.5:
            remarks.append(f"{said} lacks {int((~here).sum())} of {len(here)} characters and is left out.")
            continue
        if not here.all():
            remarks.append(f"{said} lacks {int((~here).sum())} characters; they are skipped.")
        ink.append(drawn[0])
        present.append(here)
        names.append(name)
    if len(names) < 3:
        raise UserError(f"{len(names)} of {count} fonts can be used; at least three are needed. {' '.join(remarks)}")
    kept = max(1, len(names) // 10), min(len(characters) // 4, KEPT)
    first = int(np.argmax([here.sum() for here in present[: len(present) - kept[0]]]))
    order = [first, *(n for n in range(len(names)) if n != first)]
    found = [names[n] for n in order]
    return Glyphs(np.stack(ink)[order], np.stack(present)[order], found, characters, *kept), remarks


def _rendered(
    files: list[Path], characters: str, size: int
) -> Iterator[tuple[str, str, tuple[np.ndarray, np.ndarray] | UserError]]:
    """Every font: what to call it in a sentence ("a.ttc 2", the second of a collection), its name, its pictures."""
    for file in files:
        try:
            several = faces_in(file)
        except UserError as error:
            yield file.name, file.stem, error
            continue
        for index in range(several):
            number = "" if several == 1 else f" {index + 1}"
            try:
                yield file.name + number, file.stem + number, render_font(file, characters, size=size, index=index)
            except UserError as error:
                said = str(error).replace(file.name, file.name + number, 1)
                yield file.name + number, file.stem + number, UserError(said)
