"""How fast: many runs in one batch against one after the other, and against SciPy; growth with batch and with n.

    python benchmarks/stepsqp.py [--threads 2]

Writes benchmarks/results/stepsqp.json and prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "stepsqp.json"


def seconds(function, repeats: int = 2) -> float:
    """Best of some runs."""
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        found.append(time.perf_counter() - begin)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()

    import torch

    from firsthand.kit.lab.provenance import processor
    from firsthand.stepsqp import PROBLEMS, NoisyOracle, Problem, scipy_reference, step_search_sqp

    torch.set_num_threads(arguments.threads)
    oracle, problem, T = NoisyOracle(1e-2, 1e-2), PROBLEMS["HS78"], 500
    step_search_sqp(problem, oracle, iterations=20)
    batch = {
        S: seconds(lambda S=S: step_search_sqp(problem, oracle, iterations=T, seeds=range(S)))
        for S in (1, 10, 100, 1000)
    }
    slsqp = seconds(lambda: scipy_reference(problem), 5)
    width = {}
    torch.set_num_threads(1)  # torch 2.14.1's threaded LU of matrices above some 300 rows fails inside oneMKL
    for n in (10, 100, 300, 1000):
        centre = torch.linspace(-1, 1, n, dtype=torch.float64)
        sphere = Problem(
            "SPHERE", n, 1, centre + 0.5, None, "none", lambda x, c=centre: ((x - c) ** 2).sum(-1) / 2,
            lambda x: (x * x).sum(-1, keepdim=True) - 1,
        )  # fmt: skip
        width[n] = seconds(lambda p=sphere: step_search_sqp(p, oracle, iterations=20, seeds=range(4)), 1) / 20
    content = {
        "processor": processor(), "threads": arguments.threads, "problem": problem.name, "iterations": T,
        "batch_seconds": batch, "runs_per_second": {S: S / s for S, s in batch.items()},
        "batch_of_1000_over_1000_single_runs": 1000 * batch[1] / batch[1000],
        "slsqp_seconds_exact": slsqp, "one_run_over_slsqp": batch[1] / slsqp,
        "run_in_a_batch_over_slsqp": batch[1000] / 1000 / slsqp, "seconds_an_iteration_of_4_runs_by_n": width,
    }  # fmt: skip
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    json.dump(content, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
