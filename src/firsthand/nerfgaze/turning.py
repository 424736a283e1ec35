"""A rival without space: an image-to-image network that repaints eyes, told where they look and where they should."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.data.drawn.directions import gaze_rotation
from firsthand.data.drawn.heads import DISTANCE, EYE_Y, EYE_Z, FOCAL, IDENTITY, Heads, redrawn
from firsthand.nerfgaze.synthesis import asked

DRAWN = 3  # times that the pairs are drawn
PATCH = 12  # pixels a side of what it sees of each eye
LID = 10.0  # mm from an eye's middle to the skin before it
TOLD = 9  # angles shown, pose, angles asked for, which eye, and where in its pixel the eye's middle lies


class Turner(nn.Module):
    """A small U-Net on patches about eyes; what it is told enters at every pixel and, of all the patch, at its lowest.

    Patches, since an eye is two in a hundred of a picture's pixels; a first rival on whole pictures did not learn.

    Args:
        width: of its first level.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        low = 2 * width * (PATCH // 4) ** 2
        self.down = nn.ModuleList(
            [
                nn.Conv2d(3 + TOLD, width, 3, 1, 1),
                nn.Conv2d(width, 2 * width, 3, 2, 1),
                nn.Conv2d(2 * width, 2 * width, 3, 2, 1),
            ]
        )
        self.see, self.turn = nn.Linear(low, 128), nn.Linear(128 + TOLD, low)
        self.up = nn.ModuleList(
            [
                nn.Conv2d(4 * width, 2 * width, 3, 1, 1),
                nn.Conv2d(4 * width, width, 3, 1, 1),
                nn.Conv2d(2 * width, width, 3, 1, 1),
            ]
        )
        self.last = nn.Conv2d(width, 3, 1)

    def forward(self, patches: Tensor, told: Tensor) -> Tensor:
        """Patches (M, 3, PATCH, PATCH) and what is told of each (M, TOLD) -> patches."""
        maps, x = [], torch.cat([patches, told[..., None, None].expand(-1, -1, PATCH, PATCH)], 1)
        for conv in self.down:
            x = F.relu(conv(x))
            maps.append(x)
        seen = F.relu(self.see(x.flatten(1)))
        x = F.relu(self.turn(torch.cat([seen, told], 1))).view_as(x)
        for level, conv in enumerate(self.up):
            x = F.relu(conv(torch.cat([F.interpolate(x, scale_factor=2) if level else x, maps[-1 - level]], 1)))
        return patches + self.last(x)

    @torch.no_grad()
    def turned(self, data: Heads, gaze: Tensor) -> Tensor:
        """Pictures (N, 3, s, s) of the same heads in the same poses, with the eyes turned to `gaze` (N, 2)."""
        corner, rest = eye_corners(data)
        made = self(cut(data.images, corner), told_of(data, gaze, rest))
        return paste(data.images, corner, made).clamp(0, 1)


def eye_corners(data: Heads) -> tuple[Tensor, Tensor]:
    """Where patches about both eyes begin, (N, 2, 2) whole pixels (x, y), and what rounding left over, (N, 2, 2)."""
    size = data.images.shape[-1]
    half = data.identity[:, list(IDENTITY).index("between eyes")] / 2
    where = torch.stack([half, torch.full_like(half, EYE_Y), torch.full_like(half, EYE_Z - LID)], -1)
    both = torch.stack([where * where.new_tensor([side, 1, 1]) for side in (-1.0, 1.0)], 1)
    seen = both @ gaze_rotation(data.pose).mT
    begin = FOCAL * size * seen[..., :2] / (seen[..., 2:] + DISTANCE) + (size - PATCH) / 2
    corner = begin.round().long().clamp(0, size - PATCH)
    return corner, begin - corner


def told_of(data: Heads, gaze: Tensor, rest: Tensor) -> Tensor:
    """What a Turner is told of both eyes of every picture, (2 N, TOLD); gaze: (N, 2), asked for."""
    angles = 3 * torch.cat([data.gaze, data.pose, gaze], 1).repeat_interleave(2, 0)
    side = torch.tensor([-1.0, 1.0]).repeat(len(data)).unsqueeze(1)
    return torch.cat([angles, side, rest.flatten(0, 1)], 1)


def _pixels(corner: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Picture, row and column of every pixel of patches, each broadcast to (N, 2, PATCH, PATCH)."""
    along = torch.arange(PATCH)
    picture = torch.arange(len(corner))[:, None, None, None]
    return picture, (corner[..., 1, None] + along).unsqueeze(-1), (corner[..., 0, None] + along).unsqueeze(-2)


def cut(images: Tensor, corner: Tensor) -> Tensor:
    """Patches (2 N, 3, PATCH, PATCH) of pictures (N, 3, s, s)."""
    picture, row, column = _pixels(corner)
    return images.permute(0, 2, 3, 1)[picture, row, column].flatten(0, 1).permute(0, 3, 1, 2)


def paste(images: Tensor, corner: Tensor, patches: Tensor) -> Tensor:
    """Copies of the pictures with the patches in their places."""
    whole, (picture, row, column) = images.permute(0, 2, 3, 1).clone(), _pixels(corner)
    whole[picture, row, column] = patches.permute(0, 2, 3, 1).unflatten(0, (-1, 2))
    return whole.permute(0, 3, 1, 2)


def train_turner(data: Heads, *, steps: int, gaze: float, seed: int = 0, batch: int = 32, lr: float = 2e-3) -> Turner:
    """Train on true pairs of the same head in the same pose and light, which no camera takes, by the squared error.

    (By the absolute error it still copied what it was shown at the one seed and rate where that was tried.)

    Args:
        data: pictures. steps, batch, lr: of Adam. gaze: largest angle asked for, radians. seed: of all.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Turner()
    optimizer = torch.optim.Adam(net.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    corner, rest = eye_corners(data)
    shown = cut(data.images, corner).unflatten(0, (-1, 2))
    told = wanted = shown
    for step in range(steps):
        if step % -(-steps // DRAWN) == 0:
            others = redrawn(data, gaze=asked(len(data), gaze, generator))
            wanted = cut(others.images, corner).unflatten(0, (-1, 2))
            told = told_of(data, others.gaze, rest).unflatten(0, (-1, 2))
        rows = torch.randint(len(data), (batch,), generator=generator)
        made = net(shown[rows].flatten(0, 1), told[rows].flatten(0, 1))
        loss = (made - wanted[rows].flatten(0, 1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval().requires_grad_(False)
