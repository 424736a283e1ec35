"""What the chapters take for granted: gradients, convolution, hiding and guessing, seeds, verdicts.

`figures.py` draws, `exercises.py` checks the five questions of the self-check. Nothing here is about one paper.
"""

from firsthand.primer.hiding import guess, hide
from firsthand.primer.page.figures import draw_coverage, draw_guess, draw_map, draw_verdict

__all__ = ["draw_coverage", "draw_guess", "draw_map", "draw_verdict", "guess", "hide"]
