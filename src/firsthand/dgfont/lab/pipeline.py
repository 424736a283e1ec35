"""The chapter's pipeline: train on some fonts, then write characters in fonts and forms that nobody trained on.

`run` is what the notebook, the command line and the tests call.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from firsthand.data.readers.glyphs import Glyphs, common_characters, font_files, from_files, latin, shipped
from firsthand.dgfont.lab import evaluation
from firsthand.dgfont.lab.config import PRESETS, Config
from firsthand.dgfont.lab.evaluation import Task
from firsthand.dgfont.training import train
from firsthand.errors import UserError
from firsthand.kit.lab.results import Result
from firsthand.kit.train.device import LARGEST_SEED, seed_refused
from firsthand.kit.train.loop import accelerator_for

__all__ = ["PRESETS", "Config", "run", "with_data"]


RETRIEVED = 40  # fonts at most among which a glyph's is looked for
CHARACTERS = 990  # of the paper's set: eight hundred to train on and 190 kept


def with_data(config: Config, path: str) -> Config:
    """The same experiment on a folder of fonts, or on "latin"."""
    if path != "latin" and not Path(path).is_dir():
        raise UserError(f"--data must be a folder of fonts, or latin; {Path(path).name} is neither.")
    return replace(config, data=path)


def glyphs_of(config: Config) -> tuple[Glyphs, list[str]]:
    """The glyphs, and what was skipped of a folder.

    Raises:
        UserError: no folder, or nothing usable in it.
    """
    if config.data is None:
        return shipped(), []
    if config.data == "latin":
        return latin(config.size), []
    if not Path(config.data).is_dir():
        raise UserError("The preset needs fonts: give --data FOLDER with .ttf, .otf or .ttc files.")
    characters = config.characters or "".join(common_characters()[:CHARACTERS])
    return from_files(font_files(Path(config.data)), characters, size=config.size)


def run(config: Config, *, seed: int = 0, device: str = "auto", progress: bool = True) -> Result:
    """Train, generate kept characters in fonts that were trained on and not, and score them.

    Args:
        config: one of PRESETS, or a changed copy.
        seed: of weights, batches and references.
        device: as `resolve_device`.
        progress: say what was skipped of a folder.

    Returns:
        Result with metrics "l1/seen", "l1/unseen", "ssim/seen", "ssim/unseen", and for the content copied as it is
        "copy/l1/seen", "copy/l1/unseen"; "retrieval" (share of glyphs whose style code finds their font), "move" (mean
        move of the last steps, pixels); arrays "loss/..." by step, "made" and "true" uint8 (fonts, characters, size,
        size) of unseen fonts that have no twin among the others.

    Raises:
        UserError: a seed out of range; every font that was kept from training has a twin among the others.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(seed_refused(seed))
    begin = time.perf_counter()
    glyphs, remarks = glyphs_of(config)
    if remarks and progress:
        print(f"{len(remarks)} fonts are skipped or incomplete:", *remarks, sep="\n  ")
    tasks = {name: Task.of(glyphs, seen=seen) for name, seen in (("seen", True), ("unseen", False))}
    for name, task in tasks.items():
        if not len(task.of_font):  # said before training
            raise UserError(f"There is nothing to write in {name} fonts: each has a twin, or no glyph.")
    accelerator = accelerator_for(device, "fp32")  # the judges' slopes are differentiated twice
    checkpoint = None if config.out is None else Path(config.out) / f"seed-{seed}.safetensors"
    model = train(
        config.recipe, glyphs, seed, device=accelerator.device, checkpoint=checkpoint, accelerator=accelerator
    )  # fmt: skip
    model.generator.cpu(), model.encoder.cpu()
    metrics: dict[str, float] = {}
    arrays = {f"loss/{name}": np.array(values) for name, values in model.log.items()}
    for name, task in tasks.items():
        true = task.true(glyphs)
        made = evaluation.generate(model, glyphs, task, seed=seed)
        metrics |= {f"{what}/{name}": value for what, value in evaluation.errors(made, true).items()}
        metrics[f"copy/l1/{name}"] = evaluation.errors(evaluation.copied(glyphs, task), true)["l1"]
        if not task.seen:
            arrays |= {key: _sheet(images, task) for key, images in (("made", made), ("true", true))}
    known = list(range(glyphs.seen[0].stop))[:RETRIEVED]
    metrics["retrieval"] = evaluation.retrieval(model.encoder, glyphs, known, known)
    metrics["move"] = float(np.mean(model.log["offset"][-10:]))
    return Result("dgfont", config.preset, seed, metrics, arrays, time.perf_counter() - begin)


def _sheet(images: torch.Tensor, task: Task) -> np.ndarray:
    """Glyphs of a task as uint8 (fonts, characters, size, size), white where there is none."""
    row, column = (torch.unique(of, return_inverse=True)[1] for of in (task.of_font, task.of_character))
    sheet = torch.ones(int(row.max()) + 1, int(column.max()) + 1, *images.shape[2:])
    sheet[row, column] = images[:, 0].clamp(-1, 1)
    return ((sheet + 1) * 127.5).round().to(torch.uint8).numpy()
