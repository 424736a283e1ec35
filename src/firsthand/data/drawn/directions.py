"""Directions of gaze and head in one convention, which everything about gaze in the book uses.

Camera frame: x right, y down, z away from the camera, so a face that looks into the camera looks along -z. Angles are
(pitch, yaw) in radians; positive pitch looks up, positive yaw to the left of the image, as in ETH-XGaze's labels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pitchyaw_to_vector(pitchyaw: Tensor) -> Tensor:
    """Unit vectors (..., 3) of angles (..., 2): (-cos p sin y, -sin p, -cos p cos y)."""
    pitch, yaw = pitchyaw[..., 0], pitchyaw[..., 1]
    return torch.stack([-pitch.cos() * yaw.sin(), -pitch.sin(), -pitch.cos() * yaw.cos()], -1)


def vector_to_pitchyaw(vector: Tensor) -> Tensor:
    """Angles (..., 2) of vectors (..., 3); lengths do not matter."""
    x, y, z = vector.unbind(-1)
    return torch.stack([torch.atan2(-y, torch.hypot(x, z)), torch.atan2(-x, -z)], -1)


def gaze_rotation(pitchyaw: Tensor) -> Tensor:
    """Rotations (..., 3, 3) that take -z to the direction of angles (..., 2), without roll: R_y(yaw) R_x(-pitch)."""
    pitch, yaw = pitchyaw[..., 0], pitchyaw[..., 1]
    sp, cp, sy, cy = pitch.sin(), pitch.cos(), yaw.sin(), yaw.cos()
    zero = torch.zeros_like(sp)
    rows = [cy, -sy * sp, sy * cp, zero, cp, sp, -sy, -cy * sp, cy * cp]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def angular_error(a: Tensor, b: Tensor) -> Tensor:
    """Angles in degrees (...) between vectors (..., 3), whose lengths do not matter.

    By the arc tangent of sine and cosine: the arc cosine loses all digits, and its gradient, where vectors agree.
    """
    a, b = torch.broadcast_tensors(a, b)
    across = torch.linalg.vector_norm(torch.linalg.cross(a, b), dim=-1)
    return torch.rad2deg(torch.atan2(across, (a * b).sum(-1)))


def normalise(
    camera_matrix: Tensor, head_rotation: Tensor, face_centre: Tensor, *, focal: float = 960.0, size: int = 224,
    distance: float = 600.0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A virtual camera that looks at the face, from a given distance, without roll (Zhang and others, ETRA 2018).

    Args:
        camera_matrix: (3, 3). head_rotation: (3, 3), head to camera. face_centre: (3,), mm, in the camera's frame.
        focal, size: of the virtual camera, pixels. distance: of it from the face, mm.

    Returns:
        R (3, 3), which turns gaze vectors and head rotations (a rotation alone: angles between gazes are kept), and the
        warp (3, 3) of pixels, in which the scale is.

    Raises:
        ValueError: a face at the camera, or a head whose x axis points at it.
    """
    far = torch.linalg.vector_norm(face_centre)
    if float(far) == 0:
        raise ValueError("The face is at the camera: no direction leads to it.")
    z = face_centre / far
    down = torch.linalg.cross(z, head_rotation[:, 0])
    if float(torch.linalg.vector_norm(down)) < 1e-9:
        raise ValueError("The head's x axis points at the camera: roll is not defined.")
    y = down / torch.linalg.vector_norm(down)
    turn = torch.stack([torch.linalg.cross(y, z), y, z])
    virtual = camera_matrix.new_tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    scale = torch.diag(torch.stack([torch.ones_like(far), torch.ones_like(far), distance / far]))
    return turn, virtual @ scale @ turn @ torch.linalg.inv(camera_matrix)
