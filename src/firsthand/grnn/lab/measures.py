"""What every claim of the chapter measures: measure(seed) -> (method, baseline or None)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from firsthand.grnn.attacks import psnr
from firsthand.grnn.gradients import labels_from_bias, last_bias_gradient, layer_input, shared_gradient, split_gradient
from firsthand.grnn.lab.runs import LONG, RECOVERED, Case, kept_accuracy, outcome, rank_among_faces
from firsthand.grnn.networks import Generator, LeNet, SigmoidResNet18
from firsthand.grnn.victims import PEOPLE, face_batch, guess, untrained_victim  # fmt: skip
from firsthand.kit.lab.claims import NotTested

Value = tuple[float, float | None]
HEADLINE = Case(iterations=LONG)
SWEEP = Case()
#: The peers at B = 1 with their usual numbers of iterations; L-BFGS gets a second start.
PEERS = {
    "dlg": Case("dlg", iterations=None, restarts=2),
    "idlg": Case("idlg", iterations=None, restarts=2),
    "pixels": Case("pixels", iterations=LONG, restarts=3),  # one for every learning rate
    "inverting": Case("inverting", iterations=None),
}
BATCHES = (1, 2, 4, 8)
NOISE = (0.0, 1e-2, 3e-2, 1e-1)
PRUNED = (0.0, 0.5, 0.9, 0.99)
LOCAL_STEPS = (1, 2, 5)
EPOCHS = (0, 1, 5)


def _psnr(case: Case, seed: int) -> float:
    return float(outcome(case, seed).psnr.mean())


def batch_case(method: str, batch: int) -> Case:
    """The attack on a larger batch: the same iterations as on one image."""
    return Case(method, batch, LONG if method == "grnn" else None)


def headline(seed: int) -> Value:
    """PSNR (dB) at B = 1."""
    return _psnr(HEADLINE, seed), None


def success(case: Case, seed: int) -> Value:
    """1 if the batch was recovered."""
    return outcome(case, seed).success, None


def labels_found(case: Case, seed: int) -> Value:
    """Share of labels found."""
    return outcome(case, seed).labels, None


def better_than(peer: str, seed: int) -> Value:
    """PSNR (dB) of GRNN against a peer at B = 1; the peer's pixels are clipped to [0, 1], to its advantage."""
    return _psnr(HEADLINE, seed), _psnr(PEERS[peer], seed)


def succeeds_more(seed: int) -> Value:
    """1 if the image was recovered: GRNN against DLG at B = 1."""
    return outcome(HEADLINE, seed).success, outcome(PEERS["dlg"], seed).success


def re_identified(top: int, seed: int) -> Value:
    """1 if the person is among the `top` best matches of a hundred faces."""
    _, who = face_batch(1, seed)
    return float(rank_among_faces(outcome(HEADLINE, seed).found[0], int(who[0])) <= top), None


def term(change: Mapping[str, Any], seed: int, *, full: Mapping[str, Any] = MappingProxyType({})) -> Value:
    """PSNR (dB) of the full loss (perhaps itself changed by `full`) against a changed one."""
    return _psnr(replace(SWEEP, **full), seed), _psnr(replace(SWEEP, **change), seed)


def largest_batch(seed: int) -> Value:
    """Largest batch of BATCHES recovered (0: none): GRNN against four times DLG's."""

    def largest(method: str) -> int:
        cases = {1: HEADLINE if method == "grnn" else PEERS["dlg"]}
        cases.update({b: batch_case(method, b) for b in BATCHES[1:]})
        return max((b for b, case in cases.items() if outcome(case, seed).success), default=0)

    rival = largest("dlg")
    if rival == 0:
        raise NotTested("DLG recovered no batch of any size for this victim, so there is nothing to multiply")
    return float(largest("grnn")), 4.0 * rival


def by_epochs(seed: int) -> tuple[list[float], None]:
    """Minus PSNR for victims trained for EPOCHS epochs."""
    return [-_psnr(Case(epochs=epochs), seed) for epochs in EPOCHS], None


def trained(seed: int) -> Value:
    """PSNR (dB) for a victim that has trained for the longest of EPOCHS."""
    return _psnr(Case(epochs=EPOCHS[-1]), seed), None


def noisy(scale: float) -> Case:
    """The sweep's attack on a gradient with Gaussian noise."""
    return SWEEP if scale == 0 else replace(SWEEP, defence=f"gaussian {scale:g}")


def pruned(rate: float) -> Case:
    """The sweep's attack on a pruned gradient."""
    return SWEEP if rate == 0 else replace(SWEEP, defence=f"prune {rate:g}")


def by_noise(seed: int) -> tuple[list[float], None]:
    """Minus PSNR for every scale of NOISE."""
    return [-_psnr(noisy(scale), seed) for scale in NOISE], None


def noise_curve(seed: int) -> list[float | None]:
    """PSNR for every scale of NOISE."""
    return [_psnr(noisy(scale), seed) for scale in NOISE]


def prune_curve(seed: int) -> list[float | None]:
    """PSNR for every rate of PRUNED."""
    return [_psnr(pruned(rate), seed) for rate in PRUNED]


def drop(defence: str, seed: int) -> Value:
    """PSNR (dB) without a defence against with it."""
    return _psnr(SWEEP, seed), _psnr(replace(SWEEP, defence=defence), seed)


def guessed(seed: int) -> float:
    """PSNR (dB) of the guess that uses no gradient."""
    x, who = face_batch(1, seed)
    return float(psnr(guess(int(who[0]))[None], x)[0])


def above_guess(seed: int) -> Value:
    """PSNR (dB) at B = 1 against the guess that uses no gradient."""
    return _psnr(HEADLINE, seed), guessed(seed)


def defended(defence: str, seed: int) -> Value:
    """PSNR (dB) that the attack reaches under a defence against the guess that uses no gradient."""
    return _psnr(replace(SWEEP, defence=defence), seed), guessed(seed)


def price(defence: str, seed: int) -> Value:
    """Accuracy (percent) of a model trained without a defence against with it."""
    return kept_accuracy("none", seed), kept_accuracy(defence, seed)


def robust(seed: int) -> Value:
    """PSNR (dB) at noise 0.01: GRNN against DLG."""
    return _psnr(noisy(1e-2), seed), _psnr(Case("dlg", iterations=None, defence="gaussian 0.01"), seed)


def by_local_steps(seed: int) -> tuple[list[float], None]:
    """Minus PSNR for clients that take LOCAL_STEPS steps before they send."""
    return [-_psnr(replace(SWEEP, steps=steps), seed) for steps in LOCAL_STEPS], None


def labels_beat_images(batch: int, seed: int) -> Value:
    """Share of labels found against share of images recovered, by GRNN."""
    found = outcome(HEADLINE if batch == 1 else batch_case("grnn", batch), seed)
    return found.labels, float((found.psnr >= RECOVERED).mean())


def labels_by_rule(batch: int, seed: int) -> Value:
    """Share of labels read off the last bias's gradient, as multisets."""
    x, y = face_batch(batch, seed)
    gradient = shared_gradient(untrained_victim(seed), x, y)
    found = labels_from_bias(last_bias_gradient(untrained_victim(seed), gradient, PEOPLE), batch)
    return sum(min(int((found == c).sum()), int((y == c).sum())) for c in y.unique()) / batch, None


def layer_leak(batch: int, seed: int) -> Value:
    """Largest error of the input of the first linear layer, read off the gradient; for a batch, of its best row."""
    model = untrained_victim(seed).double()
    x, y = face_batch(batch, seed)
    parts = split_gradient(model, shared_gradient(model, x.double(), y))
    found = layer_input(parts["fc1.weight"], parts["fc1.bias"])
    with torch.no_grad():
        truth = model.features(x.double())
    return float((truth - found).abs().amax(1).min()), None


def parameters(kind: str, seed: int) -> Value:
    """Parameters of the networks."""
    with torch.device("meta"):
        model = {
            "generator": lambda: Generator(10),
            "lenet": lambda: LeNet(100),
            "resnet": lambda: SigmoidResNet18(100),
        }[kind]()
    return float(sum(p.numel() for p in model.parameters())), None


def not_here(seed: int) -> Value:
    """A claim that takes hours of GPU time."""
    raise NotTested("double backpropagation through ResNet-18 needs a GPU; the preset `paper` has it")


def labels_help(seed: int) -> Value:
    """PSNR (dB) at B = 4 with labels read off the bias against labels found by the attack."""
    case = batch_case("grnn", 4)
    return _psnr(replace(case, labels="bias"), seed), _psnr(case, seed)


MOMENTS = (1, 50, 100, 200, 300, 400, 500, 600)


def loss_curve(seed: int) -> list[float | None]:
    """Common logarithm of the attacker's loss at MOMENTS of the sweep's attack, median over 21 iterations around."""
    loss = outcome(SWEEP, seed).loss
    return [float(np.log10(np.median(loss[max(at - 11, 0) : at + 10]))) for at in MOMENTS]
