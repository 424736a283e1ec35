"""Curves along a training."""

import numpy as np
import pytest

from firsthand.kit.lab.curves import along_steps, mean_every


def test_means_are_of_whole_stretches() -> None:
    assert mean_every([1.0, 3.0, 5.0, 7.0, 100.0], 2) == [2.0, 6.0]  # what is left over is dropped
    assert mean_every([], 2) == []
    assert all(type(value) is float for value in mean_every(np.array([1, 2], np.float32).tolist(), 1))


@pytest.mark.parametrize("steps", [6, 7])
def test_a_curve_has_a_point_for_every_stretch(steps: int) -> None:
    curve = along_steps("loss", steps, 3, lambda seed: [float(seed + n) for n in range(steps)])
    assert curve.x == [1.5, 4.5]
    assert [*curve.measure(10)] == [11.0, 14.0]
    assert len(curve.x) == len(curve.measure(0))
