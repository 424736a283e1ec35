"""A Matplotlib figure as data: what `explore.js` needs to draw it again, a few kB instead of a picture.

Coordinates are thousandths of the axes' width and height, so that scales (logarithmic too) stay here and the
script only draws. `describe` returns None for a figure with parts it does not know, such as images.
"""

from __future__ import annotations

import json
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import Collection, EllipseCollection, LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch
from matplotlib.text import Text

from firsthand.kit.page.style import INK

UNIT = 1000  # thousandths of an axis
POOL_FROM = 80  # characters; shorter things are cheaper repeated than referred to


class Pool:
    """Things that several states have in common are stored once and referred to by number."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._index: dict[str, int] = {}

    def put(self, item: Any) -> int:
        """The number of an item equal to this one."""
        key = item if isinstance(item, str) else json.dumps(item)
        if key not in self._index:
            self._index[key] = len(self.items)
            self.items.append(item)
        return self._index[key]

    def pooled(self, item: Any) -> Any:
        """The item itself if it is short, else a reference to it."""
        return {"$": self.put(item)} if len(json.dumps(item)) >= POOL_FROM else item


def describe(figure: Figure, pool: Pool) -> dict[str, Any] | None:
    """{"panels": [...]} for a figure of lines, points, bars, circles and text; else None."""
    figure.canvas.draw()
    panels = []
    for ax in figure.axes:
        items: list[dict[str, Any]] = []
        for artist in sorted(ax.get_children(), key=lambda a: a.get_zorder()):
            commands = _items(ax, artist)
            if commands is None:
                return None
            items += commands
        box = ax.get_position()
        width, height = figure.get_size_inches()
        panels.append(
            {
                "ratio": round(box.height * height / (box.width * width), 3),
                "title": " ".join(ax.get_title(loc=side) for side in ("left", "center", "right")).strip(),
                "x": _axis(ax, "x"),
                "y": _axis(ax, "y"),
                "frame": ax.axison and any(s.get_visible() for s in ax.spines.values()),
                "legend": _legend(ax),
                "items": [pool.pooled({k: pool.pooled(v) for k, v in item.items()}) for item in items],
            }
        )
    return {"panels": panels}


def _axis(ax: plt.Axes, which: str) -> dict[str, Any]:
    """Label and ticks [(position, text)] of one axis."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    ticks = []
    if ax.axison:
        for position, label in zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=False):
            point = (position, ax.get_ylim()[0]) if which == "x" else (ax.get_xlim()[0], position)
            place = _place(ax, ax.transData, np.array([point]))[0 if which == "x" else 1]
            if -1 <= place <= UNIT + 1 and label.get_text():
                ticks.append([place, _plain(label.get_text())])
    return {
        "label": _plain(axis.get_label_text()),
        "ticks": ticks,
        "grid": bool(axis.get_gridlines()[0].get_visible()) if ticks else False,
    }


def _legend(ax: plt.Axes) -> list[list[str]]:
    legend = ax.get_legend()
    if legend is None:
        return []
    rows = []
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        colour: Any = handle.get_color() if isinstance(handle, Line2D) else handle.get_facecolor()  # type: ignore[union-attr]
        rows.append(
            [_colour(np.atleast_2d(colour)[0] if not isinstance(colour, str) else colour), _plain(text.get_text())]
        )
    return rows


def _plain(text: str) -> str:
    """Tick labels without Matplotlib's mathematics: "$\\mathdefault{10^{3}}$" becomes "10³"."""
    if "$" not in text:
        return text
    text = text.replace("$", "").replace("\\mathdefault", "").replace("−", "-")
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    head, _, tail = text.partition("^")
    return head.strip("{}") + tail.strip("{}").translate(raised)


def _place(ax: plt.Axes, transform: Any, points: np.ndarray) -> list[int]:
    """Points (m, 2) as a flat list of thousandths of the axes; points that are not finite are left out."""
    placed = ax.transAxes.inverted().transform(transform.transform(points)) * UNIT
    return np.round(placed[np.isfinite(placed).all(1)]).astype(int).flatten().tolist()


def _colour(colour: Any) -> str:
    """Hex; the book's ink becomes the page's own text colour."""
    text = str(to_hex(colour))
    return "ink" if text in (INK, "#000000") else text


def _items(ax: plt.Axes, artist: Any) -> list[dict[str, Any]] | None:
    """The drawing commands of one artist: [] if it shows nothing, None if it is of an unknown kind."""
    if not artist.get_visible() or artist is ax.patch or artist in ax.spines.values():
        return []
    if artist in (ax.xaxis, ax.yaxis, ax.title, ax._left_title, ax._right_title, ax.get_legend()):  # type: ignore[attr-defined]
        return []
    if isinstance(artist, Line2D):
        return _line(ax, artist)
    if isinstance(artist, Text):
        return _text(ax, artist)
    if isinstance(artist, Circle):
        edge, face = artist.get_edgecolor(), artist.get_facecolor()
        ring = _place(ax, ax.transData, np.array([artist.center, np.add(artist.center, (artist.radius, 0))]))
        return [
            {"t": "ring", "p": [ring[0], ring[1], abs(ring[2] - ring[0])], **_paint(edge, face, artist.get_linewidth())}
        ]
    if isinstance(artist, Patch):
        shape = artist.get_path().to_polygons(artist.get_transform())
        edge, face = artist.get_edgecolor(), artist.get_facecolor()
        return [
            _area(ax, polygon, edge, face, artist.get_linewidth())
            for polygon in map(np.asarray, shape)
            if len(polygon) > 2
        ]
    if isinstance(artist, Collection):
        return _collection(ax, artist)
    return None


def _line(ax: plt.Axes, line: Line2D) -> list[dict[str, Any]]:
    points = _place(ax, line.get_transform(), np.column_stack([line.get_xdata(orig=False), line.get_ydata(orig=False)]))
    if not points:
        return []
    colour, alpha = _colour(line.get_color()), float(line.get_alpha() or 1)
    items: list[dict[str, Any]] = []
    if line.get_linestyle() not in ("None", "none", " ", ""):
        dashes = line._dash_pattern[1]  # type: ignore[attr-defined]  # the only place that resolves "--" to lengths
        items.append({"t": "line", "p": points, "c": colour, "w": line.get_linewidth(), "a": alpha})
        if dashes:
            items[0]["d"] = [round(float(d), 1) for d in dashes]
    if line.get_marker() not in ("None", "none", " ", "", None):
        face = _colour(line.get_markerfacecolor()) if line.get_fillstyle() != "none" else colour
        items.append({"t": "dots", "p": points, "c": [face], "s": line.get_markersize(), "a": alpha})
    return items


def _text(ax: plt.Axes, text: Text) -> list[dict[str, Any]]:
    if not text.get_text():
        return []
    place = _place(ax, text.get_transform(), np.array([text.get_unitless_position()]))
    anchor = {"left": "start", "center": "middle", "right": "end"}[text.get_horizontalalignment()]
    low = {"bottom": 0.0, "baseline": 0.0, "center": 0.35, "center_baseline": 0.35, "top": 0.8}[
        text.get_verticalalignment()
    ]
    return [{"t": "text", "p": place, "s": text.get_text(), "h": anchor, "v": low, "c": _colour(text.get_color())}]


def _paint(edge: Any, face: Any, width: float) -> dict[str, Any]:
    paint: dict[str, Any] = {"w": float(width)}
    for name, colour in (("c", edge), ("f", face)):
        if len(colour) == 4 and colour[3] > 0:
            paint[name] = _colour(colour)
            paint[f"{name}a"] = round(float(colour[3]), 2)
    return paint


def _area(ax: plt.Axes, polygon: np.ndarray, edge: Any, face: Any, width: float) -> dict[str, Any]:
    """A filled polygon given in display coordinates."""
    placed = ax.transAxes.inverted().transform(polygon) * UNIT
    return {"t": "area", "p": np.round(placed).astype(int).flatten().tolist(), **_paint(edge, face, width)}


def _collection(ax: plt.Axes, group: Collection) -> list[dict[str, Any]] | None:
    edges, faces, widths = group.get_edgecolor(), group.get_facecolor(), np.atleast_1d(group.get_linewidth())
    edge = edges[0] if len(edges) else (0, 0, 0, 0)
    face = faces[0] if len(faces) else (0, 0, 0, 0)
    width = float(widths[0]) if len(widths) else 1.0
    if isinstance(group, LineCollection):
        segments = [_place(ax, group.get_transform(), np.asarray(s)) for s in group.get_segments()]
        return [{"t": "segments", "p": segments, "c": _colour(edge), "w": width}]
    if isinstance(group, PolyCollection):
        shapes = [p for path in group.get_paths() for p in path.to_polygons(group.get_transform())]
        return [_area(ax, np.asarray(p), edge, face, width) for p in shapes]
    offsets = np.asarray(group.get_offsets(), dtype=float)
    if isinstance(group, EllipseCollection):
        radii = np.asarray(group.get_widths(), dtype=float) / 2
        centres = _place(ax, ax.transData, offsets)
        rims = _place(ax, ax.transData, offsets + np.column_stack([radii, 0 * radii]))
        flat = [v for i in range(0, len(centres), 2) for v in (centres[i], centres[i + 1], rims[i] - centres[i])]
        return [{"t": "ring", "p": flat, **_paint(edge, face, width)}]
    if isinstance(group, PathCollection):
        names = [_colour(c) for c in faces]
        palette = sorted(set(names))
        item = {"t": "dots", "p": _place(ax, ax.transData, offsets), "c": palette, "a": float(group.get_alpha() or 1)}
        if len(palette) > 1:
            item["k"] = "".join(chr(97 + palette.index(name)) for name in names)
        return [{**item, "s": round(float(np.sqrt(group.get_sizes()[0])), 1)}]
    return None
