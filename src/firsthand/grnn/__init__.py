"""GRNN: the picture inside a gradient.

Paper: H. Ren, J. Deng, X. Xie, "GRNN: Generative Regression Neural Network - A Data Leakage Attack for Federated
Learning", ACM Transactions on Intelligent Systems and Technology 2022, arXiv 2105.00529.

This is a known attack, shown for teaching and for defence. The faces are the public research patches that come with
scikit-image.

In this folder, in reading order: `networks` (the generator and the victims), `gradients` (what a client shares, closed
forms), `attacks`, `defences`, `victims` (whom the chapter attacks). `lab` is how it is measured, `page` what its
chapter draws and asks.

What differs from the paper: of its text only the abstract and two tables could be verified; the method follows the
released code (Rand2AI/GRNN at 9a7b9aa). What the paper calls a Wasserstein distance is there the Euclidean norm, and
so it is here. Log-softmax instead of the log of a softmax; a guard under the root; seeds everywhere; label reading
and restarts as options.
"""

from typing import Any

from firsthand.grnn.attacks import METHODS, Reconstruction, attack, attack_many, match, psnr
from firsthand.grnn.defences import (
    DEFENCES,
    add_noise,
    epsilon,
    private_gradient,
    prune,
    quantise,
    soteria,
    train_under,
)
from firsthand.grnn.gradients import (
    gradient_distance,
    labels_from_bias,
    last_bias_gradient,
    layer_input,
    shared_gradient,
    split_gradient,
    total_variation,
    wasserstein,
)
from firsthand.grnn.networks import Generator, LeNet, SigmoidResNet18, uniform_init_
from firsthand.kit.lazy import from_lab

__all__ = [
    "CLAIMS", "DEFENCES", "METHODS", "PRESETS", "Config", "Generator", "LeNet", "Reconstruction", "SigmoidResNet18",
    "add_noise", "attack", "attack_many", "epsilon", "gradient_distance", "labels_from_bias", "last_bias_gradient",
    "layer_input", "match", "private_gradient", "prune", "psnr", "quantise", "run", "shared_gradient", "soteria",
    "split_gradient", "total_variation", "train_under", "uniform_init_", "wasserstein",
]  # fmt: skip

_LAB = {
    "claims": "CLAIMS",
    "config": "PRESETS Config",
    "pipeline": "run",
}


def __getattr__(name: str) -> Any:
    return from_lab(__name__, _LAB, name)
