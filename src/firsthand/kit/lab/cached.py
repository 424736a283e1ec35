"""Results that several claims of a chapter share, computed once a process, their cost remembered."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Cost:
    """Seconds of computing that were saved because another claim had already done it."""

    saved = 0.0


_open: list[Cost] = []


@contextmanager
def account() -> Iterator[Cost]:
    """Collect what `shared` results used inside would have cost: `with account() as cost: …; cost.saved`."""
    _open.append(Cost())
    try:
        yield _open[-1]
    finally:
        _open.pop()


def cached(function: F) -> F:
    """Like `functools.cache`, but a claim that finds the result ready is still told what it cost."""
    known: dict[Any, tuple[Any, float]] = {}

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        key = (args, tuple(sorted(kwargs.items())))
        saved = known[key][1] if key in known else 0.0
        if key not in known:
            with account() as inner:
                begin = time.perf_counter()
                value = function(*args, **kwargs)
                saved = inner.saved
            known[key] = value, time.perf_counter() - begin + saved
        if _open:
            _open[-1].saved += saved
        return known[key][0]

    return wrapper  # type: ignore[return-value]
