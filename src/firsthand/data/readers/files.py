"""What all readers share: which files of a folder count, how a picture is opened, and why a file could not be read.

A picture is the same to a network whatever the mode that it was stored in, and a file is "damaged" only if it is.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from firsthand.errors import UserError

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises on a bad picture
REFUSED = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "may not be read"),
    **dict.fromkeys((errno.EAGAIN, errno.EBUSY, errno.ETXTBSY), "is in use by another program"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.ELOOP), "is missing"),
    errno.EISDIR: "is a folder",
}


def is_hidden(file: Path, root: Path) -> bool:
    """Whether a file, or a folder on the way to it, begins with a dot: `.ipynb_checkpoints`, macOS's `._x.jpg`."""
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def with_ending(files: Iterable[Path], root: Path, *endings: str) -> list[Path]:
    """The files, sorted, that are not hidden and have one of these endings (".tif"), in small letters or capitals."""
    wanted = tuple(ending.lower() for ending in endings)
    return sorted(file for file in files if file.name.lower().endswith(wanted) and not is_hidden(file, root))


def is_within(file: Path, root: Path) -> bool:
    """Whether a file, its links followed, lies in a folder; False for what is no name at all."""
    try:
        return file.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError):  # longer than a name can be, or with a zero byte
        return False


def why_not(error: BaseException) -> str:
    """What is wrong with a file that could not be read, as the end of a sentence: "is missing", "is damaged (…)"."""
    code = getattr(error, "errno", None)
    if code in REFUSED:
        return REFUSED[code]
    if code is not None:  # of the disk or the network, not of what the file holds
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"
    return f"is damaged ({error})"


def picture(file: Path, mode: str = "RGB", *, largest: int | None = None) -> Image.Image:
    """A picture of a file, decoded, in the mode "RGB" or "L"; sixteen bits are scaled to eight, which Pillow cuts off.

    Args:
        file: of one picture. mode: to return. largest: pixels from which it is refused, before they are decoded.

    Raises:
        UserError: too large, several pictures in one file, or pixels of other numbers.
        OSError, SyntaxError, ValueError, Image.DecompressionBombError: as Pillow does (UNREADABLE).
    """
    with Image.open(file) as opened:
        if largest is not None and opened.width * opened.height > largest:
            raise UserError(f"{file.name} has more than {largest:,} pixels.")
        return _eight_bits(only_frame(opened, file), file).convert(mode)


def only_frame(opened: Image.Image, file: Path) -> Image.Image:
    """The picture of an opened file, which must hold one; a camera's second, small one in an MPO does not count.

    Raises:
        UserError: it holds several.
    """
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format != "MPO":
        raise UserError(f"{file.name} holds {frames} pictures; one a file is read.")
    return opened


def _eight_bits(opened: Image.Image, file: Path) -> Image.Image:
    if opened.mode.startswith("I;16"):
        values = np.asarray(opened).astype(np.float64)  # of either byte order
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if opened.mode in ("I", "F"):
        raise UserError(f"{file.name} has pixels of 32 bits; 8 or 16 are read.")
    return opened
