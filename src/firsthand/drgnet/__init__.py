"""DRG-Net: grading a retina, showing why, and learning from the doctor's corrections.

Paper: H. M. Tusfiqur, D. M. H. Nguyen and others, "DRG-Net: Interactive Joint Learning of Multi-lesion Segmentation and
Classification for Diabetic Retinopathy Grading", arXiv 2212.14615, 2022.

In this folder, in reading order: `network` (segmenter and grader), `losses`, `explain` (maps and their tests),
`adaptation` (from one camera to another), `training` (by stages), `system` (both networks, and sets of pictures),
`feedback` (records, journal, a simulated expert), `interaction` (rounds). `lab` is how it is measured, `page` what
its chapter draws and asks.

What differs from the paper: we could not obtain its body, and the released code lacks the joint model, the training for
another camera and the interaction. What is ours says so.
"""

from typing import Any

from firsthand.data.drawn.lesions import icdr_grade
from firsthand.drgnet.feedback import Correction, Expert, Journal, simulated
from firsthand.drgnet.interaction import Update, interact
from firsthand.drgnet.losses import self_information
from firsthand.drgnet.network import Grader, UNet, gated_attention
from firsthand.drgnet.system import DRGNet, Retinas
from firsthand.drgnet.training import Recipe, Terms
from firsthand.kit.lazy import from_lab

__all__ = [
    "CLAIMS",
    "PRESETS",
    "Config",
    "Correction",
    "DRGNet",
    "Expert",
    "Grader",
    "Journal",
    "Recipe",
    "Retinas",
    "Terms",
    "UNet",
    "Update",
    "gated_attention",
    "icdr_grade",
    "interact",
    "pixel_average_precision",
    "quadratic_kappa",
    "run",
    "self_information",
    "simulated",
]  # fmt: skip

_LAB = {
    "claims": "CLAIMS",
    "config": "PRESETS Config",
    "metrics": "pixel_average_precision quadratic_kappa",
    "pipeline": "run",
}


def __getattr__(name: str) -> Any:
    return from_lab(__name__, _LAB, name)
