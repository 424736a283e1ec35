"""The chapter's pipeline: lesions, grades, both together, and rounds of correction, in one run.

`run` is what the notebook, the command line and the tests call.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from firsthand.data.drawn.fundus import fundi
from firsthand.data.readers.retinas import fgadr, field_of_view, idrid_segmentation, read_retinas
from firsthand.drgnet.feedback import Expert, summary
from firsthand.drgnet.interaction import interact
from firsthand.drgnet.lab.config import PRESETS, Config
from firsthand.drgnet.lab.runs import precisions, score_of
from firsthand.drgnet.network import UNet
from firsthand.drgnet.system import DRGNet, Retinas, gathered, lesion_probabilities, need_apart
from firsthand.drgnet.training import take_over, train_grader, train_segmenter, train_together
from firsthand.errors import UserError
from firsthand.kit.lab.results import Result
from firsthand.kit.train.device import LARGEST_SEED, seed_refused
from firsthand.kit.train.loop import accelerator_for

__all__ = ["PRESETS", "Config", "run", "with_data"]


def with_data(config: Config, path: str) -> Config:
    """The same experiment on a folder in FGADR's layout."""
    if not Path(path).is_dir():
        raise UserError(f"--data must be a folder in FGADR's layout; {Path(path).name} is none.")
    return replace(config, data=path)


def _drawn(config: Config, seed: int) -> tuple[Retinas, Retinas, Retinas]:
    """Training set, test set and pool; the pool has the other camera."""
    first = 100_000 * (seed + 1)
    counts, cameras = (config.pictures, config.pictures // 2, config.pictures // 2), (0.0, 0.0, 1.0)
    return tuple(  # type: ignore[return-value]
        gathered(fundi(first + 2000 * k, count, size=config.size, camera=camera))
        for k, (count, camera) in enumerate(zip(counts, cameras, strict=True))
    )


def _real(config: Config, seed: int) -> tuple[Retinas, Retinas, Retinas]:
    """FGADR, or IDRiD's part with masks (grades unknown: all 0), shared out 60, 20, 20."""
    assert config.data is not None
    folder = Path(config.data)
    if not folder.is_dir():
        raise UserError(
            "The preset needs pictures: give --data FOLDER with FGADR's Seg-set or IDRiD's A. Segmentation."
        )
    graded = (folder / "Seg-set").is_dir()
    images, masks, kept, left_out = read_retinas(fgadr(folder) if graded else idrid_segmentation(folder), config.size)
    if left_out:
        print(f"{len(left_out)} pictures were left out; the first: {left_out[0]}.", file=sys.stderr)
    grades = torch.tensor([record.grade or 0 for record in kept])
    data = Retinas(images, masks, field_of_view(images), grades)
    order = np.random.default_rng(seed).permutation(len(data))
    cuts = int(0.6 * len(data)), int(0.8 * len(data))
    return data.pick(order[: cuts[0]]), data.pick(order[cuts[0] : cuts[1]]), data.pick(order[cuts[1] :])


def run(config: Config, *, seed: int = 0, device: str = "auto", progress: bool = True) -> Result:
    """Train all stages, then let an expert correct.

    Args:
        config: one of PRESETS, or a changed copy.
        seed: of pictures, weights and batches.
        device: as `resolve_device`.
        progress: show bars.

    Returns:
        Result with metrics "precision/<kind>" and "kappa" on the test set before the rounds, "precision/pool/before"
        and "…/after" (mean over lesions on pool pictures that were not corrected), "clicks", "pixels" (of the expert),
        "moved" (mean change of uncorrected pixels); arrays "loss/lesions", "loss/grades", "loss/together".

    Raises:
        UserError: a seed out of range, or data that are missing or do not fit.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(seed_refused(seed))
    begin = time.perf_counter()
    accelerator = accelerator_for(device)
    train, test, pool = _real(config, seed) if config.data else _drawn(config, seed)
    if max(r.batch for r in (config.union, config.lesions, config.grades, config.together)) > len(train):
        raise UserError(f"There are {len(train)} pictures to train on, fewer than a batch of a stage.")
    if config.update.batch // 2 > len(train):
        raise UserError(f"There are {len(train)} pictures to train on, fewer than a round replays.")
    if config.rounds * config.chosen >= len(pool) or config.rounds < 1:
        raise UserError(
            f"{config.rounds} rounds of {config.chosen} pictures leave none of the pool's {len(pool)} uncorrected: "
            "give more pictures, or fewer rounds."
        )
    if not len(test):
        raise UserError("There is no picture to test on.")
    need_apart(train=train, test=test, pool=pool)

    def stage(name: str) -> dict[str, Any]:
        found: dict[str, Any] = {"seed": seed, "accelerator": accelerator, "progress": progress}
        return found if config.out is None else {**found, "checkpoint": Path(config.out) / f"{name}.safetensors"}

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        system = DRGNet(width=config.width, attention=config.attention)
        union = UNet(out_channels=1, width=config.width)
    system, union = system.to(accelerator.device), union.to(accelerator.device)
    train_segmenter(union, train, config.union, union=True, **stage("union"))
    take_over(system.segmenter, union)
    arrays = {"loss/lesions": train_segmenter(system.segmenter, train, config.lesions, **stage("lesions"))}
    lesions = lesion_probabilities(system.segmenter, train.images).half()
    system.grader.share(system.segmenter)
    arrays["loss/grades"] = train_grader(
        system.grader, train, lesions, config.grades, terms=config.terms, **stage("grades")
    )
    arrays["loss/together"] = train_together(system, train, config.together, terms=config.terms, **stage("together"))
    before = score_of(system, test)
    metrics = {
        f"precision/{kind}": float(p) for kind, p in zip(("MA", "HE", "EX", "SE"), before.precision, strict=True)
    }
    metrics["kappa"] = before.kappa
    metrics |= _rounds(config, system, train, pool, seed)
    return Result(
        "drgnet", config.preset, seed, metrics, {name: np.array(loss) for name, loss in arrays.items()},
        time.perf_counter() - begin,
    )  # fmt: skip


def _rounds(config: Config, system: DRGNet, train: Retinas, pool: Retinas, seed: int) -> dict[str, float]:
    probability = lesion_probabilities(system.segmenter, pool.images)
    rounds = interact(
        system,
        train,
        pool,
        Expert(config.expert),
        rounds=config.rounds,
        pictures=config.chosen,
        how=config.update,
        seed=seed,
    )
    corrected = {row for one in rounds for row in one.chosen}
    others = [row for row in range(len(pool)) if row not in corrected]
    after = lesion_probabilities(system.segmenter, pool.images)
    left = pool.pick(others)
    effort = summary([said for one in rounds for said in one.feedback])
    return {
        "precision/pool/before": float(np.nanmean(precisions(probability[others], left))),
        "precision/pool/after": float(np.nanmean(precisions(after[others], left))),
        "clicks": float(effort["clicks"]), "pixels": float(effort["pixels"]),
        "moved": max(one.moved for one in rounds),
    }  # fmt: skip
