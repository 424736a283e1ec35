"""One step of training without pairs: a glyph for content, another for style, and judges that know the fonts.

A step shuffles a batch: every glyph lends its content to one picture and its style to another (DG-Font's released
code). Ours: the picture that the judges are trained on is the one the generator is trained on, computed once; the
first steps teach copying only.

Several processes draw the same batch. Each encodes the style of all of it, since batch norm and the queue want it
whole, and paints and judges its share; gradients are averaged.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from firsthand.dgfont import losses
from firsthand.dgfont.batches import Sampler, normed, turned
from firsthand.dgfont.networks import Discriminator, Generator, StyleEncoder
from firsthand.dgfont.recipes import Recipe
from firsthand.errors import UserError
from firsthand.kit.train.loop import load_tensors, save_tensors


@dataclass
class Model:
    """What training leaves: averaged networks, and what was logged.

    Attributes:
        generator, encoder: averaged over the last steps, in eval mode.
        log: numbers by name, one a step.
    """

    generator: Generator
    encoder: StyleEncoder
    log: dict[str, list[float]] = field(default_factory=dict)

    @torch.no_grad()
    def code(self, images: Tensor) -> Tensor:
        """One style code (D,), the mean over references (N, 1, H, W) of one font."""
        return self.encoder(images.expand(-1, self.channels, -1, -1)).mean(0)

    @torch.no_grad()
    def paint(self, content: Tensor, code: Tensor) -> Tensor:
        """Contents (N, 1, H, W) in the style of a code (D,) or of one each (N, D)."""
        codes = code.expand(len(content), -1) if code.dim() == 1 else code
        return self.generator(content.expand(-1, self.channels, -1, -1), codes)[0].mean(1, keepdim=True)

    @property
    def channels(self) -> int:
        """Of the pictures that the networks take."""
        return self.generator.encoder.fine.weight.shape[1]


class Trainer:
    """Networks, their averages, optimisers and the queue.

    Args:
        recipe: how. fonts, size: of the glyphs. seed: of weights. device: where.
        accelerator: of several processes, from `kit.training.accelerator_for`; None: one.

    Raises:
        UserError: the batch, or the part that is rebuilt, does not divide by the processes.
    """

    def __init__(
        self, recipe: Recipe, *, fonts: int, size: int, seed: int = 0, device: torch.device | str = "cpu",
        accelerator: Any = None,
    ) -> None:  # fmt: skip
        self.recipe, channels, self.done, self.ages = recipe, recipe.channels, 0, [0, 0]
        self.accelerator, self.parts = accelerator, 1 if accelerator is None else accelerator.num_processes
        self.some = max(1, round(recipe.rebuilt * recipe.batch))  # glyphs that are also painted in their own style
        if recipe.batch % self.parts or self.some % self.parts:
            raise UserError(
                f"{self.parts} processes cannot share a batch of {recipe.batch} of which {self.some} are rebuilt."
            )
        torch.manual_seed(3 * seed)  # each network has its own, so that variants of one share the others' start
        self.generator = Generator(
            size=size, width=recipe.width, channels=channels, style_dim=recipe.style_dim, fdsc=recipe.fdsc,
            zero_offsets=recipe.zero_offsets, levels=recipe.levels, first=recipe.first, unit_scale=True,
            hidden=256 if recipe.width == 64 else 8 * recipe.width,
        ).to(device)  # fmt: skip
        # Codes begin at about one a number. With the released 0.01 only the contrastive loss, which looks at directions
        # alone, makes them grow; without it there would be no style to compare with.
        torch.manual_seed(3 * seed + 1)
        spread = 0.01 if recipe.width == 64 else float(recipe.plan[-1]) ** -0.5
        self.encoder = StyleEncoder(
            channels=channels, style_dim=recipe.style_dim, fonts=0, plan=recipe.plan, spread=spread
        )
        self.encoder.to(device)
        torch.manual_seed(3 * seed + 2)
        self.judges = Discriminator(
            size=size, fonts=fonts, channels=channels, head=recipe.head, width=recipe.judge_width, most=recipe.most
        ).to(device)
        # Keys come from the averaged encoder in eval mode: in train mode query and positive would share a batch's
        # statistics, which the queue's entries do not.
        self.averages = copy.deepcopy(self.generator), copy.deepcopy(self.encoder).eval()
        self.queue = losses.Queue(recipe.queue, recipe.style_dim, device)
        self.optimizers = [
            _optimizer(recipe, self.generator, recipe.lr, "rmsprop"),
            _optimizer(recipe, self.encoder, recipe.lr, "adam"),
            _optimizer(recipe, self.judges, recipe.judge_lr, "rmsprop"),
        ]

    def networks(self) -> nn.ModuleDict:
        """All that has weights."""
        names = ("generator", "encoder", "judges", "average", "average_encoder")
        found = (self.generator, self.encoder, self.judges, *self.averages)
        return nn.ModuleDict(dict(zip(names, found, strict=True)))

    def save(self, path: Path, seed: int, log: dict[str, list[float]]) -> None:
        """Everything that the next step needs; all chance comes from the seed and the step's number."""
        tensors = dict(self.networks().state_dict())
        for number, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{number}.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
        tensors |= {"queue.codes": self.queue.codes, "queue.fonts": self.queue.fonts}
        ages, queue = [self.done, *self.ages], [self.queue.filled, self.queue.at]
        save_tensors(path, tensors, {"seed": seed, "log": log, "queue": queue, "ages": ages})

    def load(self, path: Path, seed: int) -> dict[str, list[float]]:
        """Go on from a checkpoint; returns the log so far.

        Raises:
            UserError: it is of another seed or of other networks.
        """
        tensors, about = load_tensors(path)
        if about.get("seed") != seed:
            raise UserError(f"{path.name} belongs to another seed: name another folder.")
        state: list[dict[int, dict[str, Tensor]]] = [{} for _ in self.optimizers]
        weights = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, number, index, key = name.split(".", 3)
                state[int(number)].setdefault(int(index), {})[key] = tensor
            elif not name.startswith("queue."):
                weights[name] = tensor
        try:
            self.networks().load_state_dict(weights)
        except RuntimeError:
            raise UserError(f"{path.name} belongs to other networks: name another folder.") from None
        for optimizer, found in zip(self.optimizers, state, strict=True):
            optimizer.load_state_dict({"state": found, "param_groups": optimizer.state_dict()["param_groups"]})
        self.queue.codes.copy_(tensors["queue.codes"])
        self.queue.fonts.copy_(tensors["queue.fonts"])
        self.queue.filled, self.queue.at = about["queue"]
        self.done, *self.ages = about["ages"]
        return about["log"]

    @torch.no_grad()
    def adopt(self, other: Trainer) -> None:
        """Take over the other's networks, averages and queue; optimisers begin anew.

        What only one of them has stays as it is. A layer that reads fewer maps here keeps its weights for the last
        ones: a skip connection's maps come before the painter's own.
        """
        theirs = other.networks().state_dict()
        for name, own in self.networks().state_dict().items():
            if name in theirs:
                found = theirs[name]
                own.copy_(found if found.shape == own.shape else found[:, -own.shape[1] :])
        self.queue, self.done, self.ages = copy.deepcopy(other.queue), other.done, list(other.ages)

    def step(self, number: int, sampler: Sampler, generator: torch.Generator) -> dict[str, float]:
        """One step on equation (3); returns its losses."""
        recipe = self.recipe
        rates = recipe.lr, recipe.lr, recipe.judge_lr
        for optimizer, rate in zip(self.optimizers, rates, strict=True):
            for group in optimizer.param_groups:  # the released rate never falls
                group["lr"] = rate * (falling(number, recipe.steps) if recipe.optimizer == "adam" else 1)
        x, fonts = sampler(recipe.batch, generator)
        order = torch.randperm(recipe.batch, generator=generator)
        mine = slice(0 if self.accelerator is None else self.accelerator.process_index, None, self.parts)
        styled, wanted, own = x[order], fonts[order], x[mine]
        maps, codes = self.generator.encode(own), self.encoder(x)
        fake, seen = self.generator.mix(maps, codes[order][mine])
        moves = [offset for offset, _ in seen.values()]
        found = {"offset": losses.offset_loss(moves)}
        total = recipe.offset * found["offset"]
        if number >= recipe.warmup:
            found["judges"] = self._judge(styled[mine], fake.detach(), wanted[mine], number)
        some = self.some // self.parts
        rebuilt = self.generator.mix((maps[0][:some], maps[1][:some], maps[2][:some]), codes[mine][:some])[0]
        found["image"] = (rebuilt - own[:some]).abs().mean()
        found["content"] = (self.generator.encode(fake)[0] - maps[0]).abs().mean()
        image = recipe.image if number >= recipe.warmup else recipe.copying
        total = total + image * found["image"] + recipe.content * found["content"]
        if number >= recipe.warmup:
            self.judges.requires_grad_(False)
            logits = self.judges(torch.cat([fake, rebuilt]), torch.cat([wanted[mine], fonts[mine][:some]]))
            self.judges.requires_grad_(True)
            found["adversarial"] = torch.stack(
                [losses.hinge_generator(part) for part in logits.split([len(fake), some])]
            ).sum()
            total = total + recipe.adversarial * found["adversarial"]
        if recipe.mode != "none":
            found["style"], extra = self._style(x, fonts, codes, fake, styled, wanted, mine, sampler, generator)
            total = total + extra
        for optimizer in self.optimizers[:2]:
            optimizer.zero_grad()
        total.backward()
        for optimizer in self.optimizers[:2]:
            self._move(optimizer)
        self.average(0, 1)
        self.done += 1
        return {name: float(self._mean(torch.as_tensor(value).detach())) for name, value in found.items()}

    def _mean(self, value: Tensor) -> Tensor:
        """The mean over processes."""
        return value if self.parts == 1 else self.accelerator.reduce(value, "mean")

    def _move(self, optimizer: torch.optim.Optimizer) -> None:
        """A step on the mean gradient of all processes."""
        for parameter in (p for group in optimizer.param_groups for p in group["params"] if p.grad is not None):
            parameter.grad = self._mean(parameter.grad)
        optimizer.step()

    def _judge(self, real: Tensor, fake: Tensor, fonts: Tensor, number: int) -> Tensor:
        priced = number % self.recipe.every == 0
        real = real.detach().requires_grad_(priced)
        logits = self.judges(real, fonts)
        loss = total = losses.hinge_discriminator(logits, self.judges(fake, fonts))
        if priced:
            total = loss + self.recipe.every * self.recipe.penalty * losses.r1_penalty(logits, real)
        self.optimizers[2].zero_grad()
        total.backward()
        self._move(self.optimizers[2])
        return loss

    def _style(
        self, x: Tensor, fonts: Tensor, codes: Tensor, fake: Tensor, styled: Tensor, wanted: Tensor, mine: slice,
        sampler: Sampler, generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """The contrastive loss of real glyphs, and the weighted sum with that of generated ones."""
        recipe = self.recipe
        other = turned(x, generator) if recipe.mode == "self" else sampler.partners(fonts, generator)
        with torch.no_grad():
            keys, targets = self.averages[1](other), self.averages[1](styled[mine])
        if not self.queue.filled:
            self.queue.push(keys, fonts)
        real = losses.style_loss(codes, keys, fonts, self.queue, mode=recipe.mode)
        # Generated glyphs must not enter batch norm's statistics: real ones are encoded in the end.
        self.encoder.eval()
        codes_made = self.encoder(fake)
        self.encoder.train()
        made = losses.style_loss(codes_made, targets, wanted[mine], self.queue, mode=recipe.mode)
        self.queue.push(keys, fonts)
        return real, recipe.style * real + recipe.generated * made

    @torch.no_grad()
    def average(self, *which: int) -> None:
        """Average generator (0) or style encoder (1) over ever more steps, up to the recipe's: the random start must
        not stay in."""
        for number in which:
            age, network = self.ages[number], (self.generator, self.encoder)[number]
            keep = min(self.recipe.average, (1 + age) / (10 + age))
            for mean, weight in zip(self.averages[number].parameters(), network.parameters(), strict=True):
                mean.lerp_(weight, 1 - keep)
            for kept, now in zip(self.averages[number].buffers(), network.buffers(), strict=True):
                kept.copy_(now)
            self.ages[number] += 1

    def model(self, log: dict[str, list[float]], sampler: Sampler) -> Model:
        """Averaged networks, ready for use; batch norm has the statistics of real glyphs under the averaged weights."""
        generator, encoder = copy.deepcopy(self.averages)
        return Model(generator.eval().requires_grad_(False), normed(encoder, sampler).requires_grad_(False), log)


def falling(step: int, steps: int) -> float:
    """A factor on the rate: one, and over the last quarter straight down to a twentieth."""
    done = max(0.0, (step / max(steps, 1) - 0.75) / 0.25)
    return 1 - 0.95 * min(done, 1.0)


def _optimizer(recipe: Recipe, network: nn.Module, rate: float, released: str) -> torch.optim.Optimizer:
    """Adam; in the released recipe RMSprop but for the style encoder."""
    if recipe.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), rate, (0.5, 0.99))
    if released == "adam":
        return torch.optim.Adam(network.parameters(), rate, weight_decay=1e-3)
    return torch.optim.RMSprop(network.parameters(), rate, weight_decay=1e-4)
