"""The chapter's claims. Of the paper we could read the abstract; of the method, the released code and its figure.

Rows of source "paper" follow the abstract, "code" the released code; scenes, sizes, schedules and thresholds are ours.
"""

from __future__ import annotations

from functools import partial

from firsthand.ghost.lab import measures as m
from firsthand.ghost.lab.curves import CURVES
from firsthand.ghost.lab.runs import FEW
from firsthand.kit.lab.claims import Claim, template

__all__ = ["CLAIMS", "CURVES"]

FAR = "needs the real pictures and days of an accelerator; the preset `paper` reads VEDAI"


_claim = template(unit="points", repeats_within=3.0)  # of mean average precision
_exact = template(unit="1", rule="exact", repeats_within=1e-9, seeds=1)


CLAIMS: list[Claim] = [
    # ------------------------------------------------------------------------------------- sizes and costs
    _exact("size-small", m.parameters, sentence="The small network has 4,825,639 parameters once batch norm is folded.", metric="parameters",
           source="code", target=4_825_639.0),
    *(
        _exact(f"macs-{name}", partial(m.multiply_adds, variant, channels, classes), sentence=f"{words} takes {target:.3f} G multiply-adds a picture.",
               metric="at 512 pixels, biases left out", source="code", unit="G", target=target, tolerance=5e-4)
        for name, variant, channels, classes, words, target in (
            ("small", "small", 3, 8, "The small network", 16.549), ("four", "small", 4, 8, "With a fourth channel it", 16.624),
            ("full", "full", 3, 10, "The full network", 20.256),
        )
    ),
    _exact("size-published", m.published_size, sentence="The bits that the authors left in their code make the full network 5.005 MB.", metric="MB",
           source="code", unit="MB", target=5.005, tolerance=5e-4),
    _exact("size-bound", m.largest_size, sentence="With 8 bits everywhere, the most it gives, no network exceeds 7.4 MB: all stay below the paper's bound of 9.7.",
           metric="MB, largest of small and full, 3 and 4 channels, up to 20 classes", unit="MB", rule="at_most", target=7.4, seeds=5),
    _exact("operations-bound", m.largest_operations,
           sentence="Nor does any exceed 1,640 G bit-operations: all stay below the paper's bound of 2,158.", metric="10^9 at 512 pixels, largest of the same", unit="G",
           rule="at_most", target=1640.0, seeds=5),
    _exact("operations-order", m.order_gap, sentence="Counting along the graph instead of down the list changes the published cost by a tenth at most.",
           metric="along the graph over down the list", source="code", unit="ratio", rule="within", target=1.0, tolerance=0.1, seeds=5),
    # -------------------------------------------------------------------------------------- bits and precision
    _claim("floor-teacher", m.teacher_precision, sentence="The full-precision detector reaches 50 % (the floor of this chapter).", metric="mean average precision",
           unit="percent", target=m.FLOOR),
    _claim("bits-8", partial(m.uniform, 8, 32), sentence="Eight bits cost at most two points.", metric="precision, 8 minus 32 bits, both trained on", target=-2.0),
    _claim("bits-order", m.by_bits, sentence="More bits are better, from 2 to 4 to 8 to 32, each time.", metric="precision, all trained on alike", unit="percent", rule="monotone"),
    _claim("bits-2", partial(m.uniform, 2, 32), sentence="Two bits cost five points or more.", metric="precision, 2 minus 32 bits", rule="at_most", target=-5.0),
    _claim("bits-learned", m.learned, sentence=f"With {FEW} bits learned steps (LSQ) and learned limits (PACT) are better than fixed ones.", metric="precision, learned minus DoReFa"),
    _claim("bits-threshold", m.all_eight, sentence="The released threshold gives our small network 7.5 bits or more on average: it hardly chooses.", metric="mean bits",
           source="code", unit="bits", target=7.5, repeats_within=0.1),
    _claim("bits-formula", m.exact_share, sentence="A formula of the weights' deviation alone gives the same bits more often than the commonest number does.",
           metric="share of layers with the same bits, at 3 to 6 bits in the mean", unit="share", repeats_within=0.05),
    *(
        _claim(f"bits-formula-{name}", partial(m.formula_near, gap), sentence=sentence, metric="share of layers, at 3 to 6 bits in the mean", unit="share", target=target,
               repeats_within=0.05)
        for name, gap, target, sentence in (
            ("exact", 0, 0.7, "That formula names the bits of seven layers in ten exactly."),
            ("near", 1, 0.95, "It is within one bit in nineteen layers of twenty."),
        )
    ),
    _claim("bits-shallow", partial(m.shallow, True), sentence="Layers with large maps get more bits.", metric="rank correlation of bits and map size", source="paper",
           unit="1", target=0.5, repeats_within=0.1),
    _claim("bits-fresh", partial(m.shallow, False), sentence="They do so before any training as well.", metric="the same, fresh weights", unit="1", target=0.5,
           repeats_within=0.05),
    _claim("bits-same", m.as_before_training, sentence="Layers keep their order of bits through training.", metric="rank correlation of bits after and before", unit="1",
           target=0.8, repeats_within=0.05),
    # --------------------------------------------------------------------------------------- hybrid quantisation
    _claim("hybrid-size", partial(m.hybrid, "size", str(FEW)), sentence=f"At the size of {FEW} bits everywhere hybrid quantisation is better.", source="paper",
           metric="precision, hybrid minus uniform, no larger"),
    _claim("hybrid-size-operations", partial(m.operations, "size"), sentence="But it computes more.", metric="bit-operations along the graph, hybrid over uniform",
           unit="ratio", target=1.0, repeats_within=0.1),
    _claim("hybrid-operations", partial(m.hybrid, "operations", str(FEW)), sentence=f"At the bit-operations of {FEW} bits everywhere it is better.", source="paper",
           metric="precision, hybrid minus uniform, no costlier"),
    *(
        _claim(f"hybrid-{kind}-ratio", partial(m.sizes, kind), sentence=f"{words} within three hundredths of it.", metric="size over that of uniform bits", unit="ratio",
               rule="within", target=1.0, tolerance=0.03, repeats_within=0.02)
        for kind, words in (
            ("size", "Its size is"), ("permuted", "The size of the same bits dealt out at random is"), ("fresh", "That of bits chosen before training is"),
            ("reversed", "That of the rule upside down is"),
        )
    ),
    _claim("hybrid-permuted", partial(m.hybrid, "size", "permuted"), sentence="It is better than the same bits dealt out at random.", metric="precision"),
    _claim("hybrid-fresh", partial(m.hybrid, "size", "fresh"), sentence="It is better than bits chosen from the weights before training.", metric="precision"),
    _claim("hybrid-reversed", partial(m.hybrid, "size", "reversed"), sentence="It is better than the rule upside down, which gives most bits where it gave fewest.", metric="precision"),
    # --------------------------------------------------------------------------------------------- conversion
    _claim("convert-released", partial(m.converted, False, True), sentence="Clipped at 1 as released, a network trained without the clip is lost on conversion to 8 bits.",
           metric="precision over full precision, batch norm measured anew", source="code", unit="ratio", rule="at_most", target=0.1, repeats_within=0.05),
    _claim("convert-raw", partial(m.converted, True, False), sentence="With ranges of its own it is lost as well while batch norm is as before.",
           metric="precision over full precision", unit="ratio", rule="at_most", target=0.1, repeats_within=0.05),
    _claim("convert-measured", partial(m.converted, True, True), sentence="Once batch norm is measured anew it keeps four fifths.",
           metric="precision over full precision", unit="ratio", target=0.8, repeats_within=0.05),
    _claim("convert-weights", m.weights_only, sentence="With rounded weights alone it then keeps nineteen twentieths.", metric="precision over full precision",
           unit="ratio", target=0.95, repeats_within=0.05),
    _claim("convert-clip", m.clipped_only, sentence="The clip alone, with nothing rounded, is enough to lose it.", metric="precision over full precision, batch norm measured anew",
           unit="ratio", rule="at_most", target=0.1, repeats_within=0.05),
    _claim("export-size", partial(m.export, "bytes"), sentence="An integer network in a file takes at most three tenths of one in floats.", metric="bytes, 8 bits over 32",
           unit="ratio", rule="at_most", target=0.3, repeats_within=0.01),
    _claim("export-precision", partial(m.export, "precision"), sentence="It costs at most two points.", metric="precision, 8 bits by PyTorch's kernels minus floats",
           target=-2.0),
    _claim("export-time", partial(m.export, "milliseconds"), sentence="On a processor it is faster.", metric="time of a picture, 8 bits over floats, one thread", unit="ratio",
           rule="at_most", target=1.0, repeats_within=2.0),
    # ------------------------------------------------------------------------------------------------ lessons
    *(
        _claim(f"lesson-{gate}", partial(m.lessons, gate, None), sentence=f"{words} the student is better than without lessons.",
               metric=f"precision, {FEW} bits", source=source)
        for gate, words, source in (
            ("frozen", "Taught through the switch as released", "paper"), ("always", "Given every lesson", "ours"),
            ("budget", "Taught through a switch that learns under a budget", "ours"),
        )
    ),
    _claim("lesson-chance", partial(m.lessons, "frozen", "chance"), sentence="The released switch is within two points of a coin with the same chances.", metric="precision, switch minus coin",
           rule="within", tolerance=2.0),
    _claim("lesson-switch", partial(m.lessons, "frozen", "always"), sentence="The switch drops wrong guidance: it is better than every lesson at the same total weight.",
           source="paper", metric="precision, switch minus every lesson"),
    _claim("open-frozen", partial(m.open_share, "frozen"), sentence="The released switch is open 55 to 70 % of the time, about as 1 - 1 / e.", metric="share of open switches",
           source="code", unit="share", rule="within", target=0.625, tolerance=0.075, repeats_within=0.05),
    _claim("open-trained", partial(m.open_share, "trained"), sentence="Trained on the lessons' loss alone, the switch shuts itself: less than a fifth stays open.",
           metric="share of open switches at the end", unit="share", rule="at_most", target=0.2, repeats_within=0.1),
    _claim("open-budget", partial(m.open_share, "budget"), sentence="Under a budget of 0.6 it stays open half to three quarters of the time.", metric="share of open switches at the end",
           unit="share", rule="within", target=0.625, tolerance=0.125, repeats_within=0.1),
    _claim("lesson-nearer", partial(m.nearer, "always"), sentence="Lessons bring the student's energies nearer to the teacher's, by three tenths or more.",
           metric="distance on test scenes, every lesson over none", unit="ratio", rule="at_most", target=0.7, repeats_within=0.1),
    # ----------------------------------------------------------------------------------------------- modality
    *(
        _claim(f"spectrum-{state}", partial(m.spectra, other, state), sentence=sentence, metric="vehicles found", rule=rule, target=target, tolerance=tolerance)
        for state, other, sentence, rule, target, tolerance in (
            ("colour", "colour", "Of vehicles hidden in colour, both spectra find five points more than colour alone.", "at_least", 5.0, 0.0),
            ("infrared", "infrared", "Of vehicles hidden in the infrared they find five points more than the infrared alone.", "at_least", 5.0, 0.0),
            ("none", "colour", "Of plain vehicles they find as many as colour alone, within five points.", "within", 0.0, 5.0),
        )
    ),
    *(
        _exact(f"published-{name}", partial(m.not_here, FAR), sentence=sentence, metric="precision on the real test set", source="paper", unit="points", rule="at_least", seeds=5)
        for name, sentence in (
            ("best", "GHOST detects better than all others on VEDAI, DOTA, NWPU and DIOR."),
            ("self", "Self-teaching gains substantially without any further supervision there."),
        )
    ),
]  # fmt: skip
