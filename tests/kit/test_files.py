"""What readers share: why a file could not be read is said as it is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from firsthand.data.readers.files import is_within, why_not, with_ending


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "may not be read"),
        (errno.EPERM, "may not be read"),
        (errno.EAGAIN, "is in use by another program"),
        (errno.EBUSY, "is in use by another program"),
        (errno.ENOENT, "is missing"),
        (errno.EISDIR, "is a folder"),
        (errno.EIO, "cannot be read (Input/output error)"),
    ],
)
def test_a_file_is_damaged_only_if_it_is(code: int, words: str) -> None:
    assert why_not(OSError(code, os.strerror(code), "a.png")) == words


def test_what_a_file_holds_can_be_damaged() -> None:
    assert why_not(OSError("image file is truncated")) == "is damaged (image file is truncated)"
    assert why_not(SyntaxError("broken PNG file")) == "is damaged (broken PNG file)"


def test_files_of_a_folder_by_their_endings(tmp_path: Path) -> None:
    for name in ("a.TIF", "b.tif", ".c.tif", "d.tiff", ".ipynb_checkpoints/e.tif", "f/g.Tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [file.name for file in with_ending(tmp_path.rglob("*"), tmp_path, ".tif")] == ["a.TIF", "b.tif", "g.Tif"]
    assert is_within(tmp_path / "f" / ".." / "a.TIF", tmp_path)
    assert not is_within(tmp_path / ".." / "a.TIF", tmp_path)
    assert not is_within(tmp_path / ("n" * 5000) / "\0", tmp_path)
