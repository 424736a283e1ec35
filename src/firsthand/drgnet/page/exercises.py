"""The checkers of the chapter's exercises: truths are computed, and so are the usual mistakes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.stats import wasserstein_distance

from firsthand.data.drawn.lesions import icdr_grade
from firsthand.drgnet.lab.measures import IDRID_MA
from firsthand.drgnet.lab.metrics import pixel_average_precision, positive_only
from firsthand.drgnet.losses import POSITIVE, erasure_loss, self_information
from firsthand.kit.page.exercises import Exercise, Wrong, call, compare, need_function, need_number, need_tensor


def _calibrate(answer: Any) -> str:
    function = need_function(answer, 2)
    for weight in (POSITIVE, 3.0, 1.0):
        for said in (0.05, 0.5, 0.9):
            odds = said / (1 - said)
            truth = odds / weight / (1 + odds / weight)
            value = need_number(call(function, said, weight))
            slips = {
                "The weight multiplies odds, p / (1 - p), not probabilities.": said / weight,
                "The other way round: the weighted network says too much, so its odds must shrink.": (
                    odds * weight / (1 + odds * weight)
                ),
                "Those are the odds; turn them back into a probability.": odds / weight,
            }
            otherwise = f"A network that says {said} with weight {weight:g} does not mean {value:.4f}."
            compare(value, truth, slips, otherwise, within=1e-6)
    return "With the released weights a network that says one half means one in eleven."


def _resolution(answer: Any) -> str:
    function = need_function(answer, 1)
    for pixels in (1, 2, 3, 17):
        value, truth = need_number(call(function, pixels)), math.ceil(pixels / IDRID_MA - 1e-9)
        if value == truth:
            continue
        if abs(value - pixels * IDRID_MA) < 1e-9:
            raise Wrong("Divide: the picture must be large enough for the lesion.")
        if abs(value - 100 * truth) < 100 or abs(value - truth / 100) < 1:
            raise Wrong("Half of a hundredth is 0.005.")
        raise Wrong(f"For {pixels} pixels across the retina need not be {value:g} pixels wide.")
    return (
        "In a whole eye of 512 pixels, as released graders see it, the median microaneurysm is two and a half pixels."
    )


def _severe(answer: Any) -> str:
    function = need_function(answer, 3)
    cases = [((21, 21, 21, 21), 0, 0), ((21, 21, 21, 20), 0, 0), ((84, 0, 0, 0), 0, 0), ((0, 0, 0, 0), 2, 0)]
    cases += [((0, 0, 0, 0), 1, 0), ((0, 0, 0, 0), 0, 1), ((1, 2, 3, 4), 1, 0), ((30, 30, 30, 30), 2, 1)]
    for he, beading, irma in cases:
        truth = icdr_grade(he_quadrants=he, venous_beading_quadrants=beading, irma_quadrants=irma) == 3
        value = call(function, he, beading, irma)
        if not isinstance(value, (bool, np.bool_)):
            raise Wrong("Answer with True or False.")
        if bool(value) == truth:
            continue
        if he == (84, 0, 0, 0) or he == (21, 21, 21, 20):
            raise Wrong("More than twenty haemorrhages in each of the four quadrants: every one counts by itself.")
        if beading == 1 and not irma:
            raise Wrong("Beading needs two quadrants; IRMA needs one.")
        if irma == 1 and sum(he) == 0:
            raise Wrong("IRMA in one quadrant is enough.")
        raise Wrong(f"With haemorrhages {he}, beading in {beading} and IRMA in {irma} quadrants it is {truth}.")
    return "The 4-2-1 rule: haemorrhages in four quadrants, beading in two, IRMA in one."


def _area(answer: Any) -> str:
    function = need_function(answer, 2)
    rng = np.random.default_rng(3)
    for shift, scale in ((0.0, 1.0), (1.5, 1.0), (0.5, 3.0)):
        a, b = rng.normal(0, 1, 60), rng.normal(shift, scale, 60)
        value, truth = need_number(call(function, a.copy(), b.copy())), wasserstein_distance(a, b)
        slips = {
            "The distance of the means is only a lower bound; spread counts too.": abs(a.mean() - b.mean()),
            "You carry every grain to the one of the same number; sort both first.": np.abs(a - b).mean(),
            "That is the sum; every grain weighs one sixtieth.": 60 * truth,
        }
        otherwise = f"Between these two samples it is {truth:.4f}, not {value:.4f}."
        compare(value, truth, slips, otherwise, within=1e-6 * max(1, truth))
    return "Sorted grains do not cross: in one dimension the cheapest transport is the area between the two curves."


def _gain_sign(answer: Any) -> str:
    function = need_function(answer, 2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        logits = torch.randn(6, 5, generator=generator)
        grades = torch.randint(0, 5, (6,), generator=generator)
        found = need_tensor(call(function, logits.clone(), grades.clone()), torch.Size(()))
        slips = {
            "That asks for the true grade on the erased picture: the released sign.": erasure_loss(logits, grades),
            "Averages over pictures, please, not sums.": 6 * erasure_loss(logits, grades, sign="gain"),
            "A probability, after softmax, not a logit.": logits.gather(1, grades[:, None]).mean(),
        }
        compare(
            found,
            erasure_loss(logits, grades, sign="gain"),
            slips,
            "This is not the mean probability of the true grade.",
        )
    return "GAIN wants nothing left that speaks for the grade; the release wants enough left to still tell it."


def _bits(answer: Any) -> str:
    function = need_function(answer, 1)
    p = torch.tensor([[0.0, 0.1, 0.5, 0.9, 1.0]])
    answered = call(function, p.clone())
    if isinstance(answered, torch.Tensor) and answered.isnan().any():
        raise Wrong("At 0 and 1 the entropy is 0; 0 log 0 must not become a nan.")
    found = need_tensor(answered, p.shape)
    truth = self_information(p).sum(1)
    slips = {
        "That is in nats; one bit is log 2 of them.": truth * math.log(2),
        "Both classes count: p and 1 - p.": self_information(p)[:, 0],
    }
    compare(found, truth, slips, "This is not the entropy in bits.")
    return "Most pixels are surely background, so their entropy is nearly zero: what is left speaks of edges."


def _flattery(answer: Any) -> str:
    function = need_function(answer, 2)
    rng = np.random.default_rng(4)
    for _ in range(3):
        scores, masks = rng.random((4, 30)), rng.random((4, 30)) < 0.2
        masks[2:] = False
        masks[0, 0] = True
        value = need_number(call(function, scores.copy(), masks.copy()))
        pooled = pixel_average_precision(scores, masks)
        each = [pixel_average_precision(s, m) for s, m in zip(scores, masks, strict=True) if m.any()]
        truth = positive_only(scores, masks) - pooled
        slips = {
            "The other way round: positive pictures minus all.": -truth,
            "Pool the pixels of the chosen pictures; do not average pictures.": float(np.mean(each)) - pooled,
        }
        compare(value, truth, slips, f"Here it is {truth:.4f}, not {value:.4f}.", within=1e-9)
    return "Every clean picture adds false alarms and nothing to find; who leaves them out is flattered."


EXERCISES = {
    1: Exercise("What a weighted network means", 15, 2, "Weights multiply the odds.", _calibrate),
    2: Exercise("How large must the picture be", 10, 1, "Half a hundredth of the width.", _resolution),
    3: Exercise("The 4-2-1 rule", 10, 1, "Four, two, one quadrants.", _severe),
    4: Exercise("Moving grains", 20, 2, "Sort.", _area),
    5: Exercise("The other sign", 15, 2, "What should the erased picture still say?", _gain_sign),
    6: Exercise("Bits a pixel", 15, 2, "Both classes, logarithm to the base two.", _bits),
    7: Exercise("Flattery", 20, 3, "Which pictures have a lesion at all?", _flattery),
}
