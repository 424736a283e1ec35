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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chapter", "port"),
    [
        ("convnextv2", 29618),
        ("dmjd", 29619),
        ("dgfont", 29620),
        ("nerfgaze", 29621),
        ("ghost", 29622),
        ("drgnet", 29623),
    ],
)
def test_two_processes_compute_what_one_computes(chapter: str, port: int, tmp_path: Path) -> None:
    if chapter == "nerfgaze":
        faces(tmp_path / "faces")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for launch in ([], [*LAUNCH, "--master_port", str(port)]):
        command = [sys.executable, *launch, str(SCRIPT), chapter, str(tmp_path)]
        done = subprocess.run(command, check=False, env=environment, timeout=300, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (json.loads((tmp_path / f"{number}.json").read_text()) for number in (1, 2))
    assert one
    assert one.keys() == two.keys()
    for name, losses in one.items():
        assert two[name] == pytest.approx(losses, abs=1e-5), name
