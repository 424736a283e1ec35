"""The typewriter: one picture of all glyphs, and what cannot be typed is refused."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from firsthand.dgfont.page.typewriter import typewriter


def _sheet() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)


def _data(html: str) -> dict:
    found = re.search(r'<script type="application/json">(.*?)</script>', html, re.S)
    assert found is not None
    return json.loads(found[1])


def test_every_glyph_lies_at_its_row_and_column() -> None:
    sheet = _sheet()
    data = _data(typewriter(sheet, ["a", "b"], "十口中", text="中").html)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["sheet"].split(",")[1]))).convert("L")).astype(int)
    assert picture.shape == (16, 24)
    for row in range(2):
        for column in range(3):
            cut = picture[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            assert np.abs(cut - sheet[row, column]).max() <= 9  # sixteen greys


def test_names_are_escaped() -> None:
    html = typewriter(_sheet(), ["<b>", "</script>"], "十口中", text="十", caption="<i>").html
    assert "<b>" not in html
    assert "<i>" not in html
    assert _data(html)["styles"] == ["<b>", "</script>"]


def test_a_text_that_the_sheet_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks 龍"):
        typewriter(_sheet(), ["a", "b"], "十口中", text="十龍")


def test_names_must_fit_the_sheet() -> None:
    with pytest.raises(ValueError, match="2 by 3 glyphs for 1 styles"):
        typewriter(_sheet(), ["a"], "十口中", text="十")
