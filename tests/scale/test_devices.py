"""Networks make nothing on another device than their own, and every chapter's experiment runs on an accelerator."""

from __future__ import annotations

import importlib
import math

import pytest
import torch

from firsthand import convnextv2, dgfont, fedboost, ghost, grnn
from firsthand.chapters import chapters
from firsthand.dgfont.networks import StyleEncoder
from firsthand.drgnet.network import Grader, UNet
from firsthand.nerfgaze.fields import FaceField, Renderer
from firsthand.nerfgaze.turning import PATCH, TOLD, Turner

#: name -> (makes a network, shapes of its inputs).
NETWORKS = {
    "convnextv2": (lambda: convnextv2.ConvNeXtV2(convnextv2.SIZES["atto"], num_classes=5), [(2, 3, 64, 64)]),
    "ghost": (lambda: ghost.Detector("small", width=0.125), [(2, 3, 64, 64)]),
    "drgnet, segmenter": (lambda: UNet(width=4), [(2, 3, 64, 64)]),
    "drgnet, grader": (lambda: Grader("both", width=4), [(2, 3, 64, 64), (2, 4, 64, 64)]),
    "dgfont, generator": (
        lambda: dgfont.Generator(size=32, channels=1, width=8, style_dim=8), [(2, 1, 32, 32), (2, 8)]
    ),
    "dgfont, attention": (
        lambda: dgfont.Generator(size=32, channels=1, width=8, style_dim=8, fdsc="attn"), [(2, 1, 32, 32), (2, 8)]
    ),
    "dgfont, style": (StyleEncoder, [(2, 3, 80, 80)]),
    "nerfgaze, field": (FaceField, [(5, 4, 3), (5, 4, 179), (5, 4, 127)]),
    "nerfgaze, renderer": (lambda: Renderer(64, 4), [(2, 64, 8, 8)]),
    "nerfgaze, turner": (lambda: Turner(8), [(2, 3, PATCH, PATCH), (2, TOLD)]),
    "grnn": (lambda: grnn.Generator(7, image_size=16), [(3, 128)]),
    "fedboost": (lambda: fedboost.CRNN(width=0.1), [(2, 3, 32, 64)]),
    "fedboost, compact": (fedboost.CompactCRNN, [(2, 1, 24, 72)]),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_stays_on_its_device(name):
    """The inputs and weights are on one; what a network makes itself must be there too, or the two cannot meet."""
    make, shapes = NETWORKS[name]
    with torch.device("meta"):
        network = make()
    outputs = network(*(torch.empty(shape, device="meta") for shape in shapes))
    found = list(_tensors(outputs))
    assert found
    assert {tensor.device.type for tensor in found} == {"meta"}


def _tensors(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif hasattr(value, "__dict__"):
        yield from _tensors(list(vars(value).values()))
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _tensors(one)


@pytest.mark.gpu
@pytest.mark.parametrize("key", chapters())
def test_an_experiment_runs_on_an_accelerator(key):
    experiment = importlib.import_module(f"firsthand.{key}.lab.pipeline")
    here, there = (
        experiment.run(experiment.PRESETS["smoke"], device=device, progress=False).metrics for device in ("cpu", "cuda")
    )
    assert set(here) == set(there)
    assert {name for name, value in here.items() if math.isfinite(value)} == {
        name for name, value in there.items() if math.isfinite(value)
    }
