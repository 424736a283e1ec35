"""What a reader does with the shipped system: give it an expert, and look at the pictures that nobody corrects."""

from __future__ import annotations

import copy

import numpy as np
from torch import Tensor

from firsthand.data.drawn.fundus import fundi
from firsthand.drgnet.feedback import Expert
from firsthand.drgnet.interaction import Update, interact
from firsthand.drgnet.lab import runs
from firsthand.drgnet.lab.runs import FULL
from firsthand.drgnet.system import DRGNet, Retinas, gathered, lesion_probabilities
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.claims import Curve
from firsthand.kit.train.weights import shipped

SYSTEM = "system."  # how the names of its weights begin
ROUNDS, PICTURES = 3, 2
UPDATE = Update(steps=12, batch=4, terms=runs.TERMS)


@cached
def shipped_system() -> DRGNet:
    """The trained system, in evaluation mode."""
    found = DRGNet(width=runs.WIDTH, attention=FULL.attention)
    tensors = {n.removeprefix(SYSTEM): t.float() for n, t in shipped("drgnet").items() if n.startswith(SYSTEM)}
    found.load_state_dict(tensors, strict=False)
    return found.eval()


def eyes(seed: int) -> tuple[Retinas, Retinas]:
    """Ten eyes by camera B to be corrected, and twelve by camera A to be replayed."""
    return gathered(fundi(910_000 + 100 * seed, 10, camera=1.0)), gathered(fundi(920_000 + 100 * seed, 12))


def precision(probabilities: list[Tensor], pool: Retinas, rows: list[int]) -> list[float]:
    """Mean average precision on some pictures of a pool, for each of a list of lesion probabilities (N, 4, s, s)."""
    return [float(np.nanmean(runs.precisions(p[rows], pool.pick(rows)))) for p in probabilities]


def untouched(seed: int) -> list[float]:
    """Precision on the pictures that no expert corrects, before the first round and after each."""
    learner, (pool, home) = copy.deepcopy(shipped_system()), eyes(seed)
    seen = [lesion_probabilities(learner.segmenter, pool.images)]
    rounds = interact(
        learner, home, pool, Expert(), rounds=ROUNDS, pictures=PICTURES, how=UPDATE, seed=seed,
        after=lambda _: seen.append(lesion_probabilities(learner.segmenter, pool.images)),
    )  # fmt: skip
    corrected = {row for one in rounds for row in one.chosen}
    return precision(seen, pool, [row for row in range(len(pool)) if row not in corrected])


CURVES = [Curve("untouched", "round", [float(n) for n in range(ROUNDS + 1)], untouched)]
