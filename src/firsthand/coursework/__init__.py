"""Coursework from the book's own notebooks: editions for students and instructors, and a grader for hostile code.

`editions` makes both editions of a chapter, `grading` marks a folder of submissions, `sandbox`, `worker` and `wire`
keep a submission in a room where it can do no harm.
"""

from firsthand.coursework.editions import build, instructor_edition, student_edition
from firsthand.coursework.grading import grade
from firsthand.coursework.sandbox import Limits, sandbox_problem
from firsthand.coursework.wire import Made, made_for

__all__ = ["Limits", "Made", "build", "grade", "instructor_edition", "made_for", "sandbox_problem", "student_edition"]
