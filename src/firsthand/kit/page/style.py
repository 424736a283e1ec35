"""One look for every figure: a palette safe for colour-blind readers, two sizes, text as large as the body.

Figures are drawn in dark ink on white. On a dark page the site inverts lightness and keeps hue, so that the same
file is legible on both; photographs opt out with the cell tag `photo`.
"""

from __future__ import annotations

from itertools import cycle, islice

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler

INK = "#1f2430"
FAINT = "#8a919e"

#: Okabe and Ito's colours, the yellow left out (too pale on white); distinct in grey as dashes make sure.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1.5)), (0, (8, 2)))

SINGLE = (5.4, 3.6)  # inches; one panel
DOUBLE = (9.0, 3.7)  # two panels side by side


def colours(n: int) -> list[str]:
    """n colours of the palette, starting again after the sixth."""
    return list(islice(cycle(PALETTE), n))


def use_style() -> None:
    """Set Matplotlib's defaults for the book; the first cell of every notebook calls it."""
    mpl.rcParams.update(
        {
            "figure.figsize": SINGLE,
            "figure.dpi": 110,
            "savefig.dpi": 110,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.titlesize": 12,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.edgecolor": FAINT,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=PALETTE) + cycler(linestyle=DASHES),
            "lines.linewidth": 2.0,
            "grid.color": "#d9dce1",
            "legend.frameon": False,
            "image.cmap": "viridis",
        }
    )


def scatter_clusters(ax: plt.Axes, X, labels, *, size: float = 9.0) -> None:
    """Points coloured by label; noise (-1) as small grey dots. X (n, 2), labels (n,)."""
    shade = colours(max(int(max(labels)) + 1, 1))
    ax.scatter(X[:, 0], X[:, 1], s=size, c=[shade[i] if i >= 0 else FAINT for i in labels], linewidths=0)


def bare(ax: plt.Axes) -> None:
    """A map without ticks, equal scales both ways."""
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
