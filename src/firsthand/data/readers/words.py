"""Pictures of words: rendered from free fonts in several domains, or read from a folder of one's own.

Images are uint8 tensors (N, channels, height, width); texts are lists of strings. Ours: the sizes, the domains, the
corruptions. The layouts of the real sets follow their published archives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from firsthand.data.readers.files import UNREADABLE, is_within, picture, why_not, with_ending
from firsthand.data.readers.glyphs import characters_of, faces_in
from firsthand.data.readers.mat import read_mat
from firsthand.errors import UserError

DIGITS = "0123456789"
ALPHANUMERIC = DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SIZE = (24, 72)  # height, width


@dataclass(frozen=True)
class Domain:
    """How words look.

    Attributes:
        name: in tables.
        fonts: file names in matplotlib's font folder, or whole paths.
        ink, paper: grey levels of strokes and ground.
        noise: standard deviation in grey levels.
        angle: words are turned by up to so many degrees either way.
    """

    name: str
    fonts: tuple[str, ...]
    ink: int
    paper: int
    noise: float
    angle: float


#: Two clients' worlds: dark print on light paper; light signs on a dark ground, turned and noisy.
PRINT = Domain("print", ("DejaVuSans.ttf", "DejaVuSerif.ttf", "STIXGeneral.ttf"), 30, 225, 12.0, 0.0)
SIGN = Domain("sign", ("DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf", "DejaVuSerif-Italic.ttf"), 215, 60, 45.0, 8.0)


@cache
def _font(name: str, points: int) -> ImageFont.FreeTypeFont:
    import matplotlib

    path = Path(name) if Path(name).is_absolute() else Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    if path.is_file() and faces_in(path) > 1:
        raise UserError(f"{path.name} holds {faces_in(path)} fonts; give a file of one.")
    try:
        return ImageFont.truetype(str(path), points)
    except OSError:
        raise UserError(f"{path.name} is missing or not a font.") from None


@cache
def _characters(file: str) -> set[str]:
    return characters_of(Path(file))


def _lacked(text: str, font: ImageFont.FreeTypeFont) -> str:
    """The characters of a text that a font would draw as a box."""
    return "".join(sorted(set(text) - _characters(str(font.path))))


def font_files(folder: str | Path) -> tuple[str, ...]:
    """The .ttf and .otf files of a folder, in capitals too, as a domain takes them; hidden ones are left out.

    Raises:
        UserError: no such folder, or no font in it.
    """
    files = with_ending(Path(folder).glob("*"), Path(folder), ".ttf", ".otf")
    if not files:
        raise UserError(f"{Path(folder).name} holds no .ttf or .otf file.")
    return tuple(str(file.resolve()) for file in files)


def render(text: str, domain: Domain, rng: np.random.Generator, size: tuple[int, int] = SIZE) -> np.ndarray:
    """One word as uint8 (height, width), a little out of place, turned, and noisy.

    The word is stretched to fill most of the picture, as cut-out words are when they are scaled to one size.

    Raises:
        UserError: no font, or one that lacks a character of the text.
    """
    height, width = size
    font = _font(domain.fonts[rng.integers(len(domain.fonts))], height)
    if _lacked(text, font):
        raise UserError(f"{Path(str(font.path)).name} lacks {_lacked(text, font)!r}, needed to draw {text[:80]!r}.")
    left, top, right, bottom = font.getbbox(text)
    glyphs = Image.new("L", (max(1, round(right - left)), max(1, round(bottom - top))), 0)
    ImageDraw.Draw(glyphs).text((-left, -top), text, font=font, fill=255)
    shares = rng.uniform((0.72, 0.6), (0.92, 0.8))
    wide, high = round(shares[0] * width), round(shares[1] * height)
    room = np.array([width - wide, height - high])
    place = np.rint(room * rng.uniform(0.2, 0.8, 2)).astype(int)
    ink = Image.new("L", (width, height), 0)
    ink.paste(glyphs.resize((wide, high), Image.Resampling.BICUBIC), (int(place[0]), int(place[1])))
    if domain.angle:
        ink = ink.rotate(rng.uniform(-domain.angle, domain.angle), resample=Image.Resampling.BICUBIC)
    pixels = domain.paper + (domain.ink - domain.paper) * np.asarray(ink, dtype=float) / 255
    pixels += domain.noise * rng.standard_normal(size)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def word_images(
    count: int, domain: Domain, *, alphabet: str = DIGITS, length: int = 3, seed: int = 0, size: tuple[int, int] = SIZE
) -> tuple[Tensor, list[str]]:
    """Random words of a domain: the same arguments give the same pixels.

    Args:
        count: N.
        domain: their look.
        alphabet: letters are drawn from it with equal chance; a part of one is label skew.
        length: letters a word.
        seed: of texts, fonts, places and noise.
        size: height and width in pixels.

    Returns:
        images uint8 (N, 1, height, width) and texts.
    """
    rng = np.random.default_rng([seed, count, length])
    texts = ["".join(alphabet[i] for i in rng.integers(len(alphabet), size=length)) for _ in range(count)]
    pixels = np.stack([render(text, domain, rng, size) for text in texts])
    return torch.from_numpy(pixels).unsqueeze(1), texts


def random_texts(texts: Sequence[str], alphabet: str = DIGITS, *, share: float = 1.0, seed: int = 0) -> list[str]:
    """A corrupted client: this share of the texts is replaced by random ones of the same length."""
    rng = np.random.default_rng([seed, 11])
    chosen = rng.random(len(texts)) < share
    return [
        "".join(alphabet[i] for i in rng.integers(len(alphabet), size=len(text))) if hit else text
        for text, hit in zip(texts, chosen, strict=True)
    ]


def swap_letters(texts: Sequence[str], first: str, second: str) -> list[str]:
    """A quieter corruption: two letters change places in all texts."""
    table = str.maketrans(first + second, second + first)
    return [text.translate(table) for text in texts]


# ------------------------------------------------------------------------------------------ real sets


def read_mjsynth(folder: str | Path, split: str = "train") -> list[tuple[Path, str]]:
    """Pictures and words of an unpacked MJSynth (Synth90K): annotation_<split>.txt names files like 1/2/5_Word_77.jpg.

    Raises:
        UserError: the annotation is missing, or a line of it is damaged or leads out of the folder.
    """
    listing = Path(folder) / f"annotation_{split}.txt"
    if not listing.is_file():
        raise UserError(f"{listing.name} is missing in {Path(folder).name}; an unpacked MJSynth has it.")
    try:
        lines = listing.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise UserError(f"{listing.name} {why_not(error)}.") from None
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name = line.split(" ")[0]
        parts = Path(name).stem.split("_")
        if len(parts) != 3 or not parts[1]:
            raise UserError(f"{listing.name}, line {number}: {name[:80]!r} is not of the form number_word_number.jpg.")
        pairs.append((_inside(Path(folder), name, f"{listing.name}, line {number}"), parts[1]))
    return pairs


def read_iiit5k(folder: str | Path, split: str = "test") -> list[tuple[Path, str]]:
    """Pictures and words of an unpacked IIIT5K: <split>data.mat holds ImgName and GroundTruth of every picture.

    Raises:
        UserError: the .mat file is missing, damaged, of another layout, or names a file elsewhere.
    """
    file = Path(folder) / f"{split}data.mat"
    if not file.is_file():
        raise UserError(f"{file.name} is missing in {Path(folder).name}; an unpacked IIIT5K has it.")
    rows = read_mat(file, f"{split}data", squeeze=True)
    try:
        named = [(str(row["ImgName"]), str(row["GroundTruth"])) for row in (rows if isinstance(rows, list) else [rows])]
    except (KeyError, TypeError):
        raise UserError(f"{file.name} is damaged or does not hold {split}data with ImgName and GroundTruth.") from None
    return [(_inside(Path(folder), name, file.name), text) for name, text in named]


def _inside(folder: Path, name: str, where: str) -> Path:
    """A file of a folder, which a listing must not lead out of."""
    if not is_within(folder / name, folder):
        raise UserError(f"{where}: {name[:80]!r} leads out of the folder.")
    return folder / name


def _capitals(text: str) -> str:
    """A text in capitals, letter by letter: one without a single capital of its own ("ß", "ﬁ", "ı") stays as it is."""
    return "".join(one.upper() if one.upper().lower() == one.lower() else one for one in text)


def load_words(
    pairs: Iterable[tuple[Path, str]], *, alphabet: str = ALPHANUMERIC, size: tuple[int, int] = (32, 100),
    channels: int = 3, shortest: int = 1, steps: int | None = None, store: str | Path | None = None,
) -> tuple[Tensor, list[str], list[str]]:  # fmt: skip
    """Open pictures and scale them to one size, whatever their shape, as the released code does in training.

    Args:
        pairs: as `read_mjsynth` and `read_iiit5k` give them.
        alphabet: words are put into capitals; one with another letter is left out, also if it has no capital of its own
            (the capitals of "Maß" are another word's).
        size: height and width.
        channels: 1 or 3.
        shortest: shorter words are left out (the released test takes 3).
        steps: columns of the network that is to read them; a word that needs more is left out (letters, and a blank
            between equal neighbours).
        store: keep the pixels in this .npy file and map it, for more words than fit into memory.

    Returns:
        images uint8 (N, channels, height, width), texts, and a sentence for everything left out.
    """
    pairs = list(pairs)
    texts: list[str] = []
    left_out: list[str] = []
    shape = (len(pairs), channels, *size)
    pixels_of: np.ndarray = (
        np.empty(shape, dtype=np.uint8)
        if store is None or not pairs
        else np.lib.format.open_memmap(store, mode="w+", dtype=np.uint8, shape=shape)
    )
    for path, text in pairs:
        word = _capitals(text)
        wrong = _unfit(word, text, alphabet, shortest, steps)
        pixels = wrong or _scaled(path, channels, size)
        if isinstance(pixels, str):
            left_out.append(f"{path.name[:80]}: {pixels}")
            continue
        pixels_of[len(texts)] = pixels
        texts.append(word)
    if not texts:
        raise UserError(
            f"No picture could be read; the first reason: {left_out[0] if left_out else 'the list is empty'}."
        )
    return torch.from_numpy(pixels_of[: len(texts)]), texts, left_out


def _unfit(word: str, text: str, alphabet: str, shortest: int, steps: int | None) -> str:
    """Why a word cannot be used, if so."""
    if len(word) < shortest or set(word) - set(alphabet):
        return f"{text[:80]!r} is too short or has a letter outside the alphabet"
    if steps is not None and len(word) + sum(a == b for a, b in pairwise(word)) > steps:
        return f"{text[:80]!r} needs more than the {steps} columns that the network reads"
    return ""


def _scaled(path: Path, channels: int, size: tuple[int, int]) -> np.ndarray | str:
    """A file's pixels uint8 (channels, height, width), or why it cannot be read."""
    try:
        whole = picture(path, "RGB" if channels == 3 else "L")
    except UserError as error:
        return str(error).rstrip(".")
    except Image.DecompressionBombError:
        return "larger than a word can be"
    except UNREADABLE as error:
        return f"it {why_not(error)}"
    return np.asarray(whole.resize((size[1], size[0]))).reshape(*size, channels).transpose(2, 0, 1)


def encode(texts: Sequence[str], alphabet: str = DIGITS) -> Tensor:
    """Texts as numbers of letters (N, longest) int64, filled up with -1.

    Raises:
        ValueError: a letter that the alphabet lacks.
    """
    rows = torch.full((len(texts), max(map(len, texts), default=0)), -1)
    for row, text in enumerate(texts):
        for column, letter in enumerate(text):
            if letter not in alphabet:
                raise ValueError(f"Text {row} ({text!r}) has the letter {letter!r}, which the alphabet lacks.")
            rows[row, column] = alphabet.index(letter)
    return rows
