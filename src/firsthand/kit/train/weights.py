"""Weights that ship with the book, and their cards."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from torch import Tensor

from firsthand.chapters import PACKAGE
from firsthand.errors import UserError
from firsthand.kit.files import write_atomically
from firsthand.kit.train.loop import load_tensors, save_tensors

FOLDER = PACKAGE / "weights"
PYTORCH = (".pt", ".pth", ".bin", ".ckpt")


def shipped(name: str) -> dict[str, Tensor]:
    """The tensors of `weights/<name>.safetensors`.

    Raises:
        UserError: the file is not there, or is not the one that its card describes.
    """
    path = FOLDER / f"{name}.safetensors"
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != card_of(name)["sha256"]:
        raise UserError(f"{path.name} is damaged or not the book's: its checksum is not that of its card.")
    return load_tensors(path)[0]


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a reader's own safetensors file, whatever it is called.

    Raises:
        UserError: no such file, one of PyTorch's own, or a damaged one.
    """
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(9)
        # Of safetensors the ninth byte opens the header; PyTorch's files are archives or pickles.
        if head[8:] != b"{" and (head.startswith((b"PK\x03\x04", b"\x80")) or path.suffix in PYTORCH):
            raise UserError(
                f"{path.name} is PyTorch's own kind of file, which may run code when it is opened: save its tensors "
                "with safetensors.torch.save_file and name that file."
            )
    return load_tensors(path)[0]


def card_of(name: str) -> dict[str, Any]:
    """The card of shipped weights: what trained them, when, where, for how long, and how good they are."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def ship(name: str, tensors: dict[str, Tensor], card: dict[str, Any]) -> Path:
    """Store weights with their card in the package.

    Args:
        name: of both files.
        tensors: what to keep.
        card: at least command, seed, minutes, processor, quality {measure: value} and log (step, loss) pairs.

    Raises:
        UserError: a card that lacks one of these.
    """
    missing = {"command", "seed", "minutes", "processor", "quality", "log"} - card.keys()
    if missing:
        raise UserError(f"The card of {name} lacks {', '.join(sorted(missing))}.")
    path = FOLDER / f"{name}.safetensors"
    save_tensors(path, tensors, {"name": name})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    content = {"name": name, "sha256": digest, "bytes": path.stat().st_size, **card}
    write_atomically(FOLDER / f"{name}.json", json.dumps(content, indent=1) + "\n")
    return path
