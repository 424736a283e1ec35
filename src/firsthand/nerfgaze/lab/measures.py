"""What every claim of the chapter measures: measure(seed) -> (method, baseline or None). Angles are in degrees."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from firsthand.data.drawn.directions import angular_error, pitchyaw_to_vector
from firsthand.data.drawn.heads import redrawn
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.claims import NotTested
from firsthand.nerfgaze import estimator as est
from firsthand.nerfgaze.fields import FaceField
from firsthand.nerfgaze.lab import runs
from firsthand.nerfgaze.lab.pipeline import PRESETS, book_data
from firsthand.nerfgaze.lab.runs import codes_of, judge, judged, model, pictures, redirection, requests
from firsthand.nerfgaze.model import Codes
from firsthand.nerfgaze.rendering import compose, render_weights
from firsthand.nerfgaze.synthesis import mixed_heads, redirected
from firsthand.nerfgaze.training import train

Value = tuple[float, float | None]
FLOOR = 8.0  # degrees of redirection, in range, that a model must reach, and a third of the mean predictor's
LOSS_EVERY = 50  # steps of a point of the loss's curve
BESIDE = 2  # pixels beside an eye up to which a changed gaze may be seen


def mean_predictor(kind: str, seed: int) -> float:
    """What always saying the mean gaze costs on the requests within what a kind was trained on."""
    wanted = redirection(kind, "trained", seed).asked
    return est.mean_error(est.labels_of(runs.learned_from(kind, seed)), wanted)


def floor(seed: int, *kinds: str) -> None:
    """The chapter's quality floor: heads that look where they are asked to, by every kind that a claim compares."""
    for kind in kinds or ("wide",):
        found = float(redirection(kind, "trained", seed).error.mean())
        if found >= FLOOR or 3 * found >= mean_predictor(kind, seed):
            raise NotTested(f"redirection errs by more than {FLOOR:.0f} degrees or a third of the mean gaze's error")


# ---------------------------------------------------------------------------------------------------- exact


def parameters(seed: int) -> Value:
    """Of HeadNeRF's field."""
    with torch.device("meta"):
        return float(sum(p.numel() for p in FaceField().parameters())), None


RAY = (
    torch.tensor([0.0, 0.5, 2.0, 4.0, 1.0], dtype=torch.float64),
    torch.tensor([0.5, 0.5, 0.5, 0.5, 1.0], dtype=torch.float64),
)


def left_over(seed: int) -> Value:
    """What a ray of five samples leaves of the background, less exp(-sum sigma delta)."""
    sigma, delta = RAY
    return float(1 - render_weights(sigma, delta).sum() - torch.exp(-(sigma * delta).sum())), None


def lid() -> tuple[float, float]:
    """A lid before an eye, on white: the sum of densities, and the larger of both rendered alone."""
    face, eye = (torch.tensor(v, dtype=torch.float64) for v in ((0, 0.5, 2, 0, 0), (0, 0, 1, 4, 0.5)))
    skin, ball = torch.full((5, 1), 0.3, dtype=torch.float64), torch.tensor([[0], [0], [0.9], [0.9], [0.1]]).double()
    delta = torch.full((5,), 0.5, dtype=torch.float64)

    def seen(sigma: Tensor, colour: Tensor) -> float:
        weights = render_weights(sigma, delta)
        return float((weights * colour[:, 0]).sum() + 1 - weights.sum())

    return seen(*compose(face, skin, eye, ball)), max(seen(face, skin), seen(eye, ball))


def lid_sum(seed: int) -> Value:
    """See `lid`."""
    return lid()[0], None


def lid_max(seed: int) -> Value:
    """See `lid`."""
    return lid()[1], None


def swapped(seed: int) -> Value:
    """Degrees that exchanging pitch and yaw costs at (0.2, -0.3)."""
    angle = torch.tensor([0.2, -0.3], dtype=torch.float64)
    return float(angular_error(pitchyaw_to_vector(angle), pitchyaw_to_vector(angle.flip(0)))), None


# ---------------------------------------------------------------------------------------------- redirection


def error_of(kind: str, where: str, seed: int) -> Value:
    """Redirection error against the judge's own on true pictures of the same requests."""
    found = redirection(kind, where, seed)
    return float(found.error.mean()), float(found.floor.mean())


def against_mean(seed: int) -> Value:
    """Redirection error in range over the mean predictor's."""
    return float(redirection("wide", "trained", seed).error.mean()) / mean_predictor("wide", seed), None


def _away(kind: str, where: str, seed: int) -> float:
    return float(redirection(kind, where, seed).paired.mean())


def ratio(kind: str, other: str, where: str, seed: int) -> Value:
    """How far one model's renders are from the truth in the judge's eyes, over another's."""
    floor(seed, kind, other)
    return _away(kind, where, seed) / _away(other, where, seed), None


def distance(kind: str, other: str, where: str, seed: int) -> Value:
    """The same distances, degrees."""
    floor(seed, kind, other)
    return _away(kind, where, seed), _away(other, where, seed)


def psnr(made: Tensor, true: Tensor, where: Tensor | None = None) -> float:
    """Of pictures (N, 3, s, s), dB; where: bool (N, s, s), pixels that count."""
    error = (made - true).square().mean(1)
    return -10 * math.log10(float((error if where is None else error[where]).mean()))


def composed(seed: int) -> Value:
    """PSNR about the eyes of turned heads, lids included: densities that add up, against the larger of two pictures."""
    floor(seed, "features", "max")
    found = [redirection(kind, "turned", seed) for kind in ("features", "max")]
    about = F.max_pool2d(found[0].eyes.float().unsqueeze(1), 7, 1, 3)[:, 0] > 0
    return tuple(psnr(one.made, one.true, about) for one in found)  # type: ignore[return-value]


def turned(seed: int) -> Value:
    """Distance to the truth with the head turned, against within the poses of training."""
    floor(seed)
    return _away("wide", "turned", seed), _away("wide", "trained", seed)


@cached
def flat(where: str, seed: int) -> Tensor:
    """What the judge says (N, 2) of the pictures of the rival without space."""
    return est.estimated(judge(seed), runs.repainted(where, seed))


def more_consistent(seed: int) -> Value:
    """Distance to the truth with the head turned: the field against the rival without space, if that turns eyes."""
    floor(seed)
    if 2 * float(runs.between(flat("trained", seed), redirection("wide", "trained", seed).asked).mean()) >= (
        mean_predictor("wide", seed)
    ):
        raise NotTested("the rival has not learned to turn eyes: it errs by half of the mean gaze's error or more")
    found = redirection("wide", "turned", seed)
    return float(found.paired.mean()), float(runs.between(flat("turned", seed), found.by_judge_true).mean())


def nearest(seed: int) -> Value:
    """Distance to the truth with the head turned: against the picture that was trained on, of the same person, which
    looks and is turned most alike (all four angles)."""
    floor(seed)
    data, found = pictures("wide", seed), redirection("wide", "turned", seed)
    rows, gaze, pose = requests(seed, data, "turned", runs.WIDE)
    away = torch.cdist(torch.cat([gaze, pose], 1), torch.cat([data.gaze, data.pose], 1))
    away[data.person[rows].unsqueeze(1) != data.person] = torch.inf
    said = est.estimated(judge(seed), data.images[away.argmin(1)])
    return float(found.paired.mean()), float(runs.between(said, found.by_judge_true).mean())


def strangers(seed: int) -> Value:
    """Distance to the truth of people who were fitted, against that of people who were trained on."""
    floor(seed)
    return float(runs.strangers(seed).paired.mean()), _away("wide", "trained", seed)


# --------------------------------------------------------------------------------------------- separate codes


@cached
def moved_elsewhere(kind: str, seed: int) -> float:
    """Mean change of the head, more than BESIDE pixels from any eye, when the gaze is turned round."""
    found, data = model(kind, seed), runs.learned_from(kind, seed)
    rows, gaze, pose = requests(seed, data, "trained", runs.KINDS[kind][0])
    other = redirected(found, codes_of(found, data, rows), -gaze, pose).images
    truth = redrawn(data.pick(rows), gaze=gaze, pose=pose)
    near = F.max_pool2d(truth.eyes.float().unsqueeze(1), 2 * BESIDE + 1, 1, BESIDE)[:, 0] > 0
    away = (redirection(kind, "trained", seed).made - other).abs().mean(1)
    return float(away[truth.head & ~near].mean())


def elsewhere(seed: int) -> Value:
    """`moved_elsewhere` of two fields against one that is told the gaze."""
    floor(seed, "rotated", "single")
    return moved_elsewhere("rotated", seed), moved_elsewhere("single", seed)


@cached
def swapped_code(what: str, seed: int) -> dict[str, tuple[float, float]]:
    """What happens when "light", "identity" or "expression" is another person's.

    Returns:
        "gaze": distance to the truth after and before; "picture": PSNR against the changed truth, of the changed render
        and of the one before.
    """
    found, data = model("wide", seed), pictures("wide", seed)
    rows, gaze, pose = requests(seed, data, "trained", runs.WIDE)
    others = rows.roll(1)
    keep = data.person[rows] != data.person[others]
    rows, others, gaze, pose = rows[keep], others[keep], gaze[keep], pose[keep]
    codes, other, part = codes_of(found, data, rows), codes_of(found, data, others), data.pick(rows)
    new, true = {what: getattr(other, what)}, {what: getattr(data.pick(others), what)}
    if what == "identity":
        new["between"] = other.between
    made = redirected(found, Codes(**{**vars(codes), **new}), gaze, pose)
    after = judged(made, replace(part, **true), gaze, pose, seed)
    before = redirection("wide", "trained", seed)
    return {
        "gaze": (float(after.paired.mean()), float(before.paired[keep].mean())),
        "picture": (psnr(after.made, after.true), psnr(before.made[keep], after.true)),
    }


def swapping(what: str, of: str, seed: int) -> Value:
    """See `swapped_code`; of: "gaze" or "picture"."""
    floor(seed)
    return swapped_code(what, seed)[of]


def leak(seed: int) -> Value:
    """Share of the gaze's variance that the codes of light and expression tell, by ridge regression on squares too,
    cross-validated."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    floor(seed)
    found = model("wide", seed)
    x = torch.cat([found.light, found.expression], 1).numpy()
    regress = make_pipeline(PolynomialFeatures(2), StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    y = pictures("wide", seed).gaze.numpy()
    return float(np.mean([cross_val_score(regress, x, y[:, axis], cv=5).mean() for axis in (0, 1)])), None


# ------------------------------------------------------------------------------------------------ estimators


def exact_labels(seed: int) -> Value:
    """The judge's error on the renders that teach, against true pictures of the same people who are not there."""
    floor(seed)
    made, data = runs.rendered(seed), pictures("wide", seed)
    of, gaze, pose = runs.drawn_people(seed, runs.TARGET.pose)
    true = mixed_heads(data, of, gaze, pose).images
    return est.error(judge(seed), made.images, made.labels), est.error(judge(seed), true, made.labels)


def taught(lesson: str, other: str, seed: int) -> Value:
    """Target error after one lesson against another."""
    floor(seed)
    return runs.target_error(lesson, seed), runs.target_error(other, seed)


def closed(seed: int) -> Value:
    """Share of the gap between source alone and the oracle that renders close."""
    floor(seed)
    source, made, best = (runs.target_error(lesson, seed) for lesson in ("source", "made", "oracle"))
    return (source - made) / (source - best), None


def world_gap(seed: int) -> Value:
    """Error of the estimator that knows the source alone: on the target, against new people of the source."""
    return runs.target_error("source", seed), runs.target_error("source", seed, "source test")


def above_mean(seed: int) -> Value:
    """Target error of the estimator that knows the source alone, against that of the source's mean gaze."""
    return runs.target_error("source", seed), runs.mean_error("target", seed)


def adapting(how: str, other: str, where: str, seed: int, start: str = runs.BEST) -> Value:
    """Target error after adapting one way against another, both from an estimator of one lesson."""
    floor(seed)
    return runs.adapted_error(how, seed, where, start), runs.adapted_error(other, seed, where, start)


def fitted_gaze(seed: int) -> Value:
    """Error of the gaze that fitting found on unlabelled pictures, against that of the estimator it began with."""
    floor(seed)
    data = pictures("unlabelled", seed)
    begin = runs.in_head(est.estimated(runs.taught(runs.BEST, seed), data.images), data.pose)
    after, before = (float(runs.between(a, data.gaze).mean()) for a in (runs.fitted(seed, runs.BEST).gaze, begin))
    return after, before


def loss_curve(seed: int) -> list[float]:
    """Losses of the reader's own recipe, on the same pictures, means of LOSS_EVERY steps."""
    losses = train(PRESETS["book"].recipe, book_data(PRESETS["book"], seed), seed)[1]
    return [float(np.mean(losses[n : n + LOSS_EVERY])) for n in range(0, len(losses), LOSS_EVERY)]


def not_here(reason: str, seed: int) -> Value:
    """A number of the paper that needs its data."""
    raise NotTested(reason)
