"""What a client can do to its gradient before it sends it, and what each costs in accuracy.

Gradients are flat (P,), in the order of `model.parameters()`.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.grnn.gradients import gradient_function, split_gradient
from firsthand.grnn.networks import LeNet, uniform_init_

DIRECTIONS, REACH = 16, 1e-2  # in how many directions Soteria estimates slopes, and how far it looks
Defence = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]


def add_noise(gradient: Tensor, scale: float, generator: torch.Generator, *, kind: str = "gaussian") -> Tensor:
    """The gradient plus independent noise of standard deviation `scale`.

    Args:
        gradient: (P,).
        scale: standard deviation of an entry.
        generator: a CPU generator.
        kind: "gaussian" or "laplace"; `scale` is the standard deviation of both.

    Raises:
        ValueError: an unknown kind or a negative scale.
    """
    if kind not in ("gaussian", "laplace") or scale < 0:
        raise ValueError(f"kind must be gaussian or laplace and scale at least 0; got {kind!r} and {scale}.")
    if kind == "gaussian":
        noise = torch.randn(gradient.shape, generator=generator, dtype=gradient.dtype)
    else:
        u = torch.rand(gradient.shape, generator=generator, dtype=gradient.dtype) - 0.5
        noise = -u.sign() * torch.log1p(-2 * u.abs().clamp_max(0.4999999)) / 2**0.5
    return gradient + scale * noise.to(gradient.device)


def prune(gradient: Tensor, rate: float) -> Tensor:
    """The share `rate` of entries that are smallest in magnitude set to zero.

    Args:
        gradient: (P,).
        rate: in [0, 1).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate must lie in [0, 1); got {rate}.")
    drop = int(rate * len(gradient))
    if drop == 0:
        return gradient.clone()
    return gradient.index_fill(0, gradient.abs().topk(drop, largest=False).indices, 0.0)


def quantise(gradient: Tensor, bits: int) -> Tensor:
    """Each entry rounded to one of 2^bits - 1 evenly spaced levels between plus and minus the largest magnitude."""
    if not 2 <= bits <= 16:
        raise ValueError(f"bits must lie between 2 and 16; got {bits}.")
    step = gradient.abs().max() / (2 ** (bits - 1) - 1)
    return gradient if step == 0 else (gradient / step).round() * step


def clip(gradient: Tensor, norm: float) -> Tensor:
    """The gradient shortened to at most this Euclidean norm."""
    return gradient * min(1.0, norm / max(float(gradient.norm()), 1e-12))


def private_gradient(
    model: nn.Module, x: Tensor, y: Tensor, *, norm: float, multiplier: float, generator: torch.Generator
) -> Tensor:
    """What DP-SGD sends, by Opacus: every example's gradient clipped, summed, noised, divided by the batch.

    Args:
        model: without batch norm; left as it is.
        x, y: the batch.
        norm: clipping norm C of one example's gradient.
        multiplier: the noise has standard deviation multiplier * C.
        generator: a CPU generator.
    """
    from opacus import GradSampleModule

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Opacus's hooks warn about inputs without gradients
        copied = GradSampleModule(copy.deepcopy(model).train())
        F.cross_entropy(copied(x), y).backward()
    rows = torch.cat([p.grad_sample.flatten(1) for p in copied.parameters()], dim=1)  # type: ignore[attr-defined]
    total = (rows * (norm / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1.0)).sum(0)
    return add_noise(total, multiplier * norm, generator) / len(x)


def epsilon(*, multiplier: float, rate: float, steps: int, delta: float = 1e-5) -> float:
    """The privacy budget that `steps` of DP-SGD spend, by Opacus's Renyi accountant.

    Args:
        multiplier: noise multiplier.
        rate: share of the data in a batch.
        steps: batches.
        delta: probability that the guarantee may fail.

    Returns:
        epsilon; 0 where nothing is sent, infinity without noise.

    Raises:
        ValueError: a setting out of its range.
    """
    if not (multiplier >= 0 and 0 < rate <= 1 and steps >= 0 and 0 < delta < 1):
        raise ValueError(
            f"multiplier and steps must be at least 0, rate in (0, 1] and delta in (0, 1); got {multiplier}, {steps}, "
            f"{rate} and {delta}."
        )
    if steps == 0:
        return 0.0
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(multiplier, rate, steps)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of optimal orders at the edge of the table
        return float(accountant.get_epsilon(delta))


def soteria(model: nn.Module, x: Tensor, y: Tensor, *, rate: float, generator: torch.Generator) -> Tensor:
    """Soteria: silence the inputs of the first linear layer that are large for how little the image moves them.

    With r the representation that enters the layer and x the image, the share `rate` of entries with the smallest
    ratio of the slope's length (of r_i with respect to x) to r_i + 0.1 is set to zero in the gradient of the layer's
    weight, as the authors' code does (jeremy313/Soteria at 23cf90e). They compute slopes exactly; here they are
    estimated in random directions.

    Args:
        model: a LeNet.
        x, y: the batch.
        rate: share of the representation's entries to silence.
        generator: a CPU generator, for the directions in which slopes are estimated.
    """
    if not isinstance(model, LeNet):
        raise ValueError(f"Soteria is written for LeNet here; got a {type(model).__name__}.")
    gradient = gradient_function(model)(x, y, False)
    # ||d r_i / d x||^2 is the mean of (J u)_i^2 over random directions u; J u by central differences.
    with torch.no_grad():
        values = model.features(x)
        slopes = torch.zeros_like(values[0])
        for _ in range(DIRECTIONS):
            u = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
            ahead, behind = model.features(x + REACH * u), model.features(x - REACH * u)
            slopes += ((ahead - behind) / (2 * REACH)).square().mean(0) / DIRECTIONS
        values = values.mean(0)
    silent = (slopes.sqrt() / (values + 0.1)).topk(int(rate * len(slopes)), largest=False).indices
    parts = split_gradient(model, gradient)
    parts["fc1.weight"] = parts["fc1.weight"].index_fill(1, silent, 0.0)
    return torch.cat([part.flatten() for part in parts.values()])


def _plain(change: Callable[[Tensor, torch.Generator], Tensor]) -> Defence:
    return lambda model, x, y, generator: change(gradient_function(model)(x, y, False), generator)


#: name -> what the client sends: defence(model, x, y, generator) -> (P,)
DEFENCES: dict[str, Defence] = {
    "none": _plain(lambda g, r: g),
    **{
        f"gaussian {s:g}": _plain(lambda g, r, s=s: add_noise(g, s, r))  # type: ignore[misc]
        for s in (1e-2, 3e-2, 1e-1)
    },
    "laplace 0.1": _plain(lambda g, r: add_noise(g, 0.1, r, kind="laplace")),
    **{f"prune {p:g}": _plain(lambda g, r, p=p: prune(g, p)) for p in (0.5, 0.9, 0.99)},  # type: ignore[misc]
    **{f"quantise {b}": _plain(lambda g, r, b=b: quantise(g, b)) for b in (4, 2)},  # type: ignore[misc]
    "soteria 0.4": lambda model, x, y, generator: soteria(model, x, y, rate=0.4, generator=generator),
    "dp-sgd": lambda model, x, y, generator: private_gradient(
        model, x, y, norm=1.0, multiplier=1.0, generator=generator
    ),
}


def train_under(
    defence: str,
    x: Tensor,
    y: Tensor,
    *,
    num_classes: int,
    epochs: int = 4,
    batch: int = 64,
    clients: int = 8,
    lr: float = 3e-3,
    seed: int = 0,
) -> LeNet:
    """A LeNet trained on gradients that passed a defence: the price of the defence.

    Every step `clients` clients compute the gradient of their share of the batch, defend it and send it; the server
    averages what arrives and takes a step of Adam.

    Args:
        defence: key of DEFENCES.
        x, y: (N, c, 32, 32) and (N,).
        num_classes: C.
        epochs, batch, lr: of the training.
        clients: senders a step.
        seed: of weights, order and noise.
    """
    generator = torch.Generator().manual_seed(seed)
    model = LeNet(num_classes, x.shape[1])
    uniform_init_(model, generator=generator)  # sigmoids learn much faster from it than from PyTorch's own
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    sizes = [p.numel() for p in model.parameters()]
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(batch):
            sent = [DEFENCES[defence](model, x[r], y[r], generator) for r in rows.chunk(clients)]
            for p, part in zip(model.parameters(), torch.stack(sent).mean(0).split(sizes), strict=True):
                p.grad = part.view_as(p)
            optimizer.step()
    return model.eval()
