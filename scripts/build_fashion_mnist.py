"""Build the Fashion-MNIST subset that ships with the book: python scripts/build_fashion_mnist.py [FOLDER]

FOLDER holds the four original files (*-ubyte.gz), as Debian's package dataset-fashion-mnist and torchvision's
download lay them out. The first images of each split are kept, in their order.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[1] / "src" / "firsthand" / "data" / "embedded" / "fashion_mnist.npz"
KEPT = {"train": ("train", 10_000), "test": ("t10k", 2_000)}


def read_idx(path: Path, header: int) -> np.ndarray:
    """The bytes of an IDX file after its header."""
    return np.frombuffer(gzip.decompress(path.read_bytes()), dtype=np.uint8, offset=header)


def main(folder: Path) -> None:
    arrays = {}
    for split, (stem, count) in KEPT.items():
        images = read_idx(folder / f"{stem}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
        labels = read_idx(folder / f"{stem}-labels-idx1-ubyte.gz", 8)
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = images[:count], labels[:count]
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(TARGET, **arrays)
    print(
        f"{TARGET.name}: {TARGET.stat().st_size / 1e6:.1f} MB, sha256 {hashlib.sha256(TARGET.read_bytes()).hexdigest()}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/datasets/fashion-mnist"))
