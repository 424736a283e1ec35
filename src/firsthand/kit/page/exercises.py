"""Exercises that answer back: `check("hcvi", 3, answer)` says what is wrong with an answer.

A chapter's `exercises.py` holds `EXERCISES: dict[int, Exercise]`. Its checkers compute the truth
from the chapter's own functions and never store it.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firsthand.chapters import chapter
from firsthand.errors import UserError

if TYPE_CHECKING:  # this module is imported before torch is needed
    from torch import Tensor


PRIMER = "primer"  # the page before the chapters, which has exercises too


class Wrong(Exception):
    """Raised by a checker; the message says what is wrong."""


class Unanswered(Wrong):
    """Raised where nothing was tried yet; no hint is given away."""


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        title, minutes, points: what the reader sees.
        hint: one sentence that helps without giving the answer.
        checker: checker(answer) returns a sentence of praise, or raises `Wrong` with a sentence of help.
    """

    title: str
    minutes: int
    points: int
    hint: str
    checker: Callable[[Any], str]


@dataclass(frozen=True)
class Feedback:
    """The outcome of a check. `hint` is empty once it passed."""

    passed: bool
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{'Correct.' if self.passed else 'Not yet.'} {self.message}"
        return f"{text} Hint: {self.hint}" if self.hint else text

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        mark = "✅ **Correct.**" if self.passed else "✏️ **Not yet.**"
        return f"{mark} {self.message}" + (f" *Hint: {self.hint}*" if self.hint else "")


def exercises_of(key: str) -> dict[int, Exercise]:
    """The exercises of a chapter, or of the primer, by number."""
    name = key if key == PRIMER else chapter(key).key
    return importlib.import_module(f"firsthand.{name}.page.exercises").EXERCISES


def check(chapter: str, number: int, answer: Any) -> Feedback:
    """Check an answer; one that crashes is reported like any other wrong one.

    Args:
        chapter: key of the chapter, such as "hcvi", or "primer".
        number: of the exercise.
        answer: what the exercise asks for.

    Raises:
        UserError: no such chapter or exercise.
    """
    exercises = exercises_of(chapter)
    if number not in exercises:
        raise UserError(f"Chapter {chapter} has no exercise {number}: choose one of {', '.join(map(str, exercises))}.")
    exercise = exercises[number]
    if answer is None or answer is ...:
        return Feedback(False, "There is no answer yet.")
    try:
        return Feedback(True, exercise.checker(answer))
    except Unanswered as nothing:
        return Feedback(False, str(nothing))
    except Wrong as wrong:
        return Feedback(False, str(wrong), exercise.hint)


# ----------------------------------------------------------------------------- what checkers are made of


def need_function(answer: Any, parameters: int) -> Callable[..., Any]:
    """The answer, if it is a function that takes so many arguments."""
    if not callable(answer):
        raise Wrong(f"A function is asked for; this is a {type(answer).__name__}.")
    try:
        inspect.signature(answer).bind(*range(parameters))
    except TypeError:
        raise Wrong(f"The function must take {parameters} argument{'s' * (parameters != 1)}.") from None
    except ValueError:  # a builtin without a signature: let the call decide
        pass
    return answer


def need_number(answer: Any) -> float:
    """The answer as a float, if it is a finite number."""
    try:
        number = float(answer)
    except (TypeError, ValueError):
        raise Wrong(f"A number is asked for; this is a {type(answer).__name__}.") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise Wrong(f"A finite number is asked for; this is {number}.")
    return number


def need_tensor(answer: Any, shape: tuple[int, ...]) -> Tensor:
    """The answer as a finite float64 tensor of a shape, whatever kind of array it is."""
    import numpy as np
    import torch

    try:
        plain = answer.detach() if isinstance(answer, torch.Tensor) else answer
        tensor = torch.as_tensor(np.asarray(plain, dtype=float))
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"A {type(answer).__name__} came back; an array of shape {shape} is needed.") from None
    if tuple(tensor.shape) != shape:
        raise Wrong(f"The shape is {tuple(tensor.shape)}; it should be {shape}.")
    if not tensor.isfinite().all():
        raise Wrong("Some values are not finite.")
    return tensor


def _same_values(answer: Any, other: Any) -> bool:
    """Are two numbers or arrays of one shape the same to four digits?"""
    import torch

    a, b = (torch.as_tensor(values, dtype=torch.float64) for values in (answer, other))
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def compare(
    answer: Any,
    truth: Any,
    slips: Mapping[str, Any],
    otherwise: str,
    *,
    within: float | None = None,
    same: Callable[[Any, Any], bool] = _same_values,
) -> None:
    """Nothing if an answer is the truth; else the sentence of the slip that gives it, or the other one.

    Args:
        answer, truth: numbers, or arrays of one shape.
        slips: what each usual mistake gives, by its sentence; the first that gives the answer is named.
        otherwise: the sentence where none does.
        within: numbers agree that are less than this apart; at 0, those that are equal.
        same: same(answer, other) says where they agree, if `within` does not.

    Raises:
        Wrong: the answer is not the truth.
    """

    def agrees(other: Any) -> bool:
        return same(answer, other) if within is None else answer == other or abs(answer - other) < within

    if agrees(truth):
        return
    raise Wrong(next((sentence for sentence, wrong in slips.items() if agrees(wrong)), otherwise))


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the reader's function; say so when it raises or returns nothing."""
    try:
        value = function(*arguments)
    except Exception as error:  # whatever the reader's code raises is feedback, not a crash
        raise Wrong(f"The function raised {type(error).__name__}: {error}") from None
    if value is None:
        raise Unanswered("The function returned nothing.")
    return value
