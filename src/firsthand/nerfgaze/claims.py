"""The chapter's claims. Of NeRF-Gaze we could read the abstract; there is no public code.

Rows of source "paper" follow the abstract; heads, sizes, schedules and thresholds are ours.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from firsthand.kit.claims import Claim
from firsthand.nerfgaze import measures as m

FAR = "needs ETH-XGaze, MPIIFaceGaze and days of an accelerator; `data.gaze_sets` reads both"


def _claim(name: str, measure: Any, **rest: Any) -> Claim:
    """A row in degrees, less is better; keywords change what is usual."""
    usual = {
        "source": "ours", "unit": "degrees", "rule": "at_most", "target": 0.0, "tolerance": 0.0, "paper": None,
        "repeats_within": 1.0,
    }  # fmt: skip
    return Claim(id=name, measure=measure, **{**usual, **rest})  # type: ignore[arg-type]


def _exact(name: str, measure: Any, **rest: Any) -> Claim:
    return _claim(name, measure, **{"unit": "1", "rule": "exact", "repeats_within": 1e-9, "seeds": 1, **rest})


CLAIMS: list[Claim] = [
    # ---------------------------------------------------------------------------------------------------- exact
    _exact("size-field", m.parameters, sentence="HeadNeRF's field, on which GazeNeRF stands, has 1,517,057 parameters.", metric="parameters", source="code", target=1_517_057.0),
    _exact("ray-left", m.left_over, sentence="Weights of a ray's samples and what is left of the background add up to one.", metric="left over, minus exp of minus the summed depth", tolerance=1e-12),
    _exact("ray-lid", m.lid_sum, sentence="Densities that add up show the lid before the eye: 0.523 on white.", metric="brightness of a ray of five samples", tolerance=5e-4, target=0.5229),
    _exact("ray-max", m.lid_max, sentence="The larger of two pictures shows the eye through the lid: 0.892.", metric="brightness of the same ray", source="code", tolerance=5e-4, target=0.8919),
    _exact("order-swapped", m.swapped, sentence="Exchanging pitch and yaw costs forty degrees at (0.2, -0.3).", metric="degrees", unit="degrees", target=40.3, tolerance=0.05),
    # --------------------------------------------------------------------------------------------- redirection
    _claim("floor-redirection", partial(m.error_of, "wide", False), sentence="A judge that took no part in training finds heads looking where they were asked to, almost as well as in true pictures: one degree worse at most.",
           source="paper", metric="judge's error in range, renders minus true pictures", target=1.0),
    _claim("floor-mean", m.against_mean, sentence="That is less than a third of what always saying the mean gaze costs (the floor of this chapter, with eight degrees).", metric="error over the mean predictor's", unit="ratio", target=1 / 3, repeats_within=0.05),
    _claim("eyes-one", partial(m.ratio, "rotated", "single", True), sentence="Beyond the gazes that were trained on, two fields err by a quarter less than one that is told the gaze.", source="paper",
           metric="distance to the truth at 0.6 rad after training up to 0.25, over that of one field", unit="ratio", target=0.75, repeats_within=0.1),
    _claim("eyes-told", partial(m.ratio, "rotated", "fed", True), sentence="There, an eye that turns errs half as much as an eye that is told.", metric="distance to the truth, over that of an eye field that is fed the gaze", unit="ratio", target=0.5, repeats_within=0.1),
    _claim("eyes-one-in", partial(m.ratio, "rotated", "single", False), sentence="Between, up to 0.45, it still errs by a quarter less than one field.", metric="distance to the truth up to 0.45 rad", unit="ratio", target=0.75, repeats_within=0.1),
    _claim("eyes-told-in", partial(m.ratio, "rotated", "fed", False), sentence="And half as much as an eye that is told.", metric="distance to the truth up to 0.45 rad", unit="ratio", target=0.5, repeats_within=0.1),
    _claim("compose-eyes", m.composed, sentence="Densities that add up paint eyes of turned heads better than the larger of two pictures: by a decibel.", metric="PSNR of eyes at a yaw beyond 0.25", unit="dB", rule="at_least", target=1.0),
    _claim("compose-gaze", m.composed_gaze, sentence="And their gaze is nearer to the truth.", metric="distance to the truth"),
    _claim("view-turned", m.consistent, sentence="Turning the head by 0.3 to 0.5 rad costs the gaze 1.5 degrees at most.", source="paper", metric="distance to the truth, turned minus not", target=1.5),
    _claim("view-flat", m.more_consistent, sentence="After such a turn it is nearer to the truth than an image-to-image network's, which was shown true pairs.", metric="distance to the truth"),
    # --------------------------------------------------------------------------------------------- separate codes
    _claim("apart-gaze", m.moved_elsewhere, sentence="Turning the gaze changes nothing beyond two pixels from the eyes: less than a hundredth.", source="paper", metric="mean change, of one", unit="1", target=0.01, repeats_within=1e-3),
    *(
        _claim(f"apart-{what}", partial(m.swapping, what), sentence=f"Changing {words} moves the gaze that is seen no more than in true pictures, by a degree.", source="paper",
               metric="degrees that the judge moves, renders minus true pictures", target=1.0)
        for what, words in (("light", "the light"), ("identity", "the person"))
    ),
    _claim("apart-leak", m.leak, sentence="Codes of light and expression tell less than a twentieth of the gaze.", metric="share of variance, held out", unit="share", target=0.05, repeats_within=0.05),
    # ------------------------------------------------------------------------------------------ generalisation
    _claim("world-gap", m.world_gap, sentence="An estimator that knows the source errs by five degrees more in the other world.", metric="target minus new people of the source", rule="at_least", target=5.0, repeats_within=3.0),
    _claim("general-made", partial(m.taught, "made", "source"), sentence="Renders lower the error in a world that nobody trained on.", source="paper", metric="target error, source and renders minus source", repeats_within=3.0),
    _claim("general-closed", m.closed, sentence="They close 15 % or more of the way to true pictures of that world.", metric="share of the gap between source and oracle", unit="share", rule="at_least", target=0.15, repeats_within=0.2),
    _claim("general-jitter", partial(m.taught, "made", "jitter"), sentence="They do so better than drawing exposure and background of the source anew.", metric="target error, renders minus jittered source", repeats_within=3.0),
    _claim("general-over", partial(m.taught, "jitter and made", "jitter"), sentence="On top of that they still lower it.", source="paper", metric="target error, both minus jittered source", repeats_within=3.0),
    _claim("general-noise", partial(m.taught, "jitter and noisy", "jitter"), sentence="With labels that are wrong by ten degrees they do not.", metric="target error, noisy renders minus none", rule="at_least", repeats_within=3.0),
    # ----------------------------------------------------------------------------------------------- adaptation
    _claim("adapt-own", partial(m.adapting, "own", "none"), sentence="A hundred unlabelled pictures of a new world, fitted and redirected, lower the error there.", source="paper", metric="target error, minus as many further steps without", repeats_within=2.0),
    _claim("adapt-light", partial(m.adapting, "own", "source"), sentence="With their own light better than with the source's.", metric="target error", repeats_within=2.0),
    _claim("adapt-fitted", m.fitted_gaze, sentence="Fitting finds the gaze of an unlabelled picture better than the estimator that it began with.", metric="degrees on those pictures", repeats_within=2.0),
    *(
        _exact(f"published-{name}", partial(m.not_here, FAR), sentence=sentence, metric="angular error there", source="paper", unit="degrees", rule="at_most", seeds=5)
        for name, sentence in (
            ("general", "On real benchmarks domain generalisation gains."), ("adapt", "On real benchmarks domain adaptation gains."),
        )
    ),
]  # fmt: skip
