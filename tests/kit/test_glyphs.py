"""Glyphs: the shipped set, and folders with fonts that are damaged, incomplete or none."""

from __future__ import annotations

import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from firsthand.data.readers import glyphs
from firsthand.errors import UserError

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def test_the_shipped_set_is_what_its_card_says() -> None:
    found = glyphs.shipped()
    assert found.ink.shape == (36, 160, 32, 32)
    assert len(set(found.characters)) == 160
    assert all(character in found.characters[:120] for character in "十口中小一永水心力天地春花")
    sides = [face["side"] for face in glyphs.faces()]
    assert (sides.count("train"), sides.count("unseen")) == (30, 6)
    assert sides.count("refused") >= 1
    assert all(face["licence"] and face["maker"] for face in glyphs.faces())
    assert (found.ink > 127).sum((2, 3)).min() >= glyphs.FAINT


def test_characters_follow_the_rule() -> None:
    common = glyphs.common_characters()
    assert len(common) == 1583
    assert set(glyphs.shipped().characters) <= set(common)


def test_pictures_are_white_paper_at_one_and_no_byte_is_lost() -> None:
    found = glyphs.shipped()
    images = found.images([0, 3], [1, 2, 5])
    assert images.shape == (2, 3, 1, 32, 32)
    assert float(images.max()) == 1
    assert np.allclose((1 - images[1, 2, 0].numpy()) * 127.5, found.ink[3, 5], atol=1e-4)


def test_every_glyph_is_centred_on_its_ink_and_fonts_have_one_size() -> None:
    found = glyphs.shipped()
    sizes = []
    for font in found.ink:
        boxes = []
        for ink in font:
            rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
            assert abs(rows[0] + rows[-1] - 31) <= 1
            assert abs(columns[0] + columns[-1] - 31) <= 1
            boxes.append(max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1)
        sizes.append(np.quantile(boxes, 0.9))
    assert min(sizes) >= 22
    assert max(sizes) <= 27


def test_latin_letters_need_no_data() -> None:
    found = glyphs.latin()
    assert len(found.fonts) >= 15
    assert found.present.all()
    assert found.characters == glyphs.LATIN


def test_a_folder_of_fonts_is_read_and_what_is_wrong_with_it_is_said(tmp_path: Path) -> None:
    for name in ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral"):
        shutil.copy(FONTS / f"{name}.ttf", tmp_path)
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    (tmp_path / "cut.otf").write_bytes((FONTS / "DejaVuSans.ttf").read_bytes()[:2000])
    found, remarks = glyphs.from_files(glyphs.font_files(tmp_path), "ABCDEFGH永")
    assert found.fonts == ["DejaVuSans", "DejaVuSansMono", "DejaVuSerif", "STIXGeneral"]
    assert not found.present[:, -1].any()
    text = " ".join(remarks)
    assert "broken.ttf cannot be read as a font." in text
    assert "cut.otf cannot be read" in text
    with pytest.raises(UserError, match=r"0 of 6 fonts can be used; .*lacks 4 of 6 characters and is left out"):
        glyphs.from_files(glyphs.font_files(tmp_path), "AB永力心天")
    assert "DejaVuSans.ttf lacks 1 characters; they are skipped." in text


def test_folders_without_fonts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no"):
        glyphs.font_files(tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        glyphs.font_files(tmp_path / "none")
    shutil.copy(FONTS / "DejaVuSans.ttf", tmp_path)
    with pytest.raises(UserError, match="1 of 1 fonts can be used; at least three"):
        glyphs.from_files(glyphs.font_files(tmp_path), "ABC")


def _collection(file: Path, names: tuple[str, ...]) -> None:
    from fontTools.ttLib import TTCollection, TTFont

    collection = TTCollection()
    collection.fonts = [TTFont(FONTS / f"{name}.ttf") for name in names]
    collection.save(file)


def test_every_font_of_a_collection_is_read(tmp_path: Path) -> None:
    names = ("DejaVuSans", "DejaVuSerif", "STIXGeneral")
    _collection(tmp_path / "all.TTC", names)
    found, remarks = glyphs.from_files(glyphs.font_files(tmp_path), "ABCDEFGH")
    alone, _ = glyphs.from_files([FONTS / f"{name}.ttf" for name in names], "ABCDEFGH")
    assert remarks == []
    assert found.fonts == ["all 1", "all 2", "all 3"]
    assert alone.fonts == list(names)
    assert np.array_equal(found.ink, alone.ink)


def test_what_is_wrong_with_one_font_of_a_collection_is_said_of_it(tmp_path: Path) -> None:
    _collection(tmp_path / "a.ttc", ("DejaVuSans", "cmr10"))
    with pytest.raises(UserError, match=r"1 of 2 fonts can be used; .*a\.ttc 2 has none of the characters"):
        glyphs.from_files([tmp_path / "a.ttc"], "АБВГ")
    (tmp_path / "b.ttc").write_bytes(b"ttcf" + bytes([0, 1, 0, 0]) + b"\xff" * 8)
    with pytest.raises(UserError, match=r"b\.ttc says that it holds 4294967295 fonts; at most 64"):
        glyphs.from_files([tmp_path / "b.ttc"], "AB")


def test_hidden_files_are_no_fonts(tmp_path: Path) -> None:
    shutil.copy(FONTS / "DejaVuSans.ttf", tmp_path)
    for hidden in ("._DejaVuSans.ttf", ".cache/DejaVuSans.ttf"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        shutil.copy(FONTS / "DejaVuSans.ttf", tmp_path / hidden)
    assert glyphs.font_files(tmp_path) == [tmp_path / "DejaVuSans.ttf"]
