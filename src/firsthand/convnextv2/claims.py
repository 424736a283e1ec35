"""The chapter's claims. `paper` holds the paper's own number at its scale; ours are measured at the book's."""

from __future__ import annotations

from functools import partial
from typing import Any

from firsthand.convnextv2 import measures as m
from firsthand.convnextv2.runs import SHORT
from firsthand.kit.claims import Claim, Curve

FEW, SOME, MANY = 300, 1000, 6000  # labelled pictures


def _claim(name: str, *, paper: float | None = None, tolerance: float = 0.0, target: float = 0.0, **rest: Any) -> Claim:
    return Claim(id=name, paper=paper, tolerance=tolerance, target=target, **rest)


def _exact(name: str, measure: Any, sentence: str, metric: str, *, source: str = "ours", **rest: Any) -> Claim:
    rest = {"unit": "1", "seeds": 5, "repeats_within": 1e-9, "rule": "exact", **rest}
    return _claim(name, measure=measure, sentence=sentence, metric=metric, source=source, **rest)


def _trained(name: str, measure: Any, sentence: str, metric: str, *, source: str = "ours", **rest: Any) -> Claim:
    rest = {"unit": "points", "repeats_within": 1.0, "rule": "at_least", **rest}
    return _claim(name, measure=measure, sentence=sentence, metric=metric, source=source, **rest)


def _tuned(name: str, method: str, baseline: str, sentence: str, labels: int = SOME, **rest: Any) -> Claim:
    metric = f"test accuracy after fine-tuning with {labels} labels, {method} minus {baseline}"
    return _trained(name, partial(m.compare, method, baseline, labels), sentence, metric, **rest)


EXACT = [
    _exact("size-atto", partial(m.millions, "atto"), "Atto has 3.7 million parameters.", "parameters", source="paper",
           unit="million", target=3.7, tolerance=0.05, paper=3.7, seeds=1),
    _exact("size-huge", partial(m.millions, "huge"), "Huge has 650 million parameters, as the abstract says (to 5 million; elsewhere the paper and its code say 659 and 660).", "parameters",
           source="paper", unit="million", target=650.0, tolerance=5.0, paper=650.0, seeds=1),
    _exact("size-versions", m.version_gap, "Version 2 has exactly seven times the width more parameters a block than version 1.",
           "published sizes where it has not", seeds=1),
    _exact("macs-atto", partial(m.giga_macs, "atto"), "Atto takes 0.55 G multiply-adds for an image of 224 pixels.", "multiply-adds",
           source="paper", unit="G", target=0.55, tolerance=0.005, paper=0.55, seeds=1),
    _exact("macs-huge", partial(m.giga_macs, "huge"), "Huge takes 115 G.", "multiply-adds", source="paper", unit="G",
           target=115.0, tolerance=0.5, paper=115.0, seeds=1),
    _exact("imagenet-atto", m.needs_imagenet, "Atto reaches 76.7 % on ImageNet.", "top-1 accuracy", source="paper",
           unit="%", rule="at_least", target=76.7, paper=76.7),
    _exact("imagenet-huge", m.needs_imagenet, "Huge reaches 88.9 % on ImageNet after intermediate tuning on ImageNet-22K.",
           "top-1 accuracy", source="paper", unit="%", rule="at_least", target=88.9, paper=88.9),
    _exact("masked-equal", m.gathered_equals_masked, "Computing visible sites only gives what computing all and masking gives.",
           "largest relative difference", tolerance=1e-12),
    _exact("leak-none", partial(m.leak, "sparse"), "Changing hidden pixels changes no bit of the masked encoder's output.",
           "largest change", source="paper"),
    _exact("leak-dense", partial(m.leak, "dense"), "A plain encoder's output at visible places does change, by over a hundredth of its deviation.",
           "largest change over the standard deviation", source="paper", rule="at_least", target=0.01),
    _exact("leak-zeroed", m.filled_sites, "Painting hidden pixels black fills all hidden sites with something (biases alone do it).",
           "share of hidden sites that are not zero", rule="exact", target=1.0),
    _exact("masked-norm", m.unmasked_norm, "Forgetting the mask inside GRN changes the visible output by over a twentieth.",
           "relative change", rule="at_least", target=0.05),
    _exact("mask-count", m.mask_counts, "At ratio 0.6 nineteen patches of forty-nine stay visible.", "visible patches",
           source="code", target=19.0),
    _exact("mask-fair", m.mask_bias, "Every place is hidden equally often.", "largest deviation over 20,000 masks",
           rule="at_most", target=0.015),
    _exact("diversity-closed", m.diversity_gap, "The closed form of D equals the double sum.", "largest difference", tolerance=1e-12),
    _exact("diversity-half", m.diversity_bound, "D never exceeds one half: gradient ascent ends there.", "largest D found",
           rule="within", target=0.5, tolerance=1e-3, repeats_within=1e-4),
    _exact("grn-identity", m.block_gains_nothing_at_start, "A fresh GRN changes nothing.", "largest change", source="paper"),
    _exact("grn-sum", m.literal_formula, "Dividing by the sum, as the formula reads, makes GRN weaker by the number of channels.",
           "ratio of effects at 160 channels", target=160.0, tolerance=1e-9),
    _exact("grn-pooled", m.batch_pooled, "GRN over the whole batch, as in the released sparse code, differs by over one per cent.",
           "relative difference of N at batch 64, random weights", source="code", rule="at_least", target=0.01, repeats_within=1e-4),
    _exact("init-released", m.released_init, "PyTorch's trunc_normal_ at its defaults, which the released code calls, gives a deviation of 0.88 instead of 0.02.",
           "standard deviation", source="code", rule="within", target=0.88, tolerance=0.005, repeats_within=1e-6),
    _exact("work-sites", partial(m.work, "sites"), "Masking saves at least 1.3 times the arithmetic of pre-training Atto.",
           "multiply-adds, all sites over visible sites", rule="at_least", target=1.3),
]  # fmt: skip

TRAINED = [
    _trained("floor-random", m.above_random, "Pre-trained features are better than random ones (the floor of this chapter).",
             "probe accuracy, version 2 minus random weights"),
    _trained("floor-pixels", m.above_pixels, "Pre-trained features are better than raw pixels.",
             "probe accuracy, version 2 minus pixels"),
    _trained("leaky-loss", m.leak_loss, "An encoder that sees hidden pixels has a loss at least a fifth lower.",
             "masked loss, leaky over sparse", source="ours", unit="ratio", rule="at_most", target=0.8, repeats_within=0.02),
    _trained("leaky-probe", m.leak_probe, "Its features are worse for a linear probe.", "probe accuracy, sparse minus leaky"),
    _tuned("leaky-tuned", "sparse", "leaky", "Its weights are worse to fine-tune.", source="paper", paper=4.4),
    *(
        _trained(f"collapse-{name}", partial(m.collapse, method, baseline), sentence, f"mean D, {method} minus {baseline}",
                 source=source, unit="1", repeats_within=0.01, target=target)
        for name, method, baseline, source, target, sentence in (
            ("v1", "untrained v1", "v1", "paper", 0.02, "Training makes version 1's channels more alike, by 0.02 in D or more (the threshold is ours)."),
            ("v2", "v2", "v1", "paper", 0.0, "Version 2 keeps its channels more diverse than version 1 (measured after GRN)."),
            ("grn", "v2", "v2 minus GRN", "paper", 0.0, "So does it compared with version 2 minus GRN."),
            ("scale", "v2 minus GRN", "v1", "ours", 0.0, "Version 2 minus GRN keeps them more diverse than version 1."),
        )
    ),
    _trained("collapse-deeper", partial(m.deeper_gap, "v2", "v1"), "The gap between the versions is larger in the last block than in the first.",
             "gap in D, last block minus first", source="paper", unit="1", repeats_within=0.01),
    *(
        _trained(f"dead-{name}", partial(m.dead, variant), f"{words} has dead channels after pre-training.", "largest share over the blocks",
                 source="paper", unit="%", rule="at_least", target=1.0)
        for name, variant, words in (("v1", "v1", "Version 1"), ("grn", "v2 minus GRN", "Version 2 minus GRN"))
    ),
    _trained("selectivity", m.selectivity, "Version 2's last block is less tied to single classes than version 1's.",
             "mean class selectivity, version 1 minus version 2", source="paper", unit="1", repeats_within=0.02),
    _tuned("codesign-v2", "v2", "v1", "After masked pre-training version 2 is better than version 1.", source="paper", paper=0.9),
    _tuned("codesign-grn", "v2", "v2 minus GRN", "After masked pre-training GRN helps.", source="ours"),
    _tuned("codesign-scratch", "scratch v2", "scratch v1", "Trained from scratch version 2 is better than version 1.", source="paper", paper=0.5),
    _tuned("codesign-scratch-grn", "scratch v2", "scratch v2 minus GRN", "Trained from scratch GRN helps."),
    _tuned("codesign-naive", "v1", "scratch v1", "Masked pre-training does not help version 1 (at most 0.5 points).", source="paper",
           paper=-0.1, rule="at_most", target=0.5),
    _trained("codesign-more", partial(m.codesign, SOME), "GRN wins more after masked pre-training than from scratch.",
             "gain of GRN, pre-trained minus from scratch", source="paper"),
    *(
        _tuned(f"labels-{labels}", "v2", "scratch v2", f"Pre-training helps with {labels} labels.", labels, source="ours")
        for labels in (FEW, SOME, MANY)
    ),
    _trained("labels-shrink", partial(m.gain_shrinks, FEW, MANY), "It helps more with few labels than with many.",
             f"gain with {FEW} labels minus gain with {MANY}"),
    _tuned("grn-dropped", "v2", "drop", "Removing a trained GRN before fine-tuning hurts.", source="paper", paper=5.8),
    _tuned("grn-added", "v2", "add", "Adding GRN only for fine-tuning is worse than having had it all along.", source="paper", paper=4.0),
    *(
        _trained(f"ratio-{int(10 * ratio)}", partial(m.ratio_probe, ratio), f"A mask ratio of 0.6 is better than {ratio}.",
                 f"probe accuracy (the paper: after fine-tuning), 0.6 minus {ratio}", source="paper")
        for ratio in (0.1, 0.9)
    ),
    _trained("ratio-peak", m.inner_peak, "The best ratio lies inside (0.3 to 0.7), not at 0.1 or 0.9.",
             "probe accuracy (the paper: after fine-tuning), best of four inside minus better of two outside", source="paper"),
    _trained("decoder-depth", m.deep_decoder, "Four decoder blocks gain at most one point over one.", "probe accuracy (the paper: after fine-tuning), four minus one",
             source="paper", rule="at_most", target=1.0),
    _exact("decoder-work", partial(m.work, "depth"), "They take at least 1.5 times the arithmetic.", "multiply-adds, four over one",
           rule="at_least", target=1.5),
    _trained("loss-tells", m.reconstruction_tells, "Across eight ways to pre-train, a lower loss hardly tells a better probe (rank correlation within 0.5 of zero).",
             "rank correlation of minus loss and probe accuracy", unit="1", rule="within", tolerance=0.5, repeats_within=0.3),
]  # fmt: skip

CLAIMS: list[Claim] = [*EXACT, *TRAINED]

#: For the notebook's own short run, and for the figure of mask ratios.
CURVES: list[Curve] = [
    Curve("loss", "step", [float(at) for at in range(50, SHORT + 1, 50)], m.loss_curve),
    Curve("ratio", "mask ratio", list(m.RATIOS), m.probe_by_ratio),
]
