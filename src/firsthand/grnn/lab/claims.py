"""The chapter's claims. Of the paper we could verify its abstract and two tables; data and thresholds are ours.

Rows of source "paper" follow a sentence of the abstract or a cell of the table. "Recovered" means 20 dB or more after
matching, a success that four images of five are. What the ticks of the paper's table rest on could not be verified.
"""

from __future__ import annotations

from functools import partial

from firsthand.grnn.lab import measures as m
from firsthand.kit.lab.claims import Claim, Curve, template

_claim = template(unit="dB", repeats_within=3.0)
_share = template(unit="share", repeats_within=1.0)
_exact = template(unit="1", rule="exact", repeats_within=1e-9)


DEFENCES = {  # id: key of DEFENCES, words
    "gaussian": ("gaussian 0.1", "Gaussian noise of 0.1"),
    "laplace": ("laplace 0.1", "Laplace noise of 0.1"),
    "prune": ("prune 0.99", "Pruning 99 %"),
    "quantise": ("quantise 2", "Quantising to two bits"),
    "soteria": ("soteria 0.4", "Soteria at 40 %"),
    "dp": ("dp-sgd", "DP-SGD (clipping at 1, noise multiplier 1)"),
}

CLAIMS: list[Claim] = [
    _exact("size-generator", partial(m.parameters, "generator"), "The generator for 10 classes has 712,278 parameters.", "parameters",
           source="code", target=712_278.0, seeds=1),
    _exact("size-lenet", partial(m.parameters, "lenet"), "LeNet for 100 classes has 69,656.", "parameters", source="code",
           target=69_656.0, seeds=1),
    _exact("size-resnet", partial(m.parameters, "resnet"), "The sigmoid ResNet-18 for 100 classes has 11,220,132.", "parameters",
           source="code", target=11_220_132.0, seeds=1),
    _exact("leak-label", partial(m.labels_by_rule, 1), "The label of a single image is the negative entry of the last bias's gradient.",
           "share of labels found", target=1.0, seeds=20),
    _exact("leak-layer", partial(m.layer_leak, 1), "What entered the first linear layer can be read off the gradient of one image.",
           "largest error", tolerance=1e-6),
    _claim("leak-layer-batch", partial(m.layer_leak, 2), "With two images it cannot.", "largest error for the nearer image", unit="1",
           target=1e-3, repeats_within=1e-9),
    _share("headline-success", partial(m.success, m.HEADLINE), sentence="One image is recovered, and reliably so.", metric="share of victims",
           target=0.8, source="paper", seeds=20),
    _claim("headline-psnr", m.headline, sentence="One image is recovered to 20 dB.", metric="PSNR at B = 1", target=20.0, seeds=20),
    _claim("headline-guess", m.above_guess, sentence="It is at least 3 dB closer than the mean of all other faces, which needs no gradient.",
           metric="PSNR, GRNN minus guess", target=3.0, seeds=20),
    _share("headline-label", partial(m.labels_found, m.HEADLINE), sentence="So is its label.", metric="share of labels found", target=0.9, seeds=20),
    _share("picture-first", partial(m.re_identified, 1), sentence="Of a hundred pictures the one attacked is the closest to what was found.",
           metric="share of victims", target=0.8, seeds=20),
    *(
        _claim(f"peer-{peer}", partial(m.better_than, peer), f"GRNN is more accurate than {words}.", f"PSNR, GRNN minus {words}", source=source)
        for peer, words, source in (
            ("dlg", "DLG", "paper"), ("idlg", "iDLG", "ours"),
            ("pixels", "the same loss on sigmoid pixels", "ours"), ("inverting", "Inverting Gradients", "ours"),
        )
    ),
    _share("peer-dlg-stable", m.succeeds_more, "GRNN recovers its image more often than DLG.", "success, GRNN minus DLG", 0.0, source="paper"),
    *(
        _share(f"batch-grnn-{batch}", partial(m.success, m.batch_case("grnn", batch)), f"GRNN recovers a batch of {batch}.", "share of victims", 0.5,
               source="paper" if batch > 2 else "ours", seeds=10)
        for batch in m.BATCHES[1:]
    ),
    *(
        _share(f"batch-dlg-{batch}", partial(m.success, m.batch_case("dlg", batch)), f"DLG does not recover a batch of {batch}.", "share of victims", 0.5,
               source="paper", rule="at_most", seeds=10)
        for batch in m.BATCHES[2:]
    ),
    _claim("batch-four-times", m.largest_batch, "GRNN recovers batches at least four times as large as DLG.", "largest batch, GRNN minus 4 x DLG",
           unit="images", repeats_within=8.0),
    _claim("batch-bias", m.labels_help, "At a batch of 4, labels read off the bias help.", "PSNR, labels from bias minus labels found"),
    *(
        _claim(f"term-{name}", partial(m.term, change), sentence, "PSNR, full loss minus changed", source=source)
        for name, change, source, sentence in (
            ("norm", {"terms": ("squares",)}, "ours", "The norm (the paper's 'Wasserstein' term) improves the result."),
            ("squares", {"terms": ("norm",)}, "ours", "The sum of squares improves it."),
            ("variation", {"tv_weight": 0.0}, "ours", "Total variation improves it."),
        )
    ),
    _claim("term-wasserstein", partial(m.term, {"terms": ("wasserstein",), "tv_weight": 0.0}, full={"tv_weight": 0.0}),
           sentence="A true Wasserstein distance in place of both terms recovers at least 5 dB less (no total variation in either).",
           metric="PSNR, both terms minus Wasserstein", target=5.0),
    _claim("term-literal", partial(m.term, {"terms": ("squares", "wasserstein"), "tv_weight": 0.0}, full={"tv_weight": 0.0}),
           sentence="Taken literally, squares plus a true Wasserstein distance, the loss is no worse than with the norm.",
           metric="PSNR, squares and norm minus squares and Wasserstein", rule="at_most", target=0.0),
    _claim("trained-harder", m.by_epochs, "The longer the victim has trained (0, 1, 5 epochs), the harder the attack.", "minus PSNR", rule="monotone"),
    _claim("trained-works", m.trained, "The model need not be fresh: after five epochs of training an image is still recovered to 20 dB.", "PSNR", source="ours", target=20.0),
    _claim("noise-worse", m.by_noise, "More noise (0, 0.01, 0.03, 0.1), worse images, at every step.", "minus PSNR", rule="monotone"),
    _claim("noise-survives", partial(m.drop, "gaussian 0.01"), "Noise of 0.01 costs the attack at most 2 dB.", "PSNR, no noise minus noise",
           source="ours", rule="at_most", target=2.0),
    _claim("noise-defends", partial(m.drop, "gaussian 0.1"), "Noise of 0.1 costs it at least 7 dB.", "PSNR, no noise minus noise", target=7.0),
    _claim("noise-robust", m.robust, "At noise 0.01 GRNN is more accurate than DLG.", "PSNR, GRNN minus DLG"),
    _claim("prune-survives", partial(m.drop, "prune 0.5"), "Pruning half of the gradient costs at most 2 dB.", "PSNR, no pruning minus pruning",
           rule="at_most", target=2.0),
    *(
        _claim(f"defends-{name}", partial(m.defended, key), f"{words} leaves this attack no better than a guess without any gradient.",
               "PSNR, attack minus guess", rule="at_most", target=0.0)
        for name, (key, words) in DEFENCES.items()
    ),
    *(
        _claim(f"costs-{name}", partial(m.price, key), f"{words} costs a trained model at most five points of accuracy.",
               "test accuracy, no defence minus defence", unit="points", rule="at_most", target=5.0)
        for name, (key, words) in DEFENCES.items()
    ),
    _claim("steps-harder", m.by_local_steps, "The more steps a client takes before it sends (1, 2, 5), the worse the images.", "minus PSNR", rule="monotone"),
    *(
        _share(f"labels-{batch}", partial(m.labels_beat_images, batch), f"At a batch of {batch} at least as many labels as images are found.",
               "share of labels minus share of images", 0.0)
        for batch in m.BATCHES[1:]
    ),
    *(
        _share(f"labels-rule-{batch}", partial(m.labels_by_rule, batch), f"The bias rule finds nine labels of ten at a batch of {batch}.",
               "share of labels found", 0.9, repeats_within=1e-9)
        for batch in m.BATCHES[1:]
    ),
    _claim("resnet", m.not_here, "GRNN recovers single images from a ResNet-18.", "PSNR", source="paper", target=17.0),
]  # fmt: skip

#: For the notebook's figures and for the reader's own run.
CURVES: list[Curve] = [
    Curve("loss", "iteration", [float(at) for at in m.MOMENTS], m.loss_curve),
    Curve("noise", "noise", list(m.NOISE), m.noise_curve),
    Curve("prune", "pruned share", list(m.PRUNED), m.prune_curve),
]
