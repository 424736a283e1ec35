"""Drawn heads and the convention of directions: known values, SciPy's rotations, and what must not change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from firsthand.data.drawn.directions import (
    angular_error,
    gaze_rotation,
    normalise,
    pitchyaw_to_vector,
    vector_to_pitchyaw,
)
from firsthand.data.drawn.heads import IDENTITY, SOURCE, TARGET, heads, redrawn

angles = st.tuples(st.floats(-1.5, 1.5), st.floats(-3.1, 3.1))


def _double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(angles)
def test_angles_survive_and_rotations_are_scipys(angle: tuple[float, float]) -> None:
    pitchyaw = _double(*angle)
    vector = pitchyaw_to_vector(pitchyaw)
    assert torch.allclose(vector_to_pitchyaw(3.7 * vector), pitchyaw, atol=1e-9)
    turn = gaze_rotation(pitchyaw)
    assert torch.allclose(turn @ _double(0, 0, -1), vector)
    scipys = Rotation.from_euler("YX", [angle[1], -angle[0]]).as_matrix()
    assert np.allclose(turn.numpy(), scipys, atol=1e-12)


def test_up_is_up_and_left_is_left() -> None:
    assert pitchyaw_to_vector(_double(0, 0)).tolist() == [0, 0, -1]
    assert pitchyaw_to_vector(_double(0.3, 0))[1] < 0  # y points down
    assert pitchyaw_to_vector(_double(0, 0.3))[0] < 0  # x points right


def test_the_angle_between_is_exact_where_an_arc_cosine_is_not() -> None:
    a, b = _double(0, 0, -1), _double(1e-9, 0, -2)
    assert float(angular_error(a, b)) == pytest.approx(np.degrees(5e-10), rel=1e-6)


def test_normalising_keeps_angles_and_takes_away_roll() -> None:
    camera = torch.tensor([[1000.0, 0, 320], [0, 1000, 240], [0, 0, 1]], dtype=torch.float64)
    head = torch.from_numpy(Rotation.from_euler("ZYX", [0.4, 0.3, -0.2]).as_matrix())
    centre = _double(120, -60, 700)
    turn, warp = normalise(camera, head, centre)
    assert torch.allclose(turn @ turn.T, torch.eye(3, dtype=torch.float64))
    assert float(torch.linalg.det(turn)) == pytest.approx(1)
    assert float((turn @ head)[1, 0]) == pytest.approx(0, abs=1e-12)  # the head's x axis has no part down
    a, b = pitchyaw_to_vector(_double(0.1, 0.2)), pitchyaw_to_vector(_double(-0.3, 0.5))
    assert float(angular_error(turn @ a, turn @ b)) == pytest.approx(float(angular_error(a, b)))
    pixel = camera @ centre
    seen = warp @ (pixel / pixel[2])
    assert torch.allclose(seen / seen[2], _double(112, 112, 1))  # the face's centre in the middle


def test_a_face_at_the_camera_is_refused() -> None:
    eye = torch.eye(3, dtype=torch.float64)
    with pytest.raises(ValueError, match="at the camera"):
        normalise(eye, eye, _double(0, 0, 0))
    with pytest.raises(ValueError, match="roll is not defined"):
        normalise(eye, eye, _double(5, 0, 0))


# --------------------------------------------------------------------------------------------------- heads


def test_heads_repeat_and_people_are_shared() -> None:
    one, again = (heads(3, 12, 4) for _ in range(2))
    assert torch.equal(one.images, again.images)
    assert torch.equal(one.identity[0], one.identity[4])
    assert not torch.equal(one.identity[0], one.identity[1])
    assert one.images.shape == (12, 3, 48, 48)
    assert 0 <= float(one.images.min()) < float(one.images.max()) <= 1
    assert one.identity.shape == (12, len(IDENTITY))


def test_worlds_share_nobody() -> None:
    assert not set(heads(0, 15, 15, SOURCE).person.tolist()) & set(heads(0, 15, 15, TARGET).person.tolist())


def test_only_the_eyes_know_of_the_gaze() -> None:
    data = heads(1, 6, 6)
    other = redrawn(data, gaze=-data.gaze)
    changed = (other.images - data.images).abs().amax(1) > 1e-6
    assert changed.any((1, 2)).all()
    grown = torch.nn.functional.max_pool2d(data.eyes.float(), 3, 1, 1) > 0
    assert not (changed & ~grown).any()


def _dark_middle(data, side: int) -> torch.Tensor:
    """Centre of the darkness within one eye, pixels across, of pictures in pose nought."""
    half = data.images.shape[-1] // 2
    eyes = data.eyes.clone()
    eyes[..., half:] &= side > 0
    eyes[..., :half] &= side < 0
    weight = (1 - data.images.mean(1)) ** 4 * eyes
    return (weight * torch.arange(data.images.shape[-1])).sum((1, 2)) / weight.sum((1, 2))


def test_looking_left_moves_the_pupils_left_in_the_picture() -> None:
    data = heads(2, 4, 4, size=96)
    straight = torch.zeros(4, 2)
    left = torch.tensor([[0.0, 0.4]]).expand(4, 2)
    for side in (-1, 1):
        moved = _dark_middle(redrawn(data, gaze=left, pose=straight), side)
        assert (moved < _dark_middle(redrawn(data, gaze=-left, pose=straight), side) - 1).all()


def test_gaze_in_the_cameras_frame_turns_with_the_head() -> None:
    data = heads(4, 5, 5)
    straight = replace(data, gaze=torch.zeros(5, 2))
    assert torch.allclose(straight.camera_gaze, pitchyaw_to_vector(data.pose), atol=1e-6)
    front = replace(data, pose=torch.zeros(5, 2))
    assert torch.allclose(front.camera_gaze, pitchyaw_to_vector(data.gaze), atol=1e-6)
