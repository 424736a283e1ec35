"""NeRF-Gaze: a head and two eyes as radiance fields, turned to look where you ask.

Paper: P. Yin, J. Dai, J. Wang, D. Xie, S. Pu, "NeRF-Gaze: A Head-Eye Redirection Parametric Model for Gaze Estimation",
arXiv 2212.14710, 2022.

In this folder, in reading order: `geometry` (directions), `fields` (face and eyes), `rendering`, `model` (fields,
codes, up-sampling), `training`, `synthesis` (turned heads), `turning` (without space), `estimator` (who finds the
gaze), `full` (real faces). `lab` is how it is measured, `page` what its chapter draws and asks.

What differs from the paper: we could obtain its abstract only, and there is no public code. The model is in the style
of NeRF-Gaze: HeadNeRF's field and rendering (CrisHY1995/headnerf at f874574), GazeNeRF's merging by maximum as an
alternative (AlessandroRuzzi/GazeNeRF at eb0a5f1), and an eye field that turns with the gaze, which is our choice.
"""

from typing import Any

from firsthand.kit.lazy import from_lab
from firsthand.nerfgaze.estimator import Estimator, train_estimator
from firsthand.nerfgaze.fields import FaceField, Field, Renderer
from firsthand.nerfgaze.full import FullHead, FullRecipe, train_full
from firsthand.nerfgaze.geometry import (
    angular_error,
    gaze_rotation,
    normalise,
    pitchyaw_to_vector,
    vector_to_pitchyaw,
)
from firsthand.nerfgaze.model import Codes, HeadModel, Sizes
from firsthand.nerfgaze.rendering import between_shells, compose, encode, render_weights
from firsthand.nerfgaze.synthesis import Labelled, Mixture, mixed, mixture, redirected
from firsthand.nerfgaze.training import Recipe, fit, train

__all__ = [
    "CLAIMS", "PRESETS", "Codes", "Config", "Estimator", "FaceField", "Field", "FullHead", "FullRecipe", "HeadModel",
    "Labelled", "Mixture", "Recipe", "Renderer", "Sizes", "angular_error", "between_shells", "compose", "encode",
    "fit", "gaze_rotation", "mixed", "mixture", "normalise", "pitchyaw_to_vector", "redirected", "render_weights",
    "run", "train", "train_estimator", "train_full", "vector_to_pitchyaw",
]  # fmt: skip

_LAB = {
    "claims": "CLAIMS",
    "config": "PRESETS Config",
    "pipeline": "run",
}


def __getattr__(name: str) -> Any:
    return from_lab(__name__, _LAB, name)
