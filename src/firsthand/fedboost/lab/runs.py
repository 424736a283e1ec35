"""The federations of the evidence: words in two domains, and digits for sweeps; every run is made once and shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.data.readers.words import DIGITS, PRINT, SIGN, Domain, encode, random_texts, word_images
from firsthand.fedboost.federation import Client, History, Task, federate, train_alone
from firsthand.fedboost.network import CompactCRNN, DigitsMLP, ctc_loss, words_right
from firsthand.fedboost.protection import masked_updates
from firsthand.fedboost.strategies import strategy
from firsthand.fedboost.weights import mix
from firsthand.grnn.attacks import attack, psnr
from firsthand.grnn.gradients import shared_gradient
from firsthand.grnn.victims import PEOPLE, face_batch, guess, untrained_victim
from firsthand.kit.lab.cached import cached

Tests = dict[str, tuple[Tensor, Tensor]]
#: Losses below this count as this, where a row says "clipped".
FLOOR = 0.1
# Sizes, noise, rate and batch were chosen on central training and FedAvg at seeds 1000 to 1002, which no row uses.
WORDS_LR, WORDS_BATCH, WORDS_CLIP = 5e-3, 16, 5.0
PRINTS, SIGNS, TEST_WORDS = 400, 200, 200  # words of the two clients, and of each test
EVEN = 300  # words of each client where only hardness differs
SKEWED = 300  # words of a client that lacks some digits
PROX_MU = 0.001  # the best of four at seed 1000, and the least, see `tuning`
WORD_ROUNDS = {1: 18, 3: 6}  # E: R, the same number of local epochs
DIGIT_ROUNDS, DIGIT_LR = 20, 0.1
ATTACK = 600  # iterations of chapter 09's attack
LAST = {"words": 6, "digits": 5}  # local epochs (words) or rounds (digits) over which a final score is averaged
SWAPPED = (3, 8)  # labels that change places in the split "swapped"


def _seeded(make: type[nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


# ----------------------------------------------------------------------------------------------- words


def word_task(seed: int) -> Task:
    """Reading words of digits with the compact network and Adam."""
    return Task(
        lambda: _seeded(CompactCRNN, seed), ctc_loss, words_right, lambda p: torch.optim.Adam(p, lr=WORDS_LR),
        batch=WORDS_BATCH, clip=WORDS_CLIP,
    )  # fmt: skip


@cache
def words(count: int, domain: Domain, alphabet: str, seed: int) -> tuple[Tensor, list[str]]:
    """`word_images`, kept."""
    return word_images(count, domain, alphabet=alphabet, seed=seed)


def word_tests(seed: int) -> Tests:
    """Two hundred words of each domain, all digits."""
    found = {}
    for number, domain in enumerate((PRINT, SIGN)):
        images, texts = words(TEST_WORDS, domain, DIGITS, 90_000 + 10 * seed + number)
        found[domain.name] = images, encode(texts)
    return found


#: What each client of a federation on words holds: (name, domain, alphabet, words, random texts).
WORD_SPLITS: dict[str, tuple[tuple[str, Domain, str, int, bool], ...]] = {
    "domains": (("print", PRINT, DIGITS, PRINTS, False), ("sign", SIGN, DIGITS, SIGNS, False)),
    "even": (("print", PRINT, DIGITS, EVEN, False), ("sign", SIGN, DIGITS, EVEN, False)),
    "labels": (("0 to 6", PRINT, DIGITS[:7], SKEWED, False), ("3 to 9", PRINT, DIGITS[3:], SKEWED, False)),
    "corrupted": (
        ("print", PRINT, DIGITS, PRINTS, False), ("sign", SIGN, DIGITS, SIGNS, False),
        ("random", PRINT, DIGITS, SIGNS, True),
    ),
}  # fmt: skip


def word_data(split: str, seed: int) -> list[tuple[str, Tensor, Tensor]]:
    """Name, images and targets of every client of a split."""
    found = []
    for number, (name, domain, alphabet, count, corrupt) in enumerate(WORD_SPLITS[split]):
        images, texts = words(count, domain, alphabet, 1000 * seed + number)
        found.append((name, images, encode(random_texts(texts, seed=seed) if corrupt else texts)))
    return found


def word_clients(split: str, seed: int) -> list[Client]:
    """Fresh clients of a split."""
    task = word_task(seed)
    return [Client(task, x, y, name=name, seed=100 * seed + i) for i, (name, x, y) in enumerate(word_data(split, seed))]


# ---------------------------------------------------------------------------------------------- digits


DIGIT_SPLITS = ("iid", "sorted", "dirichlet", "corrupted", "swapped")


@cache
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """scikit-learn's digits: pixels (1437, 64) in [0, 1] and labels to train on, and 360 to test."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    x, y = torch.from_numpy(pixels[order] / 16).float(), torch.from_numpy(labels[order])
    return x[:1437], y[:1437], x[1437:], y[1437:]


def digit_tests() -> Tests:
    """All test digits, and those of every label under its name."""
    x, y = digits()[2:]
    return {"digits": (x, y), **{str(label): (x[y == label], y[y == label]) for label in range(10)}}


def digit_task(seed: int) -> Task:
    """Ten digits with a small network and plain gradient descent."""
    return Task(
        lambda: _seeded(DigitsMLP, seed), F.nll_loss, lambda outputs, y: outputs.argmax(1) == y,
        lambda p: torch.optim.SGD(p, lr=DIGIT_LR),
    )  # fmt: skip


LEAST = 20  # digits of every client of the split "dirichlet"


def digit_shares(split: str, clients: int, seed: int) -> list[np.ndarray]:
    """Which training digits every client holds.

    Args:
        split: "iid", "sorted" (by label, cut into equal parts), "dirichlet" (each label shared out with concentration
            0.3); "corrupted" and "swapped" as iid: client 0 gets random labels, or two labels of it change places.
        clients: N.
        seed: of the split.

    Raises:
        ValueError: an unknown split, or more clients than there are digits for.
    """
    rng = np.random.default_rng([seed, clients])
    labels = digits()[1].numpy()
    if not 1 <= clients <= len(labels) // (LEAST if split == "dirichlet" else 2):
        raise ValueError(
            f"{len(labels)} digits serve 1 to {len(labels) // (LEAST if split == 'dirichlet' else 2)} clients of the "
            f"split {split!r}; got {clients}."
        )
    if split in ("iid", "corrupted", "swapped"):
        return np.array_split(rng.permutation(len(labels)), clients)
    if split == "sorted":
        return [rng.permutation(part) for part in np.array_split(np.argsort(labels, kind="stable"), clients)]
    if split != "dirichlet":
        raise ValueError(f"Unknown split {split!r}: choose one of {', '.join(DIGIT_SPLITS)}.")
    shares: list[list[int]] = [[] for _ in range(clients)]
    for label in range(10):
        rows = rng.permutation(np.flatnonzero(labels == label))
        cuts = (np.cumsum(rng.dirichlet(np.full(clients, 0.3)))[:-1] * len(rows)).astype(int)
        for share, part in zip(shares, np.split(rows, cuts), strict=True):
            share.extend(part.tolist())
    # A client with nothing to hold back could not validate: it gets a few of the largest share's.
    for share in shares:
        while len(share) < 20:
            share.append(max(shares, key=len).pop())
    return [rng.permutation(share) for share in shares]


def digit_clients(split: str, seed: int, clients: int = 3) -> list[Client]:
    """Fresh clients of a split of the digits."""
    task, (x, y, _, _) = digit_task(seed), digits()
    found = []
    for number, rows in enumerate(digit_shares(split, clients, seed)):
        labels = y[rows]
        if split == "corrupted" and number == 0:
            labels = torch.from_numpy(np.random.default_rng([seed, 5]).integers(0, 10, len(rows)))
        if split == "swapped" and number == 0:
            first, second = (labels == label for label in SWAPPED)
            labels = labels.masked_fill(first, SWAPPED[1]).masked_fill(second, SWAPPED[0])
        found.append(Client(task, x[rows], labels, name=f"client {number}", seed=100 * seed + number))
    return found


# -------------------------------------------------------------------------------------- what is shared


@dataclass(frozen=True)
class Case:
    """One federation.

    Attributes:
        data: "words" or "digits". split: of WORD_SPLITS, or as `digit_shares`.
        strategy: name of one. options: its arguments, as pairs.
        epochs: E. rounds: R, or None for the usual number.
        keep, slices, warmup: as `federate`. clients: of digits.
    """

    data: str
    split: str
    strategy: str
    options: tuple[tuple[str, Any], ...] = ()
    epochs: int = 1
    rounds: int | None = None
    keep: float | None = None
    slices: int | None = None
    warmup: int = 0
    clients: int = 3

    @property
    def last(self) -> int:
        """Rounds over which its final score is averaged: the same number of local epochs for words."""
        return max(1, LAST["words"] // self.epochs) if self.data == "words" else LAST["digits"]


@cached
def history(case: Case, seed: int) -> History:
    """Run a case once a process."""
    if case.data == "words":
        clients, tests = word_clients(case.split, seed), word_tests(seed)
        rounds = case.rounds or WORD_ROUNDS[case.epochs]
    else:
        clients, rounds = digit_clients(case.split, seed, case.clients), case.rounds or DIGIT_ROUNDS
        tests = digit_tests()
    return federate(
        clients, strategy(case.strategy, **dict(case.options)), rounds=rounds, epochs=case.epochs, tests=tests,
        keep=case.keep, slices=case.slices, warmup=case.warmup,
    )  # fmt: skip


@cached
def central_digits(seed: int) -> float:
    """Accuracy (per cent) of one network on all digits, after as many epochs as a federation has rounds."""
    x, y, x_test, y_test = digits()
    scores = train_alone(digit_task(seed), x, y, epochs=DIGIT_ROUNDS, tests={"digits": (x_test, y_test)}, seed=seed)
    return final(scores["digits"], LAST["digits"])


@cached
def alone(split: str, who: str, epochs: int, seed: int) -> Mapping[str, np.ndarray]:
    """Scores (epochs,) a test of one network on words: of all clients' data ("central") or of one client's."""
    parts = [(x, y) for name, x, y in word_data(split, seed) if who in ("central", name)]
    x, y = (torch.cat([part[i] for part in parts]) for i in (0, 1))
    order = torch.from_numpy(np.random.default_rng([seed, 3]).permutation(len(x)))
    return train_alone(word_task(seed), x[order], y[order], epochs=epochs, tests=word_tests(seed), seed=seed)


def final(scores: np.ndarray, last: int) -> float:
    """Mean over the last rounds, in per cent."""
    return 100 * float(np.mean(scores[-last:]))


# -------------------------------------------------------------------------------------- who can read what


@dataclass(frozen=True)
class Leak:
    """What an observer holds of a client's update, made of one face and one step, as a gradient (P,).

    Attributes:
        view: "raw"; "mixed" (with a second client's); "noise" (raw plus noise as large as what mixing added);
            "hidden" (one masked upload); "sum" (the mean of both, which the server is told every round).
    """

    view: str


def observed(leak: Leak, seed: int) -> Tensor:
    """The observer's gradient of face 0 of a pair; the second face is the other client's."""
    model = untrained_victim(seed)
    x, y = face_batch(2, seed)
    gradients = torch.stack([shared_gradient(model, x[i : i + 1], y[i : i + 1]) for i in (0, 1)])
    if leak.view == "raw":
        return gradients[0]
    if leak.view == "mixed":
        return torch.from_numpy(mix(gradients.numpy())[0]).float()
    if leak.view == "noise":
        added = torch.from_numpy(mix(gradients.numpy())[0]).float() - gradients[0]
        noise = torch.randn(len(added), generator=torch.Generator().manual_seed(7919 + seed))
        return gradients[0] + noise * added.norm() / noise.norm()
    if leak.view == "sum":
        return gradients.mean(0)
    if leak.view != "hidden":
        raise ValueError(f"Unknown view {leak.view!r}: choose raw, mixed, noise, hidden or sum.")
    bound = float(gradients.abs().max())
    sent = masked_updates(gradients.numpy(), [0.5, 0.5], bound=bound, seed=seed)[0]
    return torch.from_numpy(sent.view(np.int64) / 2.0**63 * bound).float()


@cached
def leaked_psnr(leak: Leak, seed: int) -> float:
    """PSNR (dB) of the face that chapter 09's attack finds in what an observer holds; in a sum it looks for two faces,
    of which the one nearer to the true face counts."""
    x, _ = face_batch(2, seed)
    batch = 2 if leak.view == "sum" else 1
    found = attack(
        untrained_victim(seed), observed(leak, seed), batch=batch, image_shape=(3, 32, 32), num_classes=PEOPLE,
        iterations=ATTACK, seed=seed,
    )  # fmt: skip
    return float(psnr(found.images.clamp(0, 1), x[:1].expand(batch, -1, -1, -1)).max())


@cached
def guess_psnr(seed: int) -> float:
    """PSNR (dB) of the mean of all other faces, which needs no gradient."""
    x, who = face_batch(2, seed)
    return float(psnr(guess(int(who[0])).unsqueeze(0), x[:1])[0])
