"""What the figures show, made beforehand: a model that was trained for longer, and two maps of styles.

`python -m firsthand.dgfont.lab.assets` makes it (about twenty minutes on one core) and writes
firsthand/weights/dgfont.*.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from firsthand.data.readers.glyphs import shipped as glyphs_shipped
from firsthand.dgfont.lab import evaluation, runs
from firsthand.dgfont.lab.evaluation import Task
from firsthand.dgfont.networks import Generator, StyleEncoder
from firsthand.dgfont.trainer import Model
from firsthand.dgfont.training import train
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.provenance import processor
from firsthand.kit.train.weights import ship, shipped

COMMAND = "python -m firsthand.dgfont.lab.assets"
SEED = 0
LONGER = replace(runs.BOOK, steps=2000, warmup=120, adversarial=0.1, average=0.998)
PARTS = ("generator", "encoder")
MAPS = ("full", "mute")  # variants whose codes are mapped: with the contrastive loss, and without
SHOWN = 8  # characters of every font on a map


def shown_characters() -> list[int]:
    """Characters of the maps: kept ones, which no encoder was trained on."""
    first = glyphs_shipped().seen[1].stop
    return list(range(first, first + SHOWN))


@torch.no_grad()
def style_map(encoder: nn.Module) -> tuple[Tensor, Tensor]:
    """Codes of all fonts' shown characters, (fonts, SHOWN, D), centred and of length one, and where they lie on their
    first two principal axes, (fonts, SHOWN, 2), spread one."""
    images = glyphs_shipped().images(slice(None), shown_characters())
    codes = encoder(images.flatten(0, 1))
    codes = F.normalize(codes - codes.mean(0))
    _, _, axes = torch.linalg.svd(codes - codes.mean(0), full_matrices=False)
    places = (codes - codes.mean(0)) @ axes[:2].mT
    return codes.view(*images.shape[:2], -1), (places / places.std()).view(*images.shape[:2], 2)


def main() -> None:
    """Train and store."""
    torch.set_num_threads(1)
    begin, glyphs = time.process_time(), glyphs_shipped()  # processor time: other work may run beside it
    model = train(LONGER, glyphs, SEED)
    networks = dict(zip(PARTS, (model.generator, model.encoder), strict=True))
    tensors = {
        f"{part}.{name}": value.half() if value.is_floating_point() else value
        for part, network in networks.items()
        for name, value in network.state_dict().items()
    }
    for variant in MAPS:
        codes, places = style_map(runs.model_of(SEED, variant).encoder)
        tensors |= {f"codes.{variant}": codes.half(), f"map.{variant}": places}
    reader = evaluation.reader_of(SEED)
    tensors |= {f"reader.{n}": t.half() if t.is_floating_point() else t for n, t in reader.state_dict().items()}
    quality: dict[str, float] = {}
    for name, seen in (("seen", True), ("unseen", False)):
        task = Task.of(glyphs, seen=seen)
        made = evaluation.generate(model, glyphs, task)
        found = evaluation.score(made, task.true(glyphs), reader, task)
        quality |= {
            f"characters read, {name} fonts": round(found.character, 4),
            f"L1, {name} fonts": round(found.l1, 4),
        }
        if seen:
            quality["fonts told, seen fonts"] = round(found.font, 4)
    losses = model.log["image"]
    card = {
        "command": COMMAND, "seed": SEED, "steps": LONGER.steps,
        "minutes": round((time.process_time() - begin) / 60, 1), "processor": processor(), "threads": 1,
        "licence": "MIT, as the code; learned from the fonts of the data card", "quality": quality,
        "log": [[n, round(sum(losses[n : n + 50]) / 50, 4)] for n in range(0, len(losses), 50)],
    }  # fmt: skip
    ship("dgfont", tensors, card)


# ---------------------------------------------------------------------------------------------- reading


@cached
def shipped_model() -> Model:
    """The model that was trained for longer."""
    recipe, glyphs = LONGER, glyphs_shipped()
    generator = Generator(
        size=glyphs.ink.shape[-1], width=recipe.width, channels=1, style_dim=recipe.style_dim, fdsc=recipe.fdsc,
        first=recipe.first, hidden=8 * recipe.width,
    )  # fmt: skip
    encoder = StyleEncoder(channels=1, style_dim=recipe.style_dim, fonts=0, plan=recipe.plan)
    for part, network in zip(PARTS, (generator, encoder), strict=True):
        own = {n.removeprefix(f"{part}."): t for n, t in shipped("dgfont").items() if n.startswith(f"{part}.")}
        network.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in own.items()})
        network.eval().requires_grad_(False)
    return Model(generator, encoder)


@cached
def shipped_reader() -> evaluation.Reader:
    """The reader of real glyphs, of the seed of the recorded run."""
    glyphs = glyphs_shipped()
    reader = evaluation.Reader(len(glyphs.characters), glyphs.seen[0].stop)
    own = {n.removeprefix("reader."): t for n, t in shipped("dgfont").items() if n.startswith("reader.")}
    reader.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in own.items()})
    return reader.eval().requires_grad_(False)


@cached
def code_of(font: int, count: int = evaluation.REFERENCES) -> Tensor:
    """The style code of a font of the shipped set by its model, from so many references."""
    return shipped_model().code(evaluation.references(glyphs_shipped(), font, count))


if __name__ == "__main__":
    main()
