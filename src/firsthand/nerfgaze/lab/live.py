"""What a reader does with the shipped model: fit it to a stranger, and make them look elsewhere."""

from __future__ import annotations

from dataclasses import replace

import torch

from firsthand.data.drawn.heads import Heads, heads, redrawn
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.claims import Curve
from firsthand.kit.train.weights import shipped
from firsthand.nerfgaze.lab import runs
from firsthand.nerfgaze.lab.measures import psnr
from firsthand.nerfgaze.model import HeadModel
from firsthand.nerfgaze.synthesis import redirected
from firsthand.nerfgaze.training import fit

STAGES = (0, 25, 50, 100, 200)  # steps of fitting, each from the beginning
#: Gazes and poses that a stranger is asked for.
WAYS = torch.tensor([[0.0, 0.4], [0.25, 0.0], [0.0, -0.4]])
POSES = torch.tensor([[0.0, -0.2], [0.0, 0.0], [0.0, 0.2]])


@cached
def shipped_model() -> HeadModel:
    """The model that was trained for longer, with the codes of its ten people and of some of its pictures."""
    own = {n: value for n, value in shipped("nerfgaze").items() if n.split(".")[0] not in ("maps", "judge")}
    model = HeadModel(len(own["identity"]), len(own["light"]), sizes=runs.BOOK.sizes)
    model.load_state_dict(own)
    return model.eval().requires_grad_(False)


def stranger(seed: int) -> Heads:
    """One picture of somebody whom no model of this chapter has seen."""
    return heads(77 + seed, 1, 1, replace(runs.SOURCE, first=4_000 + seed))


@cached
def nearness(seed: int) -> dict[str, list[float]]:
    """PSNR in dB after each of STAGES: of the picture that was "given", and of WAYS and POSES, which were "not"."""
    one, model = stranger(seed), shipped_model()
    true = redrawn(one.pick([0, 0, 0]), gaze=WAYS, pose=POSES)
    found: dict[str, list[float]] = {"given": [], "not": []}
    for steps in STAGES:
        codes = fit(model, one, steps=steps)
        again = redirected(model, codes, one.gaze, one.pose)
        turned = redirected(model, codes.pick(torch.zeros(3, dtype=torch.long)), WAYS, POSES)
        found["given"].append(psnr(again.images, one.images))
        found["not"].append(psnr(turned.images, true.images))
    return found


CURVES = [
    Curve(f"fitted-{what}", "step", [float(at) for at in STAGES], lambda seed, what=what: nearness(seed)[what])  # type: ignore[misc]
    for what in ("given", "not")
]
