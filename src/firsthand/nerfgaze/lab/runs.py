"""The evidence's runs: models, judges and estimators, each trained once a seed and shared by all claims."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from importlib import resources

import torch
from torch import Tensor

from firsthand.data.drawn.directions import angular_error, gaze_rotation, pitchyaw_to_vector, vector_to_pitchyaw
from firsthand.data.drawn.heads import SOURCE, TARGET, Heads, World, heads, redrawn
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.claims import NotTested
from firsthand.nerfgaze import estimator as est
from firsthand.nerfgaze.model import Codes, HeadModel, Sizes
from firsthand.nerfgaze.synthesis import Labelled, Mixture, any_light, asked, mixed, mixture, redirected
from firsthand.nerfgaze.training import BETWEEN, Recipe, fit, train
from firsthand.nerfgaze.turning import Turner, train_turner

PEOPLE, PICTURES = 10, 1200
NARROW, WIDE, OUT = 0.25, 0.45, 0.6  # largest gaze trained on, also trained on, and asked for beyond both; radians
TURNED = (0.3, 0.5)  # yaws of heads that count as turned
FEATURES = Sizes(features=16)
BOOK = Recipe(steps=2000)
#: What is trained: the range of gaze, and how the model differs.
KINDS: dict[str, tuple[float, dict[str, object]]] = {
    "wide": (WIDE, {}),
    "rotated": (NARROW, {}),
    "fed": (NARROW, {"eyes": "fed"}),
    "single": (NARROW, {"eyes": "single", "sizes": Sizes(face=72)}),  # as many parameters
    "features": (WIDE, {"sizes": FEATURES}),
    "max": (WIDE, {"sizes": FEATURES, "how": "max"}),
}  # fmt: skip
REQUESTS = 240
JUDGED, JUDGE_STEPS = 8000, 2200  # pictures and steps that the independent judge is trained on
LABELLED, MADE, TARGETS = 500, 1000, 500  # pictures: with labels, rendered, and of the other world
UNLABELLED, EACH = 100, 4  # target pictures without labels, and renders of each
STEPS, STARTS = 700, 3  # of an estimator; and times that one may begin anew which has not learned
TURNS = 1500  # steps of the rival without space
WRONG = 10.0  # degrees by which wrong labels are wrong


def chosen() -> dict[str, float]:
    """The rates that `tuning` chose, by kind of model and for "turner"; empty before it has run."""
    file = resources.files("firsthand.evidence").joinpath("nerfgaze_tuning.json")
    return json.loads(file.read_text(encoding="utf-8"))["chosen"] if file.is_file() else {}


def recipe_of(kind: str) -> Recipe:
    """How a kind is trained; codes learn three times as fast as networks."""
    lr = chosen().get(kind, BOOK.lr)
    return replace(BOOK, **KINDS[kind][1], lr=lr, code_lr=3 * lr)  # type: ignore[arg-type]


def people(seed: int, world: World) -> World:
    """The same world with people of a seed's own."""
    return replace(world, first=10_000 * (seed + 1) + world.first)


@cached
def pictures(name: str, seed: int) -> Heads:
    """Sets of a seed: "narrow" and "wide" to learn heads from, "source" with labels, of the same people; "source test"
    of five others; "target" and "unlabelled", of the same five people in the other world, "target others" of others."""
    first = 100 * seed
    if name in ("narrow", "wide"):
        return heads(first, PICTURES, PEOPLE, people(seed, replace(SOURCE, gaze=NARROW if name == "narrow" else WIDE)))
    if name == "source":
        return heads(first + 1, LABELLED, PEOPLE, people(seed, SOURCE))
    if name == "source test":
        return heads(first + 2, TARGETS, 5, people(seed, replace(SOURCE, first=100)))
    if name == "target others":
        return heads(first + 7, TARGETS, 5, people(seed, replace(TARGET, first=700)))
    number, count = {"target": (3, TARGETS), "unlabelled": (4, UNLABELLED)}[name]
    return heads(first + number, count, 5, people(seed, TARGET))


def learned_from(kind: str, seed: int) -> Heads:
    """The pictures that a kind was trained on."""
    return pictures("narrow" if KINDS[kind][0] == NARROW else "wide", seed)


@cached
def trained(kind: str, seed: int) -> tuple[HeadModel, list[float]]:
    """A model of KINDS, and its losses by step."""
    return train(recipe_of(kind), learned_from(kind, seed), seed)


def model(kind: str, seed: int) -> HeadModel:
    """A trained model of KINDS."""
    return trained(kind, seed)[0]


@cached
def judge(seed: int) -> est.Estimator:
    """An estimator that took no part in any training: other people, wider gaze and poses than anybody is asked for."""
    world = people(seed, World(gaze=0.75, pose=0.65, first=2000))
    data = heads(100 * seed + 5, JUDGED, 400, world)
    return est.train_estimator(data.images, est.labels_of(data), seed=50_000 + seed, steps=JUDGE_STEPS)


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
        return between(self.by_judge, self.asked)

    @property
    def floor(self) -> Tensor:
        """Of the judge on the true pictures of the same requests (N,)."""
        return between(self.by_judge_true, self.asked)

    @property
    def paired(self) -> Tensor:
        """Between what the judge says of both (N,)."""
        return between(self.by_judge, self.by_judge_true)


def between(a: Tensor, b: Tensor) -> Tensor:
    """Degrees (N,) between angles (N, 2)."""
    return angular_error(pitchyaw_to_vector(a), pitchyaw_to_vector(b))


def codes_of(found: HeadModel, data: Heads, rows: Tensor) -> Codes:
    """Trained codes of pictures that a model was trained on."""
    names = sorted({int(n) for n in data.person})
    who = torch.tensor([names.index(int(n)) for n in data.person[rows]])
    return found.codes(who, rows, data.gaze[rows], data.identity[rows, BETWEEN])


WHERE = ("trained", "between", "out", "turned")


def requests(seed: int, data: Heads, where: str, most: float) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of pictures, gazes and poses asked for.

    Args:
        seed: of the requests. data: pictures. most: the largest gaze that was trained on.
        where: "trained": gazes up to `most`; "between": up to WIDE; "out": one angle at plus or minus OUT; "turned": up
            to `most`, with heads at a yaw of TURNED to either side.
    """
    generator = torch.Generator().manual_seed(1000 + seed)
    rows = torch.randperm(len(data), generator=generator)[:REQUESTS]
    reach = {"between": WIDE, "out": WIDE}.get(where, most)
    gaze, pose = asked(REQUESTS, reach, generator), asked(REQUESTS, SOURCE.pose, generator)
    axis = torch.randint(2, (REQUESTS, 1), generator=generator)
    sign = 2.0 * torch.randint(2, (REQUESTS, 1), generator=generator) - 1
    if where == "out":
        gaze.scatter_(1, axis, sign * OUT)
    if where == "turned":
        away = TURNED[0] + (TURNED[1] - TURNED[0]) * torch.rand(REQUESTS, generator=generator)
        pose[:, 1] = sign[:, 0] * away
    return rows, gaze, pose


@cached
def redirection(kind: str, where: str, seed: int) -> Redirected:
    """A model's answers to `requests`."""
    found, data = model(kind, seed), learned_from(kind, seed)
    rows, gaze, pose = requests(seed, data, where, KINDS[kind][0])
    return judged(redirected(found, codes_of(found, data, rows), gaze, pose), data.pick(rows), gaze, pose, seed)


def judged(made: Labelled, of: Heads, gaze: Tensor, pose: Tensor, seed: int) -> Redirected:
    """Renders beside the true pictures of the same people in the same light, by a seed's judge."""
    true = redrawn(of, gaze=gaze, pose=pose)
    said = [est.estimated(judge(seed), images) for images in (made.images, true.images)]
    return Redirected(made.images, true.images, made.labels, said[0], said[1], true.eyes)


@cached
def turner(seed: int) -> Turner:
    """The rival without space."""
    lr = chosen().get("turner", 2e-3)
    return train_turner(pictures("wide", seed), steps=TURNS, gaze=WIDE, seed=seed, lr=lr)


@cached
def repainted(where: str, seed: int) -> Tensor:
    """Its pictures of `requests`; it is given true pictures of the heads turned as asked, and turns the eyes."""
    data = pictures("wide", seed)
    rows, gaze, pose = requests(seed, data, where, WIDE)
    return turner(seed).turned(redrawn(data.pick(rows), pose=pose), gaze)


@cached
def strangers(seed: int) -> Redirected:
    """People whom the model has not seen, fitted with their gaze known, then redirected in range."""
    data = pictures("source test", seed).pick(list(range(60)))
    codes = fit(model("wide", seed), data, seed=seed)
    generator = torch.Generator().manual_seed(5000 + seed)
    rows = torch.arange(len(data)).repeat(2)
    gaze, pose = asked(len(rows), WIDE, generator), asked(len(rows), SOURCE.pose, generator)
    return judged(redirected(model("wide", seed), codes.pick(rows), gaze, pose), data.pick(rows), gaze, pose, seed)


# ----------------------------------------------------------------------------------------------- estimators


@cached
def drawn_people(seed: int, pose: float) -> tuple[Mixture, Tensor, Tensor]:
    """People who are not there, and gazes and poses asked of them."""
    generator = torch.Generator().manual_seed(2000 + seed)
    of = mixture(PICTURES, MADE, generator)
    return of, asked(MADE, SOURCE.gaze, generator), pose * asked(MADE, 1.0, generator)


@cached
def rendered(seed: int, pose: float = TARGET.pose) -> Labelled:
    """Pictures of them."""
    found, data = model("wide", seed), pictures("wide", seed)
    of, gaze, poses = drawn_people(seed, pose)
    return redirected(found, mixed(codes_of(found, data, torch.arange(PICTURES)), of), gaze, poses)


def mislabelled(made: Labelled, how: str, seed: int) -> Labelled:
    """The same pictures with labels that are wrong by WRONG degrees: "noisy" each its own way, "biased" all alike."""
    generator = torch.Generator().manual_seed(6000 + seed)
    way = 2 * torch.pi * torch.rand(1 if how == "biased" else len(made.labels), generator=generator)
    away = torch.stack([way.sin(), way.cos()], 1) * torch.deg2rad(torch.tensor(WRONG))
    return replace(made, labels=made.labels + away)


def labelled(data: Heads) -> Labelled:
    """Drawn pictures, with their labels."""
    return Labelled(data.images, est.labels_of(data), data.head, any_light(len(data)))


@cached
def oracle(seed: int) -> Labelled:
    """True pictures of the source's people in the target's poses and light, as many as `rendered`."""
    world = people(seed, replace(TARGET, first=SOURCE.first))
    return labelled(heads(100 * seed + 6, MADE, PEOPLE, world))


#: What an estimator learns from beside the source, by lesson; "jitter" draws exposure and background anew each time.
LESSONS = (
    "source",
    "jitter",
    "made",
    "made near",
    "jitter and made",
    "jitter and noisy",
    "jitter and biased",
    "oracle",
)


@cached
def taught(lesson: str, seed: int) -> est.Estimator:
    """An estimator of LESSONS; all take as many steps. "near": renders in the source's poses.

    One that errs by half of the mean gaze's error or more on new people of the source, which can be seen without the
    target, begins anew from other weights.

    Raises:
        NotTested: none of STARTS learned.
    """
    sets = [labelled(pictures("source", seed))]
    if lesson == "oracle":
        sets.append(oracle(seed))
    elif "noisy" in lesson or "biased" in lesson:
        sets.append(mislabelled(rendered(seed), lesson.rsplit(" ", 1)[-1], seed))
    elif "made" in lesson:
        sets.append(rendered(seed, SOURCE.pose if "near" in lesson else TARGET.pose))
    whole = together(sets)
    jitter = whole.head if "jitter" in lesson else None
    for start in range(STARTS):
        begun = seed + 1000 * start
        found = est.train_estimator(whole.images, whole.labels, steps=STEPS, seed=begun, jitter=jitter)
        if 2 * error_at(found, "source test", seed) < mean_error("source test", seed):
            return found
    raise NotTested(f"of {STARTS} estimators none came below half of the mean gaze's error on the source")


def error_at(net: est.Estimator, where: str, seed: int) -> float:
    """Of an estimator, degrees, on one of `pictures`."""
    data = pictures(where, seed)
    return est.error(net, data.images, est.labels_of(data))


def mean_error(where: str, seed: int) -> float:
    """Of always saying the mean gaze of the source."""
    return est.mean_error(est.labels_of(pictures("source", seed)), est.labels_of(pictures(where, seed)))


def together(sets: list[Labelled]) -> Labelled:
    """Sets as one."""
    parts = [torch.cat([getattr(one, part) for one in sets]) for part in ("images", "labels", "head", "gain")]
    return Labelled(parts[0], parts[1], parts[2], parts[3])


@cached
def target_error(lesson: str, seed: int, where: str = "target") -> float:
    """Of such an estimator, degrees, on one of `pictures`."""
    return error_at(taught(lesson, seed), where, seed)


BEST = "jitter and made"  # the lesson from which adaptation starts, unless another is named


@cached
def fitted(seed: int, start: str) -> Codes:
    """Codes of the unlabelled pictures; their gaze begins at what the estimator of a lesson says.

    Pose, place of the eyes, masks, and who is who are given.
    """
    data = pictures("unlabelled", seed)
    said = est.estimated(taught(start, seed), data.images)
    return fit(model("wide", seed), data, gaze=in_head(said, data.pose), grow=0, seed=seed)


def in_head(said: Tensor, pose: Tensor) -> Tensor:
    """Angles in the camera's frame (N, 2) as angles in the head's."""
    return vector_to_pitchyaw(torch.einsum("nji,nj->ni", gaze_rotation(pose), pitchyaw_to_vector(said)))


#: Ways to go on from a lesson: renders of the unlabelled people in their "own" light or the "source"'s, "none" (as many
#: further steps without), what the estimator itself says of the pictures ("pseudo"), batch norm alone ("norm").
ADAPTED = ("own", "source", "none", "pseudo", "norm")


@cached
def adapted(how: str, seed: int, start: str) -> est.Estimator:
    """An estimator of a lesson adapted in one of the ways of ADAPTED; what it learned from before goes along."""
    before, data = taught(start, seed), pictures("unlabelled", seed)
    if how == "norm":
        return est.renormed(before, data.images)
    sets = [labelled(pictures("source", seed)), *([rendered(seed)] if "made" in start else [])]
    as_they_are = torch.ones(UNLABELLED * EACH, 2)  # what is as dark as the target already is not darkened again
    if how == "pseudo":
        said = est.estimated(before, data.images)
        again = [part.repeat(EACH, *[1] * (part.dim() - 1)) for part in (data.images, said, data.head)]
        sets.append(Labelled(again[0], again[1], again[2], as_they_are))
    elif how != "none":
        generator = torch.Generator().manual_seed(3000 + seed)
        codes = fitted(seed, start).pick(torch.arange(UNLABELLED).repeat(EACH))
        count = len(codes.light)
        gaze, pose = asked(count, SOURCE.gaze, generator), asked(count, TARGET.pose, generator)
        if how == "source":
            known = model("wide", seed).light
            codes.light = known[torch.randint(len(known), (count,), generator=generator)]
        made = redirected(model("wide", seed), codes, gaze, pose)
        sets.append(made if how == "source" else replace(made, gain=as_they_are))
    whole = together(sets)
    return est.train_estimator(
        whole.images, whole.labels, steps=STEPS // 2, lr=5e-4, seed=seed, start=before,
        jitter=whole.head if "jitter" in start else None, gain=whole.gain,
    )  # fmt: skip


@cached
def adapted_error(how: str, seed: int, where: str, start: str) -> float:
    """Of it, degrees, on "target" or "target others"."""
    return error_at(adapted(how, seed, start), where, seed)
