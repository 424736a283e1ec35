"""`firsthand evidence`: measure a chapter's claims, or check what was measured."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from typing import Any

from firsthand.chapters import chapter, chapters
from firsthand.cli.checks import Commands, need_workers, refuse_options
from firsthand.errors import UserError

SEEDS, MOST_SEEDS = 5, 1000
MINUTES = 30.0


def add(commands: Commands) -> None:
    """Put the command and its options among the others."""
    command = commands.add_parser("evidence", help="measure a chapter's claims and write its evidence file")
    command.add_argument("chapter", metavar="CHAPTER", help="or all")
    command.add_argument("--seeds", type=int, help=f"at least {SEEDS} (default); a claim may ask for more")
    command.add_argument("--workers", type=int, default=1, help="processes on this machine")
    command.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, such as tcp://host:8786")
    command.add_argument("--claim", metavar="ID", help="of --verify: this row only")
    change = command.add_mutually_exclusive_group()
    change.add_argument("--verify", action="store_true", help="recompute every stored value and compare")
    change.add_argument("--reword", action="store_true", help="only bring changed sentences into the file")
    change.add_argument("--confirm", action="store_true", help="measure a part again after code changed, and say so")
    change.add_argument("--anew", action="store_true", help="measure also the rows that the present code gave")
    change.add_argument("--renamed", nargs="+", metavar="OLD=NEW", help="prove that only these names changed")
    command.add_argument("--since", metavar="COMMIT", help="of --renamed: the commit before (default HEAD)")
    command.add_argument("--minutes", type=float, help=f"of --confirm, after which no claim is begun ({MINUTES:g})")
    command.set_defaults(do=_evidence)


def _check(arguments: argparse.Namespace) -> None:
    """Refuse numbers out of range, and options that the command would not use."""
    need_workers(arguments.workers)
    if arguments.seeds is not None and not SEEDS <= arguments.seeds <= MOST_SEEDS:
        raise UserError(f"Evidence needs at least {SEEDS} seeds and at most {MOST_SEEDS:,}; got {arguments.seeds}.")
    if arguments.minutes is not None and not 0 <= arguments.minutes < math.inf:
        raise UserError(f"--minutes must be a number from 0 on; got {arguments.minutes}.")
    if arguments.claim is not None and (not arguments.verify or arguments.chapter == "all"):
        raise UserError("--claim names a row of one chapter that --verify recomputes; give both.")
    if arguments.verify or arguments.reword or arguments.confirm or arguments.renamed:
        refuse_options(arguments, ("seeds", "scheduler"), "is for measuring; it goes with no other work")
    if not arguments.renamed:
        refuse_options(arguments, ("since",), "goes with --renamed")
    elif any(name.count("=") != 1 for name in arguments.renamed):
        raise UserError(f"--renamed takes names as OLD=NEW; got {' '.join(arguments.renamed)}.")
    if not arguments.confirm:
        refuse_options(arguments, ("minutes",), "goes with --confirm")


def _evidence(arguments: argparse.Namespace) -> int:
    keys = list(chapters()) if arguments.chapter == "all" else [chapter(arguments.chapter).key]
    _check(arguments)
    from firsthand.kit.lab import evidence

    if arguments.verify:
        from firsthand.kit.lab.verifying import verify

        differences = [line for key in keys for line in verify(key, workers=arguments.workers, only=arguments.claim)]
        print("\n".join(differences) or "Every stored value was found again.")
        return 1 if differences else 0
    for content in _contents(arguments, keys):
        path = evidence.save(content)
        print(f"{path.name}: " + ", ".join(f"{n} {name}" for name, n in evidence.counts(content).items()))
    return 0


def _contents(arguments: argparse.Namespace, keys: list[str]) -> Iterable[dict[str, Any]]:
    """The chapters' evidence files anew, one after the other."""
    if arguments.confirm:
        from firsthand.kit.lab.verifying import confirm

        minutes = MINUTES if arguments.minutes is None else arguments.minutes
        return (confirm(key, minutes=minutes) for key in keys)
    if arguments.renamed:
        from firsthand.kit.lab.verifying import confirm_renamed

        names = dict(name.split("=") for name in arguments.renamed)
        return (confirm_renamed(key, names, arguments.since or "HEAD") for key in keys)
    if arguments.reword:
        from firsthand.kit.lab import evidence

        return (evidence.reword(evidence.load(key)) for key in keys)
    from firsthand.kit.lab.measuring import measure_all

    return measure_all(
        keys, seeds=arguments.seeds or SEEDS, workers=arguments.workers, scheduler=arguments.scheduler,
        anew=arguments.anew,
    )  # fmt: skip
