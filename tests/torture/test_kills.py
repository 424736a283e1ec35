"""Runs that are killed at random moments end as if nothing had happened, and no torn file is ever read.

Three kills each; with `FIRSTHAND_TORTURE` set, twenty.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from firsthand.kit.train.loop import load_tensors
from tests.torture import victims

KILLS = 20 if float(os.environ.get("FIRSTHAND_TORTURE", "0")) else 3
LONGEST = 120  # seconds of one run


@pytest.fixture(scope="module")
def start() -> Callable[..., multiprocessing.process.BaseProcess]:
    """Starts a victim in a process whose imports are done already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.torture.victims", "firsthand.dgfont.lab.pipeline", "accelerate"])

    def begin(work: Callable[[Path], None], folder: Path) -> multiprocessing.process.BaseProcess:
        process = context.Process(target=work, args=(folder,))
        process.start()
        return process

    return begin


def _ended(process: multiprocessing.process.BaseProcess) -> None:
    process.join(LONGEST)
    assert process.exitcode == 0


def _whole_files(folder: Path) -> int:
    """Read everything that a run goes on from; says how many files that were."""
    names = [*folder.rglob("*.safetensors"), *folder.rglob("*.json")]
    for file in names:
        if file.name.startswith("."):
            continue  # half written, and never read under that name
        load_tensors(file) if file.suffix == ".safetensors" else json.loads(file.read_text())
    return len(names)


def _emptied(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()


def _outcome(folder: Path) -> object:
    if (folder / "content.json").is_file():
        return json.loads((folder / "content.json").read_text())
    tensors, about = load_tensors(folder / "run.safetensors")
    return {name: tensor.tolist() for name, tensor in tensors.items()}, about


@pytest.mark.slow
@pytest.mark.parametrize("work", [victims.training, victims.fonts, victims.sweep], ids=lambda f: f.__name__)
def test_a_run_that_is_killed_again_and_again_ends_the_same(work, start, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    _ended(start(work, cut))  # warms the server, so that the next one shows how long it takes
    _emptied(cut)
    begin = time.monotonic()
    _ended(start(work, whole))
    seconds, rng, killed, found = time.monotonic() - begin, random.Random(0), 0, 0
    for _ in range(20 * KILLS):
        if killed == KILLS:
            break
        process = start(work, cut)
        process.join(rng.uniform(0.1, 0.6) * seconds)
        if process.exitcode is not None:  # it was quicker, and done
            assert process.exitcode == 0
            _emptied(cut)
            continue
        process.kill()
        process.join()
        killed += 1
        found += _whole_files(cut)
    assert killed == KILLS
    assert found  # something had been written before it was killed
    _ended(start(work, cut))
    assert _outcome(cut) == _outcome(whole)
