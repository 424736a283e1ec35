"""What the chapters share and no library gives: evidence, moving figures, exercises, seeds, figure style.

This package knows no chapter.
"""

from firsthand.kit.claims import Claim, Curve, NotTested, Verdict, verdict
from firsthand.kit.device import resolve_device
from firsthand.kit.exercises import Exercise, Feedback, check
from firsthand.kit.explore import explore
from firsthand.kit.pages import card, evidence_table, expected_band, inside_band, row, say, show_source
from firsthand.kit.results import Result
from firsthand.kit.style import use_style

__all__ = [
    "Claim",
    "Curve",
    "Exercise",
    "Feedback",
    "NotTested",
    "Result",
    "Verdict",
    "card",
    "check",
    "evidence_table",
    "expected_band",
    "explore",
    "inside_band",
    "resolve_device",
    "row",
    "say",
    "show_source",
    "use_style",
    "verdict",
]
