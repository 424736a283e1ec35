"""The chapter's claims. Of the paper we could read its abstract and the tables of its repository, not its body.

`paper` holds the paper's own number at its scale; ours are measured at the book's.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from firsthand.dmjd import measures as m
from firsthand.dmjd.runs import DISJOINT, INDEPENDENT, JOINT, PIXELS, RELEASED, SINGLE, STEPS
from firsthand.kit.claims import Claim, Curve

RULE, ONCE, TWICE = (replace(DISJOINT, borrowed=f) for f in (1.0, 0.6, 1.2))  # the rule's factor is 1 / 0.6


def _claim(name: str, measure: Any, **rest: Any) -> Claim:
    return Claim(id=name, measure=measure, **{"paper": None, "tolerance": 0.0, "target": 0.0, "source": "ours", **rest})


def _exact(name: str, measure: Any, **rest: Any) -> Claim:
    return _claim(name, measure, **{"unit": "1", "seeds": 5, "repeats_within": 1e-9, "rule": "exact", **rest})


def _trained(name: str, measure: Any, **rest: Any) -> Claim:
    return _claim(name, measure, **{"unit": "points", "repeats_within": 1.5, "rule": "at_least", **rest})


def _ratio(name: str, measure: Any, **rest: Any) -> Claim:
    return _trained(
        name, measure, **{"unit": "ratio", "repeats_within": 0.03, "rule": "at_most", "target": 1.0, **rest}
    )


EXACT = [
    *(
        _exact(f"size-{name}", partial(m.millions, model), sentence=f"{words} has {size:.6f} million parameters.", metric="trainable parameters",
               source="code", unit="million", target=size, tolerance=5e-7, seeds=1)
        for name, model, words, size in (
            ("base", "base", "The base model, eight decoder blocks,", 135.635032), ("base-two", "base, two decoder blocks", "With two decoder blocks it", 104.125528),
            ("large", "large", "The large model", 374.892888), ("tuned", "base, fine-tuning", "The base classifier", 88.787816),
        )
    ),
    _exact("mask-counts", m.wrong_counts, sentence="Every view hides exactly n_m cells and all views together the union asked for.",
           metric="settings where not"),
    _exact("mask-released", m.released_counts, sentence="At 196 tokens the masks have the sizes of the released code's, for nine settings.",
           metric="settings where not", source="code"),
    _exact("mask-fair", m.mask_bias, sentence="Every token is hidden equally often in the second view as well.", metric="largest deviation over 20,000 images",
           rule="at_most", target=0.015),
    _exact("mask-more", m.covered, sentence="Two disjoint views cover at least a tenth more of an image than two independent ones.",
           metric="share of tokens covered, disjoint minus independent", source="paper", unit="share", rule="at_least", target=0.1, repeats_within=1e-6),
    _exact("mask-formula", m.coverage_formula, sentence="Independent views cover 1 - (n_v / L)^2.", metric="measured minus formula", rule="within",
           tolerance=0.001, repeats_within=1e-6),
    *(
        _exact(f"leak-{size}", partial(m.leak, size), sentence=f"Changing hidden pixels changes no bit of what {words} says of visible tokens.", metric="largest change")
        for size, words in (("tiny-vit", "the vision transformer"), ("tiny-convvit", "ConvViT"))
    ),
    _exact("hog-equal", m.hog_gap, sentence="Our histograms are scikit-image's.", metric="largest difference after its block norm", tolerance=1e-6),
    _exact("pair-aligned", partial(m.oracle, "aligned"), sentence="With aligned targets an oracle has no loss.", metric="loss of the visible branch"),
    _exact("pair-released", partial(m.oracle, "released"), sentence="In the released order a perfect oracle has a loss all the same.",
           metric="loss of the visible branch, unit-normal targets", source="code", rule="at_least", target=0.3, repeats_within=1e-6),
    _exact("pair-chance", m.own_target, sentence="In the released order one token an image meets its own target: what chance would give.",
           metric="tokens an image", source="code", unit="tokens", rule="within", target=1.0, tolerance=0.1, repeats_within=1e-6),
    *(
        _exact(f"variance-{round(100 * c)}", partial(m.simulated_variance, c), sentence=f"At a corruption of {c} the variance of a mean loss falls as the closed form says.",
               metric="ratio of variances, simulated minus closed form", rule="within", tolerance=0.05, repeats_within=1e-6)
        for c in (0.5, 0.6, 0.75)
    ),
    *(
        _exact(f"imagenet-{name}", partial(m.needs_imagenet, data), sentence=sentence, metric=metric, source="paper", unit=unit, rule="at_least",
               target=number, paper=number)
        for name, data, sentence, metric, unit, number in (
            ("probe", "ImageNet", "ConvViT-Base reaches 76.7 % by a linear probe.", "top-1 accuracy", "%", 76.7),
            ("tuned", "ImageNet", "ConvViT-Base reaches 85.2 % after fine-tuning.", "top-1 accuracy", "%", 85.2),
            ("gain", "ImageNet", "That is 5.8 points more than ConvMAE by a linear probe.", "top-1 accuracy, DMJD minus ConvMAE", "points", 5.8),
            ("time", "ImageNet", "Disjoint masking alone takes 3.7 times less time to a competitive model.", "hours, one view over two", "ratio", 3.7),
        )
    ),
]  # fmt: skip

TRAINED = [
    _trained("floor-random", partial(m.better_probe, DISJOINT, None), sentence="Pre-trained features are better than random ones (the floor of this chapter).",
             metric="probe accuracy, disjoint minus random weights"),
    _trained("floor-pixels", m.above_pixels, sentence="Pre-trained features are better than raw pixels.", metric="probe accuracy, disjoint minus pixels"),
    _trained("floor-tuned", partial(m.better_tuned, JOINT, None), sentence="Pre-training helps fine-tuning with a thousand labels.",
             metric="test accuracy, both branches minus from scratch"),
    _ratio("disjoint-loss", partial(m.lower_loss, DISJOINT, INDEPENDENT), sentence="At the same images and views, disjoint masks end with a lower loss than independent ones.",
           metric="held-out loss, disjoint over independent", source="paper"),
    _trained("disjoint-probe", partial(m.better_probe, DISJOINT, INDEPENDENT), sentence="They also make better features.", metric="probe accuracy, disjoint minus independent"),
    _ratio("half-loss", partial(m.lower_loss, DISJOINT, SINGLE), sentence="With half the images a step, two disjoint views end within two per cent of the loss of one view.",
           metric="held-out loss, disjoint over single", source="paper", target=1.02),
    _trained("half-probe", partial(m.better_probe, DISJOINT, SINGLE), sentence="Nor do they lose more than a point of the probe.",
             metric="probe accuracy, disjoint minus single", source="paper", target=-1.0),
    _trained("half-epochs", partial(m.better_probe, DISJOINT, replace(SINGLE, steps=2 * STEPS)),
             sentence="After half the effective epochs disjoint masking is within a point of one view a picture.",
             metric="probe accuracy, disjoint minus single trained twice as long", source="paper", target=-1.0),
    _trained("joint-probe", partial(m.better_probe, JOINT, DISJOINT), sentence="The branch for visible tokens makes better features.",
             metric="probe accuracy, both branches minus one", source="paper"),
    _trained("joint-all", partial(m.better_probe, JOINT, SINGLE), sentence="Both ideas together make better features than one view a picture.",
             metric="probe accuracy, DMJD minus single", source="paper", paper=3.4),
    _trained("joint-tuned", partial(m.better_tuned, JOINT, SINGLE), sentence="After fine-tuning the difference is at most a point.",
             metric="test accuracy, DMJD minus single", source="paper", rule="within", tolerance=1.0, paper=0.1),
    _ratio("pair-loss", m.visible_ratio, sentence="Trained with aligned targets, the visible branch errs at most 0.8 times as much on a token's own target.",
           metric="held-out visible loss, aligned over released", target=0.8),
    _trained("pair-probe", partial(m.better_probe, JOINT, RELEASED), sentence="Aligned targets make better features than the released order.",
             metric="probe accuracy, aligned minus released"),
    _trained("pair-some", partial(m.better_probe, RELEASED, DISJOINT), sentence="The released order helps all the same: it is better than no visible branch.",
             metric="probe accuracy, released order minus one branch"),
    _trained("target-hog", partial(m.better_probe, DISJOINT, PIXELS), sentence="Gradient histograms are a better target than normalised pixels.",
             metric="probe accuracy, HOG minus pixels", source="paper"),
    _trained("rate-once", partial(m.better_probe, RULE, ONCE), sentence="The rate of the rule is at least as good as counting images (to half a point).",
             metric="probe accuracy, rule minus once", source="paper", target=-0.5),
    _trained("rate-twice", partial(m.better_probe, RULE, TWICE), sentence="And as counting views.", metric="probe accuracy, rule minus twice", source="paper", target=-0.5),
    _trained("prediction-loss", m.by_prediction, sentence="The more of an image two views cover (0.6 to 1), the lower the loss, at every step.",
             metric="minus held-out loss", source="paper", unit="1", rule="monotone", repeats_within=0.03),
    _ratio("variance-gradient", m.gradient_variance_ratio, sentence="Disjoint masks lower the variance of a trained net's gradient.",
           metric="total variance, disjoint over independent", repeats_within=0.2),
]  # fmt: skip

CLAIMS: list[Claim] = [*EXACT, *TRAINED]

#: For the notebook's own run, and for the figure of prediction rates.
CURVES: list[Curve] = [
    Curve("loss", "step", [float(at) for at in range(30, STEPS + 1, 30)], m.loss_curve),
    Curve("prediction", "prediction rate", list(m.SWEEP), m.prediction_curve),
]
