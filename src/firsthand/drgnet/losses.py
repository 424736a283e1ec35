"""What is minimised, each term a function; weights and switches are in `training`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POSITIVE = 10.0  # weight of a lesion pixel over a background one: the released 1.0 over 0.1
MEANT = POSITIVE / (POSITIVE + 1)  # what a network so weighted says where a lesion is as likely as none
SHARPNESS, CUT = 100.0, 0.25  # of the soft mask over an explanation map (released)


def segmentation_loss(logits: Tensor, masks: Tensor, *, positive: float = POSITIVE, dice: bool = True) -> Tensor:
    """Weighted cross-entropy of pixels, and Dice of every lesion that a batch has (ours; released: one network a
    lesion, cross-entropy alone).

    Args:
        logits: (N, K, h, w). masks: the same shape, bool or in [0, 1].
        positive: weight of lesion pixels. dice: with that term.
    """
    target = masks.to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(logits, target, pos_weight=logits.new_tensor(positive))
    if not dice:
        return loss
    p = logits.sigmoid()
    both, either = (p * target).sum((0, 2, 3)), (p + target).sum((0, 2, 3))
    terms = 1 - (2 * both + 1) / (either + 1)
    present = target.flatten(2).amax((0, 2)) > 0
    return loss + (terms * present).sum() / present.sum().clamp_min(1)


def self_information(probability: Tensor) -> Tensor:
    """-P log2 P / log2 C of a two-class probability, with C = 2.

    Args:
        probability: (N, ...) in [0, 1].

    Returns:
        (N, 2, ...), the classes being p and 1 - p; 0 log 0 is 0.
    """
    both = torch.stack([probability, 1 - probability], 1)
    return -torch.special.xlogy(both, both) / torch.log(both.new_tensor(2.0))


def information_of(logits: Tensor) -> Tensor:
    """`self_information` of logits, whose gradient is finite where a probability is 0 or 1 to rounding."""
    p, n = logits.sigmoid(), (-logits).sigmoid()
    bits = torch.stack([p * F.softplus(-logits), n * F.softplus(logits)], 1)
    return bits / torch.log(bits.new_tensor(2.0))


def entropy(probability: Tensor, where: Tensor | None = None) -> Tensor:
    """Mean entropy, in bits, of two-class probabilities (N, K, h, w), within a mask (N, h, w)."""
    bits = self_information(probability).sum(1).mean(1)
    return bits.mean() if where is None else (bits * where).sum() / where.sum().clamp_min(1)


def gradient_penalty(critic: nn.Module, source: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
    """Mean squared distance of the slope's length from 1, at random points between both features (N, d).

    The last term of equation (3), without its factor.
    """
    share = torch.rand(len(source), 1, generator=generator, device="cpu").to(source)
    between = (share * source + (1 - share) * target).detach().requires_grad_()
    slope = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0]
    return (slope.norm(dim=1) - 1).square().mean()


def grade_loss(logits: Tensor, grades: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of grades (N,)."""
    return F.cross_entropy(logits, grades, label_smoothing=smoothing)


def soft_mask(explanation: Tensor, *, sharpness: float = SHARPNESS, cut: float = CUT) -> Tensor:
    """T(M) = sigmoid(100 (M - 0.25)) of an explanation map in [0, 1] (released code)."""
    return torch.sigmoid(sharpness * (explanation - cut))


def erased(images: Tensor, explanation: Tensor) -> Tensor:
    """Pictures with what explains them taken out: x - x T(M), M (N, 1, h, w)."""
    return images * (1 - soft_mask(explanation))


def erasure_loss(logits: Tensor, grades: Tensor, *, sign: str = "released") -> Tensor:
    """What the grade of the erased pictures should be.

    Args:
        logits: (N, 5), of the erased pictures.
        grades: (N,).
        sign: "released": still the true grade, so that more than one place is used; "gain": as Li and others (2018),
            the true grade's probability is to fall, so that the map covers all that speaks for it.
    """
    if sign == "released":
        return F.cross_entropy(logits, grades)
    if sign == "gain":
        return logits.softmax(1).gather(1, grades.unsqueeze(1)).mean()
    raise ValueError(f"Unknown sign {sign!r}: choose released or gain.")


def consistency_loss(explanation: Tensor, masks: Tensor) -> Tensor:
    """One minus the soft Jaccard index of an explanation and the lesions, over pictures with a lesion.

    Ours, after a term that the released code has commented out; on the explanation's own coarse grid, where a cell
    counts as lesion if any pixel of it is, since lesions are much smaller than cells.

    Args:
        explanation: (N, 1, h, w) in [0, 1]. masks: (N, K, H, W).
    """
    union = F.adaptive_max_pool2d(masks.to(explanation.dtype).amax(1, keepdim=True), explanation.shape[-2:])
    both = (explanation * union).sum((1, 2, 3))
    either = (explanation + union - explanation * union).sum((1, 2, 3))
    has = union.amax((1, 2, 3)) > 0
    return ((1 - both / either.clamp_min(1e-6)) * has).sum() / has.sum().clamp_min(1)
