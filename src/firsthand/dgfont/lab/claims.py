"""The chapter's claims. Of DGFont++ we could read the abstract; of DG-Font, its predecessor, the released code.

Rows of source "paper" follow the abstract, "code" the released code; fonts, sizes, schedules and thresholds are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from firsthand.data.readers.glyphs import shipped
from firsthand.dgfont.lab import runs
from firsthand.dgfont.lab.runs import READ, STYLE
from firsthand.dgfont.losses import info_nce
from firsthand.dgfont.networks import Discriminator, Generator, StyleEncoder
from firsthand.kit.lab.claims import Claim, Curve, NotTested, template
from firsthand.kit.lab.curves import along_steps

ABLATED = ("none", "plain", "single", "mute", "copies", "contents", "free", "half", "stiff")  # need not work
#: By score, how far a repeated training on other threads may lie away.
NEAR = {"l1": 0.3, "rmse": 0.5, "ssim": 1.0, "features": 1.0, "character": 3.0, "certainty": 3.0, "font": 3.0}
UNTRAINED = ("copy", "mean", "nearest", "near")
FAR = "needs four hundred licensed fonts and a day of an accelerator; the preset `paper` takes any folder of fonts"
BETTER = {"l1": -1, "rmse": -1, "ssim": 1, "features": -1, "character": 1, "certainty": 1, "font": 1}


def _count(network: nn.Module) -> float:
    return float(sum(p.numel() for p in network.parameters()))


def _on_meta(make: Callable[[], nn.Module], _: int) -> tuple[float, None]:
    with torch.device("meta"):
        return _count(make()), None


def _judges_of_a_channel(_: int) -> tuple[float, None]:
    """Fonts that share the channel of font 0 in the released head at 80 pixels."""
    with torch.device("meta"):
        judge = Discriminator(size=80, fonts=400, channels=1, width=8, most=8, head="official")
        side = judge.raw(torch.zeros(1, 1, 80, 80)).shape[-1]
    return float(side * side), None


def _released_start(seed: int) -> tuple[float, float]:
    """Mean move before training, in pixels, as released and as ours: a glyph in the style of another."""
    images = F.interpolate(shipped().images([0, 21], [5 * seed])[:, 0], size=80, mode="bilinear").expand(-1, 3, -1, -1)
    found = []
    for zero in (False, True):
        torch.manual_seed(seed)
        with torch.no_grad():
            code = StyleEncoder().eval()(images[1:])
            moves = Generator(zero_offsets=zero)(images[:1], code)[1]
        found.append(sum(float(move.abs().mean()) for move in moves) / 2)
    return found[0], found[1]


def floor(seed: int, *variants: str) -> None:
    """Refuse comparisons where what is compared did not work; a rival that a row expects to fail need not.

    Raises:
        NotTested: generated glyphs cannot be read, or their fonts not be told.
    """
    for variant in variants:
        if variant in (*UNTRAINED, *ABLATED):
            continue
        if _read(variant, True, seed)[0] < READ:
            raise NotTested(f"fewer than {READ:g} % of generated characters can be read")
        if _told(variant, seed)[0] < STYLE:
            raise NotTested(f"fonts of generated glyphs are told at less than {STYLE:g} times chance")


def _read(how: str, seen: bool, seed: int) -> tuple[float, None]:
    return 100 * runs.score_of(seed, how, seen).character, None


def _certain(seed: int) -> tuple[float, None]:
    return 100 * runs.score_of(seed, "full", True).certainty, None


def _chance() -> float:
    return runs.task_of(True).chance(len(runs.fonts_of(True)))


def _told(how: str, seed: int) -> tuple[float, None]:
    """Share of fonts told, in times chance."""
    return runs.score_of(seed, how, True).font / _chance(), None


def _told_over_mean(seed: int) -> tuple[float, float]:
    return _told("full", seed)[0], _told("mean", seed)[0]


def _read_unseen(seed: int) -> tuple[float, float]:
    return _read("full", False, seed)[0], _read("true", False, seed)[0]


def _judged(seed: int) -> tuple[float, None]:
    floor(seed, "full")
    return runs.judged(seed), None


def _likeness(seed: int) -> tuple[float, float]:
    return runs.likeness(seed, "late"), runs.likeness(seed, "mute")


def _told_by_one(seed: int) -> tuple[float, None]:
    """What one judge for all leaves of the fonts told beyond chance."""
    floor(seed, "full")
    one, all_ = (runs.score_of(seed, how, True).font - _chance() for how in ("single", "full"))
    return one / all_, None


def _against(what: str, one: str, other: str, seen: bool, seed: int) -> tuple[float, float]:
    """A score of two ways, in hundredths, in the direction in which more is better.

    What needs no training is beaten or not whatever the floors say.
    """
    if not {one, other} & set(UNTRAINED):
        floor(seed, one, other)
    sign = BETTER[what] * 100
    return tuple(sign * getattr(runs.score_of(seed, how, seen), what) for how in (one, other))  # type: ignore[return-value]


def _moves(seed: int) -> tuple[list[float], None]:
    floor(seed, "on")
    return [runs.mean_move(seed, variant) for variant in ("stiff", "half", "on", "free")], None


def _long(seed: int) -> tuple[float, None]:
    """Mean moves of the released start over those of a start at nought."""
    return runs.mean_move(seed, "released") / runs.mean_move(seed, "full"), None


def _slant(shear: float, what: int, seed: int) -> tuple[float, None]:
    """Slope over the shear, or the correlation with the sign that the shear asks for."""
    floor(seed, "lean")
    return runs.slope(seed, shear)[what] / (shear if what == 0 else math.copysign(1, shear)), None


def _slant_shuffled(seed: int) -> tuple[float, float]:
    """Correlation for slanted styles with the sign asked for, and its mean size for other upright fonts."""
    right = [_slant(sign * runs.SHEAR, 1, seed)[0] for sign in (1, -1)]
    return sum(right) / 2, sum(abs(runs.slope(seed, font)[1]) for font in runs.LEANING) / len(runs.LEANING)


def _slant_size(seed: int) -> tuple[float, None]:
    """Slope over the shear, mean of right and left."""
    return sum(_slant(sign * runs.SHEAR, 0, seed)[0] for sign in (1, -1)) / 2, None


def _found(one: str, other: str, seen: bool, seed: int) -> tuple[float, float]:
    return runs.retrieval_of(seed, one, seen), runs.retrieval_of(seed, other, seen)


def _references(seed: int) -> tuple[list[float], None]:
    floor(seed, "full")
    return [-100 * runs.by_references(seed, count) for count in (1, 4, 16)], None


def _far(_: int) -> tuple[float, None]:
    raise NotTested(FAR)


def _false_negatives(_: int) -> tuple[float, None]:
    """What a perfect encoder pays for the same-font entries of a queue that is not masked: nats above the masked loss."""
    own, other = torch.tensor([[1.0, 0.0]]), torch.tensor([0.0, 1.0]).expand(1024 - 34, 2)
    queue = torch.cat([own.expand(34, 2), other])
    mine = torch.zeros(1, 1024, dtype=torch.bool)
    mine[0, :34] = True
    return float(info_nce(own, own, queue) - info_nce(own, own, queue, exclude=mine)), None


_claim = template(unit="points", repeats_within=3.0)
_exact = template(unit="1", rule="exact", repeats_within=1e-6, seeds=1)


def _better(name: str, what: str, one: str, other: str, seen: bool = True, **rest: Any) -> Claim:
    words = {"l1": "hundredths of L1 saved", "rmse": "hundredths of RMSE saved", "ssim": "hundredths of SSIM", "font": "fonts told, points",
             "features": "hundredths of the features' distance saved", "character": "characters read, points", "certainty": "probability of the right character, points"}[what]  # fmt: skip
    where = "fonts that were trained on" if seen else "unseen fonts"
    return _claim(
        name,
        partial(_against, what, one, other, seen),
        **{"metric": f"{words}, kept characters, {where}", "unit": "1", "repeats_within": NEAR[what], **rest},
    )


def _retrieved(name: str, one: str, other: str, seen: bool, **rest: Any) -> Claim:
    where = "fonts that were trained on" if seen else "unseen fonts, looked for among all"
    return _claim(
        name, partial(_found, one, other, seen), **{"metric": f"font retrieval by style code, points, {where}", **rest}
    )


WHOLE, ALONE = "whole/{}".format, "alone/{}".format
CLAIMS: list[Claim] = [
    # ------------------------------------------------------------------------------------------------ exact
    _exact("size-generator", partial(_on_meta, Generator), sentence="The released generator has 7,804,693 parameters.", metric="parameters", source="code", target=7_804_693.0),
    _exact("size-style", partial(_on_meta, StyleEncoder), sentence="The released style encoder has 9,496,848.", metric="parameters", source="code", target=9_496_848.0),
    _exact("judge-shared", _judges_of_a_channel, sentence="At 80 pixels the released judges share: four fonts are judged by one channel.", metric="fonts a channel", source="code", target=4.0),
    _claim("start-released", _released_start, sentence="The released initialisation overwrites the zero start of moves: before training they are a third of a pixel or more.",
           metric="mean move before training, minus ours", source="code", unit="pixels", target=1 / 3, repeats_within=1e-3),
    _exact("queue-false", _false_negatives, sentence="With 1,024 unmasked entries and thirty fonts a perfect style code still pays the logarithm of 35.", metric="nats, 34 same-font entries",
           unit="nats", target=math.log(35), tolerance=1e-3),
    # ----------------------------------------------------------------------------------------------- floors
    _claim("floor-read", partial(_read, "full", True), sentence="A reader of real glyphs reads eighty in a hundred generated characters that nobody trained on (a floor of this chapter).",
           metric="characters read", unit="percent", target=READ),
    _claim("floor-font", partial(_told, "full"), sentence="It tells their fonts, or a twin's, at three times chance or better (the other floor).", metric="times chance, mean over families", unit="ratio", target=STYLE),
    _claim("read-certain", _certain, sentence="It is sure of them: the right character has a probability of three quarters or more.", metric="mean probability of the right character", unit="percent", target=75.0),
    _claim("read-unseen", _read_unseen, sentence="In fonts that nobody trained on it reads ten in a hundred fewer at most than of true glyphs.", metric="characters read, unseen fonts, generated minus true", target=-10.0),
    _claim("true-read", partial(_read, "true", True), sentence="Of true glyphs, which it was trained on, it reads 95 in a hundred (a control).", metric="characters read", unit="percent", target=95.0),
    _claim("true-font", partial(_told, "true"), sentence="It tells the fonts of true glyphs at fifteen times chance.", metric="times chance", unit="ratio", target=15.0),
    _claim("copy-read", partial(_read, "copy", True), sentence="A copy of the content passes the first floor (a control).", metric="characters read", unit="percent", target=READ),
    _claim("mean-font", _told_over_mean, sentence="The method's fonts are told more often than the mean glyph's, by two times chance.", metric="times chance, the method minus the mean of other families", unit="ratio", target=2.0),
    # ------------------------------------------------------------------------------------ skip connections
    *(
        _better(f"none-{what}", what, "full", "none", source="paper", sentence=f"Moving features through a skip connection beats no connection: {words}.")
        for what, words in (("l1", "L1"), ("ssim", "SSIM"), ("features", "features of a reader, a proxy"), ("certainty", "probability of the right character"), ("font", "fonts told"))
    ),
    *(
        _better(f"plain-{what}", what, "full", "plain", source="paper", sentence=f"It beats an ordinary convolution in its place: {words}.")
        for what, words in (("l1", "L1"), ("ssim", "SSIM"), ("features", "features"), ("certainty", "probability of the right character"), ("font", "fonts told"))
    ),
    *(
        _better(f"released-{what}", what, "released", "plain", source="paper", sentence=f"With moves that start as in the released code it beats an ordinary convolution: {words}.")
        for what, words in (("l1", "L1"), ("ssim", "SSIM"), ("features", "features"), ("certainty", "probability of the right character"), ("font", "fonts told"))
    ),
    _better("released-full", "features", "released", "full", sentence="The released start of moves brings glyphs nearer than a start without moves: features."),
    _claim("released-moves", _long, sentence="After training, moves of the released start are longer than ours.", metric="mean move, released start over ours", unit="ratio", target=1.0, repeats_within=3.0),
    _better("level-lower", "features", "full", "lower", source="code", sentence="Connections at two sizes are better than at half resolution alone: features."),
    _better("attention-features", "features", "attention", "full", sentence="Attention at half resolution (our reconstruction) helps: features."),
    _claim("moves-monotone", _moves, sentence="The price on moves shortens them: from 5 to 0.5, 0.05 and none they grow.", metric="mean move, a trained network trained on", unit="pixels", rule="monotone", repeats_within=0.03),
    _better("moves-free", "features", "on", "free", sentence="A small price, put on a trained network, is better than none: features."),
    _better("moves-half", "features", "on", "half", sentence="And better than the code's number, 0.5: features."),
    _better("moves-held", "features", "on", "stiff", sentence="And than a high one, 5: features."),
    *(
        _claim(f"slant-{name}{side}", partial(_slant, sign * runs.SHEAR, 1), source=source,
               sentence=sentence.format(side), metric="correlation, with the sign that the slant asks for", unit="1", target=target, repeats_within=0.15)
        for name, source, target, sentence in (
            ("any-", "paper", 0.0, "Moves mean something: after training with slanted fonts, for another font slanted to the {} they follow the row."),
            ("", "ours", 0.5, "They follow it closely, at a correlation of a half or more, for one slanted to the {}."),
        )
        for side, sign in (("right", 1), ("left", -1))
    ),
    _claim("slant-shuffled", _slant_shuffled, sentence="They do so by a quarter more than for upright styles.", metric="correlation, slanted minus the mean size for six upright fonts", unit="1", target=0.25, repeats_within=0.15),
    _claim("slant-size", _slant_size, sentence="And they are half as long as the slant asks for, or longer.", metric="slope over slant, mean of both sides", unit="ratio", target=0.5, repeats_within=0.15),
    # --------------------------------------------------------------------------------------------- what is kept
    _better("kept-image", "certainty", "full", "copies", source="paper", target=0.5, sentence="The loss that rebuilds a glyph in its own style keeps characters readable: the right one is likelier with it, by half a point."),
    _better("kept-content", "certainty", "full", "contents", source="paper", target=0.5, sentence="So does the loss that compares content codes."),
    # ----------------------------------------------------------------------------------------------- styles
    _retrieved("style-seen", WHOLE("late"), WHOLE("mute"), True, source="paper", sentence="Self-supervised contrast makes style codes tell fonts better."),
    _retrieved("style-unseen", WHOLE("late"), WHOLE("mute"), False, source="paper", sentence="Also fonts that nobody trained on."),
    _claim("style-like", _likeness, source="paper", sentence="And it makes codes of similar fonts more similar.", metric="Spearman's correlation of fonts' distances in code and in pixels, with minus without", unit="1", repeats_within=0.1),
    _better("style-l1", "l1", "late", "mute", False, source="paper", sentence="With it, on real and on generated glyphs, glyphs in unseen fonts are nearer: L1."),
    _better("style-features", "features", "late", "mute", False, source="paper", sentence="And nearer in features."),
    _retrieved("style-labels", WHOLE("full"), WHOLE("self"), True, sentence="Labels teach style codes more: another character of the font as the positive, the own font masked."),
    _better("style-labels-features", "features", "full", "self", False, sentence="And glyphs in unseen fonts are then nearer in features."),
    _better("style-ahead", "features", "self", "late", False, sentence="Contrast ahead of all other losses brings glyphs in unseen fonts nearer: features."),
    _retrieved("style-font", ALONE("font"), ALONE("self"), True, sentence="By itself: another character of the font as the positive beats the same glyph, turned."),
    _retrieved("style-masked", ALONE("masked"), ALONE("font"), True, sentence="And leaving the own font out of the negatives beats leaving it in."),
    _retrieved("style-self", ALONE("self"), ALONE("start"), True, target=5.0, sentence="The same glyph, turned, as in TUNIT, teaches codes to find fonts: five points more than untrained ones."),
    _retrieved("style-pixels", WHOLE("full"), "pixels", True, sentence="Codes trained with labels find fonts better than raw pixels do."),
    # ----------------------------------------------------------------------------------------------- judges
    _claim("judge-loss", _told_by_one, source="paper", sentence="One judge for all loses some of what can be told of fonts.", metric="fonts told beyond chance, one judge over a judge for every font", unit="ratio",
           rule="at_most", target=1.0, repeats_within=0.3),
    _claim("judge-font", _told_by_one, source="ours", sentence="One judge for all loses half or more of what can be told of fonts.", metric="fonts told beyond chance, one judge over a judge for every font", unit="ratio",
           rule="at_most", target=0.5, repeats_within=0.3),
    _claim("judge-prefers", _judged, source="paper", sentence="Each judge knows its font: of a real glyph of it and one of another family it prefers its own more often than not.", metric="area under the curve on kept glyphs, mean over fonts", unit="1", target=0.5, repeats_within=0.03),
    _claim("judge-own", _judged, source="ours", sentence="It prefers its own nine times in ten.", metric="area under the curve on kept glyphs, mean over fonts", unit="1", target=0.9, repeats_within=0.03),
    _better("judge-features", "features", "full", "single", source="paper", sentence="With a judge for every font glyphs are nearer in features than with one for all."),
    # -------------------------------------------------------------------------------------------- baselines
    _claim("references", _references, sentence="More references are better, from one to four to sixteen, in unseen fonts.", metric="minus hundredths of L1, mean of five draws", unit="1", rule="monotone", repeats_within=0.5),
    *(
        _better(f"{how}-{what}-{'seen' if seen else 'unseen'}", what, "full", how, seen, sentence=f"{words} {where}: {name}.")
        for how, words in (
            ("copy", "The method beats a copy of the content in"), ("mean", "It beats the mean glyph in"),
            ("near", "It beats the font whose references are nearest in pixels in"), ("nearest", "It beats the font whose style code is nearest in"),
        )
        for what, name in (("l1", "L1"), ("features", "features"))
        for seen, where in ((True, "fonts that it knows"), (False, "unseen fonts"))
    ),
    _better("mean-rmse", "rmse", "mean", "full", sentence="The mean glyph, which does not know the font, still has the smaller squared error."),
    _claim("state-of-the-art", _far, source="paper", sentence="It generates characters of higher quality than the state of the art.", metric="L1, RMSE, SSIM, LPIPS, FID on four hundred fonts", unit="1"),
]  # fmt: skip


EVERY = 10  # steps of a reader's run for a point of its band
CURVES = [
    along_steps("rebuilt", runs.BOOK.steps, 25, lambda seed: runs.model_of(seed, "full").log["image"]),
    along_steps("reader", runs.READER.steps, EVERY, runs.read_along),
    Curve("again", "variant", [float(n) for n in range(len(runs.VARIANTS))], runs.again),
    *(
        Curve(f"encoder-{mode}", "step", [float(at) for at in runs.STAGES], partial(runs.encoder_along, mode))
        for mode in ("self", "masked")
    ),
]
