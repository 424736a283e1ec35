"""The chapter's claims. Of NeRF-Gaze we could read the abstract; there is no public code.

Rows of source "paper" follow the abstract; heads, sizes, schedules and thresholds are ours.
"""

from __future__ import annotations

from functools import partial

from firsthand.kit.lab.claims import Claim, Curve, template
from firsthand.nerfgaze.lab import live
from firsthand.nerfgaze.lab import measures as m

FAR = "needs ETH-XGaze, MPIIFaceGaze and days of an accelerator; `data.gaze_sets` reads both"


_claim = template(unit="degrees", rule="at_most", repeats_within=1.0)  # less is better
_exact = template(unit="1", rule="exact", repeats_within=1e-9, seeds=1)


CLAIMS: list[Claim] = [
    # ---------------------------------------------------------------------------------------------------- exact
    _exact("size-field", m.parameters, sentence="HeadNeRF's field, on which GazeNeRF stands, has 1,517,057 parameters.", metric="parameters", source="code", target=1_517_057.0),
    _exact("ray-left", m.left_over, sentence="Weights of a ray's samples and what is left of the background add up to one.", metric="left over, minus exp of minus the summed depth", tolerance=1e-12),
    _exact("ray-lid", m.lid_sum, sentence="Densities that add up show the lid before the eye: 0.523 on white.", metric="brightness of a ray of five samples", tolerance=5e-4, target=0.5229),
    _exact("ray-max", m.lid_max, sentence="The larger of two pictures shows the eye through the lid: 0.892.", metric="brightness of the same ray", source="code", tolerance=5e-4, target=0.8919),
    _exact("order-swapped", m.swapped, sentence="Exchanging pitch and yaw costs forty degrees at (0.2, -0.3).", metric="degrees", unit="degrees", target=40.3, tolerance=0.05),
    # --------------------------------------------------------------------------------------------- redirection
    _claim("floor-redirection", partial(m.error_of, "wide", "trained"), sentence="A judge that took no part in training finds heads looking where they were asked to, almost as well as in true pictures: one degree worse at most.",
           source="paper", metric="judge's error in range, renders minus true pictures", target=1.0),
    _claim("floor-mean", m.against_mean, sentence="That is less than a third of what always saying the mean gaze costs (a floor of this chapter, with eight degrees).", metric="error over the mean predictor's", unit="ratio", target=1 / 3, repeats_within=0.05),
    _claim("eyes-apart", partial(m.ratio, "fed", "single", "out"), sentence="Beyond the gazes that were trained on, an eye field that is told the gaze errs by a quarter less than one field that is told it.", source="ours",
           metric="distance to the truth at 0.6 rad after training up to 0.25, over that of one field", unit="ratio", target=0.75, repeats_within=0.1),
    _claim("eyes-turning", partial(m.ratio, "rotated", "fed", "out"), sentence="There, an eye field that turns errs half as much as one that is told.", metric="distance to the truth, over that of an eye field that is fed the gaze", unit="ratio", target=0.5, repeats_within=0.1),
    _claim("eyes-one", partial(m.ratio, "rotated", "single", "out"), sentence="And a quarter less than one field.", metric="distance to the truth, over that of one field", unit="ratio", target=0.75, repeats_within=0.1),
    _claim("eyes-same", partial(m.distance, "rotated", "fed", "trained"), sentence="Among the gazes that were trained on, turning and telling are alike, to a degree.", metric="distance to the truth up to 0.25 rad, turning minus told", rule="within", tolerance=1.0),
    _claim("eyes-between", partial(m.ratio, "rotated", "fed", "between"), sentence="Up to 0.45, half way out, turning already errs by a quarter less.", metric="distance to the truth up to 0.45 rad, over that of an eye field that is fed the gaze", unit="ratio", target=0.75, repeats_within=0.1),
    _claim("compose-eyes", m.composed, sentence="Densities that add up paint eyes and lids of turned heads better than the larger of two pictures: by a decibel.", metric="PSNR of eyes and three pixels about them, at a yaw of the head of 0.3 to 0.5", unit="dB", rule="at_least", target=1.0),
    _claim("compose-gaze", partial(m.distance, "features", "max", "turned"), sentence="And their gaze is nearer to the truth.", metric="distance to the truth, at such yaws"),
    _claim("view-turned", m.turned, sentence="Turning the head to a yaw of 0.3 to 0.5 rad, beyond most that was trained on, costs the gaze 1.5 degrees at most.", source="paper", metric="distance to the truth, turned minus as in training", target=1.5),
    _claim("view-flat", m.more_consistent, sentence="It is nearer to the truth there than that of an image-to-image network, which turns the eyes of a true picture of the turned head.", metric="distance to the truth"),
    _claim("view-nearest", m.nearest, sentence="And nearer than the picture of the same person, of those trained on, that looks and is turned most alike.", metric="distance to the truth"),
    _claim("view-strangers", m.strangers, sentence="People who were not trained on, fitted and redirected, look where asked as well, to two degrees.", source="ours", metric="distance to the truth, fitted minus trained on", target=2.0),
    # --------------------------------------------------------------------------------------------- separate codes
    _claim("apart-gaze", m.elsewhere, sentence="Turning the gaze changes less of the face beyond two pixels from the eyes than in one field.", source="paper", metric="mean change of the head there, of one", unit="1", repeats_within=1e-3),
    *(
        _claim(f"apart-{what}", partial(m.swapping, what, "gaze"), sentence=f"Changing {words} moves the gaze away from the truth by a degree at most.", source="ours" if what == "expression" else "paper",
               metric="distance to the truth, changed minus unchanged", target=1.0)
        for what, words in (("light", "the light"), ("identity", "the person"), ("expression", "the expression"))
    ),
    *(
        _claim(f"works-{what}", partial(m.swapping, what, "picture"), sentence=f"A changed code of {words} brings the render a decibel nearer to the changed truth.", source="ours" if what == "expression" else "paper",
               metric="PSNR against the changed truth, changed render minus unchanged", unit="dB", rule="at_least", target=1.0)
        for what, words in (("light", "light"), ("identity", "identity"), ("expression", "expression"))
    ),
    _claim("apart-leak", m.leak, sentence="Codes of light and expression tell less than a twentieth of the gaze.", metric="share of variance, held out", unit="share", target=0.05, repeats_within=0.05),
    # ------------------------------------------------------------------------------------------ generalisation
    _claim("made-exact", m.exact_labels, sentence="Renders of people who are not there, in poses beyond training, look where their labels say: two degrees worse than true pictures of them at most.", source="paper",
           metric="judge's error, renders minus true pictures", target=2.0),
    _claim("world-gap", m.world_gap, sentence="An estimator that knows the source errs by five degrees more in the other world.", metric="target minus new people of the source", rule="at_least", target=5.0, repeats_within=3.0),
    _claim("world-mean", m.above_mean, sentence="There it still errs less than always saying the mean gaze of the source.", metric="target error, estimator minus mean gaze", repeats_within=3.0),
    _claim("general-made", partial(m.taught, "made", "source"), sentence="Renders lower the error in a world that nobody trained on.", source="paper", metric="target error, source and renders minus source", repeats_within=3.0),
    _claim("general-closed", m.closed, sentence="They close 15 % or more of the way to true pictures of the source's people in that world's light and poses.", metric="share of the gap between source and oracle", unit="share", rule="at_least", target=0.15, repeats_within=0.2),
    _claim("general-poses", partial(m.taught, "made", "made near"), sentence="Poses as wide as the target's are part of that.", metric="target error, renders in the target's poses minus in the source's", repeats_within=3.0),
    _claim("general-jitter", partial(m.taught, "made", "jitter"), sentence="Renders, in wider poses, do more than drawing exposure and background of the source anew.", metric="target error, renders minus jittered source", repeats_within=3.0),
    _claim("general-over", partial(m.taught, "jitter and made", "jitter"), sentence="On top of that they still lower it.", source="paper", metric="target error, both minus jittered source", repeats_within=3.0),
    _claim("general-noise", partial(m.taught, "jitter and noisy", "jitter and made"), sentence="Labels that are wrong by ten degrees, each its own way, cost something.", metric="target error, wrong minus right labels", rule="at_least", repeats_within=3.0),
    _claim("general-bias", partial(m.taught, "jitter and biased", "jitter"), sentence="Wrong by ten degrees all alike, they are worse than no renders.", metric="target error, wrong labels minus none", rule="at_least", repeats_within=3.0),
    # ----------------------------------------------------------------------------------------------- adaptation
    _claim("adapt-own", partial(m.adapting, "own", "none", "target"), sentence="A hundred pictures of a new world without gaze, fitted and redirected, lower the error on those people.", source="paper", metric="target error, minus as many further steps without", repeats_within=2.0),
    _claim("adapt-others", partial(m.adapting, "own", "none", "target others"), sentence="And on other people of that world.", metric="target error on five others, minus as many further steps without", repeats_within=2.0),
    _claim("adapt-source", partial(m.adapting, "own", "none", "target", start="source"), sentence="From an estimator that knows the source alone, without jitter or other renders, they lower it too.", source="paper", metric="target error, minus as many further steps on the source", repeats_within=3.0),
    *(
        _claim(f"adapt-over-{name}", partial(m.adapting, "own", name, "target"), sentence=f"From the estimator made for that world they do better than {words}.", metric="target error", repeats_within=2.0)
        for name, words in (("norm", "measuring batch norm anew on those pictures"), ("pseudo", "learning from what the estimator itself says of them"))
    ),
    _claim("adapt-light", partial(m.adapting, "own", "source", "target"), sentence="There, with their own light they do better than with the source's, darkened at random.", metric="target error", repeats_within=2.0),
    _claim("adapt-fitted", m.fitted_gaze, sentence="Fitting finds the gaze of such a picture better than the estimator that it began with.", metric="degrees on those pictures", repeats_within=2.0),
    *(
        _exact(f"published-{name}", partial(m.not_here, FAR), sentence=sentence, metric="angular error there", source="paper", unit="degrees", rule="at_most", seeds=5)
        for name, sentence in (
            ("general", "On real benchmarks domain generalisation gains."), ("adapt", "On real benchmarks domain adaptation gains."),
        )
    ),
]  # fmt: skip

CURVES: list[Curve] = [
    Curve("loss", "step", [float(m.LOSS_EVERY * (n + 0.5)) for n in range(14)], m.loss_curve),
    *live.CURVES,
]
