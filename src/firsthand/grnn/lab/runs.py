"""The evidence runs: one victim and batch a seed, attacked in many ways; every attack is run once and shared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from firsthand.data.readers.images import faces, fashion_mnist
from firsthand.grnn.attacks import Reconstruction, attack, match, psnr
from firsthand.grnn.defences import DEFENCES, train_under
from firsthand.grnn.gradients import shared_gradient, split_gradient
from firsthand.grnn.networks import LeNet
from firsthand.grnn.victims import face_batch, untrained_victim
from firsthand.kit.lab.cached import cached

LONG, SHORT = 1000, 600  # iterations: headline attacks, sweeps
RECOVERED = 20.0  # dB from which an image counts as recovered; the mean of all other faces never reaches 22
SUCCESS = 0.8  # share of a batch that must be recovered
LOCAL_LR = 0.1  # of a client's own steps
TRAINED_ON = 6000  # pictures of clothes


@dataclass(frozen=True)
class Case:
    """One attack on one victim.

    Attributes:
        method, batch, iterations, restarts, terms, tv_weight: as `attack`.
        labels: None or "bias".
        defence: key of DEFENCES.
        steps: local steps of the client; its update over steps times rate is taken for a gradient.
        epochs: how long the victim was trained, on clothes; None: the untrained victim and faces.
    """

    method: str = "grnn"
    batch: int = 1
    iterations: int | None = SHORT
    restarts: int = 1
    labels: str | None = None
    terms: tuple[str, ...] = ("squares", "norm")
    tv_weight: float = 1e-3
    defence: str = "none"
    steps: int = 1
    epochs: int | None = None


@dataclass(frozen=True)
class Outcome:
    """How an attack went.

    Attributes:
        psnr: (B,) dB after matching and clipping to [0, 1].
        labels: share of labels found, as multisets.
        found: what the attack returned, images in the truth's order.
        truth: (B, c, s, s).
        distance: sum of squared differences of the final fake gradient.
    """

    psnr: np.ndarray
    labels: float
    found: Tensor
    truth: Tensor
    loss: np.ndarray
    distance: float

    @property
    def success(self) -> float:
        """1 if SUCCESS of the batch is recovered, else 0."""
        return float((self.psnr >= RECOVERED).mean() >= SUCCESS)


@cached
def trained_victim(epochs: int, seed: int) -> LeNet:
    """A LeNet for clothes after so many epochs."""
    if epochs == 0:
        return untrained_victim(seed, 10, 1)
    x, y = fashion_mnist("train")
    return train_under("none", x[:TRAINED_ON], y[:TRAINED_ON], num_classes=10, epochs=epochs, clients=1, seed=seed)


def victim_and_batch(case: Case, seed: int) -> tuple[LeNet, Tensor, Tensor]:
    """The model, images and labels of a case."""
    if case.epochs is None:
        return untrained_victim(seed), *face_batch(case.batch, seed)
    x, y = fashion_mnist("test")
    rows = np.random.default_rng([seed, case.batch]).choice(len(x), case.batch, replace=False)
    return trained_victim(case.epochs, seed), x[rows], y[rows]


def sent(model: LeNet, x: Tensor, y: Tensor, *, defence: str = "none", steps: int = 1, seed: int = 0) -> Tensor:
    """What the client sends: a defended gradient, or its update over `steps` local steps divided by their rate."""
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, 7]).generate_state(1)[0]))
    if steps == 1:
        return DEFENCES[defence](model, x, y, generator).detach()
    local = LeNet(model.fc3.out_features, x.shape[1])
    local.load_state_dict(model.state_dict())
    total = torch.zeros(sum(p.numel() for p in model.parameters()))
    for _ in range(steps):
        gradient = shared_gradient(local, x, y)
        total += gradient / steps
        with torch.no_grad():
            for p, part in zip(local.parameters(), split_gradient(local, gradient).values(), strict=True):
                p.sub_(LOCAL_LR * part)
    return total


def run_case(case: Case, seed: int) -> tuple[Outcome, Reconstruction]:
    """Attack once and score."""
    model, x, y = victim_and_batch(case, seed)
    gradient = sent(model, x, y, defence=case.defence, steps=case.steps, seed=seed)
    result = attack(
        model, gradient, batch=case.batch, image_shape=(x.shape[1], x.shape[2], x.shape[3]),
        num_classes=model.fc3.out_features, method=case.method, iterations=case.iterations, restarts=case.restarts,
        labels=case.labels, tv_weight=case.tv_weight, seed=seed, terms=case.terms,
    )  # fmt: skip
    clipped = result.images.clamp(0, 1)
    order = match(clipped, x)
    fake = shared_gradient(model, result.images, result.labels)
    hits = sum(min(int((result.labels == c).sum()), int((y == c).sum())) for c in y.unique())
    outcome = Outcome(
        psnr(clipped[order], x).numpy(), hits / case.batch, clipped[order], x, result.loss,
        float((fake - gradient).square().sum()),
    )  # fmt: skip
    return outcome, result


@cached
def outcome(case: Case, seed: int) -> Outcome:
    """`run_case`, once a process."""
    return run_case(case, seed)[0]


@cached
def kept_accuracy(defence: str, seed: int) -> float:
    """Test accuracy (percent) on clothes of a model trained on gradients that passed a defence."""
    (x, y), (x_test, y_test) = fashion_mnist("train"), fashion_mnist("test")
    model = train_under(defence, x[:TRAINED_ON], y[:TRAINED_ON], num_classes=10, seed=seed)
    with torch.no_grad():
        return 100 * float((model(x_test).argmax(1) == y_test).double().mean())


def rank_among_faces(found: Tensor, who: int) -> int:
    """Place of the true person when a hundred faces are ordered by correlation with a recovered image; 1 = first.

    Args:
        found: (c, s, s).
        who: true identity.
    """
    gallery = faces().flatten(1)
    gallery = gallery - gallery.mean(1, keepdim=True)
    query = found.mean(0).flatten()
    score = (gallery @ (query - query.mean())) / gallery.norm(dim=1)
    return int((score > score[who]).sum()) + 1
