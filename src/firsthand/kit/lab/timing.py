"""How long a call takes, for benchmarks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def median_seconds(run: Callable[[], object], runs: int = 7) -> float:
    """Median time of a call in seconds, after one to warm up.

    Args:
        run: what is timed.
        runs: how often.
    """
    run()
    found = []
    for _ in range(runs):
        begin = time.perf_counter()
        run()
        found.append(time.perf_counter() - begin)
    return statistics.median(found)
