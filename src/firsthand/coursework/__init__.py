"""Coursework from the book's own notebooks: editions for students and instructors, and a grader for hostile code.

`editions` makes both editions of a chapter, `slides` a deck and a folder of figures, `grading` marks a folder of
submissions with what `answers` finds in them, `sandbox`, `worker` and `wire` keep a submission where it can do no harm.
"""

from firsthand.coursework.editions import build, instructor_edition, student_edition
from firsthand.coursework.grading import grade
from firsthand.coursework.sandbox import Limits, sandbox_problem
from firsthand.coursework.slides import build_slides
from firsthand.coursework.wire import Made, gradient_of, made_for

__all__ = [
    "Limits",
    "Made",
    "build",
    "build_slides",
    "grade",
    "gradient_of",
    "instructor_edition",
    "made_for",
    "sandbox_problem",
    "student_edition",
]
