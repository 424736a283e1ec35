"""The primer: its checkers know right from wrong, its map agrees with what the chapters import and say."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import Ridge

from firsthand.chapters import PACKAGE, chapters
from firsthand.kit import check, verdict
from firsthand.primer import guess, hide
from firsthand.primer.page import figures

# ------------------------------------------------------------------------------------------ right and wrong


def twice(f, x):
    (first,) = torch.autograd.grad(f(x), x, create_graph=True)
    return torch.autograd.grad((first**2).sum(), x)[0]


def interval(values):
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return values.mean() - half, values.mean() + half


RIGHT = {
    1: twice,
    2: lambda size, kernel, stride, padding: (size + 2 * padding - kernel) // stride + 1,
    3: lambda image, guessed, hidden: ((image - guessed) ** 2)[hidden].mean(),
    4: interval,
    5: lambda low, high, target: "holds" if low >= target else "fails" if high < target else "inconclusive",
}
WRONG = {
    (1, "gradient of f"): lambda f, x: torch.autograd.grad(f(x), x)[0],
    (1, "half"): lambda f, x: twice(f, x) / 2,
    (1, "not differentiated"): lambda f, x: torch.autograd.grad(f(x), x)[0] ** 2,
    (2, "both sides"): lambda size, kernel, stride, padding: (size + padding - kernel) // stride + 1,
    (2, "add one"): lambda size, kernel, stride, padding: (size + 2 * padding - kernel) // stride,
    (2, "round down"): lambda size, kernel, stride, padding: (size + 2 * padding - kernel) / stride + 1,
    (3, "all pixels"): lambda image, guessed, hidden: ((image - guessed) ** 2).mean(),
    (3, "shown pixels"): lambda image, guessed, hidden: ((image - guessed) ** 2)[~hidden].mean(),
    (3, "sum"): lambda image, guessed, hidden: ((image - guessed) ** 2)[hidden].sum(),
    (4, "Student's t"): lambda v: (v.mean() - 1.96 * stats.sem(v), v.mean() + 1.96 * stats.sem(v)),
    (4, "root of n"): lambda v: v.mean() + np.array([-1, 1]) * stats.t.ppf(0.975, len(v) - 1) * v.std(ddof=1),
    (4, "n - 1"): lambda v: v.mean() + np.array([-1, 1]) * stats.t.ppf(0.975, len(v) - 1) * v.std() / len(v) ** 0.5,
    (5, "nothing is decided"): lambda low, high, target: "holds" if low + high > 2 * target else "fails",
    (5, "that decides"): lambda low, high, target: "inconclusive",
    (5, "upside down"): lambda low, high, target: RIGHT[5](-high, -low, -target),
    (5, "none of"): lambda low, high, target: "true",
}


@pytest.mark.parametrize("number", RIGHT)
def test_a_right_answer_passes(number):
    assert check("primer", number, RIGHT[number]).passed


@pytest.mark.parametrize(("number", "word"), WRONG)
def test_a_wrong_answer_is_named(number, word):
    said = check("primer", number, WRONG[number, word])
    assert not said.passed
    assert word in said.message


@pytest.mark.parametrize("number", RIGHT)
def test_nothing_and_a_crash_are_answers_too(number):
    assert not check("primer", number, None).passed
    assert not check("primer", number, lambda *_: None).passed
    assert "ZeroDivisionError" in check("primer", number, lambda *_: 1 / 0).message or number != 4


# ------------------------------------------------------------------------------------------------ the rest


def test_the_guess_is_ridge_regression():
    generator = torch.Generator().manual_seed(0)
    train, test = torch.rand(50, 64, generator=generator), torch.rand(7, 64, generator=generator)
    hidden = hide(8, 0.5, 0)
    assert int(hidden.sum()) == 32
    found = guess(train.double(), test.double(), hidden)
    model = Ridge(alpha=1.0).fit(train[:, ~hidden].double(), train[:, hidden].double())
    assert np.allclose(found[:, hidden], model.predict(test[:, ~hidden].double()), atol=1e-9)
    assert torch.equal(found[:, ~hidden], test[:, ~hidden].double())


def test_the_verdict_figure_says_what_the_verdict_is():
    _, sentence = figures.draw_verdict([1.0, 1.1, 0.9, 1.0, 1.2], 0.5)
    assert sentence.endswith(f"{verdict([1.0, 1.1, 0.9, 1.0, 1.2], rule='at_least', target=0.5).name}.")


@pytest.mark.parametrize("key", chapters())
def test_what_a_chapter_needs_is_said_once(key):
    card = chapters()[key]
    assert set(card.topics) <= set(figures.TOPICS)
    for other in [*card.after, *card.helped_by]:
        assert chapters()[other].number < card.number
    said = {int(n) for n in re.findall(r"[Cc]hapter (\d\d)(?! is not needed)", card.needs)}
    assert said == {chapters()[other].number for other in [*card.after, *card.helped_by]}
    imported = set()
    for file in (PACKAGE / key).glob("*.py"):
        imported |= set(re.findall(r"^(?:from|import) firsthand\.(\w+)", file.read_text(encoding="utf-8"), re.M))
    needed, queue = set(), [key]
    while queue:
        needed |= {queue[0]}
        queue = queue[1:] + [*chapters()[queue[0]].after, *chapters()[queue[0]].helped_by]
    assert imported & set(chapters()) <= needed
