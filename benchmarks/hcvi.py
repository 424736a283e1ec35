"""How fast and how large: hyper-balls from a thousand to a million points, beside named peers in the same run.

    python benchmarks/hcvi.py [--threads 2] [--largest 1000000]

Every measurement has its own process, so that its peak memory is its own; the best of three runs counts. Writes
benchmarks/results/hcvi.json and prints a table. Peers: scikit-learn's HDBSCAN, and our index on raw points.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

SIZES = (1_000, 10_000, 100_000, 1_000_000)
PEER_LIMIT = {"HDBSCAN": 10_000, "index on points": 10_000}  # beyond, they take minutes
TASKS = ("make_balls", "choose_k", "HDBSCAN", "index on points")
RESULTS = Path(__file__).parent / "results" / "hcvi.json"


def measure(task: str, n: int) -> dict[str, float]:
    """Seconds (best of three) and peak memory in MB beyond what the imports take; runs in a process of its own."""
    import resource

    import numpy as np

    from firsthand.hcvi import choose_k, make_balls
    from firsthand.hcvi.lab.baselines import hdbscan_pick, points_pick

    run = {"make_balls": make_balls, "choose_k": choose_k, "HDBSCAN": hdbscan_pick, "index on points": points_pick}[
        task
    ]
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, 10, (20, 2))
    X = centres[rng.integers(0, 20, n)] + rng.normal(0, 0.3, (n, 2))
    run(X[:500])  # first calls load and compile
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(3 if n < 1_000_000 else 2):
        begin = time.perf_counter()
        value = run(X)
        seconds.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"seconds": min(seconds), "peak_mb": (peak - before) / 1024, "process_mb": peak / 1024}
    return found | ({"balls": len(value)} if task == "make_balls" else {"k": float(value.k)})


def exponent(points: list[tuple[int, float]]) -> float:
    """Slope of log seconds against log n, by least squares."""
    x, y = [math.log(n) for n, _ in points], [math.log(s) for _, s in points]
    mx, my = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sum((a - mx) ** 2 for a in x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    parser.add_argument("--one", nargs=2, metavar=("TASK", "N"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], int(arguments.one[1]))))
        return
    from firsthand.kit.lab.provenance import processor

    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
    rows = []
    print(f"{'task':<16}{'n':>10}{'seconds':>10}{'MB':>8}")
    for task in TASKS:
        for n in SIZES:
            if n > min(arguments.largest, PEER_LIMIT.get(task, n)):
                continue
            command = [sys.executable, __file__, "--one", task, str(n)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            row = {"task": task, "n": n, **json.loads(done.stdout.splitlines()[-1])}
            rows.append(row)
            print(f"{task:<16}{n:>10}{row['seconds']:>10.3f}{row['peak_mb']:>8.0f}", flush=True)
    by = {(row["task"], row["n"]): row["seconds"] for row in rows}
    slopes = {t: exponent([(n, s) for (task, n), s in by.items() if task == t and n >= 10_000]) for t in TASKS[:2]}
    ratios = {
        f"{t} / choose_k at n = {n}": by[t, n] / by["choose_k", n] for t in TASKS[2:] for n in SIZES if (t, n) in by
    }
    for name, value in {**{f"exponent of {t}, n >= 10 000": v for t, v in slopes.items()}, **ratios}.items():
        print(f"{name}: {value:.2f}")
    RESULTS.parent.mkdir(exist_ok=True)
    content = {
        "processor": processor(), "threads": arguments.threads, "rows": rows, "exponents": slopes, "ratios": ratios,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
