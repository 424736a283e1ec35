"""A typewriter for the page: type characters of the set and see them in a chosen style, without a kernel.

All styles of all characters are one PNG, a row a style; a small script cuts what is typed out of it.
"""

from __future__ import annotations

import base64
import html
import io
import json
from importlib import resources
from typing import Any

import numpy as np
from PIL import Image

GREYS = 16  # levels that are kept: a third of the bytes, and no difference that an eye would find
STYLE = (
    ".fh-typewriter{margin:1.5rem 0;padding:1rem;border:1px solid var(--pst-color-border,#c9ccd1);border-radius:.5rem}"
    ".fh-typewriter canvas,.fh-typewriter img{max-width:100%;background:#fff;border-radius:.3rem}"
    ".fh-typewriter label{display:inline-flex;gap:.5rem;align-items:center;margin:0 1.2rem .7rem 0}"
    ".fh-typewriter input{font-size:1.2rem;width:12rem;min-height:32px}.fh-typewriter select{min-height:32px}"
    ".fh-typewriter button{min-height:30px;min-width:30px;border:1px solid currentColor;background:none;color:inherit;"
    "border-radius:.3rem;margin:.1rem}.fh-typewriter .fh-say{margin:.5rem 0 0}"
    ".fh-typewriter figcaption{font-size:.9rem;opacity:.85;margin-top:.5rem;text-align:left}"
    "@media print{.fh-typewriter label,.fh-typewriter button,.fh-typewriter details{display:none}}"
)


class Typewriter:
    """What `typewriter` returns; it shows itself as HTML."""

    def __init__(self, sheet: np.ndarray, styles: list[str], characters: str, text: str, caption: str) -> None:
        rows, columns, size, _ = sheet.shape
        if (rows, columns) != (len(styles), len(characters)):
            raise ValueError(f"{rows} by {columns} glyphs for {len(styles)} styles and {len(characters)} characters.")
        self.styles, self.characters = styles, characters
        step = 255 // (GREYS - 1)
        coarse = ((sheet.astype(int) + step // 2) // step * step).clip(0, 255).astype(np.uint8)
        picture = _png(coarse.transpose(0, 2, 1, 3).reshape(rows * size, columns * size))
        still = _png(np.hstack([sheet[0, characters.index(c)] for c in text]))
        data = {"sheet": picture, "size": size, "styles": styles, "characters": characters}
        content = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        script = resources.files("firsthand.dgfont.page").joinpath("typewriter.js").read_text(encoding="utf-8")
        menu = "".join(f'<option value="{n}">{html.escape(name)}</option>' for n, name in enumerate(styles))
        alt = html.escape(f"{text} in the style of {styles[0]}")
        self.html = (
            f'<style>{STYLE}</style><figure class="fh-typewriter"><img class="fh-still" alt="{alt}" src="{still}">'
            f'<div class="fh-desk" hidden><label>text <input lang="zh" value="{html.escape(text)}" maxlength="48">'
            f'</label><label>style <select>{menu}</select></label><button type="button" class="fh-clear">clear</button>'
            '<div><canvas role="img"></canvas></div><p class="fh-say" aria-live="polite"></p>'
            '<details><summary>The characters of the set</summary><div class="fh-keys"></div></details></div>'
            f"<figcaption>{html.escape(caption)}</figcaption>"
            f'<script type="application/json">{content}</script></figure><script>{script}</script>'
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"Typewriter of {len(self.characters)} characters in {len(self.styles)} styles"


def typewriter(sheet: np.ndarray, styles: list[str], characters: str, *, text: str, caption: str = "") -> Typewriter:
    """Type on the page.

    Args:
        sheet: uint8 (styles, characters, size, size), black on white. styles: their names.
        characters: in the order of the sheet. text: what stands there first. caption: of the figure.

    Raises:
        ValueError: shapes that do not fit names, or a text with characters that the sheet lacks.
    """
    missing = sorted(set(text) - set(characters))
    if missing:
        raise ValueError(f"The sheet lacks {' '.join(missing)}.")
    return Typewriter(sheet, styles, characters, text, caption)


def _png(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).quantize(GREYS, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
