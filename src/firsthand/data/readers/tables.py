"""Small tables: the ones that ship with scikit-learn, a CSV of one's own, and a folder of benchmark files.

Everything read from disk is parsed as plain numbers; nothing is unpickled or evaluated.
"""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from sklearn import datasets

from firsthand.errors import UserError

LABEL_NAMES = ("label", "labels", "class", "target", "y")
REAL = ("iris", "wine", "breast_cancer", "digits")
MAX_LINES = 5_000_000


def real_table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """X (n, d) and y (n,) of one of scikit-learn's bundled sets: iris, wine, breast_cancer, digits."""
    if name not in REAL:
        raise UserError(f"Unknown table {name!r}: choose one of {', '.join(REAL)}.")
    return getattr(datasets, f"load_{name}")(return_X_y=True)


def read_csv(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Numbers from a comma-separated file, with or without a header line.

    Returns:
        X (n, d) and y (n,) from a column headed label, class, target or y (numbered as it appears), or None.

    Raises:
        UserError: no such file, not text, rows of unequal length, or a cell that is not a finite number;
            the sentence names line and column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except OSError as error:
        raise UserError(f"Cannot read {path.name}: {error.strerror}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path.name} is not a text file of comma-separated values ({error}).") from None
    if not rows:
        raise UserError(f"{path.name} is empty.")
    header = None if all(_is_number(cell) for cell in rows[0]) else [cell.strip().lower() for cell in rows[0]]
    body = rows if header is None else rows[1:]
    label = next((i for i, name in enumerate(header or []) if name in LABEL_NAMES), None)
    if not body:
        raise UserError(f"{path.name} has a header but no rows.")
    if header is not None and len(header) != len(body[0]):
        raise UserError(f"{path.name}: {len(header)} columns in its header, {len(body[0])} in its first row.")
    X = np.empty((len(body), len(body[0]) - (label is not None)))
    for i, row in enumerate(body):
        line = i + 1 + (header is not None)
        if len(row) != len(body[0]):
            raise UserError(f"{path.name}, row {line}: {len(row)} columns where the first row has {len(body[0])}.")
        cells = [cell for j, cell in enumerate(row) if j != label]
        for j, cell in enumerate(cells):
            if not _is_number(cell):
                raise UserError(f"{path.name}, row {line}, column {j + 1}: {cell[:40]!r} is not a finite number.")
            X[i, j] = float(cell)
    if X.shape[1] == 0:
        raise UserError(f"{path.name} has no column of numbers.")
    y = None if label is None else np.unique([row[label] for row in body], return_inverse=True)[1]
    return X, y


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def read_battery(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """All data sets of a folder of the Gagolewski benchmark suite, clustering-data-v1.

    Layout: `<battery>/<name>.data.gz` with one row of numbers a point and `<battery>/<name>.labels0.gz` with the
    first reference labelling, 1 … k and 0 for noise (here 0 … k-1 and -1), as published at
    https://github.com/gagolews/clustering-data-v1.

    Returns:
        {"battery/name": (X, y)} in the order of the names.
    """
    if not folder.is_dir():
        raise UserError(
            f"No folder {folder.name}: clone https://github.com/gagolews/clustering-data-v1 and pass its path."
        )
    sets = {}
    for file in sorted(folder.glob("*/*.data.gz")):
        labels = file.with_name(file.name.replace(".data.gz", ".labels0.gz"))
        name = f"{file.parent.name}/{file.name.removesuffix('.data.gz')}"
        if not labels.is_file():
            raise UserError(f"{name} has no {labels.name} beside it; restore it from clustering-data-v1.")
        X, y = _numbers(file, name), _numbers(labels, name)
        if len(X) != len(y) or y.shape[1] != 1:
            raise UserError(
                f"{name}: {len(X)} points and labels of shape {y.shape}; the two files do not belong together."
            )
        sets[name] = X, y[:, 0].astype(np.int64) - 1
    if not sets:
        raise UserError(f"{folder.name} holds no <battery>/<name>.data.gz; pass the root of clustering-data-v1.")
    return sets


def _numbers(file: Path, name: str) -> np.ndarray:
    try:
        with gzip.open(file, "rt", encoding="ascii") as text:
            table = np.loadtxt(text, ndmin=2, max_rows=MAX_LINES)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"{name}: {file.name} is damaged ({str(error)[:120]}).") from None
    if table.size == 0 or not np.isfinite(table).all():
        raise UserError(f"{name}: {file.name} is empty or holds a value that is not finite.")
    return table
