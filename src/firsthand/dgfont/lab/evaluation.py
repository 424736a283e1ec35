"""How good generated glyphs are: distances to the true glyph, and what networks trained on real glyphs read in them.

Pictures (N, 1, H, W) in [-1, 1]; errors are measured on [0, 1]. LPIPS needs weights trained on photographs; in its
place stands a distance of features of our own reader, called a proxy wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch import Tensor, nn
from torch.nn import functional as F

from firsthand.data.readers.glyphs import Glyphs, shipped
from firsthand.dgfont.networks import StyleEncoder
from firsthand.dgfont.trainer import Model
from firsthand.kit.lab.cached import cached

READER_STEPS, READER_BATCH, READER_RATE = 500, 96, 2e-3
REFERENCES = 16  # glyphs whose codes are averaged
MOST = 40  # characters by which fonts are looked for
TWINS = 0.06  # mean L1 below which two fonts are of one family


class Reader(nn.Module):
    """A small network that reads which character and which font a glyph is.

    Args:
        characters, fonts: how many.
    """

    def __init__(self, characters: int, fonts: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((1, 24), (24, 48), (48, 96)):
            layers += [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.character, self.font = nn.Linear(96 * 16, characters), nn.Linear(96 * 16, fonts)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of characters and of fonts."""
        found = F.adaptive_avg_pool2d(self.features(images), 4).flatten(1)
        return self.character(found), self.font(found)


def train_reader(glyphs: Glyphs, seed: int) -> Reader:
    """A reader of all characters in the fonts to train on; of fonts it learns on the characters to train on.

    It has seen the true form of every character that is generated, which a reader of writing has too.
    """
    torch.manual_seed(seed)
    fonts, characters = glyphs.seen
    images = glyphs.images(fonts, slice(None))
    train = characters.stop
    reader = Reader(images.shape[1], images.shape[0])
    optimizer = torch.optim.Adam(reader.parameters(), READER_RATE)
    generator, pairs = torch.Generator().manual_seed(seed), torch.from_numpy(glyphs.present[fonts]).nonzero()
    for _ in range(READER_STEPS):
        f, c = pairs[torch.randint(len(pairs), (READER_BATCH,), generator=generator)].T
        shift = torch.randint(-2, 3, (2,), generator=generator).tolist()
        by_character, by_font = reader(images[f, c].roll(shift, (2, 3)))
        known = c < train
        loss = F.cross_entropy(by_character, c) + F.cross_entropy(by_font[known], f[known])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return reader.eval().requires_grad_(False)


@dataclass(frozen=True)
class Score:
    """Of generated glyphs, means over fonts and characters.

    Attributes:
        l1, rmse, ssim: against the true glyph. features: the proxy's distance to it. character: share read as the right
            character. certainty: mean probability of the right character. font: share read as a font of the right
            family, mean over families; nan for fonts that the reader does not know.
    """

    l1: float
    rmse: float
    ssim: float
    features: float
    character: float
    certainty: float
    font: float


def errors(made: Tensor, true: Tensor) -> dict[str, float]:
    """L1, RMSE and SSIM (Gaussian window) of made against true glyphs (N, 1, H, W), means over glyphs."""
    a, b = ((images.clamp(-1, 1) + 1) / 2 for images in (made, true))
    error = (a - b).flatten(1)
    options = {"data_range": 1.0, "gaussian_weights": True, "sigma": 1.5}
    pairs = zip(a[:, 0].numpy(), b[:, 0].numpy(), strict=True)
    likeness = [structural_similarity(x, y, **options) for x, y in pairs]
    return {
        "l1": float(error.abs().mean()),
        "rmse": float(error.square().mean(1).sqrt().mean()),
        "ssim": float(np.mean(likeness)),
    }


@torch.no_grad()
def score(made: Tensor, true: Tensor, reader: Reader, task: Task) -> Score:
    """Compare made with true glyphs (N, 1, H, W) of a task's pairs."""
    plain = errors(made, true)
    deep = [F.normalize(reader.features(images).flatten(1)) for images in (made, true)]
    by_character, by_font = reader(made)
    right = by_character.softmax(1).gather(1, task.of_character[:, None])
    told = (task.family[by_font.argmax(1)] == task.family[task.of_font]).float()
    return Score(
        plain["l1"],
        plain["rmse"],
        plain["ssim"],
        float((deep[0] - deep[1]).square().sum(1).mean()),
        float((by_character.argmax(1) == task.of_character).float().mean()),
        float(right.mean()),
        task.by_family(told) if task.seen else float("nan"),
    )


# ------------------------------------------------------------------------------------ what is compared


def families(glyphs: Glyphs) -> Tensor:
    """Numbers (fonts,) of families: fonts that differ by less than TWINS in mean L1, or are joined by such fonts.

    The number is that of the family's first font. A font that is told for its twin is told rightly.
    """
    images = glyphs.images(slice(None), slice(None, None, 4))  # a quarter of the characters is enough to see it
    present, found = glyphs.present[:, ::4], torch.arange(len(images))
    for font in range(len(images)):
        both = torch.from_numpy(present & present[font])
        away = ((images - images[font]).abs().mean((2, 3, 4)) / 2 * both).sum(1) / both.sum(1)
        for twin in (away < TWINS).nonzero()[:, 0].tolist():
            found[found == found[twin]] = found[font].clone()
    return torch.tensor([int((found == number).nonzero()[0]) for number in found])


@dataclass(frozen=True)
class Task:
    """Characters that nobody trained on, to be made in some fonts.

    Attributes:
        of_font, of_character: numbers in the set, of the glyphs to be made (N,), font by font.
        family: of all fonts of the set. seen: whether the fonts were trained on.
    """

    of_font: Tensor
    of_character: Tensor
    family: Tensor
    seen: bool

    @classmethod
    def of(cls, glyphs: Glyphs, *, seen: bool) -> Task:
        """Kept characters, in the fonts that were trained on but the content font, or in those that were not and have
        no twin among them. Glyphs that a font or the content font lacks are left out."""
        known, trained = glyphs.seen
        family = families(glyphs)
        strangers = [n for n in range(known.stop, len(glyphs.fonts)) if family[n] not in family[known]]
        fonts = list(range(1, known.stop)) if seen else strangers
        return cls.chosen(glyphs, fonts, list(range(trained.stop, len(glyphs.characters))), seen, family)

    @classmethod
    def chosen(
        cls, glyphs: Glyphs, fonts: list[int], characters: list[int], seen: bool, family: Tensor | None = None
    ) -> Task:
        """These characters in these fonts, as far as they and the content font have them."""
        here = [(f, c) for f in fonts for c in characters if glyphs.present[f, c] and glyphs.present[0, c]]
        pairs = torch.tensor(here).view(-1, 2)
        return cls(pairs[:, 0], pairs[:, 1], families(glyphs) if family is None else family, seen)

    @property
    def fonts(self) -> list[int]:
        """Numbers of the fonts, in their order."""
        return torch.unique(self.of_font).tolist()

    @property
    def characters(self) -> list[int]:
        """Numbers of the characters, in their order."""
        return torch.unique(self.of_character).tolist()

    def by_family(self, values: Tensor) -> float:
        """Mean over families of the mean of values (N,), one a glyph: a family of three fonts counts once."""
        own = self.family[self.of_font]
        return float(torch.stack([values[own == number].mean() for number in own.unique()]).mean())

    def chance(self, known: int) -> float:
        """Share of families told by naming one of the `known` first fonts at random."""
        return self.by_family((self.family[self.of_font][:, None] == self.family[None, :known]).float().mean(1))

    def true(self, glyphs: Glyphs) -> Tensor:
        """The true glyphs (N, 1, H, W)."""
        return glyphs.images(slice(None), slice(None))[self.of_font, self.of_character]

    def content(self, glyphs: Glyphs) -> Tensor:
        """The characters as the content font, the set's first, has them (N, 1, H, W)."""
        return glyphs.images([0], slice(None))[0, self.of_character]


def references(glyphs: Glyphs, font: int, count: int = REFERENCES, *, seed: int = 0) -> Tensor:
    """Glyphs of characters to train on that show a font's style, (count, 1, H, W); the same for all fonts that have
    them."""
    return glyphs.images([font], [c for c in drawn(glyphs, seed) if glyphs.present[font, c]][:count])[0]


def drawn(glyphs: Glyphs, seed: int) -> list[int]:
    """The characters to train on in the order in which they are taken as references."""
    return torch.randperm(glyphs.seen[1].stop, generator=torch.Generator().manual_seed(seed)).tolist()


def generate(model: Model, glyphs: Glyphs, task: Task, *, count: int = REFERENCES, seed: int = 0) -> Tensor:
    """The task's glyphs by a model, from the first font's content."""
    content, found = task.content(glyphs), []
    for font in task.fonts:
        code = model.code(references(glyphs, font, count, seed=seed))
        found.append(model.paint(content[task.of_font == font], code))
    return torch.cat(found)


def copied(glyphs: Glyphs, task: Task) -> Tensor:
    """Baseline: the content glyph as it is."""
    return task.content(glyphs)


def averaged(glyphs: Glyphs, task: Task) -> Tensor:
    """Baseline: each character's mean over fonts to train on of other families. It sees the characters asked for."""
    known = glyphs.images(glyphs.seen[0], slice(None))
    here = torch.from_numpy(glyphs.present[glyphs.seen[0]]).float()[..., None, None, None]
    found = []
    for font, character in zip(task.of_font.tolist(), task.of_character.tolist(), strict=True):
        weights = here[:, character].clone()
        weights[task.family[: len(weights)] == task.family[font]] = 0
        found.append((known[:, character] * weights).sum(0) / weights.sum(0).clamp(min=1))
    return torch.stack(found)


def near(glyphs: Glyphs, task: Task, *, seed: int = 0) -> Tensor:
    """Baseline: the character in the font to train on, of another family, whose references differ least, pixel by
    pixel. It sees the characters that are asked for."""
    shown = drawn(glyphs, seed)[: 2 * REFERENCES]
    images, here = glyphs.images(slice(None), shown), torch.from_numpy(glyphs.present[:, shown])

    def away(font: int) -> Tensor:
        both = here[: glyphs.seen[0].stop] & here[font]
        first = both & (both.cumsum(1) <= REFERENCES)  # as many as the model is shown, of those that both fonts have
        differ = (images[: len(both)] - images[font]).abs().mean((2, 3, 4))
        return torch.where(first.any(1), (differ * first).sum(1) / first.sum(1).clamp(min=1), torch.inf)

    return _from_the_least(glyphs, task, away)


def nearest(model: Model, glyphs: Glyphs, task: Task, *, seed: int = 0) -> Tensor:
    """Baseline: the character in the font to train on, of another family, whose style code is nearest. It sees the
    characters too."""
    known = torch.stack([model.code(references(glyphs, font, seed=seed)) for font in range(glyphs.seen[0].stop)])
    table = F.normalize(known - known.mean(0))

    def away(font: int) -> Tensor:
        return -table @ F.normalize(model.code(references(glyphs, font, seed=seed)) - known.mean(0), dim=0)

    return _from_the_least(glyphs, task, away)


def _from_the_least(glyphs: Glyphs, task: Task, away: Callable[[int], Tensor]) -> Tensor:
    """The task's characters in the font to train on whose `away` (fonts,) from the asked one is least, of another
    family."""
    found = []
    for font in task.fonts:
        order = [n for n in away(font).argsort().tolist() if task.family[n] != task.family[font]]
        asked = task.of_character[task.of_font == font].tolist()
        has = [next(n for n in order if glyphs.present[n, c]) for c in asked]  # the next font, where it lacks one
        found.append(glyphs.images(slice(None), slice(None))[has, asked])
    return torch.cat(found)


@torch.no_grad()
def retrieval(encoder: nn.Module | None, glyphs: Glyphs, fonts: list[int], among: list[int]) -> float:
    """Share of kept glyphs of `fonts` whose nearest code, of another character in the fonts `among`, is of their own
    family; of the first MOST kept characters.

    Args:
        encoder: from pictures to codes; None: the pixels are the code. glyphs, fonts, among: numbers of fonts.
    """
    kept = list(range(glyphs.seen[1].stop, len(glyphs.characters)))[:MOST]
    task = Task.chosen(glyphs, among, kept, True)
    codes = task.true(glyphs)
    codes = codes.flatten(1) if encoder is None else encoded(encoder, codes)
    codes = F.normalize(codes - codes.mean(0))
    likeness = codes @ codes.mT
    likeness[task.of_character[:, None] == task.of_character[None]] = -2
    right = task.family[task.of_font[likeness.argmax(1)]] == task.family[task.of_font]
    return float(right[torch.isin(task.of_font, torch.tensor(fonts))].float().mean())


@torch.no_grad()
def encoded(encoder: nn.Module, images: Tensor, batch: int = 2000) -> Tensor:
    """Codes (N, D) of pictures (N, 1, H, W), some at a time; an encoder of more channels gets equal ones."""
    channels = next(encoder.parameters()).shape[1] if isinstance(encoder, StyleEncoder) else 1
    return torch.cat([encoder(part.expand(-1, channels, -1, -1)) for part in images.split(batch)])


@cached
def reader_of(seed: int) -> Reader:
    """A seed's reader of the shipped set."""
    return train_reader(shipped(), seed)
