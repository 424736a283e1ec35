"""The checkers of the chapter's exercises: truths are computed, and so are the usual mistakes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firsthand.dmjd.hog import hog_cells
from firsthand.dmjd.masks import counts, disjoint_masks, variance_ratio, views_needed, visible_order
from firsthand.dmjd.model import visible_loss
from firsthand.kit.page.exercises import Exercise, Wrong, call, compare, need_function, need_number, need_tensor


def _views(answer: Any) -> str:
    function = need_function(answer, 2)
    for corruption, prediction in ((0.3, 1.0), (0.5, 1.0), (0.6, 0.6), (0.25, 0.8), (0.75, 0.9)):
        value = need_number(call(function, corruption, prediction))
        truth = views_needed(corruption, prediction)
        slips = {
            "A number of views is whole: round up.": prediction / corruption,
            "Round up, not down: the last view may repeat itself, but it is needed.": prediction // corruption,
            "That is for independent views, whose coverage is 1 - (1 - corruption)^K.": math.ceil(
                math.log(max(1 - prediction, 1e-9)) / math.log(1 - corruption)
            ),
            "That many views partition the *visible* tokens; here the hidden ones must cover the image.": math.ceil(
                1 / (1 - corruption)
            ),
        }
        otherwise = f"At a corruption of {corruption} and a prediction of {prediction} it is not {value:g}."
        compare(value, truth, slips, otherwise, within=0)
    return "Each view can hide at most its own share that is new."


def _second(answer: Any) -> str:
    function = need_function(answer, 1)
    for cells, corruption in ((64, 0.6), (49, 0.75), (36, 0.5)):
        first = disjoint_masks(1, int(cells**0.5), corruption, generator=torch.Generator().manual_seed(cells))[0, 0]
        hidden = int(first.sum())
        tries = [need_tensor(call(function, first.clone()), (cells,)).bool() for _ in range(6)]
        for second in tries:
            if torch.equal(second, ~first) and hidden != cells - hidden:
                raise Wrong(f"The complement hides {cells - hidden} tokens; every view must hide {hidden}.")
            if int(second.sum()) != hidden:
                raise Wrong(f"Your view hides {int(second.sum())} of {cells} tokens; it should hide {hidden}.")
            if (~second & ~first).any():
                raise Wrong("Some tokens are visible in both views, so nobody ever predicts them.")
        if corruption > 0.5 and all(torch.equal(second, tries[0]) for second in tries):
            raise Wrong("Every call gives the same view: which tokens are hidden twice must be left to chance.")
    return "Everything the first view shows is hidden in the second, and chance fills the rest."


def _variance(answer: Any) -> str:
    function = need_function(answer, 3)
    for grid, corruption, prediction in ((14, 0.6, 1.0), (14, 0.75, 1.0), (8, 0.6, 0.8), (10, 0.5, 1.0)):
        found = counts(grid, corruption, prediction=prediction)
        value = need_number(call(function, found.cells, found.hidden, found.union))
        truth, share = variance_ratio(found), found.hidden / found.cells
        overlap = (2 * found.hidden - found.union) / found.cells
        alone = 2 * share * (1 - share)
        slips = {
            "The covariance of two views counts twice in the variance of a sum.": (alone + overlap - share**2) / alone,
            "That is the chance of being hidden twice; a covariance also subtracts the square.": (alone + 2 * overlap)
            / alone,
            "That is the covariance; the ratio compares two variances.": overlap - share**2,
            "The sign of the covariance is wrong: disjoint views avoid each other.": (alone + 2 * (share**2 - overlap))
            / alone,
            "One view's variance is p (1 - p); two add up.": (alone / 2 + 2 * (overlap - share**2)) / (alone / 2),
        }
        otherwise = f"For {found.cells} tokens, {found.hidden} hidden and {found.union} in all it is not {value:.4g}."
        compare(value, truth, slips, otherwise, within=1e-6)
    return "At one half and full coverage every token is predicted exactly once, and the variance is gone."


def _pairing(answer: Any) -> str:
    function = need_function(answer, 2)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        target = torch.randn(4, 36, 5, generator=generator)
        ids = visible_order(disjoint_masks(4, 6, 0.6, generator=generator)[0], generator=generator)
        count = ids.shape[1]
        truth = target.gather(1, ids.unsqueeze(-1).expand(-1, -1, 5))
        found = need_tensor(call(function, target.clone(), ids.clone()), (4, count, 5))
        raster = ids.sort(-1).values
        slips = {
            "That is the released order: the targets are right, but in raster order.": target.gather(
                1, raster.unsqueeze(-1).expand(-1, -1, 5)
            ),
            "Those are simply the first tokens of every image.": target[:, :count],
            "Every image has visible tokens of its own; you used those of the first.": target[:, ids[0]],
        }
        compare(found, truth, slips, "These are not the targets of the tokens that ids names.")
        assert float(visible_loss(truth, target, ids)) == 0
    return "With these targets an oracle's loss is zero, and that is the property test that catches the bug."


def _best(answer: Any) -> str:
    function = need_function(answer, 1)
    for seed in range(3):
        target = torch.randn(7, 4, generator=torch.Generator().manual_seed(seed)).exp()
        found = need_tensor(call(function, target.clone()), (7, 4))
        middle = target.mean(0, keepdim=True).expand(7, -1)
        slips = {
            "That is right only if every prediction meets its own target; here it may meet any of them.": target,
            "The median would minimise absolute errors; these are squared.": target.median(0).values.expand(7, -1),
            "The mean is over tokens, one for every number of the target; you took one over all.": torch.full(
                (7, 4), float(target.mean())
            ),
            "Averaged over the wrong axis.": target.mean(1, keepdim=True).expand(-1, 4),
            "Zero is the best only where targets average to zero.": torch.zeros(7, 4),
        }
        compare(found, middle, slips, "That is not what minimises the expected squared error.")
    return "One answer for all tokens: the branch learns what the picture is like on average, not where what is."


def _histogram(answer: Any) -> str:
    function = need_function(answer, 1)
    for seed in range(3):
        pixels = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (10, 10), dtype=np.uint8))
        padded = torch.zeros(1, 1, 24, 24, dtype=torch.uint8)
        padded[0, 0, 7:17, 7:17] = pixels
        truth = hog_cells(padded)[0, 0, 1, 1]
        found = need_tensor(call(function, pixels.numpy().copy()), (9,))
        x = pixels.double()
        row, column = x[2:, 1:-1] - x[:-2, 1:-1], x[1:-1, 2:] - x[1:-1, :-2]

        def by(angle: Tensor, width: float, weight: Tensor) -> Tensor:
            return torch.bincount((angle / width).long().clamp(0, 8).flatten(), weight.flatten(), 9)

        size = (row.square() + column.square()).sqrt()
        angle = torch.rad2deg(torch.atan2(row, column))
        right = by(angle % 180, 20, size)
        slips = {
            "You added magnitudes up; a cell holds their mean, over all its pixels.": right,
            "The differences are not halved.": right / 128,
            "Rows and columns are swapped: the angle is atan2(down, right).": by((90 - angle) % 180, 20, size) / 64,
            "Orientation is unsigned: take it modulo 180 degrees.": by(angle % 360, 40, size) / 64,
            "Each pixel votes with its magnitude, not with one.": by(angle % 180, 20, torch.ones_like(size)) / 64,
        }
        compare(found, truth, slips, "That is not the cell's histogram.")
    return "Nine numbers for sixty-four pixels: which way the edges run, and how strong they are."


EXERCISES: dict[int, Exercise] = {
    1: Exercise("How many views", 10, 1, "How many new tokens can a view hide at most?", _views),
    2: Exercise("The second view", 15, 2, "First what the first view showed, then chance among the rest.", _second),
    3: Exercise("What disjointness is worth", 20, 3, "Var(a + b) = Var(a) + Var(b) + 2 Cov(a, b).", _variance),
    4: Exercise("Mend the pairing", 10, 1, "gather along the axis of tokens.", _pairing),
    5: Exercise("What the released order teaches", 10, 1, "Each prediction meets a target drawn at random.", _best),
    6: Exercise("A histogram by hand", 20, 2, "Differences, magnitude, angle modulo 180, nine bins.", _histogram),
}
