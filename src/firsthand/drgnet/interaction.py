"""DRG-Expert-Interaction: choose pictures, take corrections, update the whole system, and do not forget.

The paper's abstract fixes the principle; targets, weights and schedule are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.data.drawn.lesions import KINDS
from firsthand.data.readers.retinas import field_of_view
from firsthand.drgnet.feedback import Correction, Expert, simulated
from firsthand.drgnet.losses import MEANT, entropy, segmentation_loss
from firsthand.drgnet.system import DRGNet, Retinas, lesion_probabilities, predicted_grades, unit
from firsthand.drgnet.training import Terms, chances, cut_out, grading_terms

SMOOTHING = 0.1  # of a corrected grade
UNSURE = (0.3, 0.7)  # the old model teaches nothing where its probability lies between
SURELY_NOT = 0.1  # probability below which a pixel is background for sure
TOP = 0.01  # share of the pixels of which one at least is lesion where a lesion is said to be present


@dataclass(frozen=True)
class Update:
    """How a round updates the system.

    Attributes:
        steps, lr: of Adam. batch: pictures a step; half of them are corrected ones, half are replayed.
        edited, kept: weights of corrected pixels, and of what the old model says about all others.
        replay: False: corrected pictures only. crop: of the replayed ones.
        terms: of the grader. drop: share of the corrected pixels, those with the largest loss, that is not believed.
    """

    steps: int = 40
    lr: float = 3e-4
    batch: int = 8
    edited: float = 5.0
    kept: float = 0.5
    replay: bool = True
    crop: int = 128
    terms: Terms | None = None
    drop: float = 0.0


@dataclass
class Lesson:
    """Corrected pictures as targets.

    Attributes:
        images: uint8 (n, 3, s, s). hard: (n, 4, s, s), 1 lesion, 0 not, where `edited` (bool) is set.
        soft: (n, 4, s, s), what the old model said. retina: bool (n, s, s). grades: (n,), -1 where nobody said.
        presence: (n, 4), 1 present, 0 absent, -1 unknown.
    """

    images: Tensor
    hard: Tensor
    edited: Tensor
    soft: Tensor
    retina: Tensor
    grades: Tensor
    presence: Tensor


def lesson_of(images: Tensor, soft: Tensor, feedback: Sequence[Correction]) -> Lesson:
    """Targets of corrected pictures: what the expert said, else what the model said before."""
    positive = torch.from_numpy(np.stack([one.positive for one in feedback]))
    negative = torch.from_numpy(np.stack([one.negative for one in feedback]))
    said = [[one.presence.get(kind) for kind in KINDS] for one in feedback]
    return Lesson(
        images, positive.float(), positive | negative, soft, field_of_view(images),
        torch.tensor([-1 if one.grade is None else one.grade for one in feedback]),
        torch.tensor([[-1 if flag is None else int(flag) for flag in line] for line in said]),
    )  # fmt: skip


def lesson_loss(logits: Tensor, lesson: Lesson, rows: Tensor, how: Update) -> Tensor:
    """Loss of lesion logits (n, 4, s, s) on the lessons of some rows: edited pixels, kept pixels, flags."""
    device = logits.device
    edited, hard, soft = (part[rows].to(device) for part in (lesson.edited, lesson.hard, lesson.soft))
    loss = F.binary_cross_entropy_with_logits(logits, torch.where(edited, hard, soft), reduction="none")
    weight = how.edited * edited
    if how.drop and edited.any():
        limit = loss.detach()[edited].quantile(1 - how.drop)
        weight = weight * (loss.detach() <= limit)
    sure = ~edited & ((soft < UNSURE[0]) | (soft > UNSURE[1]))
    total = (weight * loss).sum() / edited.sum().clamp_min(1) + (how.kept * sure * loss).sum() / sure.sum().clamp_min(1)
    return total + _flags(logits, lesson.presence[rows].to(device), lesson.retina[rows].to(device))


def _flags(logits: Tensor, presence: Tensor, retina: Tensor) -> Tensor:
    """A lesion that is present lights up at one place at least, -log(1 - prod (1 - p)); one that is absent nowhere."""
    flat = logits.masked_fill(~retina.unsqueeze(1), -30.0).flatten(2)
    top = flat.topk(max(1, int(TOP * flat.shape[2])), dim=2).values
    some = -torch.log(-torch.expm1(-F.softplus(top).sum(2)).clamp_max(-1e-6))
    none = -F.logsigmoid(-flat).mean(2)
    return ((presence == 1) * some + (presence == 0) * none).mean()


def update(
    system: DRGNet, lesson: Lesson, data: Retinas, how: Update, *, seed: int | tuple[int, ...] = 0
) -> list[float]:
    """Update segmenter and grader in place, batch norm's statistics as they are; returns the losses.

    Args:
        system: to update.
        lesson: corrected pictures so far.
        data: the training set, for replay.
        how: the recipe.
        seed: of batches.
    """
    rng, generator = np.random.default_rng([*np.atleast_1d(seed), 71]), torch.Generator()
    generator.manual_seed(int(rng.integers(2**31)))
    device = next(system.parameters()).device
    optimizer = torch.optim.Adam(system.parameters(), lr=how.lr)
    half, losses = how.batch // 2, []
    system.eval()
    for _ in range(how.steps):
        total = torch.zeros((), device=device)
        if len(lesson.images):
            rows = torch.from_numpy(rng.choice(len(lesson.images), min(half, len(lesson.images)), replace=False))
            total = total + _lesson_step(system, lesson, rows, how)
        if how.replay or not len(lesson.images):
            total = total + _replay_step(system, data, rng.choice(len(data), half, replace=False), how, generator)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(system.parameters(), 5.0)
        optimizer.step()
        losses.append(float(total.detach()))
    return losses


def _lesson_step(system: DRGNet, lesson: Lesson, rows: Tensor, how: Update) -> Tensor:
    device = next(system.parameters()).device
    images, graded = unit(lesson.images[rows]).to(device), lesson.grades[rows] >= 0
    logits = system.segmenter(images)
    total = lesson_loss(logits, lesson, rows, how)
    if graded.any():
        chosen = graded.to(device)
        # Gradients of the grade reach the segmenter: a grade alone teaches both.
        lesions, grades = logits.sigmoid()[chosen], lesson.grades[rows][graded].to(device)
        said, edited = (part[rows][graded].to(device) for part in (lesson.hard, lesson.edited))
        masks = torch.where(edited, said > 0.5, lesions.detach() >= MEANT)
        total = total + grading_terms(
            system.grader, images[chosen], lesions, masks, grades, how.terms, smoothing=SMOOTHING
        )
    return total


def _replay_step(
    system: DRGNet, data: Retinas, rows: np.ndarray, how: Update, generator: torch.Generator
) -> Tensor:  # fmt: skip
    device = next(system.parameters()).device
    images, masks, _ = cut_out(data, rows, how.crop, chances(len(rows), generator))
    total = segmentation_loss(system.segmenter(images.to(device)), masks.to(device))
    whole = unit(data.images[rows]).to(device)
    with torch.no_grad():
        lesions = system.segmenter(whole).sigmoid()
    grades, masks = data.grades[rows].to(device), data.masks[rows].to(device)
    return total + grading_terms(system.grader, whole, lesions, masks, grades, how.terms)


# ---------------------------------------------------------------------------------------------- rounds


@torch.no_grad()
def uncertainty(probability: Tensor, grades: Tensor, retina: Tensor) -> Tensor:
    """How unsure the system is of each picture, (N,): its rank by the mean entropy of the lesions' pixels within the
    retina plus its rank by the entropy of the grade, since the one is a hundredth of the other.

    Args:
        probability: (N, 4, s, s). grades: probabilities (N, 5). retina: bool (N, s, s).
    """
    pixels = torch.stack([entropy(p[None], r[None]) for p, r in zip(probability, retina, strict=True)])
    ranks = [values.argsort().argsort().float() for values in (pixels, torch.special.entr(grades).sum(1))]
    return ranks[0] + ranks[1]


@dataclass
class Round:
    """One round.

    Attributes:
        number: from 1. chosen: rows of the pool. feedback: on them. moved: mean change of the probability of pixels
            that nobody corrected and that were not surely background (from 0.1 on), on the corrected pictures.
        before, after: probabilities (n, 4, s, s) before and after the update on them, in half precision; or None.
    """

    number: int
    chosen: list[int]
    feedback: list[Correction]
    moved: float
    before: Tensor | None
    after: Tensor | None


def interact(
    system: DRGNet, data: Retinas, pool: Retinas, expert: Expert, *, rounds: int = 4, pictures: int = 5,
    how: Update | None = None, choose: str = "uncertain", seed: int = 0,
    after: Callable[[Round], None] | None = None,
) -> list[Round]:  # fmt: skip
    """Rounds of correction by a simulated expert, the system updated in place after each.

    Args:
        system: trained. data: its training set. pool: pictures that may be chosen, each once.
        expert: who corrects.
        rounds, pictures: of each how many.
        how: the recipe of an update.
        choose: "uncertain" (`uncertainty`) or "random".
        seed: of choice, errors and batches.
        after: called with every round.

    Raises:
        ValueError: an unknown choice, or more pictures than the pool has.
    """
    if choose not in ("uncertain", "random"):
        raise ValueError(f"Unknown choice {choose!r}: choose uncertain or random.")
    if rounds * pictures > len(pool):
        raise ValueError(f"{rounds} rounds of {pictures} pictures need as many; the pool has {len(pool)}.")
    how, rng, hashes = how or Update(), np.random.default_rng([seed, 70]), pool.hashes()
    left, found, lessons = list(range(len(pool))), [], None
    for number in range(1, rounds + 1):
        offered = pool.pick(left)
        probability = lesion_probabilities(system.segmenter, offered.images)
        places = _chosen(system, offered, probability, choose, pictures, rng)
        rows = [left[place] for place in places]
        feedback = [
            simulated(
                hashes[row],
                number,
                probability[place].numpy(),
                pool.masks[row].numpy(),
                int(pool.grades[row]),
                expert,
                rng,
            )
            for place, row in zip(places, rows, strict=True)
        ]
        left = [row for row in left if row not in rows]
        fresh = lesson_of(pool.images[rows], probability[places], feedback)
        lessons = fresh if lessons is None else _joined(lessons, fresh)
        update(system, _spoken(lessons), data, how, seed=(seed, number))
        now = lesion_probabilities(system.segmenter, fresh.images)
        open_ones = ~fresh.edited & (fresh.soft > SURELY_NOT)
        moved = float((now - fresh.soft).abs()[open_ones].mean()) if open_ones.any() else 0.0
        found.append(Round(number, rows, feedback, moved, fresh.soft.half(), now.half()))
        if after is not None:
            after(found[-1])
    return found


def _chosen(
    system: DRGNet, offered: Retinas, probability: Tensor, choose: str, count: int, rng: np.random.Generator
) -> list[int]:
    if choose == "random":
        return [int(place) for place in rng.permutation(len(offered))[:count]]
    grades = predicted_grades(system.grader, offered.images, probability)
    scores = uncertainty(probability, grades, offered.retina)
    return [int(place) for place in scores.argsort(descending=True)[:count]]


def _joined(first: Lesson, second: Lesson) -> Lesson:
    return Lesson(*(torch.cat([a, b]) for a, b in zip(vars(first).values(), vars(second).values(), strict=True)))


def _spoken(lesson: Lesson) -> Lesson:
    """Without pictures of which nothing was said: then nothing is learned from them, and only replay is left."""
    said = lesson.edited.flatten(1).any(1) | (lesson.grades >= 0) | (lesson.presence >= 0).any(1)
    return Lesson(*(part[said] for part in vars(lesson).values()))
