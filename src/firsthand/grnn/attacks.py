"""The attacks: search for a batch whose gradient is the one that was shared.

B examples, c channels, s pixels a side, C classes, P parameters, T iterations.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.grnn.gradients import (
    gradient_distance,
    gradient_function,
    labels_from_bias,
    last_bias_gradient,
    total_variation,
    wasserstein,
)  # fmt: skip
from firsthand.grnn.networks import Generator

METHODS = ("grnn", "dlg", "idlg", "pixels", "inverting")
# Of inverting gradients the authors take 24,000; 2000 is ours, for a processor.
ITERATIONS = {"grnn": 1000, "pixels": 1000, "dlg": 300, "idlg": 300, "inverting": 2000}
TERMS = ("squares", "norm", "wasserstein")
ATTACKER = 20105  # keeps the attacker's chance apart from everybody else's
PIXEL_RATES = (0.05, 0.02, 0.1)  # of Adam; restarts of "pixels" go through them
MOMENTS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)  # shares of a run at which images are kept


@dataclass(frozen=True)
class Reconstruction:
    """What an attack found.

    Attributes:
        images: (B, c, s, s) as optimised: DLG's may leave [0, 1].
        labels: (B,) class indices, most probable.
        loss: (iterations,) the attacker's own loss, of the restart that ended lowest.
        snapshots: {iteration: images}.
    """

    images: Tensor
    labels: Tensor
    loss: np.ndarray
    snapshots: dict[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class _Task:
    """One attack, checked: everything a method needs."""

    gradient_of: Callable[[Tensor, Tensor, bool], Tensor]
    gradient: Tensor
    batch: int
    shape: tuple[int, int, int]
    classes: int
    iterations: int
    labels: Tensor | None
    tv_weight: float
    terms: tuple[str, ...]

    @property
    def device(self) -> torch.device:
        return self.gradient.device

    def soft_labels(self, guessed: Tensor) -> Tensor:
        """The known labels as probabilities (B, C), or the guess."""
        return guessed if self.labels is None else F.one_hot(self.labels, self.classes).to(guessed.dtype)

    def distance(self, images: Tensor, labels: Tensor) -> Tensor:
        """The terms of equation (2) that compare gradients."""
        fake = self.gradient_of(images, labels, True)
        squares, norm = gradient_distance(fake, self.gradient)
        parts = {"squares": squares, "norm": norm}
        if "wasserstein" in self.terms:
            parts["wasserstein"] = wasserstein(fake, self.gradient)
        return torch.stack([parts[name] for name in self.terms]).sum()

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Equation (2)."""
        return self.distance(images, labels) + self.tv_weight * total_variation(images)


def attack(
    model: nn.Module,
    gradient: Tensor,
    *,
    batch: int,
    image_shape: tuple[int, int, int],
    num_classes: int,
    method: str = "grnn",
    iterations: int | None = None,
    restarts: int = 1,
    labels: str | Tensor | None = None,
    tv_weight: float = 1e-3,
    seed: int = 0,
    progress: bool = False,
    terms: tuple[str, ...] = ("squares", "norm"),
) -> Reconstruction:
    """Recover images and labels from one shared gradient; GRNN minimises equation (2).

    Args:
        model: the victim; its parameters are known to the attacker. It stays as it is, `.grad` and buffers included.
        gradient: (P,), from `shared_gradient`, perhaps defended.
        batch: B, known to the attacker.
        image_shape: (c, s, s).
        num_classes: C.
        method: "grnn" trains a generator (the paper's); "pixels" moves sigmoid pixels by Adam under the same loss;
            "dlg" and "idlg" move free pixels by L-BFGS; "inverting" matches directions by signed Adam.
        iterations: T; None = grnn, pixels 1000; dlg, idlg 300 outer steps; inverting 2000 (its authors: 24,000).
        restarts: independent runs (of "pixels" at three learning rates in turn); the least own loss wins.
        labels: None = found together with the images (inverting: from the bias); "bias" = read off the last bias's
            gradient; or known, (B,).
        tv_weight: of the total variation; the released code has 1e-3 for LeNet, 1e-6 for ResNet-18.
        seed: of noise vectors, generator and starting pixels.
        progress: show a bar.
        terms: of the loss of "grnn" and "pixels": "squares", "norm", "wasserstein".

    Raises:
        ValueError: an unknown method or term, idlg with more than one example, no iteration, or shapes that do not fit.
    """
    if method not in METHODS:
        raise ValueError(f"Unknown method {method!r}: choose one of {', '.join(METHODS)}.")
    if not terms or not set(terms) <= set(TERMS):
        raise ValueError(f"terms must be some of {', '.join(TERMS)}; got {terms!r}.")
    if batch < 1 or restarts < 1:
        raise ValueError(f"batch and restarts must be at least 1; got {batch} and {restarts}.")
    if iterations is not None and iterations < 1:
        raise ValueError(f"iterations must be at least 1; got {iterations}.")
    if len(image_shape) != 3 or (method == "grnn" and image_shape[1] != image_shape[2]):
        raise ValueError(f"image_shape must be (c, s, s); got {tuple(image_shape)}.")
    if gradient.shape != (sum(p.numel() for p in model.parameters()),):
        raise ValueError(
            f"The gradient has shape {tuple(gradient.shape)}; the model has "
            f"{sum(p.numel() for p in model.parameters())} parameters."
        )
    if method == "idlg" and batch > 1:
        raise ValueError(f"idlg reads one label from one example; the batch has {batch}.")
    if isinstance(labels, Tensor) and labels.shape != (batch,):
        raise ValueError(f"labels must have shape ({batch},); got {tuple(labels.shape)}.")
    if isinstance(labels, Tensor) and (int(labels.min()) < 0 or int(labels.max()) >= num_classes):
        raise ValueError(f"labels must lie from 0 to {num_classes - 1}; got {labels.tolist()}.")
    if isinstance(labels, str) and labels != "bias":
        raise ValueError(f'labels must be None, "bias" or known, shape ({batch},); got {labels!r}.')
    known = labels if isinstance(labels, Tensor) else None
    if labels == "bias" or (known is None and method in ("idlg", "inverting")):
        known = labels_from_bias(last_bias_gradient(model, gradient, num_classes), batch)
    task = _Task(
        gradient_function(model), gradient.detach(), batch, image_shape, num_classes,
        ITERATIONS[method] if iterations is None else iterations, known, tv_weight, terms,
    )  # fmt: skip
    found = [_METHODS[method](task, seed, number, progress) for number in range(restarts)]
    return min(found, key=lambda run: run.loss[-1] if math.isfinite(run.loss[-1]) else math.inf)


def attack_many(
    models: Sequence[nn.Module],
    gradients: Sequence[Tensor],
    *,
    workers: int | None = None,
    seeds: Sequence[int] | None = None,
    **options: Any,
) -> list[Reconstruction]:
    """Attack several victims, on a CPU in several processes of one thread each; the results are those of single calls.

    One attack is a chain of small operations that more threads hardly speed up, and batching victims into one
    graph does not either, since convolutions fill the time; whole processes do.

    Args:
        models, gradients: one gradient a model.
        workers: processes; None = one a core.
        seeds: one for each victim; None = `seed` of the options for all.
        options: as `attack`.

    Raises:
        ValueError: as `attack`, or lists of different lengths.
    """
    if len(models) != len(gradients):
        raise ValueError(f"{len(models)} models need as many gradients; got {len(gradients)}.")
    each = [options] * len(models) if seeds is None else [{**options, "seed": s} for s in seeds]
    count = min(workers or os.cpu_count() or 1, len(models))
    if count <= 1 or any(gradient.device.type != "cpu" for gradient in gradients):
        return [attack(m, g, **o) for m, g, o in zip(models, gradients, each, strict=True)]
    import joblib

    jobs = (joblib.delayed(_alone)(m, g, o) for m, g, o in zip(models, gradients, each, strict=True))
    return joblib.Parallel(n_jobs=count)(jobs)


def _alone(model: nn.Module, gradient: Tensor, options: dict) -> Reconstruction:
    torch.set_num_threads(1)
    return attack(model, gradient, **options)


# ------------------------------------------------------------------------------------------------ methods


class _Record:
    """Losses and snapshots of a run; forgets steps that are not finite."""

    def __init__(self, task: _Task, progress: bool) -> None:
        from tqdm import tqdm

        self.last = task.iterations
        self.losses: list[float] = []
        self.snapshots: dict[int, Tensor] = {}
        self.kept: tuple[Tensor, Tensor] | None = None
        self.moments = {round(share * self.last) for share in MOMENTS}
        self.bar = tqdm(total=self.last, disable=not progress, unit="step")

    def add(self, loss: float, images: Tensor, labels: Tensor) -> bool:
        """Note an iteration's start; False where the run has blown up."""
        if not math.isfinite(loss) or not bool(images.isfinite().all()):
            return False
        if len(self.losses) in self.moments:
            self.snapshots[len(self.losses)] = images.detach().clone()
        self.losses.append(loss)
        self.kept = images, labels
        self.bar.update()
        return True

    def end(self, images: Tensor, labels: Tensor) -> Reconstruction:
        """The result; the last finite state if the present one is not."""
        self.bar.close()
        if not bool(images.isfinite().all()) and self.kept is not None:
            images, labels = self.kept
        images = images.detach().clone()
        self.snapshots[len(self.losses)] = images
        losses = np.array(self.losses + [self.losses[-1] if self.losses else math.nan] * (self.last - len(self.losses)))
        return Reconstruction(images, labels.detach().argmax(1), losses, self.snapshots)


def _chance(seed: int, number: int, purpose: int) -> int:
    """A seed that no victim, defence or other restart shares."""
    return int(np.random.SeedSequence([seed, number, purpose, ATTACKER]).generate_state(1)[0])


def _draw(task: _Task, shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(task.device, task.gradient.dtype)


def _descend(
    task: _Task,
    make: Callable[[], tuple[Tensor, Tensor]],
    loss_of: Callable[[Tensor, Tensor], Tensor],
    parameters: list[Tensor],
    optimizer: torch.optim.Optimizer,
    progress: bool,
    after: Callable[[int], None] = lambda step: None,
    shape_gradient: Callable[[Tensor], Tensor] = lambda part: part,
) -> Reconstruction:
    """The loop of the first-order methods: make a batch, compare, step."""
    record = _Record(task, progress)
    for step in range(task.iterations):
        images, guess = make()
        labels = task.soft_labels(guess)
        loss = loss_of(images, labels)
        if not record.add(float(loss.detach()), images.detach().clone(), labels.detach()):
            break
        # The label branch has no gradient where labels are known.
        for parameter, part in zip(parameters, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
            parameter.grad = None if part is None else shape_gradient(part)
        optimizer.step()
        after(step)
    with torch.no_grad():
        images, guess = make()
    return record.end(images, task.soft_labels(guess))


def _grnn(task: _Task, seed: int, number: int, progress: bool) -> Reconstruction:
    """Train a fresh generator on one fixed batch of noise, sections 3 and 4 of the paper."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_chance(seed, number, 0))
        channels, side, _ = task.shape
        network = Generator(task.classes, image_size=side, channels=channels)
    network.to(task.device, task.gradient.dtype)
    noise = _draw(task, (task.batch, network.noise_dim), _chance(seed, number, 1))
    parameters: list[Tensor] = list(network.parameters())
    # Momentum 0.99 makes the effective step a hundred times the rate.
    optimizer = torch.optim.RMSprop(parameters, lr=1e-4, momentum=0.99)
    return _descend(task, lambda: network(noise), task.loss, parameters, optimizer, progress)


def _pixels(task: _Task, seed: int, number: int, progress: bool) -> Reconstruction:
    """The same loss on pixels that a sigmoid keeps in (0, 1): what the generator is compared with."""
    raw = _draw(task, (task.batch, *task.shape), _chance(seed, number, 0)).mul_(0.1).requires_grad_()
    logits = _draw(task, (task.batch, task.classes), _chance(seed, number, 1)).requires_grad_()
    optimizer = torch.optim.Adam([raw, logits], lr=PIXEL_RATES[number % len(PIXEL_RATES)])

    def make() -> tuple[Tensor, Tensor]:
        return torch.sigmoid(raw), torch.softmax(logits, 1)

    return _descend(task, make, task.loss, [raw, logits], optimizer, progress)


def _inverting(task: _Task, seed: int, number: int, progress: bool) -> Reconstruction:
    """Inverting Gradients: cosine distance and total variation (0.2), the sign of Adam's gradient, boxed pixels."""
    images = _draw(task, (task.batch, *task.shape), _chance(seed, number, 0)).requires_grad_()
    guess = torch.zeros(task.batch, task.classes, device=task.device, dtype=task.gradient.dtype)
    optimizer = torch.optim.Adam([images], lr=0.1)
    drops = {task.iterations * eighths // 8 for eighths in (3, 5, 7)}

    def loss_of(x: Tensor, labels: Tensor) -> Tensor:
        fake = task.gradient_of(x, labels, True)
        variation = (x[:, :, 1:] - x[:, :, :-1]).abs().mean() + (x[..., 1:] - x[..., :-1]).abs().mean()
        return 1 - F.cosine_similarity(fake, task.gradient, dim=0) + 0.2 * variation

    def after(step: int) -> None:
        with torch.no_grad():
            images.clamp_(0, 1)
        if step + 1 in drops:
            optimizer.param_groups[0]["lr"] *= 0.1

    return _descend(task, lambda: (images, guess), loss_of, [images], optimizer, progress, after, torch.sign)


def _dlg(task: _Task, seed: int, number: int, progress: bool) -> Reconstruction:
    """Deep leakage: L-BFGS on free pixels and, unless labels are known, free label logits; squares only."""
    images = _draw(task, (task.batch, *task.shape), _chance(seed, number, 0)).requires_grad_()
    logits = _draw(task, (task.batch, task.classes), _chance(seed, number, 1)).requires_grad_()
    moved = [images] if task.labels is not None else [images, logits]
    optimizer = torch.optim.LBFGS(moved, lr=1.0)
    record = _Record(task, progress)

    def closure() -> Tensor:
        loss = gradient_distance(task.gradient_of(images, task.soft_labels(logits.softmax(1)), True), task.gradient)[0]
        for tensor, part in zip(moved, torch.autograd.grad(loss, moved), strict=True):
            tensor.grad = part
        return loss.detach()

    for _ in range(task.iterations):
        before = images.detach().clone(), task.soft_labels(logits.detach().softmax(1))
        loss = float(optimizer.step(closure))  # type: ignore[arg-type]
        if not record.add(loss, *before):
            break
    return record.end(images.detach(), task.soft_labels(logits.detach().softmax(1)))


_METHODS: dict[str, Callable[[_Task, int, int, bool], Reconstruction]] = {
    "grnn": _grnn,
    "pixels": _pixels,
    "inverting": _inverting,
    "dlg": _dlg,
    "idlg": _dlg,  # with the label read off the bias
}


# ------------------------------------------------------------------------------------------------ scoring


def match(recovered: Tensor, truth: Tensor) -> Tensor:
    """Which recovered image belongs to which true one: the assignment with the least total squared error.

    For scoring only; the attacker does not have the truth.

    Args:
        recovered, truth: (B, c, s, s).

    Returns:
        permutation (B,): recovered[permutation] is in the order of truth.

    Raises:
        ValueError: shapes that differ.
    """
    if recovered.shape != truth.shape:
        raise ValueError(f"Images must have the same shape; got {tuple(recovered.shape)} and {tuple(truth.shape)}.")
    from scipy.optimize import linear_sum_assignment

    cost = torch.cdist(truth.flatten(1).double(), recovered.flatten(1).double()).square()
    return torch.from_numpy(linear_sum_assignment(cost.cpu().numpy())[1])


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB for a data range of 1, without matching or clipping; (B,).

    Raises:
        ValueError: shapes that differ: one image would be compared with all.
    """
    if a.shape != b.shape:
        raise ValueError(f"Images must have the same shape; got {tuple(a.shape)} and {tuple(b.shape)}.")
    return -10 * (a - b).square().flatten(1).mean(1).log10()
