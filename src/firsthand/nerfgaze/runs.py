"""The evidence's runs: models, judges and estimators, each trained once a seed and shared by all claims."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from firsthand.data.directions import angular_error, gaze_rotation, pitchyaw_to_vector, vector_to_pitchyaw
from firsthand.data.heads import SOURCE, TARGET, Heads, World, heads, redrawn
from firsthand.kit.shared import shared
from firsthand.nerfgaze import estimator as est
from firsthand.nerfgaze.model import Codes, HeadModel, Sizes
from firsthand.nerfgaze.synthesis import Labelled, asked, drawn, redirected
from firsthand.nerfgaze.training import BETWEEN, Recipe, fit, train
from firsthand.nerfgaze.turning import Turner, train_turner

PEOPLE, PICTURES = 10, 1200
NARROW, WIDE, OUT = 0.25, 0.45, 0.6  # largest gaze trained on, also trained on, and asked for beyond both; radians
FEATURES = Sizes(features=16)
BOOK = Recipe(steps=2000)
#: What is trained: the range of gaze, and how the model differs.
KINDS: dict[str, tuple[float, dict[str, object]]] = {
    "wide": (WIDE, {}),
    "rotated": (NARROW, {}),
    "fed": (NARROW, {"eyes": "fed"}),
    "single": (NARROW, {"eyes": "single", "sizes": Sizes(face=74)}),  # as many parameters
    "features": (WIDE, {"sizes": FEATURES}),
    "max": (WIDE, {"sizes": FEATURES, "how": "max"}),
}  # fmt: skip
REQUESTS = 240
JUDGED, JUDGE_STEPS = 8000, 2200  # pictures and steps that the independent judge is trained on
LABELLED, MADE, TARGETS = 500, 1000, 500  # pictures: with labels, rendered, and of the other world
UNLABELLED, EACH = 100, 8  # target pictures without labels, and renders of each
STEPS = 700  # of an estimator


def people(seed: int, world: World) -> World:
    """The same world with people of a seed's own."""
    return replace(world, first=10_000 * (seed + 1) + world.first)


@cache
def pictures(name: str, seed: int) -> Heads:
    """Sets of a seed: "narrow" and "wide" to learn heads from, "source" with labels, of the same people; "source test"
    of five others; "target" and "unlabelled", of five people in the other world."""
    first = 100 * seed
    if name in ("narrow", "wide"):
        return heads(first, PICTURES, PEOPLE, people(seed, replace(SOURCE, gaze=NARROW if name == "narrow" else WIDE)))
    if name == "source":
        return heads(first + 1, LABELLED, PEOPLE, people(seed, SOURCE))
    if name == "source test":
        return heads(first + 2, TARGETS, 5, people(seed, replace(SOURCE, first=100)))
    number, count = {"target": (3, TARGETS), "unlabelled": (4, UNLABELLED)}[name]
    return heads(first + number, count, 5, people(seed, TARGET))


@shared
def model(kind: str, seed: int) -> HeadModel:
    """A trained model of KINDS."""
    return _trained(kind, seed)[0]


@shared
def _trained(kind: str, seed: int) -> tuple[HeadModel, list[float]]:
    gaze, changes = KINDS[kind]
    return train(replace(BOOK, **changes), pictures("narrow" if gaze == NARROW else "wide", seed), seed)  # type: ignore[arg-type]


def losses(kind: str, seed: int) -> list[float]:
    """Of that training, by step."""
    return _trained(kind, seed)[1]


@shared
def judge(seed: int) -> est.Estimator:
    """An estimator that took no part in any training: other people, wider gaze."""
    world = people(seed, World(gaze=0.75, pose=0.4, first=2000))
    data = heads(100 * seed + 5, JUDGED, 400, world)
    return est.train_estimator(data.images, est.labels_of(data), seed=seed, steps=JUDGE_STEPS)


# ---------------------------------------------------------------------------------------------- redirection


@dataclass(frozen=True)
class Redirected:
    """Requests, what a model made of them, and what the judge says.

    Attributes:
        made, true: pictures. asked: (N, 2) in the camera's frame. by_judge, by_judge_true: angles that the judge says.
        eyes: bool (N, s, s), of the true pictures.
    """

    made: Tensor
    true: Tensor
    asked: Tensor
    by_judge: Tensor
    by_judge_true: Tensor
    eyes: Tensor

    @property
    def error(self) -> Tensor:
        """Of the judge on what was made, degrees (N,)."""
        return _between(self.by_judge, self.asked)

    @property
    def floor(self) -> Tensor:
        """Of the judge on the true pictures of the same requests (N,)."""
        return _between(self.by_judge_true, self.asked)

    @property
    def paired(self) -> Tensor:
        """Between what the judge says of both (N,)."""
        return _between(self.by_judge, self.by_judge_true)


def _between(a: Tensor, b: Tensor) -> Tensor:
    return angular_error(pitchyaw_to_vector(a), pitchyaw_to_vector(b))


def codes_of(found: HeadModel, data: Heads, rows: Tensor) -> Codes:
    """Trained codes of pictures that a model was trained on."""
    names = sorted({int(n) for n in data.person})
    who = torch.tensor([names.index(int(n)) for n in data.person[rows]])
    return found.codes(who, rows, data.gaze[rows], data.identity[rows, BETWEEN])


def requests(seed: int, data: Heads, out: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of pictures, gazes and poses asked for; `out`: one angle of the gaze is at plus or minus OUT."""
    generator = torch.Generator().manual_seed(1000 + seed)
    rows = torch.randperm(len(data), generator=generator)[:REQUESTS]
    gaze, pose = asked(REQUESTS, WIDE, generator), asked(REQUESTS, SOURCE.pose, generator)
    if out:
        axis = torch.randint(2, (REQUESTS, 1), generator=generator)
        sign = 2.0 * torch.randint(2, (REQUESTS, 1), generator=generator) - 1
        gaze.scatter_(1, axis, sign * OUT)
    return rows, gaze, pose


@shared
def redirection(kind: str, out: bool, seed: int) -> Redirected:
    """A model's answers to `requests`."""
    found = model(kind, seed)
    data = pictures("narrow" if KINDS[kind][0] == NARROW else "wide", seed)
    rows, gaze, pose = requests(seed, data, out)
    made = redirected(found, codes_of(found, data, rows), gaze, pose)
    true = redrawn(data.pick(rows), gaze=gaze, pose=pose)
    said = [est.estimated(judge(seed), images) for images in (made.images, true.images)]
    return Redirected(made.images, true.images, made.labels, said[0], said[1], true.eyes)


@shared
def turner(seed: int) -> Turner:
    """The rival without space."""
    return train_turner(pictures("wide", seed), steps=600, gaze=WIDE, pose=SOURCE.pose, seed=seed)


# ----------------------------------------------------------------------------------------------- estimators


@shared
def rendered(seed: int, kind: str = "wide", noise: float = 0.0) -> Labelled:
    """Pictures of people that there are not, gaze as in the source, poses as wide as the target's.

    Args:
        seed: of all. kind: of model. noise: mean angle, degrees, by which labels are wrong.
    """
    found, data = model(kind, seed), pictures("wide", seed)
    generator = torch.Generator().manual_seed(2000 + seed)
    codes = drawn(codes_of(found, data, torch.arange(len(data))), MADE, generator)
    made = redirected(found, codes, asked(MADE, SOURCE.gaze, generator), asked(MADE, TARGET.pose, generator))
    if noise:
        away = torch.randn(MADE, 2, generator=generator) * torch.deg2rad(torch.tensor(noise)) / 1.2533
        made = Labelled(made.images, made.labels + away, made.head)
    return made


@shared
def oracle(seed: int) -> Labelled:
    """True pictures of the source's people in the target's poses and light, as many as `rendered`."""
    world = people(seed, replace(TARGET, first=SOURCE.first))
    data = heads(100 * seed + 6, MADE, PEOPLE, world)
    return Labelled(data.images, est.labels_of(data), data.head)


LESSONS = ("source", "jitter", "made", "jitter and made", "jitter and noisy", "oracle")


@shared
def taught(lesson: str, seed: int) -> est.Estimator:
    """An estimator, by what it learned from; all take as many steps.

    Args:
        lesson: "source" alone; "jitter": its exposure and background drawn anew each time; "made": source and
            `rendered`; "jitter and made": both, jittered; "jitter and noisy": with wrong labels; "oracle": source and
            true pictures of the target's light and poses.
        seed: of all.
    """
    data = pictures("source", seed)
    sets = [Labelled(data.images, est.labels_of(data), data.head)]
    if lesson == "oracle":
        sets.append(oracle(seed))
    elif "noisy" in lesson:
        sets.append(rendered(seed, noise=10.0))
    elif "made" in lesson:
        sets.append(rendered(seed))
    whole = Labelled(*(torch.cat([getattr(one, part) for one in sets]) for part in ("images", "labels", "head")))
    jitter = whole.head if "jitter" in lesson else None
    return est.train_estimator(whole.images, whole.labels, steps=STEPS, seed=seed, jitter=jitter)


@shared
def target_error(lesson: str, seed: int, where: str = "target") -> float:
    """Of such an estimator, degrees, on "target" or "source test"."""
    data = pictures(where, seed)
    return est.error(taught(lesson, seed), data.images, est.labels_of(data))


@shared
def fitted(seed: int) -> Codes:
    """Codes of the unlabelled target pictures; their gaze is what the best estimator without them says, searched on."""
    data = pictures("unlabelled", seed)
    said = est.estimated(taught("jitter and made", seed), data.images)
    return fit(model("wide", seed), data, gaze=_in_head(said, data.pose), grow=0, seed=seed)


def _in_head(said: Tensor, pose: Tensor) -> Tensor:
    """Angles in the camera's frame (N, 2) as angles in the head's; the head's pose is known, as in normalised data."""
    return vector_to_pitchyaw(torch.einsum("nji,nj->ni", gaze_rotation(pose), pitchyaw_to_vector(said)))


@shared
def adapted(light: str, seed: int) -> est.Estimator:
    """The best estimator, taught further by renders of the unlabelled people.

    Args:
        light: "own": with the light that was fitted; "source": with that of the source's pictures; "none": as many
            further steps without them.
        seed: of all.
    """
    before, data = taught("jitter and made", seed), pictures("source", seed)
    sets = [Labelled(data.images, est.labels_of(data), data.head), rendered(seed)]
    if light != "none":
        generator = torch.Generator().manual_seed(3000 + seed)
        codes = fitted(seed).pick(torch.arange(UNLABELLED).repeat(EACH))
        if light == "source":
            known = model("wide", seed).light
            codes.light = known[torch.randint(len(known), (len(codes.light),), generator=generator)]
        count = UNLABELLED * EACH
        gaze, pose = asked(count, SOURCE.gaze, generator), asked(count, TARGET.pose, generator)
        sets.append(redirected(model("wide", seed), codes, gaze, pose))
    whole = Labelled(*(torch.cat([getattr(one, part) for one in sets]) for part in ("images", "labels", "head")))
    return est.train_estimator(
        whole.images, whole.labels, steps=STEPS // 2, lr=5e-4, seed=seed, start=before, jitter=whole.head
    )


@shared
def adapted_error(light: str, seed: int) -> float:
    """Of it on the target, degrees."""
    data = pictures("target", seed)
    return est.error(adapted(light, seed), data.images, est.labels_of(data))
