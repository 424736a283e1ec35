"""The command line: `firsthand list | doctor | run | evidence | new | coursework`.

Nothing heavy is imported before it is needed, so that help, lists and refusals are instant. A `UserError` becomes
one sentence on standard error and exit code 2. `run`, `evidence` and `coursework` have a file each.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from firsthand import __version__
from firsthand.chapters import PACKAGE, chapters
from firsthand.cli import coursework, evidence, run
from firsthand.errors import UserError

__all__ = ["main"]

NO_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EPERM)


class _Parser(argparse.ArgumentParser):
    """Refusals in one sentence: argparse would print its usage first. Subcommands get a parser of this class too."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UserError(f"{message[0].upper()}{message[1:].rstrip('.')}. See `{self.prog} --help`.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="firsthand", description="Ten machine-learning papers that you read, run, check and break.")
    parser.add_argument("--version", action="version", version=f"firsthand {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = commands.add_parser("list", help="the chapters, their papers and their verdicts")
    add.set_defaults(do=_list)
    add = commands.add_parser("doctor", help="what works on this machine and what to do about what does not")
    add.set_defaults(do=_doctor)
    run.add(commands)
    evidence.add(commands)
    add = commands.add_parser("new", help="write a new chapter's first files, a toy that runs, into this clone")
    add.add_argument("key", metavar="KEY", help="the folder's name, such as hcvi")
    add.add_argument("--number", type=int, required=True)
    add.add_argument("--title", required=True, help="as the card shows it")
    add.set_defaults(do=_new)
    coursework.add(commands)
    return parser


def _list(_: argparse.Namespace) -> int:
    import json

    for c in chapters().values():
        file = PACKAGE / "evidence" / f"{c.key}.json"
        verdicts = "no evidence yet"
        if file.is_file():
            try:
                names = [row["verdict"] for row in json.loads(file.read_text(encoding="utf-8"))["claims"]]
                verdicts = ", ".join(
                    f"{names.count(n)} {n}" for n in dict.fromkeys(sorted(names, key=names.count)[::-1])
                )
            except (ValueError, KeyError, TypeError):
                verdicts = "its evidence file is damaged"
        print(f"{c.number:02d}  {c.key:<11} {c.title}\n    {'':<11} {c.venue}: {verdicts}")
    return 0


def _doctor(_: argparse.Namespace) -> int:
    from firsthand.doctor import report

    return report()


def _new(arguments: argparse.Namespace) -> int:
    from firsthand.scaffold import scaffold

    files, later = scaffold(arguments.key, arguments.number, arguments.title)
    print(*(f"  {file.relative_to(PACKAGE.parents[1])}" for file in files), later, sep="\n", end="")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    try:
        arguments = _parser().parse_args(argv)
        do: Callable[[argparse.Namespace], int] = arguments.do
        return do(arguments)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; the same command goes on where it was.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in NO_WRITING:
            raise
        name = f": {Path(error.filename).name}" if error.filename else ""
        print(f"{error.strerror}{name}. What was written before is whole.", file=sys.stderr)
        return 2
