"""DGFont++: a new font from one glyph, by moving strokes.

Paper: X. Chen, Y. Xie, L. Sun, Y. Lu, "DGFont++: Robust Deformable Generative Networks for Unsupervised Font
Generation", arXiv 2212.14742, 2022; it extends DG-Font (Y. Xie, X. Chen, L. Sun, Y. Lu, CVPR 2021).

In this folder, in reading order: `deform` (deformable convolution, the skip connection), `networks`, `losses`,
`batches`, `recipes` (settings), `trainer` (one step), `contrastive` (styles by themselves), `training`. `lab` is how it
is measured, `page` what its chapter draws and asks.

What differs from the paper: we could not obtain its body and its code was not released. DG-Font is as in its code
(ecnuycxie/DG-Font at d275d16); DGFont++'s two additions, the contrastive style loss and the attention in the skip
connection, are our reconstruction, the first after TUNIT (clovaai/tunit at 405a77c), whose code DG-Font comes from.
Judges are pooled before they speak, so that each font has its own at every size; moves start at nought; free fonts.
"""

from typing import Any

from firsthand.dgfont.contrastive import contrast
from firsthand.dgfont.deform import Attention, DeformConv, Skip, deform_conv2d
from firsthand.dgfont.losses import (
    Queue,
    hinge_discriminator,
    hinge_generator,
    info_nce,
    offset_loss,
    r1_penalty,
    style_loss,
)
from firsthand.dgfont.networks import Discriminator, Generator, StyleEncoder, adain
from firsthand.dgfont.recipes import RELEASED, Recipe
from firsthand.dgfont.trainer import Model
from firsthand.dgfont.training import train
from firsthand.kit.lazy import from_lab

__all__ = [
    "CLAIMS", "PRESETS", "RELEASED", "Attention", "Config", "DeformConv", "Discriminator", "Generator", "Model",
    "Queue", "Reader", "Recipe", "Score", "Skip", "StyleEncoder", "Task", "adain", "contrast", "deform_conv2d",
    "errors", "generate", "hinge_discriminator", "hinge_generator", "info_nce", "offset_loss", "r1_penalty",
    "retrieval", "run", "style_loss", "train", "train_reader",
]  # fmt: skip

_LAB = {
    "claims": "CLAIMS",
    "config": "PRESETS Config",
    "evaluation": "Reader Score Task errors generate retrieval train_reader",
    "pipeline": "run",
}


def __getattr__(name: str) -> Any:
    return from_lab(__name__, _LAB, name)
