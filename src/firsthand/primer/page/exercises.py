"""The checkers of the self-check."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy import stats

from firsthand.kit.page.exercises import Exercise, Wrong, call, compare, need_function, need_number, need_tensor


def _gradient_of_gradient(answer: Any) -> str:
    function = need_function(answer, 2)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        matrix = torch.randn(4, 4, generator=generator, dtype=torch.float64)
        start = torch.randn(4, generator=generator, dtype=torch.float64)

        def f(x: torch.Tensor, matrix: torch.Tensor = matrix) -> torch.Tensor:
            return (torch.tanh(matrix @ x) ** 2).sum()

        x = start.clone().requires_grad_(True)
        (first,) = torch.autograd.grad(f(x), x, create_graph=True)
        (truth,) = torch.autograd.grad((first**2).sum(), x)
        found = need_tensor(call(function, f, start.clone().requires_grad_(True)), (4,))
        slips = {
            "That is the gradient of f; the gradient of its squared length is asked for.": first.detach(),
            "That is half of it: the square has a derivative too.": truth / 2,
            "That is the gradient squared; it was not differentiated again.": first.detach() ** 2,
        }
        compare(found, truth, slips, "It is another vector: take the gradient with create_graph=True, then again.")
    return "Chapter 09 rebuilds a picture from a gradient this way."


def _side(answer: Any) -> str:
    function = need_function(answer, 4)
    for size, kernel, stride, padding in ((8, 3, 1, 2), (9, 3, 2, 0), (28, 5, 2, 2), (32, 4, 4, 0), (10, 3, 2, 1)):
        pictures = torch.zeros(1, 1, size, size)
        truth = torch.conv2d(pictures, torch.zeros(1, 1, kernel, kernel), stride=stride, padding=padding).shape[-1]
        value = need_number(call(function, size, kernel, stride, padding))
        slips = {
            "Padding is added on both sides.": (size + padding - kernel) // stride + 1,
            "There is one more place than there are steps: add one.": (size + 2 * padding - kernel) // stride,
            "A step that does not fit is not taken: round down.": (size + 2 * padding - kernel) / stride + 1,
            "The kernel must lie inside: it takes places away.": (size + 2 * padding) // stride,
        }
        settings = f"size {size}, kernel {kernel}, stride {stride}, padding {padding}"
        compare(value, truth, slips, f"For {settings} it is not {value:g}.")
    return "A stride as large as the kernel cuts a picture into patches, as chapter 03 does."


def _hidden_error(answer: Any) -> str:
    function = need_function(answer, 3)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        image, guessed = rng.normal(size=(2, 6, 6))
        hidden = rng.random((6, 6)) < 0.6
        squares = (image - guessed) ** 2
        found = need_tensor(call(function, image.copy(), guessed.copy(), hidden.copy()), ())
        slips = {
            "That is over all pixels; what is shown need not be guessed.": squares.mean(),
            "That is over the shown pixels.": squares[~hidden].mean(),
            "That is the sum; divide by the number of hidden pixels.": squares[hidden].sum(),
            "That was divided by the number of all pixels.": squares[hidden].sum() / squares.size,
            "That is the absolute error; squares are asked for.": np.abs(image - guessed)[hidden].mean(),
        }
        compare(found, squares[hidden].mean(), slips, "It is another number.")
    return "So a network gains nothing by copying what it was shown."


def _interval(answer: Any) -> str:
    function = need_function(answer, 1)
    for seed, n in enumerate((5, 8, 5)):
        values = np.random.default_rng(seed).normal(1, 2, n)
        found = need_tensor(call(function, values.copy()), (2,))
        mean, sem, wide = values.mean(), stats.sem(values), stats.t.ppf(0.975, n - 1)

        def ends(half: float, mean: float = mean) -> torch.Tensor:
            return torch.tensor([mean - half, mean + half], dtype=torch.float64)

        slips = {
            "That is too narrow: so few values ask for Student's t, not the normal distribution.": ends(1.96 * sem),
            "That leaves five in a hundred on each side: 2.5 are meant.": ends(stats.t.ppf(0.95, n - 1) * sem),
            "The spread of one value is not the mean's: divide by the root of n.": ends(wide * values.std(ddof=1)),
            "The standard deviation of a sample divides by n - 1.": ends(wide * values.std() / math.sqrt(n)),
        }  # fmt: skip
        compare(found, ends(wide * sem), slips, "Mean, minus and plus t times the standard error of the mean.")
    return "This stands in brackets where a row has fewer than twenty seeds; from twenty on it is a bootstrap interval."


def _verdict(answer: Any) -> str:
    function = need_function(answer, 3)
    cases = ((0.2, 0.6, 0.1, "holds"), (-0.3, 0.05, 0.1, "fails"), (0.0, 0.4, 0.1, "inconclusive"),
             (0.1, 0.3, 0.1, "holds"), (-0.9, 1.2, 0.1, "inconclusive"))  # fmt: skip
    for low, high, target, truth in cases:
        found = str(call(function, low, high, target)).strip().lower()
        if found == truth:
            continue
        if found not in ("holds", "fails", "inconclusive"):
            raise Wrong(f"{found!r} is none of holds, fails, inconclusive.")
        if truth == "inconclusive":
            raise Wrong("Where the interval lies on both sides of the target, nothing is decided.")
        if found == "inconclusive":
            raise Wrong(f"[{low}, {high}] lies on one side of {target}: that decides.")
        raise Wrong("It is upside down: at least the target is asked.")
    return "Now you can read every row of the evidence."


EXERCISES = {
    1: Exercise("A gradient of a gradient", 10, 1, "autograd.grad has create_graph=True.", _gradient_of_gradient),
    2: Exercise("How large is the map?", 5, 1, "Try a picture of five pixels and a kernel of three on paper.", _side),
    3: Exercise("An error of what is hidden", 5, 1, "A mask of bool picks values out of an array.", _hidden_error),
    4: Exercise("An interval of five values", 10, 1, "scipy.stats has t.ppf and sem.", _interval),
    5: Exercise("A verdict", 5, 1, "Compare both ends with the target.", _verdict),
}  # fmt: skip
