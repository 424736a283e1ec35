"""What several commands check before anything heavy is imported."""

from __future__ import annotations

import argparse

from firsthand.errors import UserError

MOST_WORKERS = 1000
Commands = argparse._SubParsersAction  # what add_subparsers returns has no public name


def need_workers(count: int) -> None:
    """Refuse a number of processes that no machine runs.

    Raises:
        UserError: not in 1 … MOST_WORKERS.
    """
    if count < 1:
        raise UserError(f"--workers must be at least 1; got {count}.")
    if count > MOST_WORKERS:
        raise UserError(f"--workers must be at most {MOST_WORKERS:,}; got {count}.")


def refuse_options(arguments: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    """Refuse by name an option that was given and would not be used; options that were not given are None.

    Raises:
        UserError: "--NAME" and why.
    """
    for name in names:
        if getattr(arguments, name) is not None:
            raise UserError(f"--{name} {why}.")
