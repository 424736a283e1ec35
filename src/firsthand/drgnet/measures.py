"""What every claim of the chapter measures: measure(seed) -> (method, baseline or None). Precisions are in [0, 1]."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from firsthand.data.fundus import SIZE, fundus
from firsthand.data.lesions import DIAMETER, KINDS, LARGER
from firsthand.drgnet import runs
from firsthand.drgnet.explain import explained, filled, gate_map, most
from firsthand.drgnet.feedback import summary
from firsthand.drgnet.metrics import pixel_average_precision, positive_only
from firsthand.drgnet.network import UNet
from firsthand.drgnet.runs import FULL, PLAIN, Kind, Study, interaction, pictures, precision, scored
from firsthand.drgnet.system import lesion_probabilities, need_apart, predicted_grades, unit
from firsthand.kit.claims import NotTested
from firsthand.kit.shared import shared

Value = tuple[float, float | None]
FLOOR = 0.4  # average precision on hard exudates that a segmenter must reach
SHARE = 0.05  # of the retina that is taken out where an explanation is tested
NEAR = 4  # pixels from a lesion that still count as on it: the gate has two pixels a cell
IDRID_MA = 0.0050  # median diameter of a microaneurysm over the retina's width, in IDRiD


def floor(seed: int) -> None:
    """The chapter's quality floor."""
    found = precision("union", "test", seed)[KINDS.index("EX")]
    if found < FLOOR:
        raise NotTested(f"the segmenter's precision on hard exudates stays below {FLOOR}")


def _ap(kind: str, values: np.ndarray) -> float:
    return float(values.mean() if kind == "mean" else values[KINDS.index(kind)])


# --------------------------------------------------------------------------------------- drawings and sets


def misgraded(seed: int) -> Value:
    """Of fifty drawn pictures, those whose grade by the rule is not the one that was asked for."""
    found = [fundus(500_000 + 50 * seed + k, size=32, grade=k % 5) for k in range(50)]
    return float(sum(one.grade != k % 5 for k, one in enumerate(found))), None


def overlapping(seed: int) -> Value:
    """1 if two of the sets share a picture."""
    try:
        need_apart(**{name.replace(" ", "_"): pictures(name, seed) for name in runs.SETS})
    except ValueError:
        return 1.0, None
    return 0.0, None


def ma_pixels(size: int, seed: int) -> Value:
    """Pixels across IDRiD's median microaneurysm where the retina is so many pixels wide."""
    return IDRID_MA * size, None


def ma_drawn(seed: int) -> Value:
    """Pixels across our median microaneurysm."""
    return DIAMETER["MA"][0] * SIZE, IDRID_MA * LARGER * SIZE


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
    probability = runs.seen("union", "test", seed).float()[:, place]
    return positive_only(probability, data.masks[:, place]), _ap(kind, precision("union", "test", seed))


def halved(kind: str, seed: int) -> Value:
    """Average precision where pictures have half as many pixels a side (enlarged again), as a share of the whole."""
    floor(seed)
    data, place = pictures("test", seed), KINDS.index(kind)
    small = F.avg_pool2d(data.images.float(), 2)
    images = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False).round().to(torch.uint8)
    probability = lesion_probabilities(runs.segmenter("union", seed), images)[:, place]
    return pixel_average_precision(probability, data.masks[:, place]) / _ap(
        kind, precision("union", "test", seed)
    ), None


# ------------------------------------------------------------------------------------------------ cameras


def camera_gap(seed: int) -> Value:
    """Mean precision on camera A's test against camera B's, trained on camera A."""
    floor(seed)
    return _ap("mean", precision("union", "test", seed)), _ap("mean", precision("union", "other test", seed))


def adaptation(how: str, other: str, seed: int) -> Value:
    """Mean precision on camera B's test by two ways to adapt."""
    floor(seed)
    return tuple(_ap("mean", runs.adapted_precision(name, seed)) for name in (how, other))  # type: ignore[return-value]


def critic_distance(seed: int) -> Value:
    """The critic's distance of the cameras' features at the end: where it is lowered, against where it only watches."""
    floor(seed)
    return runs.adapted("wasserstein", seed)[1], watched_distance(seed)


@shared
def watched_distance(seed: int) -> float:
    """The distance by a critic trained alone on the features of the segmenter that saw camera A only."""
    from firsthand.drgnet.adaptation import pooled, rivals_for

    net = runs.adapted("source", seed)[0]
    rivals, features = rivals_for(net, seed), []
    with torch.no_grad():
        for name in ("train", "other"):
            images = unit(pictures(name, seed).images[:64])
            features.append(torch.cat([pooled(net.encode(part)[-1]) for part in images.split(16)]))
    for step in range(runs.ADAPT.steps):
        rows = torch.from_numpy(np.random.default_rng([seed, step]).permutation(64)[: runs.ADAPT.batch])
        rivals.train_critic(features[0][rows], features[1][rows], torch.Generator().manual_seed(step))
    return float(np.mean(rivals.distance[-10:]))


# ------------------------------------------------------------------------------------------------- grades


def kappa(kind: Kind, other: Kind, seed: int) -> Value:
    """Kappa on camera A's test by two systems."""
    floor(seed)
    return scored(kind, "test", seed).kappa, scored(other, "test", seed).kappa


def against_counts(seed: int) -> Value:
    """Kappa of the whole system against a logistic regression on the counts of its lesions."""
    floor(seed)
    return scored(FULL, "test", seed).kappa, runs.counted_kappa(seed)


# ------------------------------------------------------------------------------------------- explanations


@shared
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
    images = (255 * filled(unit(data.images), chosen)).round().to(torch.uint8)
    lesions = lesion_probabilities(found.segmenter, images)
    after = predicted_grades(found.grader, images, lesions)
    return float((before - after).gather(1, grades[:, None]).mean())


def deletion(seed: int) -> Value:
    """Fall of the grade's probability without the gate's highest pixels, against twice that without random others."""
    floor(seed)
    data = pictures("test", seed)
    gate = explanations(seed)[0]
    free = data.retina & ~data.masks.any(1)
    coarse = torch.rand(len(data), 1, SIZE // 8, SIZE // 8, generator=torch.Generator().manual_seed(seed))
    noise = F.interpolate(coarse, size=(SIZE, SIZE))[:, 0]  # in patches, as the gate's highest pixels are
    return _fall(seed, most(gate, SHARE, data.retina)), 2 * _fall(seed, most(noise, SHARE, free))


def pointing(which: str, seed: int) -> float:
    """Share of the pictures with a lesion in which a map's highest pixel lies on one, within NEAR pixels."""
    data = pictures("test", seed)
    maps = explanations(seed)[0 if which == "gate" else 1].masked_fill(~data.retina, -1)
    near = F.max_pool2d(data.masks.any(1, keepdim=True).float(), 2 * NEAR + 1, 1, NEAR)[:, 0] > 0
    top = maps.flatten(1).argmax(1, keepdim=True)
    has = data.masks.flatten(1).any(1)
    return float(near.flatten(1).gather(1, top)[:, 0][has].float().mean())


def points(seed: int) -> Value:
    """`pointing` of the gate."""
    floor(seed)
    return pointing("gate", seed), None


def points_better(seed: int) -> Value:
    """The gate against Grad-CAM."""
    floor(seed)
    return pointing("gate", seed), pointing("cam", seed)


# ------------------------------------------------------------------------------------------------ feedback


NONE = Study(expert="none")


def _last(study: Study, seed: int) -> runs.Score:
    return interaction(study, seed)[1][-1]


def feedback(study: Study, what: str, seed: int, other: Study = NONE) -> Value:
    """ "mean" precision or "kappa" on camera B's test after all rounds, against replay alone or another study."""
    floor(seed)
    return getattr(_last(study, seed), what), getattr(_last(other, seed), what)


def gain(study: Study, seed: int) -> float:
    """Mean precision won by feedback over replay alone, for the same system."""
    nothing = Study(kind=study.kind, expert="none")
    return _last(study, seed).mean - _last(nothing, seed).mean


def part_of_gain(study: Study, share: float, seed: int) -> Value:
    """What a study wins, against a share of what full masks win."""
    floor(seed)
    return gain(study, seed), share * gain(Study(kind=study.kind), seed)


def less_lost(seed: int) -> Value:
    """What noisy corrections lose of the clean gain: without attention and terms, against with them."""
    floor(seed)
    lost = [gain(Study(kind=kind), seed) - gain(Study(kind=kind, noise=0.2), seed) for kind in (PLAIN, FULL)]
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
    """Mean change of uncorrected pixels' probability on the corrected pictures, the largest of all rounds."""
    floor(seed)
    return max(one.moved for one in interaction(Study(), seed)[0]), None


def kept(replay: bool, seed: int) -> Value:
    """Mean precision on camera A's test after all rounds with camera B's pool, against before."""
    floor(seed)
    return interaction(Study(replay=replay), seed)[2].mean, scored(FULL, "test", seed).mean


def round_curve(study: Study, what: str, seed: int) -> list[float | None]:
    """ "mean" or "kappa" on camera B's test before and after every round."""
    values = [getattr(scored(study.kind, "other test", seed), what)]
    values += [getattr(one, what) for one in interaction(study, seed)[1]]
    return [None if not np.isfinite(value) else float(value) for value in values]


def not_here(reason: str, seed: int) -> Value:
    """A number of the paper that needs its data."""
    raise NotTested(reason)
