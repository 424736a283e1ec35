"""The chapter's claims. Of the paper we could read its abstract and the tables of its repository, not its body.

`paper` holds the paper's own number at its scale; ours are measured at the book's, all trained ones with the tiny
vision transformer.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from firsthand.dmjd.lab import measures as m
from firsthand.dmjd.lab.runs import DISJOINT, INDEPENDENT, JOINT, LONG_SINGLE, PIXELS, RELEASED, SINGLE, STEPS, WINDOW
from firsthand.kit.lab.claims import Claim, Curve, template

FAR = "ImageNet and weeks of GPU time"
RULE, ONCE, TWICE = (replace(DISJOINT, borrowed=f) for f in (1.0, 0.6, 1.2))  # the rule's factor is 1 / 0.6


_exact = template(unit="1", rule="exact", repeats_within=1e-9)
_trained = template(unit="points", repeats_within=1.5)
_ratio = template(unit="ratio", rule="at_most", target=1.0, repeats_within=0.03)


EXACT = [
    *(
        _exact(f"size-{name}", partial(m.millions, model), sentence=f"{words} has {size:.6f} million parameters.", metric="trainable parameters",
               source="code", unit="million", target=size, tolerance=5e-7, seeds=1)
        for name, model, words, size in (
            ("base", "base", "The base model, eight decoder blocks,", 135.635032), ("base-two", "base, two decoder blocks", "The base model with two decoder blocks", 104.125528),
            ("large", "large", "The large model", 374.892888), ("tuned", "base, fine-tuning", "The base classifier", 88.787816),
        )
    ),
    _exact("mask-counts", m.wrong_counts, sentence="Every view hides exactly n_m cells and all views together the union asked for.",
           metric="settings where not"),
    _exact("mask-released", m.released_counts, sentence="At 196 tokens the masks have the sizes of the released code's, for nine settings.",
           metric="settings where not", source="code"),
    _exact("mask-fair", m.mask_bias, sentence="Every token is hidden equally often in the second view as well.", metric="largest deviation over 20,000 images",
           rule="at_most", target=0.015, repeats_within=1e-4),
    _exact("mask-more", m.covered, sentence="At a corruption of 0.6 two disjoint views cover at least a tenth more of an image than two independent ones.",
           metric="share of tokens covered, disjoint minus independent", unit="share", rule="at_least", target=0.1, repeats_within=1e-6),
    _exact("mask-formula", m.coverage_formula, sentence="Two independent views cover 1 - (n_v / L)^2 of an image (at 0.6).", metric="measured minus formula", rule="within",
           tolerance=0.001, repeats_within=1e-6),
    *(
        _exact(f"leak-{size}", partial(m.leak, size), sentence=f"Changing hidden pixels changes no bit of what {words} says of visible tokens.", metric="largest change")
        for size, words in (("tiny-vit", "the vision transformer"), ("tiny-convvit", "ConvViT"))
    ),
    _exact("hog-equal", m.hog_gap, sentence="Our histograms are scikit-image's.", metric="largest difference after its block norm", tolerance=1e-6, repeats_within=1e-6),
    _exact("pair-aligned", partial(m.oracle, "aligned"), sentence="With aligned targets an oracle has no loss.", metric="loss of the visible branch"),
    _exact("pair-released", partial(m.oracle, "released"), sentence="In the released order a perfect oracle has a loss all the same.",
           metric="loss of the visible branch, unit-normal targets", source="code", rule="at_least", target=0.3, repeats_within=1e-6),
    _exact("pair-chance", partial(m.own_target, 1), sentence="In the released order one token an image meets its own target under random masks: what chance would give.",
           metric="tokens an image, of 78", source="code", unit="tokens", rule="within", target=1.0, tolerance=0.1, repeats_within=1e-6),
    _exact("pair-block", partial(m.own_target, 2), sentence="Under block masks, the default, it is hardly more than one either (at most two).",
           metric="tokens an image, of 76", source="code", unit="tokens", rule="at_most", target=2.0, repeats_within=1e-6),
    *(
        _exact(f"variance-{round(100 * c)}", partial(m.simulated_variance, c), sentence=f"At a corruption of {c} the variance of a mean loss falls as the closed form says.",
               metric="ratio of variances, simulated minus closed form", rule="within", tolerance=0.05, repeats_within=1e-6)
        for c in (0.5, 0.6, 0.75)
    ),
    *(
        _exact(f"imagenet-{name}", partial(m.not_here, reason), sentence=sentence, metric=metric, source="paper", unit=unit, rule="at_least",
               target=number, paper=number or None)
        for name, reason, sentence, metric, unit, number in (
            ("tuned", f"needs {FAR}; the recipes are the presets `paper` and `paper-finetune`", "ConvViT-Base reaches 85.2 % after fine-tuning.",
             "top-1 accuracy", "%", 85.2),
            ("probe", f"needs {FAR} and the release's own probe", "ConvViT-Base reaches 76.7 % by a linear probe.", "top-1 accuracy", "%", 76.7),
            ("gain", f"needs {FAR} and ConvMAE beside it", "A linear probe of DMJD is 5.8 points better than one of ConvMAE.",
             "top-1 accuracy, DMJD minus ConvMAE", "points", 5.8),
            ("time", f"needs {FAR} and the authors' vision transformer", "Disjoint masking alone takes 3.7 times less time to a competitive model.",
             "hours, one view over two", "ratio", 3.7),
            ("dense", f"needs {FAR}, COCO and ADE20K", "DMJD is better at segmentation and detection as well.", "score, DMJD minus the best other", "points", 0.0),
        )
    ),
]  # fmt: skip

TRAINED = [
    _trained("floor-random", partial(m.better_probe, DISJOINT, None), sentence="Pre-trained features are better than random ones (the floor of this chapter).",
             metric="probe accuracy, disjoint minus random weights"),
    _trained("floor-pixels", m.above_pixels, sentence="Pre-trained features are better than raw pixels.", metric="probe accuracy, disjoint minus pixels"),
    _trained("floor-tuned", partial(m.better_tuned, JOINT, None), sentence="Pre-training helps fine-tuning with a thousand labels.",
             metric="test accuracy, both branches minus from scratch"),
    _trained("floor-few", m.above_few_pixels, sentence="Pre-trained features are better than as many principal components of the pixels.",
             metric="probe accuracy, disjoint minus 64 components"),
    _ratio("disjoint-loss", partial(m.lower_loss, DISJOINT, INDEPENDENT), sentence="At the same images, views and rate, disjoint masks end with a lower loss than independent ones.",
           metric="held-out loss, disjoint over independent"),
    _trained("disjoint-probe", partial(m.better_probe, DISJOINT, INDEPENDENT), sentence="At the same images, views and rate, disjoint masks make better features than independent ones.",
             metric="probe accuracy, disjoint minus independent"),
    _ratio("half-loss", partial(m.lower_loss, DISJOINT, SINGLE), sentence="With half the images a step, two disjoint views end within half a per cent of the loss of one view.",
           metric="held-out loss, disjoint over single, each at its own rate", source="ours", target=1.005),
    _trained("half-probe", partial(m.better_probe, DISJOINT, SINGLE), sentence="With half the images a step, two disjoint views lose at most a point of the probe.",
             metric="probe accuracy, disjoint minus single", source="paper", target=-1.0),
    _trained("half-epochs", partial(m.better_probe, DISJOINT, LONG_SINGLE),
             sentence="After half the effective epochs disjoint masking is within a point of one view a picture.",
             metric="probe accuracy, disjoint minus single trained twice as long", source="paper", target=-1.0),
    _trained("joint-epochs", partial(m.better_probe, JOINT, LONG_SINGLE), sentence="After half the effective epochs both branches are at least as good as one view a picture.",
             metric="probe accuracy, both branches minus single trained twice as long", source="paper"),
    _trained("joint-probe", partial(m.better_probe, JOINT, DISJOINT), sentence="The branch for visible tokens makes better features.",
             metric="probe accuracy, both branches minus one", source="paper"),
    _trained("joint-all", partial(m.better_probe, JOINT, SINGLE), sentence="Both ideas together make better features than one view a picture.",
             metric="probe accuracy, DMJD minus single", source="paper", paper=3.4),
    _trained("joint-tuned", partial(m.better_tuned, JOINT, SINGLE), sentence="After fine-tuning both differ by at most a point.",
             metric="test accuracy, DMJD minus single", source="ours", rule="within", tolerance=1.0, paper=0.1),
    _ratio("pair-loss", m.visible_ratio, sentence="Trained with aligned targets, the visible branch errs at most 0.8 times as much on a token's own target.",
           metric="held-out visible loss, aligned over released", target=0.8),
    _trained("pair-probe", partial(m.better_probe, JOINT, RELEASED), sentence="Aligned targets make better features than the released order.",
             metric="probe accuracy, aligned minus released"),
    _trained("pair-some", partial(m.better_probe, RELEASED, DISJOINT), sentence="The released order helps all the same: it is better than no visible branch.",
             metric="probe accuracy, released order minus one branch"),
    _trained("target-hog", partial(m.better_probe, DISJOINT, PIXELS), sentence="Gradient histograms are a better target than normalised pixels.",
             metric="probe accuracy, HOG minus pixels", source="paper"),
    _trained("rate-once", partial(m.better_probe, RULE, ONCE), sentence="The rate of the rule is at least as good as counting images (to half a point).",
             metric="probe accuracy, rule minus once", source="code", target=-0.5),
    _trained("rate-twice", partial(m.better_probe, RULE, TWICE), sentence="The rate of the rule is at least as good as counting views (to half a point).", metric="probe accuracy, rule minus twice",
             source="code", target=-0.5),
    _trained("prediction-loss", m.by_prediction, sentence="The more of an image two views cover (five shares from 0.6 to 1), the lower the loss, each time.",
             metric="minus held-out loss, same rate for all", unit="1", rule="monotone", repeats_within=0.03),
    _ratio("variance-gradient", m.gradient_variance_ratio, sentence="Disjoint masks lower the variance of the encoder's gradient in a trained net.",
           metric="variance of the hidden loss's gradient, disjoint over independent", repeats_within=0.2),
    _trained("variance-less", m.against_closed_form, sentence="They lower it by less than the closed form says, since losses depend on the mask.",
             metric="that ratio minus the closed form", unit="ratio", repeats_within=0.2),
]  # fmt: skip

CLAIMS: list[Claim] = [*EXACT, *TRAINED]

#: For the notebook's own run, and for the figure of prediction rates.
CURVES: list[Curve] = [
    Curve("loss", "step", [float(at) for at in range(WINDOW, STEPS + 1, WINDOW)], m.loss_curve),
    Curve("prediction", "share of the image covered", [m.covered_at(p) for p in m.SWEEP], m.prediction_curve),
]
