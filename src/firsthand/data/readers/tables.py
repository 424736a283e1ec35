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

from firsthand.data.readers.files import why_not, with_ending
from firsthand.errors import UserError

LABEL_NAMES = ("label", "labels", "class", "target", "y")
REAL = ("iris", "wine", "breast_cancer", "digits")
INDEX_NAMES = ("index", "id", "row", "rownames")
COUNTED = 5  # rows from which a column that only counts them is no accident
MAX_LINES = 5_000_000
LARGEST = 1e300  # of a table's numbers


def real_table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """X (n, d) and y (n,) of one of scikit-learn's bundled sets: iris, wine, breast_cancer, digits."""
    if name not in REAL:
        raise UserError(f"Unknown table {name!r}: choose one of {', '.join(REAL)}.")
    return getattr(datasets, f"load_{name}")(return_X_y=True)


def read_csv(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Numbers from a comma-separated file, with or without a header line.

    Returns:
        X (n, d) and y (n,) from the column headed label, class, target or y (y beside an x is a coordinate), or None;
        classes are numbered in order, and -1 stays what it is: noise.

    Raises:
        UserError: no such file, not text, rows of unequal length, a cell that is not a finite number, two columns of
            labels, or a column or line that only counts (an index, a header of numbers); row and column are named.
    """
    header, body = _table(path)
    label = _label_column(header or [], path.name)
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
    _check_size(X, path.name)
    _check_counting(header, body, path.name)
    y = None if label is None else _classes([row[label] for row in body], path.name)
    return X, y


def _table(path: Path) -> tuple[list[str] | None, list[list[str]]]:
    """The header in small letters, if there is one, and the other rows."""
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
    if not body:
        raise UserError(f"{path.name} has a header but no rows.")
    if header is not None and len(header) != len(body[0]):
        raise UserError(f"{path.name}: {len(header)} columns in its header, {len(body[0])} in its first row.")
    return header, body


def _label_column(header: list[str], name: str) -> int | None:
    labels = [i for i, title in enumerate(header) if title in LABEL_NAMES and not (title == "y" and "x" in header)]
    if len(labels) > 1:
        titles = " and ".join(repr(header[i]) for i in labels)
        raise UserError(f"{name} has {len(labels)} columns of labels, {titles}; keep one, or rename the others.")
    return labels[0] if labels else None


def _check_counting(header: list[str] | None, body: list[list[str]], name: str) -> None:
    """Refuse what pandas and R write beside the data: an index would be a feature, a header of numbers a point."""
    first = [_integer(cell) for cell in body[0]]
    counted = header is None and first == list(range(len(first)))
    if counted and (len(first) > 3 or any(_integer(cell) is None for row in body for cell in row)):
        raise UserError(
            f"{name} begins with a line that only counts columns, 0, 1, …, as pandas' headers do; name the columns."
        )
    for j, title in enumerate(header or [""]):
        unnamed = title == "" or title.startswith("unnamed:")
        if not unnamed and title not in INDEX_NAMES:
            continue
        column = [_integer(row[j]) for row in body]
        shuffled = header is not None and unnamed and None not in column and len(set(column)) == len(column)
        counts = len(column) >= COUNTED and column in [list(range(k, k + len(column))) for k in (0, 1)]
        if shuffled or counts:
            raise UserError(
                f"{name}, column {j + 1}: it only numbers the rows, as pandas' index does; leave it out (index=False), "
                "or head it with the name of a feature."
            )


def _classes(cells: list[str], name: str) -> np.ndarray:
    """Labels (n,): the distinct ones numbered from 0 in their order, and -1 for -1."""
    cells = [cell.strip() for cell in cells]
    empty = next((i for i, cell in enumerate(cells) if cell.lower() in ("", "nan")), None)
    if empty is not None:
        raise UserError(f"{name}, row {empty + 2}: it has no label.")
    keys: list[str] | list[float] = [float(cell) for cell in cells] if all(map(_is_number, cells)) else cells
    broken = next((key for key in keys if isinstance(key, float) and not key.is_integer()), None)
    if broken is not None:
        raise UserError(f"{name} has the label {broken:g}; labels are whole numbers or words.")
    noise = np.array([key in (-1.0, "-1") for key in keys])
    if noise.all():
        raise UserError(f"{name} labels every row -1, which stands for noise.")
    y = np.full(len(keys), -1)
    y[~noise] = np.unique(np.array(keys)[~noise], return_inverse=True)[1]
    return y


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _integer(cell: str) -> int | None:
    """What is written as a whole number, without a point or an exponent."""
    digits = cell.strip().removeprefix("-")
    return int(cell) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def _check_size(X: np.ndarray, name: str) -> None:
    """Refuse numbers whose differences may overflow."""
    if np.abs(X).max() > LARGEST:
        raise UserError(f"{name} holds {X.flat[np.abs(X).argmax()]:g}; numbers up to {LARGEST:g} can be worked with.")


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
    for file in with_ending(folder.glob("*/*.data.gz"), folder, ".data.gz"):
        labels = file.with_name(file.name.replace(".data.gz", ".labels0.gz"))
        name = f"{file.parent.name}/{file.name.removesuffix('.data.gz')}"
        if not labels.is_file():
            raise UserError(f"{name} has no {labels.name} beside it; restore it from clustering-data-v1.")
        X, y = _numbers(file, name), _numbers(labels, name)
        if len(X) != len(y) or y.shape[1] != 1:
            raise UserError(
                f"{name}: {len(X)} points and labels of shape {y.shape}; the two files do not belong together."
            )
        odd = next((label for label in y[:, 0] if label < 0 or label != int(label)), None)
        if odd is not None:
            raise UserError(f"{name}: {labels.name} holds {odd:g}; labels are 1, 2, …, and 0 for noise.")
        sets[name] = X, y[:, 0].astype(np.int64) - 1
    if not sets:
        raise UserError(f"{folder.name} holds no <battery>/<name>.data.gz; pass the root of clustering-data-v1.")
    return sets


def _numbers(file: Path, name: str) -> np.ndarray:
    try:
        with gzip.open(file, "rt", encoding="ascii") as text:
            table = np.loadtxt(text, ndmin=2, max_rows=MAX_LINES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name}: {file.name} {why_not(error)}.") from None
    except ValueError as error:  # not text, or no numbers
        raise UserError(f"{name}: {file.name} is no table of numbers ({str(error)[:120]}).") from None
    if table.size == 0 or not np.isfinite(table).all():
        raise UserError(f"{name}: {file.name} is empty or holds a value that is not finite.")
    if len(table) > MAX_LINES:
        raise UserError(f"{name}: {file.name} has more than {MAX_LINES:,} lines.")
    _check_size(table, f"{name}: {file.name}")
    return table
