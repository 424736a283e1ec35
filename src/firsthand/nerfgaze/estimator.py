"""A small network that says where a face looks, and what pictures are done to before it learns from them."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.data.drawn.directions import pitchyaw_to_vector, vector_to_pitchyaw
from firsthand.data.drawn.heads import Heads
from firsthand.nerfgaze.geometry import angular_error


class Estimator(nn.Sequential):
    """Three convolutions and two layers: pictures (N, 3, s, s) to angles (N, 2) of gaze in the camera's frame."""

    def __init__(self, size: int = 48) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(64 * (size // 8) ** 2, 64), nn.ReLU(), nn.Linear(64, 2))


def labels_of(data: Heads) -> Tensor:
    """What an estimator is asked for: (pitch, yaw) of gaze in the camera's frame, (N, 2)."""
    return vector_to_pitchyaw(data.camera_gaze)


def train_estimator(
    images: Tensor, labels: Tensor, *, steps: int = 600, batch: int = 64, lr: float = 2e-3, seed: int = 0,
    start: Estimator | None = None, jitter: Tensor | None = None, gain: Tensor | None = None,
) -> Estimator:  # fmt: skip
    """Train on pictures (N, 3, s, s) and angles (N, 2), by the mean absolute error.

    Args:
        images, labels: to learn from.
        steps, batch, lr: of Adam, half a cosine down to nought.
        seed: of weights and batches.
        start: an estimator to go on from; it stays as it is.
        jitter: bool (N, s, s), the head: each time a picture is drawn its exposure and its background are drawn anew.
        gain: (N, 2), between which factors the exposure of each is drawn; None: EXPOSURE.

    Raises:
        ValueError: pictures that are not square, or labels that are not a pair each.
    """
    if images.ndim != 4 or images.shape[-1] != images.shape[-2] or labels.shape != (len(images), 2):
        raise ValueError(
            f"Square pictures (N, 3, s, s) and labels (N, 2) are needed; got {tuple(images.shape)} and "
            f"{tuple(labels.shape)}."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Estimator(images.shape[-1])
    if start is not None:
        net.load_state_dict(start.state_dict())
    net.train()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(images), (batch,), generator=generator)
        shown = images[rows]
        if jitter is not None:
            shown = jittered(shown, jitter[rows], generator, None if gain is None else gain[rows])
        loss = (net(shown) - labels[rows]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval().requires_grad_(False)


EXPOSURE = (0.15, 1.0)


def jittered(images: Tensor, head: Tensor, generator: torch.Generator, gain: Tensor | None = None) -> Tensor:
    """The same pictures, each with an exposure of its own and before a grey of its own; head: bool (N, s, s)."""
    draw = torch.rand(len(images), 2, generator=generator)
    low, high = (images.new_tensor(EXPOSURE).expand(len(images), 2) if gain is None else gain).unbind(1)
    factor = low + (high - low) * draw[:, 0]
    return torch.where(head.unsqueeze(1), images * factor[:, None, None, None], draw[:, 1, None, None, None])


def renormed(net: Estimator, images: Tensor) -> Estimator:
    """A copy whose batch norm has the statistics of these pictures: adaptation in a second, without any model."""
    found = copy.deepcopy(net).train()
    norms = [layer for layer in found if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # type: ignore[assignment]  # a plain mean
    with torch.no_grad():
        for part in images.split(50):
            found(part)
    return found.eval()


@torch.no_grad()
def estimated(net: nn.Module, images: Tensor, *, batch: int = 500) -> Tensor:
    """Angles (N, 2) that an estimator says.

    Raises:
        ValueError: pictures that are not square: their pixels would enter other places.
    """
    if images.ndim != 4 or images.shape[-1] != images.shape[-2]:
        raise ValueError(f"Square pictures (N, 3, s, s) are needed; got {tuple(images.shape)}.")
    return torch.cat([net(part) for part in images.split(batch)])


def error(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Mean angular error, degrees."""
    return float(angular_error(*(pitchyaw_to_vector(a) for a in (estimated(net, images), labels))).mean())


def mean_error(known: Tensor, labels: Tensor) -> float:
    """What always saying the mean direction of known labels (N, 2) costs on labels (M, 2), degrees."""
    mean = F.normalize(pitchyaw_to_vector(known).mean(0), dim=0)
    return float(angular_error(pitchyaw_to_vector(labels), mean).mean())
