"""How good generated glyphs are: distances to the true glyph, and what networks trained on real glyphs read in them.

Pictures (N, 1, H, W) in [-1, 1]; errors are measured on [0, 1]. LPIPS needs weights trained on photographs; in its
place stands a distance of features of our own reader, called a proxy wherever it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch import Tensor, nn
from torch.nn import functional as F

from firsthand.data.glyphs import Glyphs
from firsthand.dgfont.training import Model
from firsthand.kit.shared import shared

READER_STEPS, READER_BATCH, READER_RATE = 500, 96, 2e-3
REFERENCES = 16  # glyphs whose codes are averaged


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
    generator = torch.Generator().manual_seed(seed)
    for _ in range(READER_STEPS):
        f = torch.randint(images.shape[0], (READER_BATCH,), generator=generator)
        c = torch.randint(images.shape[1], (READER_BATCH,), generator=generator)
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
            character. font: share read as the right font; nan for fonts that the reader does not know.
    """

    l1: float
    rmse: float
    ssim: float
    features: float
    character: float
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
def score(made: Tensor, true: Tensor, reader: Reader, characters: Tensor, fonts: Tensor | None) -> Score:
    """Compare made with true glyphs (N, 1, H, W), of characters (N,) and fonts (N,), None for unknown ones."""
    plain = errors(made, true)
    deep = [F.normalize(reader.features(images).flatten(1)) for images in (made, true)]
    by_character, by_font = reader(made)
    return Score(
        plain["l1"],
        plain["rmse"],
        plain["ssim"],
        float((deep[0] - deep[1]).square().sum(1).mean()),
        float((by_character.argmax(1) == characters).float().mean()),
        float("nan") if fonts is None else float((by_font.argmax(1) == fonts).float().mean()),
    )


# ------------------------------------------------------------------------------------ what is compared


@dataclass(frozen=True)
class Task:
    """Characters that nobody trained on, to be made in some fonts.

    Attributes:
        fonts: numbers in the set. characters: numbers in the set. seen: whether the fonts were trained on.
    """

    fonts: list[int]
    characters: list[int]
    seen: bool

    @classmethod
    def of(cls, glyphs: Glyphs, *, seen: bool) -> Task:
        """All kept characters, in the fonts that were trained on but the content font, or in those that were not."""
        known, trained = glyphs.seen
        fonts = range(1, known.stop) if seen else range(known.stop, len(glyphs.fonts))
        return cls(list(fonts), list(range(trained.stop, len(glyphs.characters))), seen)

    def true(self, glyphs: Glyphs) -> Tensor:
        """The true glyphs (fonts characters, 1, H, W), font by font."""
        return glyphs.images(self.fonts, self.characters).flatten(0, 1)

    def labels(self) -> tuple[Tensor, Tensor | None]:
        """Characters and fonts of those."""
        characters = torch.tensor(self.characters).repeat(len(self.fonts))
        fonts = torch.tensor(self.fonts).repeat_interleave(len(self.characters))
        return characters, fonts if self.seen else None


def references(glyphs: Glyphs, font: int, count: int = REFERENCES, *, seed: int = 0) -> Tensor:
    """Glyphs of characters to train on that show a font's style, (count, 1, H, W); the same for all fonts."""
    drawn = torch.randperm(glyphs.seen[1].stop, generator=torch.Generator().manual_seed(seed))[:count]
    return glyphs.images([font], drawn.tolist())[0]


def generate(model: Model, glyphs: Glyphs, task: Task, *, count: int = REFERENCES, seed: int = 0) -> Tensor:
    """The task's glyphs by a model, from the first font's content."""
    content = glyphs.images([0], task.characters)[0]
    codes = [model.code(references(glyphs, font, count, seed=seed)) for font in task.fonts]
    return torch.cat([model.paint(content, code) for code in codes])


def copied(glyphs: Glyphs, task: Task) -> Tensor:
    """Baseline: the content glyph as it is."""
    return glyphs.images([0], task.characters)[0].repeat(len(task.fonts), 1, 1, 1)


def averaged(glyphs: Glyphs, task: Task) -> Tensor:
    """Baseline: each character's mean over the other fonts to train on. It sees the characters that are asked for."""
    known = glyphs.images(glyphs.seen[0], task.characters)
    found = []
    for font in task.fonts:
        others = [n for n in range(len(known)) if n != font]
        found.append(known[others].mean(0))
    return torch.cat(found)


def near(glyphs: Glyphs, task: Task, *, seed: int = 0) -> Tensor:
    """Baseline: the character in the other font to train on whose references differ least, pixel by pixel. It sees the
    characters that are asked for."""
    known = torch.stack([references(glyphs, font, seed=seed) for font in range(glyphs.seen[0].stop)])
    found = []
    for font in task.fonts:
        away = (known - references(glyphs, font, seed=seed)).abs().flatten(1).mean(1)
        if font < len(known):
            away[font] = torch.inf
        found.append(glyphs.images([int(away.argmin())], task.characters)[0])
    return torch.cat(found)


def nearest(model: Model, glyphs: Glyphs, task: Task, *, seed: int = 0) -> Tensor:
    """Baseline: the character in the other font to train on whose style code is nearest. It sees the characters too."""
    known = [model.code(references(glyphs, font, seed=seed)) for font in range(glyphs.seen[0].stop)]
    table = F.normalize(torch.stack(known) - torch.stack(known).mean(0))
    found = []
    for font in task.fonts:
        code = model.code(references(glyphs, font, seed=seed)) - torch.stack(known).mean(0)
        code = F.normalize(code, dim=0)
        likeness = table @ code
        if font < len(table):
            likeness[font] = -2
        found.append(glyphs.images([int(likeness.argmax())], task.characters)[0])
    return torch.cat(found)


@torch.no_grad()
def retrieval(encoder: nn.Module, glyphs: Glyphs, fonts: list[int], characters: list[int]) -> float:
    """Share of glyphs whose nearest other code, among codes of other characters, is of their own font."""
    images = glyphs.images(fonts, characters)
    codes = encoder(images.flatten(0, 1))
    codes = F.normalize(codes - codes.mean(0))
    font = torch.arange(len(fonts)).repeat_interleave(len(characters))
    character = torch.arange(len(characters)).repeat(len(fonts))
    likeness = codes @ codes.mT
    likeness[character[:, None] == character[None]] = -2
    return float((font[likeness.argmax(1)] == font).float().mean())


@shared
def reader_of(seed: int) -> Reader:
    """A seed's reader of the shipped set."""
    from firsthand.data.glyphs import shipped

    return train_reader(shipped(), seed)
