"""Settings of a training: the book's, and DG-Font's as released."""

from __future__ import annotations

from dataclasses import dataclass

from firsthand.dgfont import losses
from firsthand.dgfont.networks import COMPACT, VGG11


@dataclass(frozen=True)
class Recipe:
    """How to train; the book's values, which are ours.

    Attributes:
        steps, warmup, batch: warmup is how many of the steps teach copying only.
        lr, judge_lr: Adam's, of generator with style encoder and of the judges; over the last quarter they fall to 5 %.
        adversarial, image, content, offset: weights of the losses; copying: of the loss that rebuilds, in the warm-up.
        style, generated: of the contrastive loss of real glyphs, and of generated ones.
        mode: of the contrastive loss, see `losses.style_loss`; "none": without.
        ahead: steps that teach the style encoder by the contrastive loss before all others.
        queue: negatives kept. average: of weights, by step.
        penalty, every: of the judges' gradients, taken at every so many steps and as many times as heavy.
        rebuilt: share of a batch that is also painted in its own style.
        fdsc, levels, zero_offsets, head: see `Generator` and `Discriminator`.
        width, style_dim, first, judge_width, most, plan, channels: sizes of the networks.
        optimizer: "adam", or "rmsprop" for generator and judges, as released.
    """

    steps: int = 200
    warmup: int = 40
    batch: int = 16
    lr: float = 4e-4
    judge_lr: float = 8e-4
    adversarial: float = 0.2
    image: float = 1.0
    copying: float = 1.0
    content: float = 0.1
    offset: float = 0.05
    style: float = 0.5
    generated: float = 0.05
    mode: str = "masked"
    ahead: int = 150
    queue: int = 256
    average: float = 0.99
    penalty: float = 1.0
    every: int = 4
    rebuilt: float = 0.5
    fdsc: str = "conv"
    levels: tuple[int, ...] = (1, 2)
    zero_offsets: bool = True
    head: str = "pooled"
    width: int = 16
    style_dim: int = 32
    first: int = 3
    judge_width: int = 16
    most: int = 64
    plan: tuple[int | str, ...] = COMPACT
    channels: int = 1
    optimizer: str = "adam"

    def __post_init__(self) -> None:
        if self.mode not in losses.STYLE:
            raise ValueError(f"Unknown mode {self.mode!r}: choose one of {', '.join(losses.STYLE)}.")
        if self.optimizer not in ("adam", "rmsprop"):
            raise ValueError(f"Unknown optimizer {self.optimizer!r}: choose adam or rmsprop.")
        if not 0 <= self.warmup <= self.steps:
            raise ValueError(f"warmup must lie between 0 and steps; got {self.warmup} of {self.steps}.")


#: DG-Font as released, with DGFont++'s contrastive loss at TUNIT's weights.
RELEASED = Recipe(
    steps=250_000, warmup=0, ahead=0, batch=32, lr=1e-4, judge_lr=1e-4, adversarial=1.0, image=0.1, content=0.1,
    offset=0.5, style=0.1, generated=0.01, mode="self", queue=1024, penalty=10.0, every=1, rebuilt=1.0, average=0.999,
    fdsc="attn", width=64, style_dim=128, first=7, judge_width=64, most=1024, plan=VGG11, channels=3,
    optimizer="rmsprop",
)  # fmt: skip
