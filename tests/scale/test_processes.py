"""Two processes compute what one computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scale.losses import faces

SCRIPT = Path(__file__).with_name("losses.py")
LAUNCH = ["-m", "torch.distributed.run", "--nnodes", "1", "--nproc_per_node", "2", "--master_addr", "127.0.0.1"]


def _losses(what: str, port: int | None, folder: Path) -> list[dict[str, list[float]]]:
    """Of one process and, where there is a port for them, of two."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    together = [] if port is None else [[*LAUNCH, "--master_port", str(port)]]
    for launch in ([], *together):
        command = [sys.executable, *launch, str(SCRIPT), what, str(folder)]
        done = subprocess.run(command, check=False, env=environment, timeout=1200, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads((folder / f"{number}.json").read_text()) for number in range(1, 2 + len(together))]


CHAPTERS = ["convnextv2", "dmjd", "dgfont", "nerfgaze", "ghost", "drgnet"]


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_two_processes_compute_what_one_computes(chapter: str, tmp_path: Path) -> None:
    if chapter == "nerfgaze":
        faces(tmp_path / "faces")
    one, two = _losses(chapter, 29618 + CHAPTERS.index(chapter), tmp_path)
    assert one
    assert one.keys() == two.keys()
    for name, losses in one.items():
        assert two[name] == pytest.approx(losses, abs=1e-5), name


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """Chapter 03's losses by one process, in one go."""
    return _losses("convnextv2", None, tmp_path_factory.mktemp("plain"))[0]["loss"]


@pytest.mark.slow
@pytest.mark.parametrize(("how", "within"), [("accumulate", 1e-5), ("resume", 1e-5), ("bf16", 0.01)])
def test_they_do_so_with_accumulation_from_a_checkpoint_and_in_half_precision(
    how: str, within: float, tmp_path: Path, plain: list[float]
) -> None:
    one, two = _losses(f"convnextv2:{how}", 29630, tmp_path)
    assert two["loss"] == pytest.approx(one["loss"], abs=within)
    assert one["loss"] == pytest.approx(plain, abs=within)
    assert (one["loss"] != plain) == (how != "resume")  # it did something else on the way
