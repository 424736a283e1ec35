"""Training of a head model on random rays, and fitting its codes to pictures of people it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from firsthand.data.drawn.heads import IDENTITY, Heads
from firsthand.data.drawn.heads import rays as head_rays
from firsthand.kit.train.loop import Cosine
from firsthand.nerfgaze.model import Codes, HeadModel, Sizes

COMPACT = Sizes()
BETWEEN = list(IDENTITY).index("between eyes")


@dataclass(frozen=True)
class Recipe:
    """How to train; our values.

    Attributes:
        steps, rays: of each. warmup: steps until the full rate.
        lr, code_lr: Adam's, of networks and of codes; half a cosine down to a hundredth.
        on_eyes: share of the rays that go through an eye or beside it: eyes are two pixels in a hundred.
        code: weight of the codes' mean square.
        eyes, how, sizes: see `HeadModel`.
    """

    steps: int = 2000
    rays: int = 384
    warmup: int = 50
    lr: float = 1e-2
    code_lr: float = 3e-2
    on_eyes: float = 1 / 3
    code: float = 1e-3
    eyes: str = "rotated"
    how: str = "density"
    sizes: Sizes = COMPACT


class Pixels:
    """Pixels of pictures, to draw from: anywhere on or near the head, and on or beside the eyes.

    Args:
        data: pictures. people: numbers of the people, in the order of their codes.
        grow: pixels beside the head that count as well; 0 where the background is not white.
    """

    def __init__(self, data: Heads, people: list[int], grow: int = 3) -> None:
        self.data, self.size = data, data.images.shape[-1]
        self.person = torch.tensor([people.index(int(n)) for n in data.person])
        self.between = data.identity[:, BETWEEN]
        self.everywhere = _places(data.head, grow)
        self.eyes = _places(data.eyes, 1)
        self.origins, self.directions = head_rays(data.pose, self.size)

    def draw(self, count: int, on_eyes: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures (R,), origins (R, 3), directions (R, 3) and colours (R, 3) of random pixels."""
        near = int(on_eyes * count)
        parts = []
        for places, n in ((self.eyes, near), (self.everywhere, count - near)):
            parts.append(places[torch.randint(len(places), (n,), generator=generator)])
        picture, place = torch.cat(parts).unbind(1)
        colour = self.data.images.flatten(2)[picture, :, place]
        return picture, self.origins[picture, 0], self.directions[picture, place], colour


def _places(mask: Tensor, grow: int) -> Tensor:
    """(picture, pixel) of all pixels of a mask (N, s, s) and of those so near to it."""
    grown = F.max_pool2d(mask.float().unsqueeze(1), 2 * grow + 1, 1, grow) > 0
    return grown.flatten(1).nonzero()


def train(recipe: Recipe, data: Heads, seed: int) -> tuple[HeadModel, list[float]]:
    """Train a model and the codes of some pictures by equation (3); the model in evaluation mode, and its losses."""
    people = sorted({int(n) for n in data.person})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = HeadModel(len(people), len(data), eyes=recipe.eyes, how=recipe.how, sizes=recipe.sizes)
    pixels, generator = Pixels(data, people), torch.Generator().manual_seed(seed)
    codes = [model.identity, model.expression, model.light]
    known = {id(code) for code in codes}
    groups = [{"params": [p for p in model.parameters() if id(p) not in known]}, {"params": codes}]
    optimizer = torch.optim.Adam(groups, recipe.lr, (0.9, 0.99))
    rate, losses = Cosine(1.0, recipe.steps, recipe.warmup, 0.01), []
    for step in range(recipe.steps):
        for group, lr in zip(optimizer.param_groups, (recipe.lr, recipe.code_lr), strict=True):
            group["lr"] = lr * rate(step)
        picture, origin, direction, colour = pixels.draw(recipe.rays, recipe.on_eyes, generator)
        of = model.codes(pixels.person[picture], picture, data.gaze[picture], pixels.between[picture])
        loss = (model(origin, direction, of, generator) - colour).abs().mean()
        size = sum(code.square().mean() for code in (of.identity, of.expression, of.light))
        optimizer.zero_grad()
        (loss + recipe.code * size).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return model.eval().requires_grad_(False), losses


def fit(
    model: HeadModel, data: Heads, *, steps: int = 300, rays: int = 384, lr: float = 2e-2, on_eyes: float = 1 / 3,
    gaze: Tensor | None = None, grow: int = 3, seed: int = 0,
) -> Codes:  # fmt: skip
    """Codes of pictures of people that the model has not seen, networks frozen; one identity a person.

    Args:
        model: trained.
        data: pictures, of which gaze is not looked at where `gaze` is given.
        steps, rays: of the search. lr: of Adam; it falls to a tenth. on_eyes: as `Recipe`.
        gaze: what is believed of the gaze (N, 2), and searched further; None: it is known.
        grow: see `Pixels`. seed: of the rays.

    Returns:
        Codes, a row a picture.
    """
    people = sorted({int(n) for n in data.person})
    pixels, generator = Pixels(data, people, grow), torch.Generator().manual_seed(seed)
    start = [model.identity.mean(0), model.expression.mean(0), model.light.mean(0)]
    counts = (len(people), len(data), len(data))
    found = [s.repeat(n, 1).clone().requires_grad_() for s, n in zip(start, counts, strict=True)]
    believed = (data.gaze if gaze is None else gaze).clone().requires_grad_(gaze is not None)
    groups: list[dict[str, object]] = [{"params": found, "lr": lr}]
    if gaze is not None:
        groups.append({"params": [believed], "lr": lr / 10})
    optimizer = torch.optim.Adam(groups)
    rates = [float(group["lr"]) for group in groups]  # type: ignore[arg-type]
    for step in range(steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * 0.1 ** (step / steps)
        picture, origin, direction, colour = pixels.draw(rays, on_eyes, generator)
        who = pixels.person[picture]
        of = Codes(found[0][who], found[1][picture], found[2][picture], believed[picture], pixels.between[picture])
        loss = (model(origin, direction, of, generator) - colour).abs().mean()
        away = sum(((one - s) ** 2).mean() for one, s in zip(found, start, strict=True))
        optimizer.zero_grad()
        (loss + 1e-3 * away).backward()
        optimizer.step()
    identity, expression, light = (one.detach() for one in found)
    return Codes(identity[pixels.person], expression, light, believed.detach(), pixels.between)
