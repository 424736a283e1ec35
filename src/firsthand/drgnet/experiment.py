"""The chapter's experiment: lesions, grades, both together, and rounds of correction, in one run.

`run` is what the notebook, the command line and the tests call; `CLAIMS` is what the evidence measures.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from firsthand.data.fundus import fundi
from firsthand.data.retinas import fgadr, field_of_view, idrid_segmentation, read_retinas
from firsthand.drgnet import live
from firsthand.drgnet.claims import CLAIMS
from firsthand.drgnet.claims import CURVES as ROUND_CURVES
from firsthand.drgnet.feedback import Expert, summary
from firsthand.drgnet.interaction import Update, interact
from firsthand.drgnet.network import UNet
from firsthand.drgnet.runs import GRADES, LESIONS, TERMS, TOGETHER, UNION, precisions, score_of
from firsthand.drgnet.system import DRGNet, Retinas, gathered, lesion_probabilities, need_apart
from firsthand.drgnet.training import Recipe, Terms, take_over, train_grader, train_segmenter, train_together
from firsthand.errors import UserError
from firsthand.kit.curves import along_steps
from firsthand.kit.results import Result
from firsthand.kit.training import accelerator_for

UPDATE = Update(steps=10, batch=4, terms=TERMS)

__all__ = ["CLAIMS", "CURVES", "PRESETS", "Config", "run", "with_data"]


@dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        preset: name under which the result is stored.
        data: None: drawn pictures; else a folder in FGADR's layout (Seg-set), or in IDRiD's for lesions alone.
        pictures: drawn ones to train on; half as many to test, and half as many in the pool.
        size: pixels a side.
        width: of the networks.
        attention: of the grader.
        union, lesions, grades, together: recipes of the stages.
        terms: losses on explanations.
        expert: who corrects. rounds, chosen: how often, and how many pictures.
        update: recipe of a round.
        out: folder for checkpoints of the stages; a run found there goes on.
    """

    preset: str
    data: str | None = None
    pictures: int = 60
    size: int = 256
    width: int = 8
    attention: str = "both"
    union: Recipe = UNION
    lesions: Recipe = LESIONS
    grades: Recipe = GRADES
    together: Recipe = TOGETHER
    terms: Terms | None = TERMS
    expert: str = "masks"
    rounds: int = 1
    chosen: int = 4
    update: Update = UPDATE
    out: str | None = None


PRESETS = {
    "smoke": Config(
        "smoke", pictures=6, size=64, width=2, union=Recipe(2, batch=2, crop=32),
        lesions=Recipe(2, batch=2, crop=32), grades=Recipe(2, batch=2), together=Recipe(1, batch=2), chosen=2,
        update=Update(steps=1, batch=2, crop=32, terms=TERMS),
    ),
    "book": Config(
        "book", pictures=40, union=Recipe(25), lesions=Recipe(60), grades=Recipe(12, 1e-3),
        together=Recipe(4, 3e-4, batch=4), chosen=3, update=Update(steps=6, batch=4, terms=TERMS),
    ),
    # The released networks are one of width 64 a lesion at 512 pixels, SGD for thousands of epochs.
    "paper": Config(
        "paper", data="FGADR", size=512, width=64, union=Recipe(5_000, crop=512),
        lesions=Recipe(60_000, 1e-3, 500, crop=512), grades=Recipe(2_000, 1e-4, 100, batch=16),
        together=Recipe(2_000, 1e-4, 50, batch=4), terms=Terms(), rounds=4, chosen=5,
        update=Update(steps=60, crop=512, terms=Terms()), out="drgnet-paper",
    ),
}  # fmt: skip


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
    """
    begin = time.perf_counter()
    accelerator = accelerator_for(device)
    train, test, pool = _real(config, seed) if config.data else _drawn(config, seed)
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


def _losses(seed: int) -> list[float]:
    """The segmenter's, in a reader's own run."""
    return [*run(PRESETS["book"], seed=seed, device="cpu", progress=False).arrays["loss/lesions"]]


EVERY = 10  # steps of a reader's run for a point of its band
CURVES = [*ROUND_CURVES, along_steps("reader", PRESETS["book"].lesions.steps, EVERY, _losses), *live.CURVES]
