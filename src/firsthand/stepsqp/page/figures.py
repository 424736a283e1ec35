"""Drawing for the chapter: the path on HS7, and survival curves."""

from __future__ import annotations

from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from firsthand.kit.page.style import DOUBLE, FAINT, INK, PALETTE
from firsthand.stepsqp.oracles import NoisyOracle
from firsthand.stepsqp.problems import PROBLEMS
from firsthand.stepsqp.sqp import Trace, step_search_sqp

STEPS = 60
BOX = ((-2.3, 2.6), (-2.6, 3.4))
GARBAGE = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8)


def hs7_curve() -> tuple[np.ndarray, np.ndarray]:
    """The upper branch of HS7's constraint: x (401,) and y >= 0 (401,)."""
    x = np.linspace(-1, 1, 401)
    return x, np.sqrt(np.clip(4 - (1 + x**2) ** 2, 0, None))


def draw_hs7(ax: plt.Axes) -> None:
    """Contours of the objective, the constraint and the solution."""
    x, y = np.linspace(*BOX[0], 120), np.linspace(*BOX[1], 120)
    grid = torch.from_numpy(np.stack(np.meshgrid(x, y), axis=-1))
    levels = ax.contour(x, y, PROBLEMS["HS7"].objective(grid).numpy(), levels=9, colors=FAINT, linewidths=0.7)
    lines = [segment for group in levels.allsegs for segment in group]
    levels.remove()
    for segment in lines:  # plain lines, so that the moving figure stores data
        ax.plot(segment[:, 0], segment[:, 1], color=FAINT, linewidth=0.7, linestyle="-")
    cx, cy = hs7_curve()
    for branch in (cy, -cy):
        ax.plot(cx, branch, color=INK, linewidth=2.2, linestyle="-")
    ax.plot([0], [np.sqrt(3)], "*", color=PALETTE[2], markersize=14)
    ax.set_xlim(*BOX[0])
    ax.set_ylim(*BOX[1])
    ax.set_aspect("equal")


def draw_path(ax: plt.Axes, trace: Trace, colour: str = PALETTE[0], run: int = 0) -> None:
    """The iterates of a run, with orange dots where a trial point was refused."""
    x = trace.x[run].cpu().numpy()
    ax.plot(x[:, 0], x[:, 1], color=colour, linewidth=1.6, linestyle="-")
    ax.plot(x[:, 0], x[:, 1], "o", color=colour, markersize=4)
    refused = ~trace.accepted[run].cpu().numpy()
    trial = x[:-1] + (trace.alpha[run, :-1, None] * trace.direction[run]).cpu().numpy()
    inside = refused & (np.abs(trial) < 3.3).all(1)
    ax.plot(trial[inside, 0], trial[inside, 1], "o", color=PALETTE[1], markersize=3)


def render_path(noise_f: float, noise_g: float, garbage: float, seed: int = 3) -> tuple[Figure, str]:
    """One state of the path figure: HS7 in the plane, step size and KKT error beside it."""
    oracle = NoisyOracle(noise_f, noise_g, failure_probability=garbage)
    trace = step_search_sqp(PROBLEMS["HS7"], oracle, iterations=STEPS, seeds=(seed,))
    figure, (left, right) = plt.subplots(1, 2, figsize=DOUBLE)
    draw_hs7(left)
    draw_path(left, trace)
    left.set_title("Path, and refused trials (orange)")
    right.semilogy(trace.alpha[0], color=PALETTE[3], linestyle="-", label="step size")
    right.semilogy(trace.kkt[0].clamp(min=1e-9), color=PALETTE[0], linestyle="-", label="KKT error")
    right.set_ylim(1e-8, 60)
    right.set_xlabel("iteration")
    right.legend(loc="lower left")
    share = float(trace.accepted.float().mean())
    return figure, (
        f"After {STEPS} iterations the KKT error is {float(trace.kkt[0, -1]):.1e}, its best "
        f"{float(trace.kkt.min()):.1e}; {share:.0%} of the trials were accepted."
    )


@lru_cache(maxsize=32)
def _times(problem: str, garbage: float, runs: int = 300, iterations: int = 400) -> np.ndarray:
    oracle = NoisyOracle(1e-3, 1e-3, failure_probability=garbage)
    trace = step_search_sqp(PROBLEMS[problem], oracle, iterations=iterations, seeds=range(runs))
    return trace.hitting_time(1e-2)


def render_survival(problem: str, garbage: float) -> tuple[Figure, str]:
    """One state of the survival figure: the share of runs that have not arrived after t iterations."""
    figure, ax = plt.subplots(figsize=(6.2, 3.7))
    for other in GARBAGE:
        times = np.sort(_times(problem, other))
        grid = np.arange(0, 400)
        left = np.array([(times > t).mean() for t in grid])
        here = other == garbage
        keep = left > 0
        ax.semilogy(
            grid[keep], left[keep], linestyle="-", color=PALETTE[1] if here else FAINT, linewidth=3 if here else 1.2
        )
    ax.set_xlabel("iterations t")
    ax.set_ylabel("share of runs still above 1e-2")
    ax.set_xlim(0, 400)
    ax.set_ylim(1 / 400, 1.3)
    times = _times(problem, garbage)
    arrived = float(np.isfinite(times).mean())
    middle = f"half of the runs within {np.median(times):.0f}" if arrived > 0.5 else "fewer than half of the runs"
    return (
        figure,
        f"{problem}, {garbage:.0%} of the gradients garbage: {arrived:.0%} arrive in 400 iterations, {middle}.",
    )
