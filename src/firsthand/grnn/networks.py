"""The generator that the attack trains and the victims that it attacks, layer by layer as the released code has them.

B examples, c channels, s pixels a side, C classes.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Up(nn.Module):
    """Twice the side, by copying pixels; convolution 3 x 3 without bias; batch norm; gated linear unit.

    The norm always uses the batch's own statistics and keeps none: the attack has one batch only.

    Args:
        inside, outside: channels before and after.
    """

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, 2 * outside, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(2 * outside, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, h, w) -> (B, outside, 2 h, 2 w)."""
        return F.glu(self.norm(self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))), dim=1)


class Generator(nn.Module):
    """One noise vector an example to one image and one soft label; the two branches share nothing else.

    Section 3 of the paper; sizes as in the released code. Starts as PyTorch starts layers: the release's own
    initialisation never reaches one.

    Args:
        num_classes: C.
        image_size: s, a power of two from 16 on.
        channels: c of the image.
        noise_dim: length of a noise vector.
        width: channels before the last step; doubled for every step before it.

    Raises:
        ValueError: an image size that the steps cannot reach.
    """

    def __init__(
        self, num_classes: int, *, image_size: int = 32, channels: int = 3, noise_dim: int = 128, width: int = 32
    ) -> None:
        super().__init__()
        steps = math.log2(image_size) if image_size > 0 else 0.0
        if image_size < 16 or steps != int(steps):
            raise ValueError(f"image_size must be a power of two from 16 on; got {image_size}.")
        doublings = int(steps) - 3
        self.noise_dim = noise_dim
        self.label = nn.Linear(noise_dim, num_classes)
        self.first = nn.ConvTranspose2d(noise_dim, 2 * width * 2**doublings, 4)
        widths = [width * 2**k for k in range(doublings, -1, -1)] + [channels]
        self.ups = nn.ModuleList(Up(a, b) for a, b in pairwise(widths))

    def forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """v (B, noise_dim) -> images (B, c, s, s) in (0, 1) and label probabilities (B, C)."""
        x = F.glu(self.first(v[:, :, None, None]), dim=1)
        for up in self.ups:
            x = up(x)
        return torch.sigmoid(x), torch.softmax(self.label(v), dim=1)


class LeNet(nn.Module):
    """Two convolutions and three linear layers with sigmoids, for images of 32 x 32.

    Sigmoid instead of ReLU: the attack needs second derivatives.

    Args:
        num_classes: C.
        channels: c.
    """

    def __init__(self, num_classes: int, channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """(B, c, 32, 32) -> (B, 400): what enters the first linear layer.

        Raises:
            ValueError: images of another size.
        """
        if x.shape[2:] != (32, 32):
            raise ValueError(f"LeNet takes images of 32 x 32; got {tuple(x.shape)}.")
        x = F.max_pool2d(torch.sigmoid(self.conv1(x)), 2)
        return F.max_pool2d(torch.sigmoid(self.conv2(x)), 2).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, c, 32, 32) -> logits (B, C)."""
        return self.fc3(torch.sigmoid(self.fc2(torch.sigmoid(self.fc1(self.features(x))))))


class _Residual(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside, track_running_stats=False)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside, track_running_stats=False)
        self.shortcut = nn.Sequential()
        if stride != 1 or inside != outside:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside, track_running_stats=False)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.sigmoid(self.bn1(self.conv1(x)))))
        return torch.sigmoid(y + self.shortcut(x))


class SigmoidResNet18(nn.Module):
    """ResNet-18 for small images (stem 3 x 3, no pooling) with sigmoids; batch norm uses the batch's statistics.

    Args:
        num_classes: C.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64, track_running_stats=False)
        blocks: list[nn.Module] = []
        inside = 64
        for outside, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [_Residual(inside, outside, stride), _Residual(outside, outside, 1)]
            inside = outside
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, s, s) -> logits (B, C)."""
        x = self.blocks(torch.sigmoid(self.bn1(self.conv1(x))))
        return self.linear(x.mean((2, 3)))


def uniform_init_(model: nn.Module, bound: float = 0.5, generator: torch.Generator | None = None) -> nn.Module:
    """Draw every parameter from U(-bound, bound), as DLG and the released code start their victims.

    Args:
        model: changed in place and returned.
        bound: largest magnitude.
        generator: a CPU generator, the source of chance.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            draw = torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.copy_((2 * draw - 1) * bound)
    return model
