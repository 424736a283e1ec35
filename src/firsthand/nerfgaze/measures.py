"""What every claim of the chapter measures: measure(seed) -> (method, baseline or None). Angles are in degrees."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from firsthand.data.directions import angular_error, pitchyaw_to_vector
from firsthand.data.heads import redrawn
from firsthand.kit.claims import NotTested
from firsthand.kit.shared import shared
from firsthand.nerfgaze import estimator as est
from firsthand.nerfgaze import runs
from firsthand.nerfgaze.fields import FaceField
from firsthand.nerfgaze.model import Codes
from firsthand.nerfgaze.rendering import compose, render_weights
from firsthand.nerfgaze.runs import codes_of, judge, model, pictures, redirection, requests
from firsthand.nerfgaze.synthesis import redirected

Value = tuple[float, float | None]
FLOOR = 8.0  # degrees of redirection, in range, that a model must reach, and a third of the mean predictor's
BESIDE = 2  # pixels beside an eye up to which a changed gaze may be seen


def mean_predictor(seed: int) -> float:
    """What always saying the mean gaze costs on the requests in range."""
    wanted = redirection("wide", False, seed).asked
    return est.mean_error(est.labels_of(pictures("wide", seed)), wanted)


def floor(seed: int) -> None:
    """The chapter's quality floor: heads that look where they are asked to."""
    found = float(redirection("wide", False, seed).error.mean())
    if found >= FLOOR or 3 * found >= mean_predictor(seed):
        raise NotTested(f"redirection errs by {found:.0f} degrees, more than {FLOOR:.0f} or a third of the mean gaze's")


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


def error_of(kind: str, out: bool, seed: int) -> Value:
    """Redirection error against the judge's own on true pictures of the same requests."""
    found = redirection(kind, out, seed)
    return float(found.error.mean()), float(found.floor.mean())


def against_mean(seed: int) -> Value:
    """Redirection error in range over the mean predictor's."""
    return float(redirection("wide", False, seed).error.mean()) / mean_predictor(seed), None


def ratio(kind: str, other: str, out: bool, seed: int) -> Value:
    """How far one model's renders are from the truth in the judge's eyes, over another's."""
    floor(seed)
    one, two = (float(redirection(k, out, seed).paired.mean()) for k in (kind, other))
    return one / two, None


def psnr(kind: str, seed: int, *, eyes: bool, turned: bool) -> float:
    """Of renders in range against the truth, dB; of the eyes alone, or in poses with a yaw beyond 0.25 alone."""
    found = redirection(kind, False, seed)
    error = (found.made - found.true).square().mean(1)
    pose = requests(seed, pictures("wide", seed), False)[2]
    rows = pose[:, 1].abs() > 0.25 if turned else torch.ones(len(pose), dtype=torch.bool)
    values = error[rows][found.eyes[rows]] if eyes else error[rows]
    return -10 * math.log10(float(values.mean()))


def composed(seed: int) -> Value:
    """PSNR of eyes in turned heads: densities that add up, against the larger of two pictures."""
    floor(seed)
    return psnr("features", seed, eyes=True, turned=True), psnr("max", seed, eyes=True, turned=True)


def composed_gaze(seed: int) -> Value:
    """Redirection errors of the same two."""
    floor(seed)
    return tuple(float(redirection(k, False, seed).paired.mean()) for k in ("features", "max"))  # type: ignore[return-value]


@shared
def turned(how: str, seed: int) -> tuple[float, float]:
    """What the judge makes of pictures whose head was turned by 0.3 or more, and of the same in the pose they had:
    distance to what it makes of the truth. how: "field" or "turner"."""
    data = pictures("wide", seed)
    rows, gaze, _ = requests(seed, data, False)
    part, generator = data.pick(rows), torch.Generator().manual_seed(4000 + seed)
    away = 0.3 + 0.2 * torch.rand(len(rows), generator=generator)
    yaw = torch.where(part.pose[:, 1] > 0, part.pose[:, 1] - away, part.pose[:, 1] + away)
    poses = torch.stack([part.pose[:, 0], yaw], 1), part.pose
    found = []
    for pose in poses:
        if how == "field":
            images = redirected(model("wide", seed), codes_of(model("wide", seed), data, rows), gaze, pose).images
        else:
            shown, wanted = torch.cat([part.gaze, part.pose], 1), torch.cat([gaze, pose], 1)
            images = runs.turner(seed)(part.images, shown, wanted)
        truth = redrawn(part, gaze=gaze, pose=pose).images
        said = [pitchyaw_to_vector(est.estimated(judge(seed), i)) for i in (images, truth)]
        found.append(float(angular_error(*said).mean()))
    return found[0], found[1]


def consistent(seed: int) -> Value:
    """What turning the head costs the field, in distance to the truth."""
    floor(seed)
    far, near = turned("field", seed)
    return far - near, None


def more_consistent(seed: int) -> Value:
    """Distance to the truth after turning: the field against the rival without space."""
    floor(seed)
    return turned("field", seed)[0], turned("turner", seed)[0]


# --------------------------------------------------------------------------------------------- separate codes


def moved_elsewhere(seed: int) -> Value:
    """Mean change of a render, more than BESIDE pixels from any eye, when the gaze is turned round."""
    floor(seed)
    found, data = model("wide", seed), pictures("wide", seed)
    rows, gaze, pose = requests(seed, data, False)
    codes = codes_of(found, data, rows)
    one, other = (redirected(found, codes, g, pose).images for g in (gaze, -gaze))
    eyes = redrawn(data.pick(rows), gaze=gaze, pose=pose).eyes
    near = torch.nn.functional.max_pool2d(eyes.float(), 2 * BESIDE + 1, 1, BESIDE) > 0
    return float((one - other).abs().mean(1)[~near].mean()), None


@shared
def swap(what: str, seed: int) -> tuple[float, float]:
    """How far the judge's answer moves when "light" or "identity" is another picture's, and when the truth's is."""
    found, data = model("wide", seed), pictures("wide", seed)
    rows, gaze, pose = requests(seed, data, False)
    part, others = data.pick(rows), rows.roll(1)
    codes, other = codes_of(found, data, rows), codes_of(found, data, others)
    keep = {**vars(codes), what: getattr(other, what)}
    real = {what: getattr(data.pick(others), what)}
    if what == "identity":
        keep["between"] = other.between
    said = []
    for of, truth in ((codes, part), (Codes(**keep), replace(part, **real))):
        images = redirected(found, of, gaze, pose).images
        drawn = redrawn(truth, gaze=gaze, pose=pose).images
        said.append([pitchyaw_to_vector(est.estimated(judge(seed), i)) for i in (images, drawn)])
    return tuple(float(angular_error(a, b).mean()) for a, b in zip(*said, strict=True))  # type: ignore[return-value]


def swapping(what: str, seed: int) -> Value:
    """See `swap`."""
    floor(seed)
    return swap(what, seed)


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


def adapting(light: str, other: str, seed: int) -> Value:
    """Target error after adapting one way against another."""
    floor(seed)
    return runs.adapted_error(light, seed), runs.adapted_error(other, seed)


def fitted_gaze(seed: int) -> Value:
    """Error of the gaze that fitting found on unlabelled pictures, against that of the estimator it began with."""
    floor(seed)
    data = pictures("unlabelled", seed)
    truth = pitchyaw_to_vector(data.gaze)
    begin = runs._in_head(est.estimated(runs.taught("jitter and made", seed), data.images), data.pose)
    return tuple(  # type: ignore[return-value]
        float(angular_error(pitchyaw_to_vector(angles), truth).mean()) for angles in (runs.fitted(seed).gaze, begin)
    )


def not_here(reason: str, seed: int) -> Value:
    """A number of the paper that needs its data."""
    raise NotTested(reason)
