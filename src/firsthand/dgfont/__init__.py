"""DGFont++: a new font from one glyph, by moving strokes.

Paper: X. Chen, Y. Xie, L. Sun, Y. Lu, "DGFont++: Robust Deformable Generative Networks for Unsupervised Font
Generation", arXiv 2212.14742, 2022; it extends DG-Font (Y. Xie, X. Chen, L. Sun, Y. Lu, CVPR 2021).

In this folder: `deform` (deformable convolution, the skip connection), `networks`, `losses`, `batches`,
`contrastive`, `training`, `evaluation`, `tuning`, `runs` and `claims` (evidence), `experiment`, `figures`,
`typewriter` and `film` (what the page shows), `exercises`.

What differs from the paper: we could not obtain its body and its code was not released. DG-Font is as in its code
(ecnuycxie/DG-Font at d275d16); DGFont++'s two additions, the contrastive style loss and the attention in the skip
connection, are our reconstruction, the first after TUNIT (clovaai/tunit at 405a77c), whose code DG-Font comes from.
Judges are pooled before they speak, so that each font has its own at every size; moves start at nought; free fonts.
"""

from firsthand.dgfont.contrastive import contrast
from firsthand.dgfont.deform import Attention, DeformConv, Skip, deform_conv2d
from firsthand.dgfont.evaluation import Reader, Score, Task, errors, generate, retrieval, train_reader
from firsthand.dgfont.experiment import CLAIMS, PRESETS, Config, run
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
from firsthand.dgfont.training import RELEASED, Model, Recipe, train

__all__ = [
    "CLAIMS", "PRESETS", "RELEASED", "Attention", "Config", "DeformConv", "Discriminator", "Generator", "Model",
    "Queue", "Reader", "Recipe", "Score", "Skip", "StyleEncoder", "Task", "adain", "contrast", "deform_conv2d",
    "errors", "generate", "hinge_discriminator", "hinge_generator", "info_nce", "offset_loss", "r1_penalty",
    "retrieval", "run", "style_loss", "train", "train_reader",
]  # fmt: skip
