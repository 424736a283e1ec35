"""`firsthand coursework`: editions for students and instructors, slide decks, and marks for submissions."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firsthand.cli.checks import Commands, need_workers
from firsthand.errors import UserError


def add(commands: Commands) -> None:
    """Put the command and its options among the others."""
    command = commands.add_parser("coursework", help="editions for students and instructors, and marks for submissions")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    one = actions.add_parser("build", help="write both editions of chapters")
    one.add_argument("chapters", metavar="CHAPTER", nargs="*", help="none: all")
    one.add_argument("--to", type=Path, required=True, metavar="DIR")
    one.set_defaults(do=_build)
    one = actions.add_parser("slides", help="write a slide deck a chapter, and its figures as files")
    one.add_argument("chapters", metavar="CHAPTER", nargs="*", help="none: all")
    one.add_argument("--to", type=Path, required=True, metavar="DIR")
    one.set_defaults(do=_slides)
    one = actions.add_parser(
        "grade", help="mark a folder of submissions, STUDENT/NN_name.ipynb or STUDENT__NN_name.ipynb"
    )
    one.add_argument("submissions", type=Path, metavar="DIR")
    one.add_argument("--edition", type=Path, metavar="DIR", help="the instructor's edition; default: beside DIR")
    one.add_argument("--workers", type=int, default=2, help="submissions at a time (default 2)")
    one.add_argument("--image", metavar="NAME", help="run student code in containers of this image (docker or podman)")
    one.add_argument("--unsafe", action="store_true", help="run student code without a sandbox")
    one.set_defaults(do=_grade)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"Cannot write to {folder}: {error.strerror or error}.") from None


def _build(arguments: argparse.Namespace) -> int:
    from firsthand.coursework import build

    with _writing(arguments.to):
        for file in build(arguments.chapters, arguments.to):
            print(file)
    return 0


def _slides(arguments: argparse.Namespace) -> int:
    from firsthand.coursework import build_slides

    with _writing(arguments.to):
        for file in build_slides(arguments.chapters, arguments.to):
            print(file)
    return 0


def _grade(arguments: argparse.Namespace) -> int:
    from firsthand.coursework import grade

    folder = arguments.submissions.resolve()
    if not folder.is_dir():
        raise UserError(f"{folder.name} is no folder of submissions.")
    need_workers(arguments.workers)
    edition = arguments.edition or folder.parent / "instructor"
    with _writing(folder):
        reports = grade(folder, edition, workers=arguments.workers, unsafe=arguments.unsafe, image=arguments.image)
    for report in reports:
        print(f"{report.student:<24} {report.chapter:<16} {report.points:g} of {report.possible:g}")
    print(f"{folder / 'marks.csv'} and {folder / 'feedback'} are written.")
    return 0
