"""Pictures that nobody took: people, lights, poses and gazes drawn anew, with labels that are exact by construction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from firsthand.data.directions import gaze_rotation, vector_to_pitchyaw
from firsthand.nerfgaze.model import Codes, HeadModel


@dataclass
class Labelled:
    """Rendered pictures (N, 3, s, s), angles of gaze in the camera's frame (N, 2), and where the head is (N, s, s)."""

    images: Tensor
    labels: Tensor
    head: Tensor


def redirected(model: HeadModel, codes: Codes, gaze: Tensor, pose: Tensor, *, size: int = 48) -> Labelled:
    """The people and lights of some codes, looking and turned as asked.

    Args:
        model: trained. codes: N rows. gaze, pose: (N, 2), gaze in the head's frame. size: pixels a side.
    """
    asked = Codes(codes.identity, codes.expression, codes.light, gaze, codes.between)
    images = model.picture(asked, pose, size=size)
    direction = -(gaze_rotation(pose) @ gaze_rotation(gaze))[..., 2]
    return Labelled(images, vector_to_pitchyaw(direction), (images < 0.98).any(1))


def drawn(codes: Codes, count: int, generator: torch.Generator, *, mixed: bool = True) -> Codes:
    """Codes of people and pictures that there are not: identities between two people, lights and faces of others.

    Args:
        codes: of pictures. count: how many to draw. mixed: identities between two; else of one person each.
    """
    first, second, light = (torch.randint(len(codes.gaze), (count,), generator=generator) for _ in range(3))
    way = torch.rand(count, 1, generator=generator) if mixed else torch.zeros(count, 1)
    between = torch.lerp(codes.between[first], codes.between[second], way[:, 0])
    identity = torch.lerp(codes.identity[first], codes.identity[second], way)
    return Codes(identity, codes.expression[light], codes.light[light], codes.gaze[first], between)


def asked(count: int, most: float, generator: torch.Generator) -> Tensor:
    """Angles (count, 2), even within plus and minus `most` radians."""
    return (2 * torch.rand(count, 2, generator=generator) - 1) * most
