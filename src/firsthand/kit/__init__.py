"""What the chapters share and no library gives: evidence, moving figures, exercises, seeds, figure style.

This package knows no chapter.
"""

from firsthand.kit.lab.claims import Claim, Curve, NotTested, Verdict, verdict
from firsthand.kit.lab.results import Result
from firsthand.kit.lab.settings import changed_settings, with_settings
from firsthand.kit.page.exercises import Exercise, Feedback, check
from firsthand.kit.page.explore import explore
from firsthand.kit.page.pages import card, evidence_table, expected_band, inside_band, row, say, show_source
from firsthand.kit.page.style import use_style
from firsthand.kit.train.device import resolve_device

__all__ = [
    "Claim",
    "Curve",
    "Exercise",
    "Feedback",
    "NotTested",
    "Result",
    "Verdict",
    "card",
    "changed_settings",
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
    "with_settings",
]
