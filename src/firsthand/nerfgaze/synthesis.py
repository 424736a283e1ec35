"""Pictures that nobody took: people, lights, poses and gazes drawn anew, with labels that are exact by construction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from firsthand.data.drawn.directions import gaze_rotation, vector_to_pitchyaw
from firsthand.data.drawn.heads import Heads, redrawn
from firsthand.nerfgaze.estimator import EXPOSURE
from firsthand.nerfgaze.model import Codes, HeadModel


@dataclass
class Labelled:
    """Pictures to learn gaze from.

    Attributes:
        images: (N, 3, s, s). labels: (N, 2), gaze in the camera's frame. head: bool (N, s, s).
        gain: (N, 2), between which factors an exposure may be drawn.
    """

    images: Tensor
    labels: Tensor
    head: Tensor
    gain: Tensor


def any_light(count: int) -> Tensor:
    """The gain of pictures that may be made as dark as EXPOSURE says."""
    return torch.tensor(EXPOSURE).repeat(count, 1)


def redirected(model: HeadModel, codes: Codes, gaze: Tensor, pose: Tensor, *, size: int = 48) -> Labelled:
    """The people and lights of some codes, looking and turned as asked.

    Args:
        model: trained. codes: N rows. gaze, pose: (N, 2), gaze in the head's frame. size: pixels a side.
    """
    asked = Codes(codes.identity, codes.expression, codes.light, gaze, codes.between)
    images, head = model.picture(asked, pose, size=size)
    direction = -(gaze_rotation(pose) @ gaze_rotation(gaze))[..., 2]
    return Labelled(images, vector_to_pitchyaw(direction), head, any_light(len(images)))


@dataclass
class Mixture:
    """People that there are not, by rows of pictures.

    Each is `way` (N, 1) from person `first` to `second`, in the light and with the face of picture `light`.
    """

    first: Tensor
    second: Tensor
    light: Tensor
    way: Tensor


def mixture(pictures: int, count: int, generator: torch.Generator) -> Mixture:
    """`count` of them, drawn from so many pictures."""
    first, second, light = (torch.randint(pictures, (count,), generator=generator) for _ in range(3))
    return Mixture(first, second, light, torch.rand(count, 1, generator=generator))


def mixed(codes: Codes, of: Mixture) -> Codes:
    """Their codes, from codes of pictures; gaze is the first one's."""
    between = torch.lerp(codes.between[of.first], codes.between[of.second], of.way[:, 0])
    identity = torch.lerp(codes.identity[of.first], codes.identity[of.second], of.way)
    return Codes(identity, codes.expression[of.light], codes.light[of.light], codes.gaze[of.first], between)


def mixed_heads(data: Heads, of: Mixture, gaze: Tensor, pose: Tensor) -> Heads:
    """The same people drawn: identities of drawn heads can be mixed too, so there is a truth to compare with."""
    one, light = data.pick(of.first), data.pick(of.light)
    identity = torch.lerp(one.identity, data.identity[of.second], of.way)
    made = replace(one, identity=identity, expression=light.expression, light=light.light)
    return redrawn(made, gaze=gaze, pose=pose)


def asked(count: int, most: float, generator: torch.Generator) -> Tensor:
    """Angles (count, 2), even within plus and minus `most` radians."""
    return (2 * torch.rand(count, 2, generator=generator) - 1) * most
