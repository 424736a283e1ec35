"""Moving figures without a kernel: every state is drawn ahead of time and a small script switches between them.

A figure made of lines, points, bars, circles and text is stored as data (`kit.drawing`) and drawn by the
script; anything else, and uint8 images, are stored as PNG frames. The HTML is self-contained, so the same figure
moves on the site, from a file on disk and in a notebook.
"""

from __future__ import annotations

import base64
import html
import io
import itertools
import json
from collections.abc import Callable, Iterable
from importlib import resources
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from scipy.spatial import KDTree

from firsthand.kit.page.drawing import Pool, describe

MAX_AXES = 3
MAX_STATES = 200
MAX_BYTES = 3_000_000
COLOURS = 160  # of a frame that is a picture
FLAT, OFTEN = 64, 2  # colours that keep their exact value, of those that occur as often in a frame


def explore(
    render: Callable[..., Any], *, caption: str = "", start: dict[str, Any] | None = None, **axes: Iterable[Any]
) -> Explorer:
    """A figure with sliders over a small grid of settings.

    Args:
        render: ``render(**state)`` -> a Matplotlib Figure, a uint8 image (H, W) or (H, W, 3), or either with one
            sentence that says to a screen reader what the state shows.
        caption: the message of the figure.
        start: the state shown first; the first value of every axis where it says nothing.
        axes: one to three names with their values; numbers get a slider, anything else a menu.

    Returns:
        An object that shows itself as HTML; `.live()` recomputes in a running kernel instead.

    Raises:
        ValueError: more than three axes or 200 states, a start off the grid, or more than 3 MB.
    """
    grid = {name: list(values) for name, values in axes.items()}
    if not 1 <= len(grid) <= MAX_AXES:
        raise ValueError(f"explore takes one to {MAX_AXES} axes; got {len(grid)}.")
    states = int(np.prod([len(values) for values in grid.values()]))
    if not 1 <= states <= MAX_STATES:
        raise ValueError(f"explore takes 1 to {MAX_STATES} states; these axes give {states}.")
    first = {name: values[0] for name, values in grid.items()} | (start or {})
    for name, value in first.items():
        if name not in grid or value not in grid[name]:
            raise ValueError(f"start names {name}={value!r}, which is not on the grid.")
    return Explorer(render, grid, first, caption)


class Explorer:
    """The object that `explore` returns."""

    def __init__(
        self, render: Callable[..., Any], grid: dict[str, list[Any]], start: dict[str, Any], caption: str
    ) -> None:
        self.render, self.grid, self.start, self.caption = render, grid, start, caption
        self.html = self._build()
        if len(self.html) > MAX_BYTES:
            raise ValueError(
                f"The figure takes {len(self.html) / 1e6:.1f} MB; at most {MAX_BYTES / 1e6:.0f} are allowed."
            )

    def _build(self) -> str:
        pool = Pool()
        frames, sentences, still = [], [], b""
        for values in itertools.product(*self.grid.values()):
            state = dict(zip(self.grid, values, strict=True))
            picture, sentence = _drawn(self.render, state)
            if state == self.start:
                still = _png(picture)
            drawing = describe(picture, pool) if isinstance(picture, Figure) else None
            frames.append(drawing or {"image": pool.put("data:image/png;base64," + _base64(_frame(picture)))})
            sentences.append(sentence)
            if isinstance(picture, Figure):
                plt.close(picture)
        axes = [
            {
                "name": name.replace("_", " "),
                "values": [_label(v) for v in values],
                "start": values.index(self.start[name]),
                "slider": all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in values),
            }
            for name, values in self.grid.items()
        ]
        data = {"axes": axes, "frames": frames, "say": sentences, "pool": pool.items, "caption": self.caption}
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
        at_start = list(itertools.product(*self.grid.values())).index(tuple(self.start.values()))
        script = resources.files("firsthand.kit.page").joinpath("explore.js").read_text(encoding="utf-8")
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        alt = html.escape(sentences[at_start] or self.caption)
        return (
            f'<figure class="fh-explore"><img class="fh-still" alt="{alt}" '
            f'src="data:image/png;base64,{_base64(still)}">{caption}'
            f'<script type="application/json">{text}</script></figure><script>{script}</script>'
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"Moving figure over {', '.join(f'{name} ({len(v)})' for name, v in self.grid.items())}"

    def live(self, **axes: Any) -> Any:
        """The same figure recomputed on every move by ipywidgets; only in a running kernel.

        Args:
            axes: other settings than the grid's, such as `step=(0, 100)`; see `ipywidgets.interactive`.
        """
        import ipywidgets  # a static page never needs it

        def show(**state: Any) -> None:
            from IPython.display import display

            picture, sentence = _drawn(self.render, state)
            display(picture if isinstance(picture, Figure) else Image.fromarray(picture))
            if isinstance(picture, Figure):
                plt.close(picture)
            print(sentence)

        controls = {
            name: axes.get(name, ipywidgets.SelectionSlider(options=values, value=self.start[name]))
            for name, values in self.grid.items()
        }
        return ipywidgets.interactive(show, **controls)


def _drawn(render: Callable[..., Any], state: dict[str, Any]) -> tuple[Figure | np.ndarray, str]:
    """Call render and check what it gives: a picture and a sentence, possibly empty."""
    made = render(**state)
    picture, sentence = made if isinstance(made, tuple) else (made, "")
    if not isinstance(picture, Figure):
        picture = np.asarray(picture)
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3):
            raise ValueError(
                f"render must give a Figure or a uint8 image; got {picture.dtype} of shape {picture.shape}."
            )
    return picture, sentence


def _png(picture: Figure | np.ndarray) -> bytes:
    buffer = io.BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format="png", metadata={"Software": None})
    else:
        Image.fromarray(picture).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _frame(picture: Figure | np.ndarray) -> bytes:
    """A PNG of at most COLOURS colours: a third of the size, and no difference that an eye would find.

    FLAT of them, as far apart as can be, keep their exact value: beside a photograph, the colours of thin lines would
    be lost otherwise.
    """
    buffer = io.BytesIO()
    image = Image.open(io.BytesIO(_png(picture))).convert("RGB")
    packed = np.asarray(image).reshape(-1, 3) @ np.array([1 << 16, 1 << 8, 1])  # one number a colour is sorted fast
    numbers, place, count = np.unique(packed, return_inverse=True, return_counts=True)
    colours = np.stack([numbers >> 16, numbers >> 8 & 255, numbers & 255], 1)
    exact = _spread(colours[count >= OFTEN].astype(float))
    mixed = np.array(image.quantize(COLOURS - len(exact), dither=Image.Dither.NONE).getpalette()).reshape(-1, 3)
    palette = np.concatenate([exact, mixed])[:COLOURS]
    nearest = KDTree(palette).query(colours)[1][place.ravel()]
    indexed = Image.fromarray(nearest.astype(np.uint8).reshape(image.height, image.width), "P")
    indexed.putpalette(palette.astype(np.uint8).tobytes())
    indexed.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _spread(colours: np.ndarray) -> np.ndarray:
    """At most FLAT rows of (n, 3), each as far as can be from those before it."""
    chosen, away = [], np.full(len(colours), np.inf)
    for _ in range(min(FLAT, len(colours))):
        chosen.append(int(away.argmax()))
        away = np.minimum(away, np.square(colours - colours[chosen[-1]]).sum(1))
    return colours[chosen]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)
