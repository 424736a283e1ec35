"""The chapter's claims. `paper` holds the paper's own number at its scale; ours are measured at the book's."""

from __future__ import annotations

from functools import partial
from typing import Any

from firsthand.convnextv2.lab import measures as m
from firsthand.convnextv2.lab.runs import SHORT
from firsthand.kit.lab.claims import Claim, Curve, template

FEW, SOME, MANY = 300, 1000, 6000  # labelled pictures


_claim = template()
_exact = template(unit="1", rule="exact", repeats_within=1e-9)
_trained = template(unit="points", repeats_within=1.0)


def _tuned(name: str, method: str, baseline: str, labels: int = SOME, **rest: Any) -> Claim:
    metric = f"test accuracy after fine-tuning with {labels} labels, {method} minus {baseline}"
    return _trained(name, partial(m.compare, method, baseline, labels), **{"metric": metric, **rest})


SIZES = [
    _exact("size-atto", partial(m.millions, "atto"), sentence="Atto has 3.7 million parameters.", metric="parameters", source="paper",
           unit="million", target=3.7, tolerance=0.05, paper=3.7, seeds=1),
    _exact("size-huge", partial(m.millions, "huge"), sentence="Huge has 650 million parameters, as the abstract says (to 5 million).",
           metric="parameters", source="paper", unit="million", target=650.0, tolerance=5.0, paper=650.0, seeds=1),
    _exact("size-huge-code", partial(m.millions, "huge"), sentence="Huge has 660 million, as other places in paper and code say (to half a million).",
           metric="parameters", source="paper", unit="million", target=660.0, tolerance=0.5, paper=660.0, seeds=1),
    _exact("size-versions", m.version_gap, sentence="A block of version 2 has more parameters than one of version 1, by exactly seven times its width.",
           metric="published sizes where it has not", seeds=1),
    _exact("macs-atto", partial(m.giga_macs, "atto"), sentence="Atto takes 0.55 G multiply-adds for an image of 224 pixels.",
           metric="multiply-adds", source="paper", unit="G", target=0.55, tolerance=0.005, paper=0.55, seeds=1),
    _exact("macs-huge", partial(m.giga_macs, "huge"), sentence="Huge takes 115 G.", metric="multiply-adds", source="paper", unit="G",
           target=115.0, tolerance=0.5, paper=115.0, seeds=1),
    _exact("imagenet-atto", m.needs_imagenet, sentence="Atto reaches 76.7 % on ImageNet.", metric="top-1 accuracy", source="paper",
           unit="%", rule="at_least", target=76.7, paper=76.7),
    _exact("imagenet-huge", m.needs_imagenet, sentence="Huge reaches 88.9 % on ImageNet after intermediate tuning on ImageNet-22K.",
           metric="top-1 accuracy", source="paper", unit="%", rule="at_least", target=88.9, paper=88.9),
]  # fmt: skip

EXACT = [
    _exact("masked-equal", m.gathered_equals_masked, sentence="Computing visible sites only gives what computing all and masking gives.",
           metric="largest relative difference", tolerance=1e-12),
    _exact("leak-none", partial(m.leak, "sparse"), sentence="Changing hidden pixels changes no bit of the masked encoder's output.",
           metric="largest change", source="paper"),
    _exact("leak-dense", partial(m.leak, "dense"), sentence="A plain encoder's output at visible places does change.",
           metric="largest change over the standard deviation", source="paper", rule="at_least", target=0.01),
    _exact("leak-zeroed", m.filled_sites, sentence="Painting hidden pixels black fills all hidden sites, also in a net whose biases are all zero.",
           metric="share of hidden sites that are not zero", source="paper", target=1.0),
    _exact("masked-norm", m.unmasked_norm, sentence="Forgetting the mask inside GRN changes the visible output by over a twentieth.",
           metric="relative change", rule="at_least", target=0.05),
    _exact("mask-count", m.mask_counts, sentence="At ratio 0.6 nineteen patches of forty-nine stay visible.", metric="visible patches",
           source="code", target=19.0),
    _exact("mask-fair", m.mask_bias, sentence="Every place is hidden equally often.", metric="largest deviation over 20,000 masks",
           rule="at_most", target=0.015),
    _exact("diversity-closed", m.diversity_gap, sentence="The closed form of D equals the double sum.", metric="largest difference", tolerance=1e-12),
    _exact("diversity-half", m.diversity_bound, sentence="D never exceeds one half: gradient ascent ends there.", metric="largest D found",
           rule="within", target=0.5, tolerance=1e-3, repeats_within=1e-4),
    _exact("grn-identity", m.block_gains_nothing_at_start, sentence="A fresh GRN changes nothing.", metric="largest change", source="paper"),
    _exact("grn-pooled", m.batch_pooled, sentence="GRN over the whole batch, as in the released sparse code, differs by over one per cent.",
           metric="relative difference of N at batch 64, random weights", source="code", rule="at_least", target=0.01, repeats_within=1e-4),
    _exact("init-released", m.released_init, sentence="PyTorch's trunc_normal_ at its defaults, which the released code calls, gives a deviation of 0.88 instead of 0.02.",
           metric="standard deviation", source="code", rule="within", target=0.88, tolerance=0.005, repeats_within=1e-6),
    _exact("work-sites", partial(m.work, "sites"), sentence="Masking makes pre-training Atto 1.76 times cheaper in arithmetic.",
           metric="multiply-adds, all sites over visible sites", target=1.76, tolerance=0.005, seeds=1),
    _exact("work-depth", partial(m.work, "depth"), sentence="Four decoder blocks instead of one take 2.65 times the arithmetic in the micro net.",
           metric="multiply-adds, four over one", target=2.65, tolerance=0.005, seeds=1),
]  # fmt: skip

LEAKS_AND_COLLAPSE = [
    _trained("floor-random", m.above_random, sentence="Pre-trained features are better than random ones (the floor of this chapter).",
             metric="probe accuracy, version 2 minus random weights"),
    _trained("floor-pixels", m.above_pixels, sentence="Pre-trained features are better than raw pixels.", metric="probe accuracy, version 2 minus pixels"),
    _trained("leaky-loss", m.leak_loss, sentence="An encoder that sees hidden pixels has a loss at least a fifth lower.",
             metric="masked loss, leaky over sparse", unit="ratio", rule="at_most", target=0.8, repeats_within=0.02),
    _trained("leaky-probe", m.leak_probe, sentence="Its features are worse for a linear probe.", metric="probe accuracy, sparse minus leaky"),
    _tuned("leaky-tuned", "sparse", "leaky", sentence="Its weights are worse to fine-tune (the paper's variant without sparse convolution may be another than ours).", source="paper"),
    *(
        _trained(f"collapse-{name}", partial(m.collapse, method, baseline), sentence=sentence, metric=f"mean D, {method} minus {baseline}",
                 source=source, unit="1", repeats_within=0.01, target=target, rule=rule)
        for name, method, baseline, source, rule, target, sentence in (
            ("own-v1", "untrained v1", "v1", "paper", "at_least", 0.02, "Training makes version 1's channels more alike, by 0.02 in D or more (the threshold is ours)."),
            ("own-grn", "untrained v2", "v2 minus GRN", "ours", "at_least", 0.02, "So it does in version 2 minus GRN."),
            ("own-v2", "untrained v2", "v2", "paper", "at_most", 0.02, "In version 2 it does not."),
            ("v2", "v2", "v1", "paper", "at_least", 0.0, "Version 2 keeps its channels more diverse than version 1 (measured after GRN)."),
            ("grn", "v2", "v2 minus GRN", "paper", "at_least", 0.0, "So does it compared with version 2 minus GRN."),
            ("scale", "v2 minus GRN", "v1", "ours", "at_least", 0.0, "Version 2 minus GRN keeps them more diverse than version 1."),
            ("before-v1", "v2 before GRN", "v1", "ours", "at_least", 0.0, "Also before the layer version 2's channels are more diverse than version 1's."),
            ("before-grn", "v2 before GRN", "v2 minus GRN", "ours", "at_least", 0.0, "Also before the layer they are more diverse than without GRN."),
        )
    ),
    _trained("collapse-deeper", partial(m.deeper_gap, "v2", "v1"), sentence="The gap between the versions is larger in the last block than in the first.",
             metric="gap in D, last block minus first", source="paper", unit="1", repeats_within=0.01),
    *(
        _trained(f"dead-{name}", partial(m.dead, variant), sentence=sentence, metric="largest share over the blocks",
                 source="paper", unit="%", rule=rule, target=1.0)
        for name, variant, rule, sentence in (
            ("v1", "v1", "at_least", "Version 1 has dead channels after pre-training (one per cent or more in some block)."),
            ("grn", "v2 minus GRN", "at_least", "So has version 2 minus GRN."),
            ("v2", "v2", "at_most", "Version 2 has hardly any (at most one per cent)."),
        )
    ),
    _trained("grn-sum", m.literal_formula, sentence="In a trained net, dividing by the sum, as the formula reads, takes away over half of what GRN does.",
             metric="change of the layer's output over the layer's effect", source="paper", unit="ratio", target=0.5, repeats_within=0.05),
    _trained("selectivity", m.selectivity, sentence="Version 2's last block is less tied to single classes than version 1's.",
             metric="mean class selectivity, version 1 minus version 2", source="paper", unit="1", repeats_within=0.02),
]  # fmt: skip

USE = [
    _tuned("codesign-v2", "v2", "v1", sentence="After masked pre-training version 2 is better than version 1.", source="paper", paper=0.9),
    _tuned("codesign-grn", "v2", "v2 minus GRN", sentence="After masked pre-training GRN helps."),
    _tuned("codesign-scratch", "scratch v2", "scratch v1", sentence="Trained from scratch, as briefly as here, version 2 is better than version 1.", source="ours", paper=0.5),
    _tuned("codesign-scratch-grn", "scratch v2", "scratch v2 minus GRN", sentence="Trained from scratch GRN helps."),
    _tuned("codesign-naive", "v1", "scratch v1", sentence="Masked pre-training does not help version 1 (at most 0.5 points).", source="paper",
           paper=-0.1, rule="at_most", target=0.5),
    _trained("codesign-more", partial(m.codesign, SOME), sentence="GRN wins more after masked pre-training than from scratch.",
             metric="gain of GRN, pre-trained minus from scratch", source="paper"),
    *(
        _tuned(f"labels-{labels}", "v2", "scratch v2", labels, sentence=f"Pre-training helps with {labels} labels.")
        for labels in (FEW, SOME, MANY)
    ),
    _trained("labels-shrink", partial(m.gain_shrinks, FEW, MANY), sentence="It helps more with few labels than with many.",
             metric=f"gain with {FEW} labels minus gain with {MANY}"),
    _tuned("grn-dropped", "v2", "drop", sentence="Removing a trained GRN before fine-tuning hurts.", source="paper", paper=5.8),
    _tuned("grn-added", "v2", "add", sentence="Adding GRN only for fine-tuning is worse than having had it all along.", source="paper", paper=4.0),
    *(
        _trained(f"ratio-{int(10 * ratio)}", partial(m.ratio_probe, ratio), sentence=f"A mask ratio of 0.6 is better than {ratio}.",
                 metric=f"probe accuracy (the paper: after fine-tuning), 0.6 minus {ratio}", source="paper")
        for ratio in (0.1, 0.9)
    ),
    _trained("ratio-peak", m.inner_peak, sentence="The best ratio lies inside: 0.5 to 0.7, on average, is better than both 0.1 and 0.9.",
             metric="probe accuracy (the paper: after fine-tuning), mean of three inside minus better of two outside", source="paper"),
    _trained("decoder-depth", m.deep_decoder, sentence="Four decoder blocks gain at most one point over one.",
             metric="probe accuracy (the paper: after fine-tuning), four minus one", source="paper", rule="at_most", target=1.0),
    _trained("loss-tells", m.reconstruction_tells, sentence="Across eight ways to pre-train, a lower loss hardly tells a better probe (rank correlation within 0.5 of zero).",
             metric="rank correlation of minus loss and probe accuracy", unit="1", rule="within", tolerance=0.5, repeats_within=0.3),
]  # fmt: skip

CLAIMS: list[Claim] = [*SIZES, *EXACT, *LEAKS_AND_COLLAPSE, *USE]

#: For the notebook's own short run, and for the figure of mask ratios.
CURVES: list[Curve] = [
    Curve("loss", "step", [float(at) for at in range(50, SHORT + 1, 50)], m.loss_curve),
    Curve("ratio", "mask ratio", list(m.RATIOS), m.probe_by_ratio),
]
