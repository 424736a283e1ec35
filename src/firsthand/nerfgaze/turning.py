"""A rival without space: an image-to-image network that is told how far to turn head and gaze."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.data.heads import Heads, redrawn
from firsthand.nerfgaze.synthesis import asked

DRAWN = 3  # times that the pairs are drawn


class Turner(nn.Module):
    """A small U-Net from a picture, the angles that it shows and those that are asked for, to a picture.

    Args:
        width: of its first level.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()

        def block(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, 1, 1), nn.ReLU(), nn.Conv2d(outputs, outputs, 3, 1, 1), nn.ReLU()
            )

        sizes = [width, 2 * width, 4 * width]
        self.down = nn.ModuleList(block(a, b) for a, b in zip([3 + 8, *sizes[:2]], sizes, strict=True))
        self.up = nn.ModuleList([block(sizes[2] + sizes[1], sizes[1]), block(sizes[1] + sizes[0], sizes[0])])
        self.last = nn.Conv2d(width, 3, 1)

    def forward(self, images: Tensor, shown: Tensor, wanted: Tensor) -> Tensor:
        """Pictures (N, 3, s, s), their gaze and pose (N, 4), those asked for (N, 4) -> pictures (N, 3, s, s)."""
        told = torch.cat([shown, wanted], 1)[..., None, None].expand(-1, -1, *images.shape[2:])
        maps, x = [], torch.cat([images, told], 1)
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            maps.append(x)
        for block, skip in zip(self.up, maps[-2::-1], strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False), skip], 1))
        return self.last(x).sigmoid()


def train_turner(
    data: Heads, *, steps: int, gaze: float, pose: float, seed: int = 0, batch: int = 24, lr: float = 2e-3
) -> Turner:
    """Train on true pairs of the same person in the same light, which no camera takes.

    A third of its loss is at the eyes, as a third of a field's rays is; what is asked for is drawn anew three times.

    Args:
        data: pictures. steps, batch, lr: of Adam. gaze, pose: largest angles asked for, radians. seed: of all.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Turner()
    optimizer = torch.optim.Adam(net.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    shown = torch.cat([data.gaze, data.pose], 1)
    for step in range(steps):
        if step % (steps // DRAWN) == 0:
            others = redrawn(data, gaze=asked(len(data), gaze, generator), pose=asked(len(data), pose, generator))
            wanted = torch.cat([others.gaze, others.pose], 1)
            eyes = F.max_pool2d(others.eyes.float().unsqueeze(1), 3, 1, 1)
        rows = torch.randint(len(data), (batch,), generator=generator)
        away = (net(data.images[rows], shown[rows], wanted[rows]) - others.images[rows]).abs().mean(1, keepdim=True)
        near = (away * eyes[rows]).sum() / eyes[rows].sum().clamp_min(1)
        loss = near / 3 + 2 * away.mean() / 3
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval().requires_grad_(False)
