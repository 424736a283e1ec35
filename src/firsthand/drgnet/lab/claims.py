"""The chapter's claims. Of the paper we could read the abstract only; rows of source "paper" follow its sentences.

Pictures, sizes, schedules and thresholds are ours.
"""

from __future__ import annotations

from functools import partial

from firsthand.drgnet.lab import curves
from firsthand.drgnet.lab import measures as m
from firsthand.drgnet.lab.runs import FULL, PLAIN, Kind, Study
from firsthand.kit.lab.claims import Claim, Curve, template

FAR = "needs IDRiD, FGADR and EyePACS; `data.retinas` reads the first two"
NOISY = Study(noise=0.2)


_claim = template(unit="1", repeats_within=0.05)  # average precision or kappa
_exact = template(unit="1", rule="exact", repeats_within=1e-9)


CLAIMS: list[Claim] = [
    # --------------------------------------------------------------------------------------- pictures and sizes
    _exact("rule-drawn", m.misgraded, sentence="Counted where its lesions were drawn, every picture has the grade that was planned for it, by the clinical rule with five haemorrhages for twenty.", metric="of thirty, those that have not",
           unit="pictures"),
    _exact("sets-apart", m.overlapping, sentence="No eye is in two of the sets, but for the one test that both cameras photograph.", metric="eyes in two sets", unit="eyes"),
    _exact("size-bottleneck", m.bottleneck, sentence="At 512 pixels the released widths end in 512 maps of 32 by 32.", metric="numbers in the bottleneck", source="code",
           unit="numbers", target=524_288.0, seeds=1),
    _claim("size-drawn", m.ma_drawn, sentence="The median drawn microaneurysm is 1.7 times as wide as IDRiD's, beside the retina.", metric="diameter over 1.7 times IDRiD's",
           unit="ratio", rule="within", target=1.0, tolerance=0.15, repeats_within=0.02),
    # --------------------------------------------------------------------------------------------- lesions
    _claim("floor-exudates", partial(m.found_lesions, "EX"), sentence="Hard exudates are found with a precision of 0.4 (the floor of this chapter).",
           metric="average precision", target=m.FLOOR),
    _claim("floor-haemorrhages", partial(m.found_lesions, "HE"), sentence="So are haemorrhages.", metric="average precision", target=m.FLOOR),
    _claim("floor-kappa", m.full_kappa, sentence="The system grades with a quadratic kappa of 0.5 (the floor of all rows about grades).", metric="quadratic kappa",
           target=m.GRADED, repeats_within=0.1),
    _claim("union-se", partial(m.union_gain, "SE"), sentence="Training on all lesions as one first makes rare soft exudates easier to find, by 0.03.",
           metric="average precision of SE, with minus without, equal steps", target=0.03, source="code"),
    _claim("union-rare", m.union_rare, sentence="Training on all lesions as one first helps soft exudates more than hard ones.", metric="gain of SE minus gain of EX"),
    _claim("union-mean", partial(m.union_gain, "mean"), sentence="Training on all lesions as one first helps on average.", metric="mean average precision, with minus without", source="code"),
    _claim("flatter-se", partial(m.flattered, "SE"), sentence="Testing on pictures that have the lesion only, as the released code does, flatters by 0.02 or more.",
           metric="average precision of SE, positive pictures minus all", source="code", target=0.02),
    _claim("halved-ma", partial(m.halved, "MA"), sentence="Shown pictures of half the resolution, the network loses more than half of its precision on microaneurysms.",
           metric="average precision, halved over whole", unit="ratio", rule="at_most", target=0.5, repeats_within=0.1),
    _claim("halved-he", partial(m.halved, "HE"), sentence="Shown pictures of half the resolution, it keeps more than half of its precision on haemorrhages.", metric="average precision, halved over whole", unit="ratio", target=0.5,
           repeats_within=0.1),
    # --------------------------------------------------------------------------------------------- cameras
    _claim("camera-gap", m.camera_gap, sentence="The same eyes by another camera cost 0.05 of precision or more.", metric="mean average precision, own minus other camera", target=0.05),
    _claim("adapt-seen", partial(m.adaptation, "watched", "source"), sentence="Letting the other camera's pictures pass through batch norm helps by itself.",
           metric="mean average precision on the other camera, seen minus not, equal steps"),
    _claim("adapt-both", partial(m.adaptation, "both", "watched"), sentence="Wasserstein distance and adversarial entropy together win 0.02 or more.", source="paper",
           metric="mean average precision on the other camera, against seeing it only, equal steps", target=0.02),
    *(
        _claim(f"adapt-{name}", partial(m.adaptation, name, "watched"), sentence=f"{words} alone helps.", source="paper",
               metric="mean average precision on the other camera, against seeing it only, equal steps")
        for name, words in (("wasserstein", "The Wasserstein critic"), ("adversarial", "Adversarial entropy minimisation"))
    ),
    *(
        _claim(f"adapt-over-{name}", partial(m.adaptation, "both", name), sentence=f"Both together beat {words}.", metric="mean average precision on the other camera")
        for name, words in (("colour", "matching the pictures' colours"), ("norm", "measuring batch norm anew"))
    ),
    _claim("adapt-oracle", partial(m.adaptation, "oracle", "both"), sentence="The other camera's masks are worth 0.05 or more beyond adaptation without them.",
           metric="mean average precision on the other camera, with its masks minus without", target=0.05),
    _claim("adapt-distance", m.critic_distance, sentence="The Wasserstein term brings the cameras' features nearer to each other.", source="paper",
           metric="a fresh critic's distance on training pictures, scaled by their spread, lowered minus seen only", rule="at_most", repeats_within=1.0),
    # ----------------------------------------------------------------------------------------------- grades
    _claim("joint-kappa", partial(m.kappa, FULL, PLAIN), sentence="Attention to lesions improves grading by 0.03 or more.", source="paper",
           metric="quadratic kappa, with attention and the consistency term minus without; the rival has the segmenter's levels too, and twice the grader's steps", target=0.03),
    _claim("joint-grades", partial(m.joined, "kappa"), sentence="Thirty joint steps, with the grade's gradients in the segmenter, improve grading.", source="ours",
           metric="quadratic kappa, fine-tuned with the grade's gradients in the segmenter minus without, equal steps"),
    _claim("joint-lesions", partial(m.joined, "mean"), sentence="Thirty joint steps, with the grade's gradients in the segmenter, improve precision.", source="ours",
           metric="mean average precision, fine-tuned with the grade's gradients in the segmenter minus without, equal steps"),
    _claim("joint-terms", partial(m.kappa, FULL, Kind(terms=False)), sentence="The loss that draws the explanation to the lesions improves grading.", metric="quadratic kappa, with minus without it; erasure is in neither"),
    _claim("joint-maps", partial(m.kappa, Kind("low", False), PLAIN), sentence="Attention at low level alone improves grading.", metric="quadratic kappa, low-level attention minus none"),
    _claim("joint-counts", m.against_counts, sentence="The whole system grades better than a logistic regression on numbers and areas of its marks, which sees no new vessels.",
           metric="quadratic kappa, system minus counts"),
    # ------------------------------------------------------------------------------------------- explanations
    _claim("explain-deletion", m.deletion, sentence="Taking out the twentieth of the retina where the gate is highest lowers the grade's probability at least twice as much as taking out its mirror image, lesions spared.",
           source="paper", metric="fall of the probability, gate minus twice its mirrored place (never more pixels; at least 0)"),
    _claim("explain-fall", m.gate_fall, sentence="Taking out where it looked lowers the grade's probability by 0.05 or more.", metric="fall of the probability", target=0.05),
    _claim("explain-pointing", m.points, sentence="In seven of ten pictures that have a lesion, the gate's highest cell holds one.", metric="share of those pictures, cells of 32 pixels",
           unit="share", target=0.7, repeats_within=0.1),
    *(
        _claim(f"explain-over-{name}", partial(m.points_better, name), sentence=f"The gate points to lesions more often than {words}.", metric="share of pictures, the gate minus it",
               unit="share", repeats_within=0.15)
        for name, words in (("chance", "chance"), ("cam", "Grad-CAM"))
    ),
    _claim("explain-counts", m.counterfactual, sentence="Leaving out the lesion of the largest share changes the grade more than leaving out that of the smallest.", source="paper",
           metric="change of the grade's probability, largest minus smallest"),
    # ------------------------------------------------------------------------------------------------ feedback
    _claim("feedback-precision", partial(m.feedback, Study(), "mean"), sentence="Four rounds of five corrected pictures win 0.03 of precision or more.", source="paper",
           metric="mean average precision on the other camera, corrected minus replay alone", target=0.03),
    _claim("feedback-kappa", partial(m.feedback, Study(), "kappa"), sentence="Four rounds of five corrected pictures win 0.02 of kappa or more.", source="paper",
           metric="quadratic kappa on the other camera, corrected minus replay alone", target=0.02, repeats_within=0.1),
    _claim("feedback-moved", m.moved, sentence="Pixels that nobody corrected, surely empty ones left out, change by less than 0.05 on average in any round.", metric="mean change of probability, largest round",
           rule="at_most", target=0.05),
    _claim("weak-clicks", partial(m.part_of_gain, Study(expert="clicks"), 0.6), sentence="Clicks win six tenths of what masks win, or more.", source="paper",
           metric="gain of precision, clicks minus 0.6 of masks (counted as 0.01 at least)"),
    _claim("weak-pixels", m.pixel_share, sentence="Clicks mark at most half of the pixels that masks mark.", metric="pixels, clicks over masks", unit="ratio", rule="at_most", target=0.5,
           repeats_within=0.1),
    _claim("weak-flags", partial(m.feedback, Study(expert="flags"), "mean"), sentence="Saying the grade and which lesions there are helps.", source="paper",
           metric="mean average precision on the other camera, flags minus replay alone"),
    _claim("weak-grade-kappa", partial(m.feedback, Study(expert="grade"), "kappa"), sentence="Grades alone improve grading.", source="paper",
           metric="quadratic kappa on the other camera, grades minus replay alone", repeats_within=0.1),
    _claim("weak-grade-precision", partial(m.feedback, Study(expert="grade"), "mean"), sentence="Grades alone change precision by less than 0.01.",
           metric="mean average precision on the other camera, grades minus replay alone", rule="within", tolerance=0.01),
    _claim("noise-half", partial(m.part_of_gain, NOISY, 0.5), sentence="With a fifth of the corrections and of the grades wrong, half of what masks win in precision is left.", source="paper",
           metric="gain of precision, with noise minus half of the clean one (counted as 0.01 at least)"),
    _claim("noise-attention", m.less_lost, sentence="Without attention and its terms noise costs more.", source="paper", metric="precision and kappa lost to noise, mean of both, without minus with; pictures chosen by chance, the same for both", repeats_within=0.1),
    _claim("choice-early", m.early, sentence="Choosing uncertain pictures is better than chance in the first two rounds.", metric="mean average precision over both rounds"),
    _claim("kept-replay", partial(m.kept, True), sentence="With replay the first camera loses at most 0.01 of precision.", metric="mean average precision on it, after minus before", target=-0.01),
    _claim("kept-beside", m.kept_beside, sentence="Corrections on the second camera cost the first at most 0.01 beside replay alone.", metric="mean average precision on it, corrected minus replay alone",
           target=-0.01),
    _claim("kept-none", partial(m.kept, False), sentence="Without replay it loses 0.01 of precision or more.", metric="mean average precision on it, after minus before", rule="at_most",
           target=-0.01),
    *(
        _exact(f"published-{name}", partial(m.not_here, FAR), sentence=sentence, metric=metric, source="paper", rule="at_least", seeds=5)
        for name, sentence, metric in (
            ("lesions", "On IDRiD and FGADR lesions are found better than by other networks.", "average precision there"),
            ("grades", "On IDRiD and FGADR eyes are graded better than by other networks.", "accuracy and kappa there"),
        )
    ),
]  # fmt: skip

_STUDIES = {"masks": Study(), "clicks": Study(expert="clicks"), "grade": Study(expert="grade"), "none": m.NONE}
CURVES: list[Curve] = [
    *(
        Curve(f"{name}-{what}", "round", [0.0, 1.0, 2.0, 3.0, 4.0], partial(m.round_curve, study, what))
        for name, study in _STUDIES.items()
        for what in ("mean", "kappa")
    ),
    *curves.CURVES,
]
