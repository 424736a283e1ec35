"""The evidence's runs: every network is trained once a seed and shared among the claims.

A clinic with camera A has drawn masks; one with camera B has pictures, and later an expert.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from firsthand.data.drawn.fundus import fundi
from firsthand.data.drawn.lesions import KINDS
from firsthand.drgnet.adaptation import Adaptation, adapt, colour_matched
from firsthand.drgnet.feedback import Expert
from firsthand.drgnet.interaction import Round, Update, interact
from firsthand.drgnet.lab.metrics import binned_average_precision, quadratic_kappa
from firsthand.drgnet.losses import MEANT
from firsthand.drgnet.network import Grader, UNet
from firsthand.drgnet.system import DRGNet, Retinas, gathered, lesion_probabilities, predicted_grades
from firsthand.drgnet.training import (
    Recipe,
    Terms,
    chances,
    cut_out,
    take_over,
    train_grader,
    train_segmenter,
    train_together,
)
from firsthand.kit.lab.cached import cached

WIDTH = 8
UNION, LESIONS, SCRATCH = Recipe(200), Recipe(600), Recipe(800)
GRADES, TOGETHER = Recipe(600, 1e-3), Recipe(30, 3e-4, warmup=3, batch=4, crop=None)
ADAPT = Recipe(120, 1e-3)
ROUND = Update(steps=20, batch=4)
ROUNDS, PICTURES = 4, 5
#: What is drawn for a seed: name to (first picture, how many, camera).
SETS = {
    "train": (0, 120, 0.0), "graded": (1000, 120, 0.0), "test": (2000, 80, 0.0),
    "test by B": (2000, 80, 1.0), "other": (4000, 100, 1.0),
    "other test": (5000, 80, 1.0), "pool": (6000, 60, 1.0),
}  # fmt: skip
ADAPTED = {
    "source": Adaptation(), "watched": Adaptation(seen=True), "wasserstein": Adaptation(wasserstein=0.1),
    "adversarial": Adaptation(adversarial=0.01),
    "both": Adaptation(wasserstein=0.1, adversarial=0.01),
}  # fmt: skip


@cache
def pictures(name: str, seed: int) -> Retinas:
    """One of SETS."""
    first, count, camera = SETS[name]
    return gathered(fundi(100_000 * (seed + 1) + first, count, camera=camera))


def _fresh(seed: int, outputs: int = len(KINDS)) -> UNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet(out_channels=outputs, width=WIDTH)


@cached
def segmenter(start: str, seed: int) -> UNet:
    """A segmenter trained on camera A: "union" first on all lesions as one, or from "scratch", for as many steps."""
    data = pictures("train", seed)
    if start == "scratch":
        net = _fresh(seed)
        train_segmenter(net, data, SCRATCH, seed=seed)
        return net.eval()
    before = _fresh(seed, 1)
    train_segmenter(before, data, UNION, seed=seed, union=True)
    net = take_over(_fresh(seed), before)
    LOSSES[seed] = train_segmenter(net, data, LESIONS, seed=seed)
    return net.eval()


LOSSES: dict[int, list[float]] = {}  # of the segmenters that were trained here, for a card of weights


def losses_of(seed: int) -> list[float]:
    """Of the segmenter that starts with the union, by step."""
    segmenter("union", seed)
    return LOSSES[seed]


@cached
def adapted(how: str, seed: int) -> UNet:
    """A segmenter that goes on with camera A's masks and camera B's pictures.

    Args:
        how: of ADAPTED; "oracle": camera B's masks are given as well.
        seed: of the segmenter.
    """
    net, source, target = copy.deepcopy(segmenter("union", seed)), pictures("train", seed), pictures("other", seed)
    if how == "oracle":
        train_segmenter(net, both_sets(source, target), replace(ADAPT, batch=2 * ADAPT.batch), seed=seed)
    else:
        adapt(net, source, target, ADAPT, ADAPTED[how], seed=seed)
    return net.eval()


def both_sets(first: Retinas, second: Retinas) -> Retinas:
    """Two sets as one."""
    return Retinas(*(torch.cat([a, b]) for a, b in zip(vars(first).values(), vars(second).values(), strict=True)))


def normed_anew(net: UNet, data: Retinas) -> UNet:
    """A copy whose batch norm has the statistics of these pictures: the cheapest adaptation.

    They are taken on crops, as in training: a network that learned on crops is lost with those of whole pictures.
    Nothing is known of the masks here, so the crops lie anywhere.
    """
    found = copy.deepcopy(net).train()
    norms = [m for m in found.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # type: ignore[assignment]  # a plain mean
    generator = torch.Generator().manual_seed(0)
    unmarked = replace(data, masks=torch.zeros_like(data.masks))
    with torch.no_grad():
        for rows in torch.arange(len(data)).split(LESIONS.batch):
            found(cut_out(unmarked, rows, LESIONS.crop, chances(len(rows), generator))[0])
    return found.eval()


# ---------------------------------------------------------------------------------------------- precision


def precisions(probability: Tensor, data: Retinas) -> np.ndarray:
    """Average precision of every lesion within the retina, (4,)."""
    inside = [(probability[:, k][data.retina].half(), data.masks[:, k][data.retina]) for k in range(len(KINDS))]
    return np.array([binned_average_precision(p, m) for p, m in inside])


@cached
def seen(start: str, name: str, seed: int) -> Tensor:
    """Probabilities of lesions on one of SETS, in half precision, by a segmenter of camera A."""
    return lesion_probabilities(segmenter(start, seed), pictures(name, seed).images).half()


@cached
def precision(start: str, name: str, seed: int) -> np.ndarray:
    """`precisions` of it."""
    return precisions(seen(start, name, seed), pictures(name, seed))


@cached
def adapted_precision(how: str, seed: int) -> np.ndarray:
    """`precisions` on camera B's test; `how` as `adapted`, or "colour" (pictures matched to camera A's colours), "norm"
    (batch norm measured anew on camera B's pictures), both for "source" and without training."""
    data = pictures("other test", seed)
    if how == "colour":
        images = colour_matched(data.images, data.retina, pictures("train", seed))
        return precisions(lesion_probabilities(adapted("source", seed), images), data)
    if how == "norm":
        net = normed_anew(adapted("source", seed), pictures("other", seed))
        return precisions(lesion_probabilities(net, data.images), data)
    return precisions(lesion_probabilities(adapted(how, seed), data.images), data)


# ------------------------------------------------------------------------------------------------- grades


@dataclass(frozen=True)
class Kind:
    """A grader: its attention, whether its explanation has a loss of its own, and whether its gradients reach the
    segmenter where both are fine-tuned."""

    attention: str = "both"
    terms: bool = True
    joint: bool = True


FULL, PLAIN, APART = Kind(), Kind("none", False), Kind(joint=False)
#: Without the erasure term: it takes every picture through the network once more, at full size, forward and back.
TERMS = Terms(erasure=0.0)


@cache
def _to_grade(seed: int) -> Retinas:
    """Pictures with masks and as many of which only the grade is known."""
    more = pictures("graded", seed)
    return both_sets(pictures("train", seed), replace(more, masks=torch.zeros_like(more.masks)))


@cached
def graded(kind: Kind, seed: int) -> Grader:
    """A grader trained on camera A, given what the segmenter sees.

    Without attention it takes twice as many steps: each costs half as much, since its layers run once.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Grader(kind.attention, width=WIDTH)
    net.share(segmenter("union", seed))
    lesions = torch.cat([seen("union", name, seed) for name in ("train", "graded")])
    recipe = replace(GRADES, steps=2 * GRADES.steps) if kind.attention == "none" else GRADES
    train_grader(net, _to_grade(seed), lesions, recipe, terms=TERMS if kind.terms else None, seed=seed)
    return net.eval()


@cached
def system(kind: Kind, seed: int) -> DRGNet:
    """Segmenter and grader, fine-tuned together."""
    found = DRGNet(width=WIDTH, attention=kind.attention)
    found.segmenter.load_state_dict(segmenter("union", seed).state_dict())
    found.grader.load_state_dict(graded(replace(kind, joint=True), seed).state_dict())
    terms = TERMS if kind.terms else None
    train_together(found, pictures("train", seed), TOGETHER, terms=terms, joint=kind.joint, seed=seed)
    return found.eval()


@dataclass(frozen=True)
class Score:
    """How good a system is: precision of every lesion (4,), and kappa of the grades."""

    precision: np.ndarray
    kappa: float

    @property
    def mean(self) -> float:
        """Mean precision over the lesions."""
        return float(self.precision.mean())


def score_of(found: DRGNet, data: Retinas) -> Score:
    """On some pictures."""
    probability = lesion_probabilities(found.segmenter, data.images)
    grades = predicted_grades(found.grader, data.images, probability).argmax(1)
    return Score(precisions(probability, data), quadratic_kappa(data.grades, grades))


@cached
def scored(kind: Kind, name: str, seed: int) -> Score:
    """Of a system on one of SETS."""
    return score_of(system(kind, seed), pictures(name, seed))


def lesion_counts(probability: Tensor, threshold: float = MEANT) -> np.ndarray:
    """What a simple rival knows of a picture, (N, 12): number and area of what a segmenter marks of every lesion, and
    the number of haemorrhages in every quarter of the picture; log(1 + n)."""
    from scipy import ndimage

    def parts(mask: np.ndarray) -> int:
        return int(ndimage.label(mask, structure=np.ones((3, 3)))[1])

    rows = []
    for one in (probability >= threshold).numpy():
        half = one.shape[-1] // 2
        bleeding = one[KINDS.index("HE")]
        quarters = [bleeding[a : a + half, b : b + half] for a in (0, half) for b in (0, half)]
        rows.append([*map(parts, one), *one.sum((1, 2)).tolist(), *map(parts, quarters)])
    return np.log1p(np.array(rows, dtype=float))


@cached
def counted_kappa(seed: int) -> float:
    """Kappa of a logistic regression on the counts of the predicted lesions, on camera A's test; its penalty chosen by
    cross-validation."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    net = system(FULL, seed).segmenter
    train, test = _to_grade(seed), pictures("test", seed)
    x, x_test = (lesion_counts(lesion_probabilities(net, data.images)) for data in (train, test))
    model = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=8, cv=3, max_iter=2000, random_state=0))
    return quadratic_kappa(test.grades, model.fit(x, train.grades.numpy()).predict(x_test))


# ---------------------------------------------------------------------------------------------- interaction


@dataclass(frozen=True)
class Study:
    """One interaction with camera B's pool.

    Attributes:
        kind: whose system. expert: "masks", "clicks", "flags", "grade" or "none". noise: of its corrections.
        choose: as `interact`. replay: of the training set.
    """

    kind: Kind = FULL
    expert: str = "masks"
    noise: float = 0.0
    choose: str = "uncertain"
    replay: bool = True


FOLLOWED = (
    Study(), Study(expert="clicks"), Study(expert="grade"), Study(expert="none"), Study(choose="random"),
)  # fmt: skip


@cached
def interaction(study: Study, seed: int) -> tuple[list[Round], list[Score], DRGNet]:
    """Rounds, scores on camera B's test (after each round of those in FOLLOWED, else after the last), the system."""
    found, test = copy.deepcopy(system(study.kind, seed)), pictures("other test", seed)
    terms = TERMS if study.kind.terms else None
    scores: list[Score] = []

    def after(one: Round) -> None:
        one.before = one.after = None  # they are for the recorded run
        if study in FOLLOWED or one.number == ROUNDS:
            scores.append(score_of(found, test))

    rounds = interact(
        found, pictures("train", seed), pictures("pool", seed), Expert(study.expert, noise=study.noise), rounds=ROUNDS,
        pictures=PICTURES, how=replace(ROUND, replay=study.replay, terms=terms), choose=study.choose, seed=seed,
        after=after,
    )  # fmt: skip
    return rounds, scores, found


@cached
def at_home(study: Study | None, seed: int) -> Score:
    """On camera A's test, after an interaction or before all (None)."""
    found = system(FULL, seed) if study is None else interaction(study, seed)[2]
    return score_of(found, pictures("test", seed))
