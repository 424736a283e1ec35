"""Light along rays: weights of samples, sums of fields, and where rays are sampled."""

from __future__ import annotations

import torch
from torch import Tensor

from firsthand.data.drawn.heads import SKULL, SKULL_RADII, ellipsoid

OUTER, INNER = 1.2, 0.75  # ellipsoids around and within the mean head, in units of its radii
EPSILON = 1e-10


def render_weights(sigma: Tensor, delta: Tensor) -> Tensor:
    """How much each sample of a ray is seen: w_i = T_i (1 - exp(-sigma_i delta_i)), T_i what is left before it.

    The weights of equation (1).

    Args:
        sigma: densities (..., S), not negative. delta: spacings (..., S), in the inverse unit.

    Returns:
        (..., S); they add up to 1 - exp(-sum sigma delta).
    """
    depth = sigma * delta
    before = torch.cumsum(depth, -1) - depth
    return (-before).exp() * -torch.expm1(-depth)


def compose(face_sigma: Tensor, face_feature: Tensor, eye_sigma: Tensor, eye_feature: Tensor) -> tuple[Tensor, Tensor]:
    """Two fields in one space: densities add, features mix by density, equation (2). The front hides what is behind.

    Args:
        face_sigma, eye_sigma: (..., S). face_feature, eye_feature: (..., S, C).

    Returns:
        density (..., S) and feature (..., S, C).
    """
    sigma = face_sigma + eye_sigma
    mixed = face_sigma.unsqueeze(-1) * face_feature + eye_sigma.unsqueeze(-1) * eye_feature
    return sigma, mixed / (sigma.unsqueeze(-1) + EPSILON)


def encode(x: Tensor, frequencies: int) -> Tensor:
    """x, and sines and cosines of x times 1, 2, 4, …: (..., D) to (..., D (1 + 2 frequencies)).

    Without pi, as in HeadNeRF.
    """
    turned = (x.unsqueeze(-2) * 2.0 ** torch.arange(frequencies, device=x.device, dtype=x.dtype)[:, None]).flatten(-2)
    return torch.cat([x, turned.sin(), turned.cos()], -1)


def between_shells(
    origin: Tensor, direction: Tensor, count: int, jitter: Tensor | torch.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Samples between an ellipsoid around the mean head and one within it; through a ray's whole way if it misses that.

    Args:
        origin, direction: (R, 3), mm. count: samples a ray.
        jitter: where in its part each sample lies, (R, S) in [0, 1), or a generator of that; None: middles.

    Returns:
        points (R, S, 3) in mm, spacings (R, S) in cm, and whether a ray meets the outer ellipsoid (R,).
    """
    centre, radii = origin.new_tensor(SKULL), origin.new_tensor(SKULL_RADII)
    o, d = origin.unsqueeze(1), direction.unsqueeze(1)
    near, meets = (part[:, 0] for part in ellipsoid(o, d, centre, OUTER * radii))
    inner, stops = (part[:, 0] for part in ellipsoid(o, d, centre, INNER * radii))
    # The way out of the outer one mirrors the way in about the point nearest to its centre, in its scaled space.
    scaled_o, scaled_d = (origin - centre) / radii, direction / radii
    middle = -(scaled_o * scaled_d).sum(-1) / (scaled_d * scaled_d).sum(-1)
    near = torch.where(meets, near, middle)
    end = torch.where(stops, inner, 2 * middle - near)
    edges = torch.linspace(0, 1, count + 1, device=origin.device)
    at = (edges[:-1] + edges[1:]) / 2
    if isinstance(jitter, torch.Generator):
        jitter = torch.rand(len(origin), count, generator=jitter)
    if jitter is not None:
        at = at + (jitter.to(origin.device) - 0.5) / count
    length = (end - near).unsqueeze(-1)
    points = o + (near.unsqueeze(-1) + length * at).unsqueeze(-1) * d
    step = length / count * torch.linalg.vector_norm(direction, dim=-1, keepdim=True) / 10
    return points, step.expand(-1, count), meets
