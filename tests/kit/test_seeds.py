"""Seeds have one range in all chapters: within it a run works, beyond it one sentence says so."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from firsthand.chapters import chapters
from firsthand.errors import UserError
from firsthand.kit.train.device import LARGEST_SEED


def _pipeline(key: str):
    return importlib.import_module(f"firsthand.{key}.lab.pipeline")


@pytest.mark.parametrize("key", list(chapters()))
@pytest.mark.parametrize("seed", [-1, 2**32, 10**16, 10**17, 2**63, 2**64])
def test_a_seed_out_of_range_is_refused_at_once(key, seed):
    pipeline = _pipeline(key)
    with pytest.raises(UserError, match=rf"^A seed is a whole number from 0 to 4294967295; got {seed}\.$"):
        pipeline.run(pipeline.PRESETS["smoke"], seed=seed, device="cpu", progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("key", list(chapters()))
def test_the_largest_seed_runs(key):
    pipeline = _pipeline(key)
    found = pipeline.run(pipeline.PRESETS["smoke"], seed=LARGEST_SEED, device="cpu", progress=False)
    assert found.seed == LARGEST_SEED
    assert any(np.isfinite(value) for value in found.metrics.values())
