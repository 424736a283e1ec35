"""How far two gazes lie apart, and the conventions of `firsthand.data.drawn.directions` under one roof."""

from __future__ import annotations

from firsthand.data.drawn.directions import (
    angular_error,
    gaze_rotation,
    normalise,
    pitchyaw_to_vector,
    vector_to_pitchyaw,
)

__all__ = ["angular_error", "gaze_rotation", "normalise", "pitchyaw_to_vector", "vector_to_pitchyaw"]
