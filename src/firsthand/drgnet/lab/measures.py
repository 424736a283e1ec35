"""What every claim of the chapter measures: measure(seed) -> (method, baseline or None). Precisions are in [0, 1]."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from firsthand.data.drawn.eye import FILL
from firsthand.data.drawn.fundus import SIZE, fundus
from firsthand.data.drawn.lesions import KINDS, LARGER, NAMES
from firsthand.drgnet.adaptation import pooled, rivals_for
from firsthand.drgnet.explain import elsewhere, explained, filled, gate_map, most
from firsthand.drgnet.feedback import summary
from firsthand.drgnet.lab import runs
from firsthand.drgnet.lab.runs import APART, FULL, PLAIN, Kind, Study, interaction, pictures, precision, scored
from firsthand.drgnet.network import UNet
from firsthand.drgnet.system import DRGNet, lesion_probabilities, need_apart, predicted_grades, unit
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.claims import NotTested

Value = tuple[float, float | None]
FLOOR = 0.4  # average precision on hard exudates and on haemorrhages that a segmenter must reach
GRADED = 0.5  # kappa that a system must reach before its grades are compared
SHARE = 0.05  # of the retina that is taken out where an explanation is tested
CELL = 32  # pixels of a cell within which a map points: Grad-CAM has no finer ones
IDRID_MA = 0.0050  # median diameter of a microaneurysm over the retina's width, in IDRiD


def floor(seed: int) -> None:
    """The chapter's quality floor."""
    for kind in ("EX", "HE"):
        if _ap(kind, precision("union", "test", seed)) < FLOOR:
            raise NotTested(f"the segmenter's precision on {NAMES[KINDS.index(kind)]} stays below {FLOOR}")


def graded_floor(seed: int) -> None:
    """The floor of everything about grades."""
    floor(seed)
    if not scored(FULL, "test", seed).kappa >= GRADED:
        raise NotTested(f"the system's kappa stays below {GRADED}")


def _ap(kind: str, values: np.ndarray) -> float:
    return float(values.mean() if kind == "mean" else values[KINDS.index(kind)])


# --------------------------------------------------------------------------------------- drawings and sets


def misgraded(seed: int) -> Value:
    """Of thirty drawn pictures, those where the rule, on lesions counted where they were drawn, gives another grade."""
    found = [fundus(500_000 + 30 * seed + k, size=64, grade=k % 5) for k in range(30)]
    return float(sum(one.grade != k % 5 for k, one in enumerate(found))), None


def overlapping(seed: int) -> Value:
    """Eyes that are in two of the sets, those of one test by two cameras left out."""
    eyes: list[int] = []
    for name, (first, count, _) in runs.SETS.items():
        if name != "test by B":
            eyes += range(first, first + count)
    need_apart(**{name.replace(" ", "_"): pictures(name, seed) for name in runs.SETS})
    return float(len(eyes) - len(set(eyes))), None


def ma_drawn(seed: int) -> Value:
    """Median diameter (pixels) of the drawn microaneurysms' masks, against IDRiD's 1.7 times."""
    from scipy import ndimage

    sizes: list[float] = []
    for mask in pictures("test", seed).masks[:, KINDS.index("MA")].numpy():
        labels, count = ndimage.label(mask)
        sizes += np.bincount(labels.ravel(), minlength=count + 1)[1:].tolist()
    return float(np.median(2 * np.sqrt(np.array(sizes) / np.pi))) / (IDRID_MA * LARGER * FILL * SIZE), None


def bottleneck(seed: int) -> Value:
    """Numbers in the bottleneck of the released widths at 512 pixels."""
    with torch.device("meta"):
        return float(UNet(out_channels=2).encode(torch.empty(1, 3, 512, 512))[-1].numel()), None


# ------------------------------------------------------------------------------------------------ lesions


def found_lesions(kind: str, seed: int) -> Value:
    """Average precision of one lesion on camera A's test."""
    return _ap(kind, precision("union", "test", seed)), None


def union_gain(kind: str, seed: int) -> Value:
    """Average precision with and without the union first, equal steps."""
    floor(seed)
    return _ap(kind, precision("union", "test", seed)), _ap(kind, precision("scratch", "test", seed))


def union_rare(seed: int) -> Value:
    """What the union is worth for soft exudates, against what it is worth for hard ones."""
    floor(seed)
    gain = precision("union", "test", seed) - precision("scratch", "test", seed)
    return _ap("SE", gain), _ap("EX", gain)


def flattered(kind: str, seed: int) -> Value:
    """Average precision over pictures that have the lesion, against all pictures."""
    floor(seed)
    place, data = KINDS.index(kind), pictures("test", seed)
    has = data.masks[:, place].flatten(1).any(1)
    some = runs.precisions(runs.seen("union", "test", seed)[has], data.pick(has.nonzero().flatten().numpy()))
    return _ap(kind, some), _ap(kind, precision("union", "test", seed))


def halved(kind: str, seed: int) -> Value:
    """Average precision where pictures are given with half as many pixels a side, enlarged again, as a share of what it
    is otherwise; the network is the one for whole pictures."""
    floor(seed)
    data, whole = pictures("test", seed), _ap(kind, precision("union", "test", seed))
    if whole < 0.1:
        raise NotTested(f"{NAMES[KINDS.index(kind)]} are hardly found at all")
    small = F.avg_pool2d(data.images.float(), 2)
    images = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False).round().to(torch.uint8)
    probability = lesion_probabilities(runs.segmenter("union", seed), images)
    return _ap(kind, runs.precisions(probability, data)) / whole, None


# ------------------------------------------------------------------------------------------------ cameras


def camera_gap(seed: int) -> Value:
    """Mean precision on the test eyes photographed by camera A against the same eyes by camera B."""
    floor(seed)
    return _ap("mean", precision("union", "test", seed)), _ap("mean", precision("union", "test by B", seed))


def adaptation(how: str, other: str, seed: int) -> Value:
    """Mean precision on camera B's test by two ways to adapt."""
    floor(seed)
    return tuple(_ap("mean", runs.adapted_precision(name, seed)) for name in (how, other))  # type: ignore[return-value]


def critic_distance(seed: int) -> Value:
    """A fresh critic's distance of the cameras' features: after lowering it, against after only seeing both cameras."""
    floor(seed)
    return watched_distance("wasserstein", seed), watched_distance("watched", seed)


@cached
def watched_distance(how: str, seed: int) -> float:
    """The distance by a critic trained on the features of whole pictures, of a segmenter that stands still."""
    net = runs.adapted(how, seed)
    rivals, features = rivals_for(net, seed), []
    with torch.no_grad():
        for name in ("train", "other"):
            images = unit(pictures(name, seed).images[:64])
            features.append(torch.cat([pooled(net.encode(part)[-1]) for part in images.split(16)]))
    scale = torch.cat(features).std()  # so that a network cannot be near by being small
    for step in range(runs.ADAPT.steps):
        rows = torch.from_numpy(np.random.default_rng([seed, step]).permutation(64)[: 2 * runs.ADAPT.batch])
        rivals.train_critic(features[0][rows] / scale, features[1][rows] / scale, torch.Generator().manual_seed(step))
    return float(np.mean(rivals.distance[-10:]))


# ------------------------------------------------------------------------------------------------- grades


def full_kappa(seed: int) -> Value:
    """Kappa of the whole system on camera A's test."""
    return scored(FULL, "test", seed).kappa, None


def kappa(kind: Kind, other: Kind, seed: int) -> Value:
    """Kappa on camera A's test by two systems."""
    graded_floor(seed)
    return scored(kind, "test", seed).kappa, scored(other, "test", seed).kappa


def joined(what: str, seed: int) -> Value:
    """ "mean" precision or "kappa" on camera A's test: fine-tuned with the grade's gradients in the segmenter, against
    without, equal steps."""
    (graded_floor if what == "kappa" else floor)(seed)
    return getattr(scored(FULL, "test", seed), what), getattr(scored(APART, "test", seed), what)


def against_counts(seed: int) -> Value:
    """Kappa of the whole system against a logistic regression on the counts of its lesions."""
    graded_floor(seed)
    return scored(FULL, "test", seed).kappa, runs.counted_kappa(seed)


# ------------------------------------------------------------------------------------------- explanations


@cached
def explanations(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """On camera A's test: the gate and Grad-CAM (N, s, s), predicted grades (N,) and their probabilities (N, 5)."""
    found, data = runs.system(FULL, seed), pictures("test", seed)
    lesions = lesion_probabilities(found.segmenter, data.images)
    probability = predicted_grades(found.grader, data.images, lesions)
    grades, gates, cams = probability.argmax(1), [], []
    for rows in torch.arange(len(data)).split(20):
        grading, cam = explained(found.grader, unit(data.images[rows]), lesions[rows], grades[rows])
        gates.append(gate_map(grading, SIZE)[:, 0])
        cams.append(cam[:, 0])
    return torch.cat(gates), torch.cat(cams), grades, probability


def _fall(seed: int, chosen: Tensor) -> float:
    """Mean fall of the predicted grade's probability when chosen pixels are filled in."""
    found, data = runs.system(FULL, seed), pictures("test", seed)
    _, _, grades, before = explanations(seed)
    images = (255 * filled(unit(data.images), chosen, data.retina)).round().to(torch.uint8)
    lesions = lesion_probabilities(found.segmenter, images)
    after = predicted_grades(found.grader, images, lesions)
    return float((before - after).gather(1, grades[:, None]).mean())


@cached
def falls(seed: int) -> tuple[float, float]:
    """Fall of the grade's probability without the gate's highest pixels, and without as shaped other retina off all
    lesions."""
    data = pictures("test", seed)
    chosen = most(explanations(seed)[0], SHARE, data.retina)
    return _fall(seed, chosen), _fall(seed, elsewhere(chosen, data.retina & ~data.masks.any(1)))


def deletion(seed: int) -> Value:
    """`falls`, the second one doubled, or nought where it is negative."""
    graded_floor(seed)
    gate, other = falls(seed)
    return gate, 2 * max(other, 0.0)


def gate_fall(seed: int) -> Value:
    """The first of `falls`."""
    graded_floor(seed)
    return falls(seed)[0], None


def counterfactual(seed: int) -> Value:
    """Change of the predicted grade's probability when the drawing leaves out the lesion of the largest share, against
    that of the smallest among those that are there; pictures with two kinds or more."""
    graded_floor(seed)
    found, data = runs.system(FULL, seed), pictures("test", seed)
    first, _, camera = runs.SETS["test"]
    changes: tuple[list[float], list[float]] = ([], [])
    for row in range(0, len(data), 2):  # every other picture: each has to be drawn twice more
        there = [k for k in range(len(KINDS)) if data.masks[row, k].any()]
        if len(there) < 2:
            continue
        before, shares = _graded(found, data.images[row])
        order = sorted(there, key=lambda k, shares=shares: float(shares[k]))  # type: ignore[misc]
        grade = int(before.argmax())
        for kept, kind in zip(changes, (order[-1], order[0]), strict=True):
            bare = fundus(100_000 * (seed + 1) + first + row, camera=camera, without=(KINDS[kind],))
            kept.append(abs(float(before[grade] - _graded(found, bare.image)[0][grade])))
    return float(np.mean(changes[0])), float(np.mean(changes[1]))


def _graded(system: DRGNet, image: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities of the grades (5,) and shares of the lesions (4,) of one uint8 picture."""
    lesions = lesion_probabilities(system.segmenter, image[None])
    with torch.no_grad():
        grading = system.grader(unit(image[None]), lesions)
    assert grading.shares is not None
    return grading.logits.softmax(1)[0], grading.shares[0]


def _cells(values: Tensor) -> Tensor:
    """The largest value of every cell: (N, s, s) to (N, cells)."""
    return F.max_pool2d(values.float().unsqueeze(1), CELL).flatten(1)


@cached
def pointing(which: str, seed: int) -> float:
    """Share of the pictures with a lesion in which a map's highest cell holds one; "chance": the mean share of cells
    that do."""
    data = pictures("test", seed)
    lesion, inside = _cells(data.masks.any(1)) > 0, _cells(data.retina) > 0
    has = lesion.any(1)
    if which == "chance":
        return float((lesion.sum(1) / inside.sum(1))[has].mean())
    scores = _cells(explanations(seed)[0 if which == "gate" else 1].masked_fill(~data.retina, -1))
    return float(lesion.gather(1, scores.argmax(1, keepdim=True))[:, 0][has].float().mean())


def points(seed: int) -> Value:
    """`pointing` of the gate."""
    graded_floor(seed)
    return pointing("gate", seed), None


def points_better(other: str, seed: int) -> Value:
    """The gate against Grad-CAM ("cam") or "chance"."""
    graded_floor(seed)
    return pointing("gate", seed), pointing(other, seed)


# ------------------------------------------------------------------------------------------------ feedback


NONE = Study(expert="none")


def _last(study: Study, seed: int) -> runs.Score:
    return interaction(study, seed)[1][-1]


def feedback(study: Study, what: str, seed: int, other: Study = NONE) -> Value:
    """ "mean" precision or "kappa" on camera B's test after all rounds, against replay alone or another study."""
    (graded_floor if what == "kappa" else floor)(seed)
    return getattr(_last(study, seed), what), getattr(_last(other, seed), what)


def gain(study: Study, seed: int) -> float:
    """Mean precision won by feedback over replay alone, for the same system."""
    nothing = Study(kind=study.kind, expert="none")
    return _last(study, seed).mean - _last(nothing, seed).mean


def part_of_gain(study: Study, share: float, seed: int) -> Value:
    """What a study wins, against a share of what full masks win, which counts as 0.01 at least: nothing is no gain."""
    floor(seed)
    return gain(study, seed), share * max(gain(Study(kind=study.kind), seed), 0.01)


def less_lost(seed: int) -> Value:
    """Mean precision and kappa, averaged, that noisy corrections of the same pictures cost: without attention and
    terms, against with them."""
    graded_floor(seed)
    lost = []
    for kind in (PLAIN, FULL):
        clean, noisy = (_last(Study(kind=kind, choose="random", noise=noise), seed) for noise in (0.0, 0.2))
        lost.append(0.5 * (clean.mean - noisy.mean + clean.kappa - noisy.kappa))
    return lost[0], lost[1]


def pixel_share(seed: int) -> Value:
    """Pixels that clicks annotate, over those of masks."""
    floor(seed)
    said = [
        summary([one for part in interaction(Study(expert=kind), seed)[0] for one in part.feedback])["pixels"]
        for kind in ("clicks", "masks")
    ]
    return said[0] / said[1], None


def early(seed: int) -> Value:
    """Mean precision over the first two rounds, by uncertainty against by chance."""
    floor(seed)
    return tuple(  # type: ignore[return-value]
        float(np.mean([score.mean for score in interaction(Study(choose=choose), seed)[1][:2]]))
        for choose in ("uncertain", "random")
    )


def moved(seed: int) -> Value:
    """Mean change of uncorrected, not surely empty pixels' probability on the corrected pictures, the largest round."""
    floor(seed)
    return max(one.moved for one in interaction(Study(), seed)[0]), None


def kept(replay: bool, seed: int) -> Value:
    """Mean precision on camera A's test after all rounds with camera B's pool, against before."""
    floor(seed)
    return runs.at_home(Study(replay=replay), seed).mean, runs.at_home(None, seed).mean


def kept_beside(seed: int) -> Value:
    """The same with replay, against replay alone for as many steps."""
    floor(seed)
    return runs.at_home(Study(), seed).mean, runs.at_home(NONE, seed).mean


def round_curve(study: Study, what: str, seed: int) -> list[float | None]:
    """ "mean" or "kappa" on camera B's test before and after every round."""
    values = [getattr(scored(study.kind, "other test", seed), what)]
    values += [getattr(one, what) for one in interaction(study, seed)[1]]
    return [None if not np.isfinite(value) else float(value) for value in values]


def not_here(reason: str, seed: int) -> Value:
    """A number of the paper that needs its data."""
    raise NotTested(reason)
